import json
import unittest
from types import SimpleNamespace

from componentize_py_types import Err
from measurement import Accumulator


def measured(config, rows):
    """A measurement of rows of gold id, predicted id and weight."""
    accumulator = Accumulator.open(json.dumps(config), ["ALLOW", "DENY"])
    gold, predicted, weights = zip(*rows) if rows else ((), (), ())
    accumulator.update(SimpleNamespace(gold=bytes(gold), predicted=bytes(predicted), weights=list(weights)))
    return accumulator


def value(accumulator):
    return accumulator.finalize()[0].value


class TestMetric(unittest.TestCase):
    def test_rows_count_by_weight(self):
        rows = [(0, 0, 3), (1, 0, 2), (1, 254, 1)]
        self.assertEqual(value(measured({}, rows)), 0.5)
        self.assertEqual(value(measured({"ignore_invalid": True}, rows)), 0.6)
        self.assertIsNone(value(measured({}, [])))

    def test_parts_merge_into_the_whole(self):
        first = measured({}, [(0, 0, 1)])
        first.merge(measured({}, [(0, 1, 3)]).state())
        self.assertEqual(value(first), 0.25)
        with self.assertRaises(Err):
            first.merge(b"123")

    def test_a_wrong_configuration_is_refused(self):
        for config in ['{"ignore_invalid": 1}', '{"ignore": true}']:
            with self.assertRaises(Err):
                Accumulator.open(config, [])


if __name__ == "__main__":
    unittest.main()
