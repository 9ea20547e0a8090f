"""Makes ../evaluation/golden/mcnemar.json: what SciPy's exact binomial test says about discordant pairs.

    pip install scipy
    python tests/golden/mcnemar.py
"""

import json
import pathlib

import scipy
from scipy.stats import binomtest

OUT = pathlib.Path(__file__).parent.parent / "evaluation" / "golden" / "mcnemar.json"
NOTE = "Made by tests/golden/mcnemar.py with SciPy {}: binomtest(before, before + after, 0.5).pvalue, 1 for no pair."

counts = [(a, b) for a in range(0, 13) for b in range(0, 13)]
counts += [(3, 40), (17, 33), (50, 80), (100, 101), (120, 60), (499, 501), (480, 560), (900, 1100), (2400, 2600), (7000, 7200)]
cases = [
    {"before": a, "after": b, "p_value": 1.0 if a + b == 0 else float(binomtest(a, a + b, 0.5).pvalue)} for a, b in counts
]
OUT.write_text(json.dumps({"note": NOTE.format(scipy.__version__), "cases": cases}, indent=0) + "\n")
