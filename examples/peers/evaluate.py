"""The peer of bench_evaluate: macro-F1 by scikit-learn, and its bootstrap by numpy, over a predictions file in memory.

    pip install numpy pyarrow scikit-learn
    python examples/peers/evaluate.py FILE.parquet [RESAMPLES]

Only one value (macro-F1 over all rows) has an interval here; each resample is one weighted bincount of the confusion matrix, the
fastest way that numpy has. The whole file is read into memory.
"""

import resource
import sys
import time

import numpy
import pyarrow.parquet
from sklearn.metrics import f1_score

LABELS = ["ALLOW", "ESCALATION", "DENY", "REFUSE"]


def macro_f1(cells):
    hits = numpy.diag(cells)
    return numpy.mean(2 * hits / (cells.sum(axis=1) + cells[:, :4].sum(axis=0)))


def main():
    path, resamples = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200
    start = time.perf_counter()
    table = pyarrow.parquet.read_table(path, columns=["gold", "predicted", "group", "id"])
    code = lambda name: numpy.asarray(
        pyarrow.compute.index_in(table[name], value_set=pyarrow.array(LABELS + ["INVALID"])), dtype=numpy.int64
    )
    gold, predicted = code("gold"), code("predicted")
    key = pyarrow.compute.if_else(pyarrow.compute.equal(table["group"], ""), table["id"], table["group"])
    cluster = numpy.asarray(key.combine_chunks().dictionary_encode().indices)
    clusters = int(cluster.max()) + 1
    read = time.perf_counter()
    exact = f1_score(gold, predicted, labels=range(4), average="macro")
    scored = time.perf_counter()
    cell = gold * 5 + predicted
    random = numpy.random.default_rng(1)
    values = []
    for _ in range(resamples):
        weights = random.poisson(1.0, clusters)[cluster]
        values.append(macro_f1(numpy.bincount(cell, weights=weights, minlength=20).reshape(4, 5)))
    done = time.perf_counter()
    low, high = numpy.quantile(values, [0.025, 0.975])
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(f"macro-F1 {exact}, {low} to {high}, over {len(gold)} rows")
    print(f"read {read - start:.1f} s, f1_score {scored - read:.1f} s, {resamples} resamples {done - scored:.1f} s")
    print(f"peak memory {usage.ru_maxrss / 1024:.0f} MiB, {usage.ru_utime + usage.ru_stime:.1f} s of CPU")


if __name__ == "__main__":
    main()
