"""What this plugin is. What it does stands in `measurement.py`, which has the name of the interface that it exports."""

import measurement
import so8t

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "costs": {
            "type": "array",
            "items": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": measurement.MAX_COST}},
            "description": "For every gold label, by id: what each prediction costs, by id, and last what INVALID costs; "
            "0 where it is right and 1 elsewhere unless said",
        },
        "groups": {
            "type": "integer",
            "minimum": 0,
            "maximum": measurement.MAX_GROUPS,
            "description": "How many groups are told apart; 4 unless said",
        },
    },
}


class Measurement:
    def describe(self):
        return so8t.metadata("weighted-error", "0.1.0", "Apache-2.0", SCHEMA)
