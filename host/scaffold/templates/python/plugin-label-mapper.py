"""What this plugin is. What it does stands in `mapping.py`, which has the name of the interface that it exports."""

import mapping
import so8t

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "aliases": {
            "type": "object",
            "additionalProperties": {"enum": mapping.NAMES},
            "description": "Further spellings, in any case, and the decision that each stands for",
        },
    },
}


@so8t.guarded
class Mapping:
    def describe(self):
        return so8t.metadata("@NAME@", "0.1.0", "Apache-2.0", SCHEMA)
