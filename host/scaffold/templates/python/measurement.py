"""The share of rows whose prediction is right."""

import struct

import so8t
from wit_world.exports.measurement import Direction, Metric, Value, Wants

INVALID = 254  # an answer that is no label


@so8t.guarded
class Accumulator:
    @classmethod
    def open(cls, config, labels):
        """Begins a measurement; `config` is the manifest's table as JSON, `labels` are the names of the label set."""
        ignore_invalid = so8t.read_config(config, ["ignore_invalid"]).get("ignore_invalid", False)
        if not isinstance(ignore_invalid, bool):
            raise so8t.config_failure("config: `ignore_invalid`: expected true or false")
        self = cls()
        self.ignore_invalid = ignore_invalid
        self.right = 0  # rows by weight
        self.all = 0
        return self

    def metrics(self):
        return [Metric("right", Direction.HIGHER, 0.0, 1.0)]

    def wants(self):
        return Wants.WEIGHTS  # resampling passes counts as weights

    def update(self, rows):
        """Takes rows in. The host has checked the columns."""
        weights = rows.weights or [1] * len(rows.gold)
        for gold, predicted, weight in zip(rows.gold, rows.predicted, weights):
            if predicted == INVALID and self.ignore_invalid:
                continue
            self.right += weight * (gold == predicted)
            self.all += weight

    def state(self):
        """All that was taken in: whole numbers that add, so that any sharding gives the same values."""
        return struct.pack("<QQ", self.right, self.all)

    def merge(self, state):
        if len(state) != 16:
            raise so8t.input_failure(f"state: expected 16 bytes, found {len(state)}")
        right, all = struct.unpack("<QQ", state)
        self.right += right
        self.all += all

    def finalize(self):
        value = self.right / self.all if self.all else None  # absent where there are no rows
        return [Value("right", value, min(self.all, 0xFFFFFFFF))]
