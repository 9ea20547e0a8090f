"""The search beside Optuna's samplers, on functions whose best value is known: the regret after the last trial, the infeasible trials and the time
of the last proposal.

    cargo build --release -p so8t-search --example bench
    pip install optuna torch scipy
    python examples/peers/search.py target/release/examples/bench 10 40

Optuna's GP sampler is left out where torch lacks; a line says so.
"""

import json
import math
import statistics
import subprocess
import sys
import time
import warnings

import optuna

warnings.filterwarnings("ignore")
optuna.logging.set_verbosity(optuna.logging.ERROR)


def branin(x, y):
    inner = y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6
    return inner**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


ALPHA = [1.0, 1.2, 3.0, 3.2]
A = [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
P = [
    [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
    [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
    [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
    [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
]


def hartmann(x):
    return -sum(a * math.exp(-sum(w * (v - p) ** 2 for w, v, p in zip(ws, x, ps))) for a, ws, ps in zip(ALPHA, A, P))


def plane(trial):
    return trial.suggest_float("x", -5, 10), trial.suggest_float("y", 0, 15)


def tuning(trial):
    rate = (math.log10(trial.suggest_float("rate", 1e-5, 1e-1, log=True)) + 3) ** 2
    rank = 0.1 * (math.log2(trial.suggest_int("rank", 1, 64, log=True)) - 4) ** 2
    kind = trial.suggest_categorical("kind", ["a", "b", "c"])
    if kind == "a":
        return 0.5 + rate + rank
    dropout = trial.suggest_float("dropout", 0, 0.5)
    if kind == "b":
        return rate + rank + 10 * (dropout - 0.1) ** 2
    return 0.2 + 1.5 * rate + rank + 5 * (dropout - 0.4) ** 2


def disc(trial):
    x, y = plane(trial)
    trial.set_user_attr("c", [(x - 2.5) ** 2 + (y - 7.5) ** 2 - 30])
    return branin(x, y)


LEAST = 0.3978873577297381
PROBLEMS = {
    "branin": (lambda trial: branin(*plane(trial)), LEAST),
    "hartmann6": (lambda trial: hartmann([trial.suggest_float(f"x{i}", 0, 1) for i in range(6)]), -3.322368011415515),
    "tuning": (tuning, 0.0),
    "branin in a disc": (disc, LEAST),
}


def samplers():
    yield "TPE", lambda seed, constraints: optuna.samplers.TPESampler(seed=seed, constraints_func=constraints)
    try:
        import torch  # noqa: F401
    except ImportError:
        print("torch is not installed: Optuna's GP sampler is left out", file=sys.stderr)
        return
    yield "GP", lambda seed, constraints: optuna.samplers.GPSampler(seed=seed, constraints_func=constraints)


def main():
    bench, seeds, trials = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    found = [json.loads(line) for line in subprocess.check_output([bench, str(seeds), str(trials)], text=True).splitlines()]
    for name, make in samplers():
        for function, (objective, best) in PROBLEMS.items():
            is_constrained = function == "branin in a disc"
            for seed in range(seeds):
                constraints = (lambda trial: trial.user_attrs["c"]) if is_constrained else None
                study = optuna.create_study(sampler=make(seed, constraints))
                study.optimize(objective, n_trials=trials)
                # What is timed is what the bench times: one more proposal, with all trials known. Optuna draws a value where it is asked for.
                started = time.perf_counter()
                objective(study.ask())
                seconds = time.perf_counter() - started
                ended = [t for t in study.trials if t.state.is_finished()]
                kept = [t.value for t in ended if all(c <= 0 for c in t.user_attrs.get("c", []))]
                regret = min(kept) - best if kept else None
                found.append({
                    "function": function, "sampler": name, "seed": seed, "regrets": [regret],
                    "infeasible": trials - len(kept), "proposal_ms": 1000 * seconds,
                })
    print(f"{seeds} seeds, {trials} trials; mean regret (median, largest), infeasible trials a run, milliseconds of one more proposal")
    for function in PROBLEMS:
        for sampler in ["so8t", "GP", "TPE"]:
            own = [run for run in found if (run["function"], run["sampler"]) == (function, sampler)]
            if own:
                # Nothing that keeps to the constraint was found: as far off as can be.
                last = [math.inf if run["regrets"][-1] is None else run["regrets"][-1] for run in own]
                infeasible = statistics.mean(run["infeasible"] for run in own)
                milliseconds = statistics.mean(run["proposal_ms"] for run in own)
                regrets = f"{statistics.mean(last):10.2e} ({statistics.median(last):8.2e}, {max(last):8.2e})"
                print(f"{function:18} {sampler:5} {regrets} {infeasible:5.1f} {milliseconds:8.1f}")


main()
