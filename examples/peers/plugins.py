"""The peers of `bench_plugins`, each in CPU seconds of one process (its children included):

    python examples/peers/plugins.py json FILE.jsonl            # a bare json.loads loop
    python examples/peers/plugins.py datasets FILE.jsonl        # datasets.load_dataset("json") and map
    python examples/peers/plugins.py classification 10000000    # scikit-learn's f1_score
    python examples/peers/plugins.py resamples                  # 1,000 resamples of macro-F1 by numpy's bincount
    python examples/peers/plugins.py extism KERNEL.wasm         # a counting kernel behind Extism

It needs `pip install datasets extism numpy scikit-learn`. KERNEL.wasm is `examples/peers/extism_kernel.wat`, assembled.
"""

import json
import resource
import sys
import tempfile
import time


def cpu():
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def labels(rows):
    """The labels of examples/measure/labels.rs."""
    import numpy as np

    # The generator of Knuth's MMIX, as blocks of jumps, so that numpy can draw ten million at once.
    a, c, mask = 6364136223846793005, 1442695040888963407, (1 << 64) - 1
    most = 3 * rows
    states = np.empty(1, dtype=np.uint64)
    states[0] = 1
    jump_a, jump_c = a, c
    while len(states) < most + 1:
        states = np.concatenate([states, states * np.uint64(jump_a) + np.uint64(jump_c)])
        jump_a, jump_c = jump_a * jump_a & mask, (jump_c * jump_a + jump_c) & mask
    draws = (states[1 : most + 1] >> np.uint64(33)).astype(np.uint32).tolist()
    gold, predicted, at = bytearray(), bytearray(), 0
    for _ in range(rows):
        label, right = draws[at] % 4, draws[at + 1] % 5 < 3
        at += 2
        gold.append(label)
        if not right:
            predicted.append(draws[at] % 4)
            at += 1
        else:
            predicted.append(label)
    return np.frombuffer(gold, dtype=np.uint8), np.frombuffer(predicted, dtype=np.uint8)


def size(path):
    import os

    return os.path.getsize(path) / 1e6


def read_json(path):
    start, rows = cpu(), 0
    with open(path, encoding="utf-8") as file:
        for line in file:
            json.loads(line)
            rows += 1
    seconds = cpu() - start
    print(f"json.loads: {rows} rows, {size(path) / seconds:.0f} MB a CPU second")


def read_datasets(path):
    from datasets import load_dataset

    names = {"ALLOW": 0, "ESCALATION": 1, "DENY": 2, "REFUSE": 3}
    with tempfile.TemporaryDirectory() as cache:
        start = cpu()
        data = load_dataset("json", data_files=path, split="train", cache_dir=cache)
        data = data.map(lambda row: {"target": names[row["safety_label"]]})
        seconds = cpu() - start
        print(f"datasets: {len(data)} rows, {size(path) / seconds:.1f} MB a CPU second")


def classification(rows):
    from sklearn.metrics import f1_score

    gold, predicted = labels(rows)
    start = cpu()
    value = f1_score(gold, predicted, average="macro")
    print(f"scikit-learn: {rows} rows in {1e3 * (cpu() - start):.0f} ms of CPU, macro-F1 {value!r}")


def resamples():
    import numpy as np

    gold, predicted = labels(10_000)
    cells = gold.astype(np.int64) * 4 + predicted
    random = np.random.default_rng(1)
    start, values = cpu(), []
    for _ in range(1000):
        drawn = np.bincount(cells[random.integers(0, 10_000, 10_000)], minlength=16).reshape(4, 4)
        either = drawn.sum(0) + drawn.sum(1)
        values.append((2 * np.diag(drawn) / np.maximum(either, 1)).mean())
    low, high = np.quantile(values, [0.025, 0.975])
    print(f"numpy: 1000 resamples in {1e3 * (cpu() - start):.0f} ms of CPU, macro-F1 {low:.4f} to {high:.4f}")


def extism(kernel):
    import extism as sdk

    plugin = sdk.Plugin({"wasm": [{"path": kernel}]}, wasi=False)
    small = bytes([0, 1])
    plugin.call("count", small)
    start, calls = cpu(), 20_000
    for _ in range(calls):
        plugin.call("count", small)
    one = (cpu() - start) / calls
    gold, predicted = labels(1_000_000)
    rows = gold.tobytes() + predicted.tobytes()
    start = cpu()
    for _ in range(9):
        plugin.call("count", rows)
    many = (cpu() - start) / 9
    print(f"extism {sdk.extism_version()}: a call {1e6 * one:.1f} µs; 1M rows {1e3 * many:.1f} ms")


if __name__ == "__main__":
    kind, *rest = sys.argv[1:]
    begun = time.time()
    {
        "json": lambda: read_json(rest[0]),
        "datasets": lambda: read_datasets(rest[0]),
        "classification": lambda: classification(int(rest[0])),
        "resamples": resamples,
        "extism": lambda: extism(rest[0]),
    }[kind]()
