"""Makes ../evaluation/golden/calibration.json: what SciPy and scikit-learn say about temperatures and thresholds.

    pip install numpy scipy scikit-learn
    python tests/golden/calibration.py

The file is rewritten whole; the same versions give the same bytes.
"""

import json
import pathlib

import numpy
import scipy
import sklearn
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.metrics import f1_score, log_loss

OUT = pathlib.Path(__file__).parent.parent / "evaluation" / "golden" / "calibration.json"
NOTE = (
    "Made by tests/golden/calibration.py with numpy {}, SciPy {} and scikit-learn {}. scores are f32 probabilities, gold ids. "
    "temperature minimises sklearn.metrics.log_loss of softmax(log(scores) / T) (scipy.optimize.minimize_scalar over log T); "
    "log_loss_before is at T = 1 and log_loss_after at the minimum. f1_before is sklearn's macro-F1 over labels= all, "
    "zero_division=0, of the largest score; for two labels best_f1 is the largest that any bias of the second label gives, found "
    "by trying every place between two rows."
)


def temperature(logs, gold, labels):
    """T, the log loss at 1, the log loss at T."""
    ids = list(range(labels))
    loss = lambda log_t: log_loss(gold, numpy.exp(log_softmax(logs / numpy.exp(log_t), axis=1)), labels=ids)
    found = minimize_scalar(loss, bounds=(numpy.log(0.05), numpy.log(20)), method="bounded", options={"xatol": 1e-12})
    return float(numpy.exp(found.x)), float(loss(0.0)), float(found.fun)


def best_f1_of_two(logs, gold):
    """The largest macro-F1 that a bias of label 1 gives."""
    margins = numpy.sort(logs[:, 0] - logs[:, 1])
    places = numpy.concatenate([[margins[0] - 1], (margins[1:] + margins[:-1]) / 2, [margins[-1] + 1]])
    return max(
        float(f1_score(gold, (logs[:, 1] + place > logs[:, 0]).astype(int), labels=[0, 1], average="macro", zero_division=0))
        for place in places
    )


def case(random, rows, labels, sharpness, noise, shares):
    """Rows whose model is `sharpness` times as sure as it should be, and knows the label but for `noise`."""
    gold = random.choice(labels, size=rows, p=shares)
    logits = random.normal(size=(rows, labels)) * noise
    logits[numpy.arange(rows), gold] += 1.5
    scores = numpy.exp(log_softmax(logits * sharpness, axis=1)).astype(numpy.float32)
    logs = numpy.log(scores.astype(numpy.float64))
    t, before, after = temperature(logs, gold, labels)
    ids = list(range(labels))
    out = {
        "labels": labels, "gold": gold.tolist(), "scores": [float(str(s)) for s in scores.reshape(-1)], "temperature": t,
        "log_loss_before": before, "log_loss_after": after,
        "f1_before": float(f1_score(gold, scores.argmax(1), labels=ids, average="macro", zero_division=0)),
    }
    if labels == 2:
        out["best_f1"] = best_f1_of_two(logs, gold)
    return out


random = numpy.random.default_rng(20260101)
cases = [
    case(random, 80, 2, 4.0, 1.0, [0.5, 0.5]),
    case(random, 120, 2, 0.3, 1.2, [0.9, 0.1]),
    case(random, 60, 2, 1.0, 2.0, [0.2, 0.8]),
    case(random, 150, 4, 3.0, 1.0, [0.55, 0.1, 0.15, 0.2]),
    case(random, 120, 4, 0.5, 1.5, [0.25, 0.25, 0.25, 0.25]),
    case(random, 90, 3, 1.0, 1.0, [0.8, 0.15, 0.05]),
]
note = NOTE.format(numpy.__version__, scipy.__version__, sklearn.__version__)
OUT.write_text(json.dumps({"note": note, "cases": cases}) + "\n")
