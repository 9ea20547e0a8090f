"""A predictions file read by pyarrow, pandas, polars and DuckDB: each gives the same accuracy.

    pip install pyarrow pandas polars duckdb
    python examples/peers/read_predictions.py FILE.parquet
"""

import sys

import duckdb
import pandas
import polars
import pyarrow.compute
import pyarrow.parquet


def main():
    path = sys.argv[1]
    table = pyarrow.parquet.read_table(path)
    print(table.schema.to_string(show_schema_metadata=False))
    found = {"pyarrow": pyarrow.compute.mean(pyarrow.compute.equal(table["gold"], table["predicted"])).as_py()}
    frame = pandas.read_parquet(path)
    found["pandas"] = float((frame["gold"] == frame["predicted"]).mean())
    frame = polars.read_parquet(path)
    found["polars"] = frame.select((polars.col("gold") == polars.col("predicted")).mean()).item()
    found["duckdb"] = duckdb.sql(f"select avg((gold = predicted)::int) from '{path}'").fetchall()[0][0]
    for name, accuracy in found.items():
        print(f"{name:8} {accuracy}")
    assert max(found.values()) - min(found.values()) < 1e-12, found


if __name__ == "__main__":
    main()
