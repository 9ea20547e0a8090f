"""The simple peer of a run, on the run's own split: TF-IDF and logistic regression, beside the model before and after training.

    pip install numpy pyarrow scikit-learn
    python examples/peers/tfidf.py RUN

RUN is a run's folder with dataset.jsonl, evaluation.jsonl and, where they are there, predictions_before.parquet and
predictions_after.parquet. A source that has two gold classes of which one is ALLOW (XSTest) is scored as ALLOW or not ALLOW, any other
over its gold classes, as the published figures of these sets are; accuracy is always over the four classes.
"""

import json
import pathlib
import sys

import numpy
import pyarrow.parquet
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.pipeline import make_union

LABELS = ["ALLOW", "ESCALATION", "DENY", "REFUSE"]


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def text(row):
    return " ".join(part for part in (row["instruction"], row.get("input", "")) if part)


def peer(train, held_out):
    """Words and pairs of words, and characters (which Japanese needs), into one linear classifier."""
    features = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True),
    )
    model = LogisticRegression(C=10, max_iter=500)
    model.fit(features.fit_transform([text(row) for row in train]), [row["label"] for row in train])
    return model.predict(features.transform([text(row) for row in held_out]))


def figures(held_out, predicted):
    """Name to value, in the order in which they are printed."""
    gold = numpy.array([row["label"] for row in held_out])
    sources = numpy.array([row["source"] for row in held_out])
    predicted = numpy.array(predicted)
    unsafe, safe = numpy.isin(gold, ["DENY", "REFUSE"]), gold == "ALLOW"
    out = {
        "macro-F1": f1_score(gold, predicted, labels=LABELS, average="macro", zero_division=0),
        "accuracy": accuracy_score(gold, predicted),
        "unsafe_pass_rate": (predicted[unsafe] == "ALLOW").mean(),
        "over_block_rate": (predicted[safe] != "ALLOW").mean(),
    }
    for source in dict.fromkeys(sources):
        here = sources == source
        classes = sorted(set(gold[here]))
        out[f"{source} accuracy"] = accuracy_score(gold[here], predicted[here])
        if len(classes) == 2 and "ALLOW" in classes:
            score = f1_score(gold[here] != "ALLOW", predicted[here] != "ALLOW", average="macro")
            out[f"{source} macro-F1, ALLOW or not"] = score
        elif len(classes) > 1:
            score = f1_score(gold[here], predicted[here], labels=classes, average="macro", zero_division=0)
            out[f"{source} macro-F1, {len(classes)} classes"] = score
    return out


def main():
    run = pathlib.Path(sys.argv[1])
    train, held_out = lines(run / "dataset.jsonl"), lines(run / "evaluation.jsonl")
    columns = {"TF-IDF": peer(train, held_out)}
    for moment in ("before", "after"):
        path = run / f"predictions_{moment}.parquet"
        if path.exists():
            table = pyarrow.parquet.read_table(path, columns=["id", "predicted"]).to_pydict()
            by_id = dict(zip(table["id"], table["predicted"]))
            columns[moment] = [by_id[row["id"]] for row in held_out]
    table = {name: figures(held_out, predicted) for name, predicted in columns.items()}
    print(f"{len(train)} for training, {len(held_out)} held out")
    print(f"{'':40}" + "".join(f"{name:>10}" for name in table))
    for figure in next(iter(table.values())):
        print(f"{figure:40}" + "".join(f"{values[figure]:10.3f}" for values in table.values()))


if __name__ == "__main__":
    main()
