import json
import unittest
from types import SimpleNamespace

import so8t
from componentize_py_types import Err
from mapping import Mapper


def assign(config, labels):
    column = so8t.column(labels)
    return Mapper.open(json.dumps(config)).assign(SimpleNamespace(instruction=column, label=column))


class TestMapper(unittest.TestCase):
    def test_spellings_have_labels_and_others_have_reasons(self):
        mapped = assign({"aliases": {"Bad": "REFUSE"}}, ["allow", "DENY", "BAD", "", "perhaps"])
        self.assertEqual(list(mapped.ids), [0, 2, 3, 255, 255])
        self.assertEqual(list(mapped.code), [0, 0, 0, 0, 1])
        self.assertEqual(mapped.reasons, ["there is no label", "unknown label `perhaps`"])

    def test_a_wrong_configuration_is_refused(self):
        for config in ['{"aliases": {"bad": "BLOCK"}}', '{"alias": {}}']:
            with self.assertRaises(Err):
                Mapper.open(config)

    def test_there_are_no_more_than_256_reasons(self):
        mapped = assign({}, [f"label {i}" for i in range(300)])
        self.assertEqual((len(mapped.reasons), mapped.code[299]), (256, 255))


if __name__ == "__main__":
    unittest.main()
