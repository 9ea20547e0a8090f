"""What this plugin is. What it does stands in `measurement.py`, which has the name of the interface that it exports."""

import measurement
import so8t

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "ignore_invalid": {
            "type": "boolean",
            "description": "Whether answers that are no label are left out; false unless said",
        },
    },
}


@so8t.guarded
class Measurement:
    def describe(self):
        return so8t.metadata("@NAME@", "0.1.0", "Apache-2.0", SCHEMA)
