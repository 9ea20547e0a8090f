"""Makes ../evaluation/golden/intervals.json: Clopper-Pearson intervals, beta quantiles and Poisson probabilities by scipy, and the
weights of some rows in some resamples by a second, plain implementation.

    pip install scipy
    python tests/golden/intervals.py

The file is rewritten whole; the same scipy version gives the same bytes.
"""

import itertools
import json
import math
import pathlib
from fractions import Fraction

import scipy
from scipy.stats import beta, poisson

OUT = pathlib.Path(__file__).parent.parent / "evaluation" / "golden" / "intervals.json"

SHARES = [
    (0, 1), (1, 1), (0, 10), (10, 10), (1, 2), (3, 10), (5, 10), (1, 100), (99, 100), (50, 100), (17, 40), (7, 707), (700, 707),
    (1, 10_000), (123, 10_000), (5_000, 10_000), (9_999, 10_000), (1, 1_000_000), (250_000, 1_000_000), (999_999, 1_000_000),
    (5_000_000, 10_000_000), (12_345, 10_000_000),
]
QUANTILES = [(1, 1, 0.3), (2, 3, 0.5), (0.5 + 1, 2.5, 0.01), (10, 1, 0.975), (1, 10, 0.975), (100, 200, 0.025), (30.25, 7.5, 0.9)]


def clopper_pearson(k, n):
    low = 0.0 if k == 0 else float(beta.ppf(0.025, k, n - k + 1))
    high = 1.0 if k == n else float(beta.isf(0.025, k + 1, n - k))
    return low, high


MASK = (1 << 64) - 1


def mix(z):
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def cluster(tag, text):
    """FNV-1a of a tag and a text, mixed."""
    state = 0xCBF29CE484222325
    for byte in bytes([tag]) + text.encode():
        state = (state ^ byte) * 0x100000001B3 & MASK
    return mix(state)


def weight(seed, resample, key):
    """The Poisson(1) quantile of a hash of seed, resample and cluster."""
    gamma = 0x9E3779B97F4A7C15
    stream = mix(((mix((seed + gamma) & MASK) ^ resample) + gamma) & MASK)
    drawn = mix(key ^ stream)
    return sum(drawn >= limit for limit in LIMITS)


def limits():
    """P(X <= k), times 2^64, in exact fractions."""
    inverse_e = sum(Fraction((-1) ** k, math.factorial(k)) for k in range(60))
    sums = itertools.accumulate(inverse_e / math.factorial(k) for k in range(20))
    return [int(share * 2**64) for share in sums]


LIMITS = limits()


def main():
    lines = [{"k": k, "n": n, "low": low, "high": high} for k, n in SHARES for low, high in [clopper_pearson(k, n)]]
    quantiles = [{"a": a, "b": b, "share": p, "x": float(beta.ppf(p, a, b))} for a, b, p in QUANTILES]
    out = {
        "note": f"Made by tests/golden/intervals.py with scipy {scipy.__version__}. cluster and weights: the script's own hash, in whole numbers. Clopper-Pearson: beta.ppf(0.025, k, n-k+1) and "
        "beta.isf(0.025, k+1, n-k). poisson: poisson.pmf(k, 1).",
        "clopper_pearson": lines,
        "beta_quantile": quantiles,
        "cluster": [{"tag": t, "text": x, "hash": str(cluster(t, x))} for t, x in [(0, "pair-7"), (1, "source:0"), (1, "検証:1")]],
        "weights": [
            {"seed": seed, "resample": r, "weights": [weight(seed, r, cluster(1, f"source:{i}")) for i in range(64)]}
            for seed, r in [(0, 0), (42, 199), (2**63 + 5, 7)]
        ],
        "poisson": [float(poisson.pmf(k, 1)) for k in range(12)],
    }
    OUT.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
