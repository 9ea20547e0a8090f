"""Makes ../evaluation/golden/classification.json: what scikit-learn says about seeded random predictions.

    pip install numpy scikit-learn
    python tests/golden/classification.py

The file is rewritten whole; the same numpy and scikit-learn versions give the same bytes.
"""

import json
import math
import pathlib

import numpy
import sklearn
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

LABELS = ["ALLOW", "ESCALATION", "DENY", "REFUSE"]
IDS = [0, 1, 2, 3]
INVALID = 254
OUT = pathlib.Path(__file__).parent.parent / "evaluation" / "golden" / "classification.json"

NOTE = (
    "Made by tests/golden/classification.py with numpy {} and scikit-learn {}. gold and predicted are ids into labels; "
    "254 is INVALID, an answer that is no label: to scikit-learn it is one more label value, which is in the confusion matrix's "
    "labels= (its last column) and never among the averaged labels=. weights, where given, are sample_weight=; a row of weight 0 "
    "counts nowhere, and a class is observed only through rows of positive weight. "
    "f1_macro: labels=[0,1,2,3], zero_division=0. f1_macro_observed: labels= the classes that occur in gold or among the valid "
    "predictions, zero_division=0. precision, recall and f1 of a class: zero_division=nan, written as null: precision has no value "
    "where the class is never predicted, recall where it is never gold, f1 where it is neither. unsafe_pass_rate: the share of "
    "ALLOW among the predictions for gold DENY or REFUSE; over_block_rate: the share of other predictions than ALLOW (INVALID "
    "included) for gold ALLOW; null where the denominator is empty. support is the weight of the gold rows of a class."
)


def number(value):
    """A JSON number, or null where scikit-learn has no value."""
    return None if value is None or math.isnan(value) else float(value)


def rate(weights, denominator, numerator):
    """The weighted share of `numerator` within `denominator` (boolean rows)."""
    total = int(weights[denominator].sum())
    return None if total == 0 else float(weights[denominator & numerator].sum() / total)


def expected(gold, predicted, weights):
    """Every value of one case."""
    keep = weights > 0
    gold, predicted, weights = gold[keep], predicted[keep], weights[keep]
    if len(gold) == 0:
        lacking = dict.fromkeys(LABELS)
        return {
            "accuracy": None, "f1_macro": None, "f1_macro_observed": None,
            "precision": lacking, "recall": lacking, "f1": lacking, "support": dict.fromkeys(LABELS, 0),
            "confusion": [[0] * 5 for _ in IDS], "invalid_rate": None, "unsafe_pass_rate": None, "over_block_rate": None,
        }
    observed = [i for i in IDS if (gold == i).any() or (predicted == i).any()]
    with_weights = {"sample_weight": weights}
    macro_observed = f1_score(gold, predicted, labels=observed, average="macro", zero_division=0, **with_weights)
    ignoring = f1_score(gold, predicted, labels=IDS, average="macro", zero_division=numpy.nan, **with_weights)
    assert abs(macro_observed - ignoring) < 1e-12, "two readings of `observed` disagree"
    precision, recall, f1, support = precision_recall_fscore_support(
        gold, predicted, labels=IDS, average=None, zero_division=numpy.nan, **with_weights
    )
    confusion = confusion_matrix(gold, predicted, labels=IDS + [INVALID], **with_weights)[:4]
    every = numpy.ones(len(gold), bool)
    by_label = lambda values: {name: number(value) for name, value in zip(LABELS, values)}
    return {
        "accuracy": float(accuracy_score(gold, predicted, **with_weights)),
        "f1_macro": float(f1_score(gold, predicted, labels=IDS, average="macro", zero_division=0, **with_weights)),
        "f1_macro_observed": float(macro_observed),
        "precision": by_label(precision),
        "recall": by_label(recall),
        "f1": by_label(f1),
        "support": {name: int(value) for name, value in zip(LABELS, support)},
        "confusion": [[int(value) for value in row] for row in confusion],
        "invalid_rate": rate(weights, every, predicted == INVALID),
        "unsafe_pass_rate": rate(weights, gold >= 2, predicted == 0),
        "over_block_rate": rate(weights, gold == 0, predicted != 0),
    }


def case(name, random, rows, gold_share, *, right=0.6, predict_share=None, invalid=0.0, weights=None):
    """Random rows: gold by `gold_share`; a prediction is right with chance `right`, else drawn by `predict_share`."""
    gold = random.choice(4, size=rows, p=gold_share)
    drawn = random.choice(4, size=rows, p=predict_share or [0.25] * 4)
    predicted = numpy.where(random.random(rows) < right, gold, drawn)
    predicted = numpy.where(random.random(rows) < invalid, INVALID, predicted)
    weighted = None if weights is None else weights(random, rows)
    values = expected(gold, predicted, numpy.ones(rows, int) if weighted is None else weighted)
    return {
        "name": name,
        "gold": gold.tolist(),
        "predicted": predicted.tolist(),
        "weights": None if weighted is None else weighted.tolist(),
        "expected": values,
    }


def bootstrap(random, rows):
    """How often each row is drawn in a resample of as many rows."""
    return numpy.bincount(random.integers(0, rows, rows), minlength=rows)


def main():
    random = numpy.random.default_rng(20260101)
    even = [0.25] * 4
    cases = [
        case("one row, right", random, 1, [0, 0, 1, 0], right=1.0),
        case("one row, wrong", random, 1, [1, 0, 0, 0], right=0.0, predict_share=[0, 0, 0, 1]),
        case("one row, INVALID", random, 1, [0, 1, 0, 0], invalid=1.0),
        case("two rows of one class, all right", random, 2, [0, 1, 0, 0], right=1.0),
        case("three rows", random, 3, even),
        case("seven rows", random, 7, even),
        case("ten rows, only ALLOW gold", random, 10, [1, 0, 0, 0]),
        case("ten rows, only REFUSE gold, no other class predicted", random, 10, [0, 0, 0, 1], right=1.0),
        case("ESCALATION neither gold nor predicted", random, 50, [0.4, 0, 0.3, 0.3], predict_share=[0.4, 0, 0.3, 0.3]),
        case("DENY gold, never predicted", random, 60, even, right=0.0, predict_share=[0.3, 0.3, 0, 0.4]),
        case("DENY predicted, never gold", random, 60, [0.3, 0.4, 0, 0.3]),
        case("two classes only", random, 80, [0.5, 0, 0, 0.5], predict_share=[0.5, 0, 0, 0.5]),
        case("no unsafe gold", random, 40, [0.6, 0.4, 0, 0]),
        case("no ALLOW gold", random, 40, [0, 0.4, 0.3, 0.3]),
        case("everything answered DENY", random, 120, even, right=0.0, predict_share=[0, 0, 1, 0]),
        case("always wrong or by chance", random, 200, even, right=0.0),
        case("even, 500 rows", random, 500, even),
        case("skewed to ALLOW", random, 997, [0.94, 0.03, 0.02, 0.01], right=0.8),
        case("skewed to REFUSE, weak", random, 750, [0.02, 0.03, 0.05, 0.9], right=0.3),
        case("even, 2000 rows", random, 2000, even, right=0.85),
        case("some INVALID", random, 300, even, invalid=0.1),
        case("INVALID and an absent class", random, 90, [0.5, 0.5, 0, 0], predict_share=[0.5, 0.5, 0, 0], invalid=0.3),
        case("all INVALID", random, 25, even, invalid=1.0),
        case("skewed, many INVALID", random, 1200, [0.7, 0.1, 0.15, 0.05], invalid=0.4),
        case("weights 1 to 5", random, 150, even, weights=lambda r, n: r.integers(1, 6, n)),
        case("a bootstrap resample", random, 400, [0.5, 0.2, 0.2, 0.1], weights=bootstrap),
        case("a bootstrap resample with INVALID", random, 900, even, invalid=0.15, weights=bootstrap),
        case("a small resample that may lose a class", random, 12, [0.6, 0.2, 0.1, 0.1], weights=bootstrap),
        case("large weights", random, 64, even, weights=lambda r, n: r.integers(0, 1_000_000, n)),
        case("all weights 0", random, 9, even, weights=lambda r, n: numpy.zeros(n, int)),
        case("no rows", random, 0, even),
    ]
    document = {"note": NOTE.format(numpy.__version__, sklearn.__version__), "labels": LABELS, "invalid": INVALID, "cases": cases}
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    OUT.write_text(text.replace('{"name"', '\n{"name"') + "\n", encoding="utf-8")
    print(f"{len(cases)} cases, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
