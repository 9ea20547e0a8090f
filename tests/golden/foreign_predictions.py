"""Makes ../evaluation/golden/foreign.parquet: predictions as pandas writes them, with every freedom that a file made elsewhere takes.

    pip install pandas pyarrow
    python tests/golden/foreign_predictions.py

All columns may hold nulls, scores have 64 bits, the columns stand in another order, one is unknown, and there is no latency.
"""

import pathlib

import pandas

OUT = pathlib.Path(__file__).parent.parent / "evaluation" / "golden" / "foreign.parquet"


def main():
    rows = range(12)
    labels = ["SAFE", "UNSAFE"]
    frame = pandas.DataFrame(
        {
            "comment": [f"text {i}" for i in rows],
            "score_SAFE": [i / 16 for i in rows],
            "score_UNSAFE": [1 - i / 16 for i in rows],
            "predicted": ["INVALID" if i == 5 else labels[i % 3 == 0] for i in rows],
            "gold": [labels[i % 2] for i in rows],
            "group": [None if i % 3 else f"pair {i // 6}" for i in rows],
            "source": ["mine" if i < 8 else "\u4ed6" for i in rows],
            "id": [f"row {i}" for i in rows],
        }
    )
    frame.to_parquet(OUT, index=False)


if __name__ == "__main__":
    main()
