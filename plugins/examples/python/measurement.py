"""What wrong decisions cost, over all rows and by group."""

import struct

import so8t
from wit_world.exports.measurement import Direction, Metric, Value, Wants

INVALID = 254  # an answer that is no label
MAX_COST = 1_000_000
MAX_GROUPS = 64
MAX_SUM = 2**52  # with one more row it is still below 2^53, so that every language counts it exactly


def is_count(value, high):
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= high


class Accumulator:
    @classmethod
    @so8t.guarded
    def open(cls, config, labels):
        count = len(labels)
        config = so8t.read_config(config, ["costs", "groups"])
        groups = config.get("groups", 4)
        costs = config.get("costs", [[int(gold != predicted) for predicted in range(count + 1)] for gold in range(count)])
        if not is_count(groups, MAX_GROUPS):
            raise so8t.config_failure(f"config: `groups`: expected 0 to {MAX_GROUPS}")
        is_table = isinstance(costs, list) and all(isinstance(row, list) for row in costs)
        if not is_table or len(costs) != count or any(len(row) != count + 1 for row in costs):
            raise so8t.config_failure(f"config: `costs`: expected {count} rows of {count + 1} numbers")
        if not all(is_count(cost, MAX_COST) for row in costs for cost in row):
            raise so8t.config_failure(f"config: `costs`: expected whole numbers from 0 to {MAX_COST}")
        self = cls()
        self.costs = costs  # by gold and predicted label, INVALID last
        self.sums = [[0, 0] for _ in range(groups + 1)]  # cost and rows of each group; the last is of all others
        self.all = [0, 0]
        return self

    def names(self):
        groups = [*map(str, range(len(self.sums) - 1)), "other"]
        return ["cost", "cost_worst_group", *(f"group.{group}.cost" for group in groups)]

    def metrics(self):
        high = float(max(max(row) for row in self.costs))
        return [Metric(name, Direction.LOWER, 0.0, high) for name in self.names()]

    def wants(self):
        return Wants.WEIGHTS | Wants.GROUPS

    def add(self, group, cost, rows):
        for sums in (self.sums[group], self.all):
            sums[0] += cost
            sums[1] += rows
        if max(self.all) > MAX_SUM:
            raise so8t.input_failure(f"the costs or weights sum up to more than {MAX_SUM}")

    @so8t.guarded
    def update(self, rows):
        count, last = len(rows.gold), len(self.sums) - 1
        weights, groups = rows.weights or [1] * count, rows.groups or [0] * count
        for gold, predicted, weight, group in zip(rows.gold, rows.predicted, weights, groups):
            cost = self.costs[gold][-1 if predicted == INVALID else predicted]
            self.add(min(group, last), cost * weight, weight)

    def state(self):
        """Eight bytes each, the lowest first: for every group cost and rows."""
        return b"".join(struct.pack("<QQ", *sums) for sums in self.sums)

    @so8t.guarded
    def merge(self, state):
        expected = 16 * len(self.sums)
        if len(state) != expected:
            raise so8t.input_failure(f"state: expected {expected} bytes, found {len(state)}")
        for group, (cost, rows) in enumerate(struct.iter_unpack("<QQ", state)):
            self.add(group, cost, rows)

    @so8t.guarded
    def finalize(self):
        def mean(sums):
            return sums[0] / sums[1] if sums[1] else None

        worst = max((mean(sums) for sums in self.sums if sums[1]), default=None)
        values = [mean(self.all), worst, *map(mean, self.sums)]
        rows = [min(sums[1], 0xFFFFFFFF) for sums in (self.all, self.all, *self.sums)]
        return [Value(name, value, count) for name, value, count in zip(self.names(), values, rows)]
