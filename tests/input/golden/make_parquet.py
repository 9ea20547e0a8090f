"""Writes the Parquet files of the tests, and the JSON lines that they read as: `python make_parquet.py` (pyarrow 26)."""

import datetime
import decimal
import json
import pathlib

import pyarrow
import pyarrow.parquet

HERE = pathlib.Path(__file__).parent
MOMENT = datetime.datetime(2024, 2, 29, 23, 59, 59, 123456)
UTC = MOMENT.replace(tzinfo=datetime.timezone.utc)

schema = pyarrow.schema(
    [
        ("text", pyarrow.string()),
        ("int", pyarrow.int64()),
        ("small", pyarrow.uint8()),
        ("large", pyarrow.uint64()),
        ("double", pyarrow.float64()),
        ("float", pyarrow.float32()),
        ("truth", pyarrow.bool_()),
        ("money", pyarrow.decimal128(12, 3)),
        ("day", pyarrow.date32()),
        ("milliseconds", pyarrow.timestamp("ms", tz="UTC")),
        ("microseconds", pyarrow.timestamp("us")),
        ("nanoseconds", pyarrow.timestamp("ns", tz="UTC")),
        ("clock", pyarrow.time64("us")),
        ("list", pyarrow.list_(pyarrow.string())),
        ("turns", pyarrow.list_(pyarrow.struct([("role", pyarrow.string()), ("content", pyarrow.string())]))),
        ("struct", pyarrow.struct([("a", pyarrow.int32()), ("b", pyarrow.list_(pyarrow.float64()))])),
        ("map", pyarrow.map_(pyarrow.string(), pyarrow.int32())),
        ("binary", pyarrow.binary()),
    ]
)
full = {
    "text": '日本語 "引用"\n改行\t\u0001😀', "int": -(2**63), "small": 255, "large": 2**64 - 1, "double": 0.1, "float": 0.1,
    "truth": True, "money": decimal.Decimal("-12345.670"), "day": datetime.date(1969, 12, 31), "milliseconds": UTC.replace(microsecond=500000),
    "microseconds": MOMENT, "nanoseconds": UTC, "clock": datetime.time(1, 2, 3, 4), "list": ["a", None, "c"],
    "turns": [{"role": "user", "content": "質問"}, {"role": "assistant", "content": None}],
    "struct": {"a": 1, "b": [1.5, None]}, "map": [("k", 1), ("l", None)], "binary": "ただの文".encode(),
}
empty = dict.fromkeys(full)
odd = dict(empty, double=float("nan"), float=float("inf"), list=[], turns=[], map=[], struct={"a": None, "b": []}, int=2**63 - 1)
rows = [full, empty, odd]

expected_full = dict(
    full, money="-12345.670", day="1969-12-31", milliseconds="2024-02-29T23:59:59.5Z", microseconds="2024-02-29T23:59:59.123456",
    nanoseconds="2024-02-29T23:59:59.123456Z", clock="01:02:03.000004", map={"k": 1, "l": None}, binary="ただの文",
)
expected = [expected_full, empty, dict(odd, double=None, float=None, map={})]
text = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in expected)
# A decimal is a number with all its digits, which Python's json cannot write.
(HERE / "rows.jsonl").write_text(text.replace('"money":"-12345.670"', '"money":-12345.670'), encoding="utf-8")
table = pyarrow.Table.from_pylist(rows, schema=schema)
for codec in ["none", "snappy", "gzip", "zstd", "lz4", "brotli"]:
    pyarrow.parquet.write_table(table, HERE / f"rows.{codec}.parquet", compression=codec, row_group_size=2, store_schema=False)
picture = pyarrow.Table.from_pylist([{"image": {"bytes": b"ok"}}, {"image": {"bytes": b"\x89PNG"}}])
pyarrow.parquet.write_table(picture, HERE / "picture.parquet", store_schema=False)
