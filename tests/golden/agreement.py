"""Makes ../evaluation/golden/agreement.json: what scikit-learn says about agreement, and what decisions cost.

    pip install numpy scikit-learn
    python tests/golden/agreement.py

The rows are those of ../evaluation/golden/classification.json, which classification.py makes. The file is rewritten whole.
"""

import json
import math
import pathlib
import warnings

import numpy
import sklearn
from sklearn.metrics import cohen_kappa_score, matthews_corrcoef

FOLDER = pathlib.Path(__file__).parent.parent / "evaluation" / "golden"
IDS = [0, 1, 2, 3]
INVALID = 254
# Gold labels by row, predicted labels by column, INVALID last.
DEFAULT = [[0, 1, 2, 3, 3], [2, 0, 1, 2, 2], [4, 2, 0, 1, 4], [6, 4, 2, 0, 6]]
CUSTOM = [[0, 0.5, 1.25, 1.25, 0.1], [3, 0, 0.1, 0.3, 0.7], [12.5, 4, -0.2, 0.3, 2], [100, 7, 1.1, 0, 2]]

NOTE = (
    "Made by tests/golden/agreement.py with numpy {} and scikit-learn {}, for the rows of classification.json, case by case. kappa and mcc: "
    "cohen_kappa_score and matthews_corrcoef, to which INVALID is one more label value; kappa_linear and kappa_quadratic: "
    "cohen_kappa_score with weights=, and where some prediction is INVALID the same quotient with a fifth column, which is three steps "
    "from every gold label. cost_default and cost_custom: the sums of the prices of all rows by cost_matrix_default and "
    "cost_matrix_custom. null where a value is not defined: no rows, or no disagreement to be expected by chance."
)


def number(value):
    """A JSON number, or null where there is none."""
    return None if value is None or math.isnan(value) else float(value)


def weighted_kappa(gold, predicted, weights, power):
    """Cohen's quotient with a column for INVALID."""
    observed = numpy.zeros((4, 5))
    numpy.add.at(observed, (gold, numpy.where(predicted == INVALID, 4, predicted)), weights)
    distance = numpy.abs(numpy.subtract.outer(numpy.arange(4), numpy.arange(5))).astype(float)
    distance[:, 4] = 3
    distance **= power
    expected = numpy.outer(observed.sum(axis=1), observed.sum(axis=0)) / observed.sum()
    denominator = (distance * expected).sum()
    return None if denominator == 0 else 1 - (distance * observed).sum() / denominator


def expected(gold, predicted, weights):
    """Every value of one case."""
    keep = weights > 0
    gold, predicted, weights = gold[keep], predicted[keep], weights[keep]
    column = numpy.where(predicted == INVALID, 4, predicted)
    costs = {
        name: float((weights * numpy.array(matrix)[gold, column]).sum()) if len(gold) else 0.0
        for name, matrix in [("cost_default", DEFAULT), ("cost_custom", CUSTOM)]
    }
    if len(gold) == 0:
        return {"kappa": None, "kappa_linear": None, "kappa_quadratic": None, "mcc": None, "rows": 0, **costs}
    kappa = cohen_kappa_score(gold, predicted, sample_weight=weights)
    kappas = {}
    for power, name in [(1, "linear"), (2, "quadratic")]:
        own = weighted_kappa(gold, predicted, weights, power)
        if not (predicted == INVALID).any():
            theirs = number(cohen_kappa_score(gold, predicted, labels=IDS, weights=name, sample_weight=weights))
            assert (own is None) == (theirs is None) and (own is None or abs(own - theirs) < 1e-12), (own, theirs)
            own = theirs
        kappas[f"kappa_{name}"] = own
    one_class = len(set(gold)) == 1 or len(set(predicted)) == 1
    mcc = None if one_class else matthews_corrcoef(gold, predicted, sample_weight=weights)
    return {"kappa": number(kappa), **kappas, "mcc": number(mcc), "rows": int(weights.sum()), **costs}


def main():
    warnings.simplefilter("ignore")
    cases = []
    for case in json.loads((FOLDER / "classification.json").read_text(encoding="utf-8"))["cases"]:
        gold, predicted = numpy.array(case["gold"], int), numpy.array(case["predicted"], int)
        weights = numpy.ones(len(gold), int) if case["weights"] is None else numpy.array(case["weights"], int)
        cases.append({"name": case["name"], "expected": expected(gold, predicted, weights)})
    document = {
        "note": NOTE.format(numpy.__version__, sklearn.__version__),
        "cost_matrix_default": DEFAULT,
        "cost_matrix_custom": CUSTOM,
        "cases": cases,
    }
    out = FOLDER / "agreement.json"
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    out.write_text(text.replace('{"name"', '\n{"name"') + "\n", encoding="utf-8")
    print(f"{len(cases)} cases, {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
