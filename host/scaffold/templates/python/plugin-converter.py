"""What this plugin is. What it does stands in `conversion.py`, which has the name of the interface that it exports."""

import conversion
import so8t

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "separator": {
            "type": "string",
            "minLength": 1,
            "description": "Between instruction and label; a tab unless said",
        },
    },
}


@so8t.guarded
class Conversion:
    def describe(self):
        return so8t.metadata("@NAME@", "0.1.0", "Apache-2.0", SCHEMA)
