"""The same search with Python's `re`, as a script would do it: mail, phone, My Number, card, address and key patterns one after another.

    python3 examples/peers/policy.py FILE…          # lines of text
"""

import re
import sys
import time

PATTERNS = [
    r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}",
    r"(?<!\d)0\d{1,4}-\d{1,4}-\d{4}(?!\d)",
    r"\+\d{1,3}[ -]?(?:\(?\d{1,4}\)?[ -]?){2,5}",
    r"(?<!\d)\d{4}[ -]?\d{4}[ -]?\d{4}(?!\d)",
    r"(?<!\d)(?:\d[ -]?){13,19}(?!\d)",
    r"〒\s?\d{3}-?\d{4}",
    r"(?:東京都|北海道|(?:京都|大阪)府|.{2,3}県)[^\s、。]{1,20}\d+-\d+(?:-\d+)?",
    r"\d{1,5} (?:[A-Z][a-z]+ ){1,3}(?:Street|Avenue|Ave|Boulevard|Blvd|Road|Rd|Lane|Parkway|Highway)\b",
    r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36,}|\bsk-[A-Za-z0-9_-]{20,}|\bxox[abeprs]-[A-Za-z0-9-]{20,}|\bAIza[A-Za-z0-9_-]{35}|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{16,}",
]


def main():
    compiled = [re.compile(pattern) for pattern in PATTERNS]
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            lines = file.read().split("\n")
        size = sum(len(line.encode()) for line in lines) / 1e6
        start = time.process_time()
        found = sum(len(pattern.findall(line)) for line in lines for pattern in compiled)
        seconds = time.process_time() - start
        print(f"{path}: {size:.1f} MB, {found} found, {size / seconds:.1f} MB per CPU second")


main()
