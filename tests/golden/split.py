"""Makes ../data/golden/split.json: the split and the calibration set of a small set of rows, computed from the rule alone.

    python tests/golden/split.py

Nothing but Python's standard library. The rows are those that tests/data/split.rs makes.
"""

import hashlib
import json
import pathlib
from collections import Counter, defaultdict

OUT = pathlib.Path(__file__).parent.parent / "data" / "golden" / "split.json"
NOTE = (
    "Made by tests/golden/split.py. A group's rank is the first 8 bytes, big-endian, of SHA-256(seed as 8 bytes, little-endian, then "
    "its key); a stratum is the source and label of most of its members; groups are held out by rank while that comes nearer to the "
    "share. The calibration set is the same with the rest and the seed XOR the bytes of `calibrat`."
)


def rows():
    for index in range(40):
        yield {
            "id": index,
            "label": index % 12 % 4,
            "source": "en" if index % 7 < 4 else "日本語",
            "key": f"one\x1frequest {index}\x1f\x1f" if index % 5 == 4 else f"group\x1fgroup {index % 12}",
        }


def most(values):
    """The most frequent value; the smallest of equally frequent ones (by UTF-8 bytes)."""
    return min(Counter(values).items(), key=lambda item: (-item[1], item[0].encode() if isinstance(item[0], str) else item[0]))[0]


def hold_out(rows, share, seed):
    """The ids that are held out."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["key"]].append(row)
    strata = defaultdict(list)
    for key, members in groups.items():
        rank = int.from_bytes(hashlib.sha256(seed.to_bytes(8, "little") + key.encode()).digest()[:8], "big")
        stratum = most(m["source"] for m in members), most(m["label"] for m in members)
        strata[stratum].append((rank, members))
    out = set()
    for stratum in strata.values():
        stratum.sort(key=lambda entry: entry[0])
        wanted = share * sum(len(members) for _, members in stratum)
        held = 0
        for index, (_, members) in enumerate(stratum):
            is_nearer = abs(held + len(members) - wanted) < abs(held - wanted)
            if index + 1 < len(stratum) and (is_nearer or held == 0):
                held += len(members)
                out |= {member["id"] for member in members}
    return out


cases = []
for seed in [0, 7, 2**64 - 1]:
    eval_ids = hold_out(list(rows()), 0.3, seed)
    rest = [row for row in rows() if row["id"] not in eval_ids]
    calibration = hold_out(rest, 0.3, seed ^ int.from_bytes(b"calibrat", "little"))
    cases.append({"seed": seed, "eval": sorted(eval_ids), "calibration": sorted(calibration)})
OUT.write_text(json.dumps({"note": NOTE, "cases": cases}, indent=1) + "\n")
