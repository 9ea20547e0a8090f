import json
import unittest

import so8t
from componentize_py_types import Err
from conversion import Converter


def convert(config, chunks):
    """Instructions and reasons, in order."""
    converter = Converter.open(json.dumps(config))
    batches = [*(converter.push(chunk) for chunk in chunks), converter.finish()]
    instructions = [text for batch in batches for text in so8t.rows(batch.examples.instruction, len(batch.lines))]
    return instructions, [rejection.reason for batch in batches for rejection in batch.rejected]


class TestConverter(unittest.TestCase):
    def test_any_chunks_give_the_same_examples(self):
        source = "水\tALLOW\nfire\tDENY\r\n\nno label\n\tALLOW\nwind\tALLOW".encode()
        whole = convert({}, [source])
        self.assertEqual(whole[0], ["水", "fire", "wind"])
        self.assertEqual(len(whole[1]), 2)
        self.assertEqual(convert({}, [source[i : i + 1] for i in range(len(source))]), whole)

    def test_bad_lines_are_rejected_with_a_reason(self):
        _, reasons = convert({"separator": ";"}, [b"\xff;ALLOW\n", b"x" * ((1 << 20) + 1), b";ALLOW\n"])
        self.assertEqual(reasons, ["the line is not UTF-8", "the line has more than 1048576 bytes"])

    def test_a_wrong_configuration_is_refused(self):
        for config in ['{"separator": ""}', '{"seperator": ";"}']:
            with self.assertRaises(Err):
                Converter.open(config)


if __name__ == "__main__":
    unittest.main()
