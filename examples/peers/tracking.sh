#!/usr/bin/env bash
# What `so8t track`, `export`, `release` and `search` write, read by the tools that it is for. Nothing but loopback is used.
#
#   examples/peers/tracking.sh RUN SO8T VENV [VENV_EEE [SEARCH]]
#
# VENV has mlflow, tensorboard, optuna, huggingface_hub, model-signing, pyopenssl, inspect-ai and jsonschema, and the schemas of
# cyclonedx-python-lib; VENV_EEE (Python 3.12) has every-eval-ever. SEARCH is the folder of a search.
set -euo pipefail
run="$1"; so8t="$2"; python="$3/bin/python"; eee="${4:-}"; search="${5:-}"
work="$(mktemp -d)"
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

echo '== MLflow'
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url="http://127.0.0.1:$port"
(cd "$work" && exec "$python" -m mlflow server --host 127.0.0.1 --port "$port" --workers 1 --backend-store-uri "sqlite:///$work/mlflow.db" \
    --artifacts-destination "$work/artefacts" >"$work/mlflow.log" 2>&1) &
server=$!
for _ in $(seq 300); do
  "$python" -c "import urllib.request; urllib.request.urlopen('$url/health')" 2>/dev/null && break
  sleep 1
done
"$so8t" track "$run" --mlflow "$url" --register gate
"$so8t" track "$run" --mlflow "$url" --register gate | grep -q 'was there already'
MLFLOW_TRACKING_URI="$url" "$python" - "$run" <<'PY'
import json, sys
import mlflow
client = mlflow.MlflowClient()
experiment = client.get_experiment_by_name("so8t")
runs = client.search_runs([experiment.experiment_id])
assert len(runs) == 1, runs
run = runs[0]
assert run.info.status == "FINISHED"
report = json.load(open(f"{sys.argv[1]}/report.json"))
latest = "after" if "after" in report else "before"
f1 = report[latest]["metrics"]["classification.f1_macro"]
assert run.data.metrics[f"{latest}/classification.f1_macro"] == f1["value"]
assert run.data.metrics[f"{latest}.low/classification.f1_macro"] == f1["low"]
steps = sum(1 for _ in open(f"{sys.argv[1]}/training.jsonl"))
assert len(client.get_metric_history(run.info.run_id, "train/loss")) == steps
assert run.inputs.dataset_inputs, "datasets"
names = {artefact.path for artefact in client.list_artifacts(run.info.run_id)}
assert {"report.json", "report.html", "predictions_after.parquet"} <= names, names
version = client.get_model_version("gate", "1")
assert version.run_id == run.info.run_id
print("ok    ", len(run.data.metrics), "metrics,", len(run.data.params), "parameters, model version", version.version)
PY
kill "$server"; wait "$server" 2>/dev/null || true; server=

echo '== TensorBoard'
"$so8t" track "$run" --tensorboard "$work/board" >/dev/null
"$python" - "$work/board" "$run" <<'PY'
import pathlib, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
folder = next(pathlib.Path(sys.argv[1]).iterdir())
events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
steps = sum(1 for _ in open(f"{sys.argv[2]}/training.jsonl"))
assert len(events.Scalars("train/loss")) == steps
assert events.Tags()["tensors"] == ["report"] or "report/text_summary" in events.Tags()["tensors"], events.Tags()["tensors"]
print("ok    ", len(events.Tags()["scalars"]), "values,", steps, "steps")
PY

echo '== exports'
for form in model-card hf-eval-results inspect cyclonedx lm-eval eee; do
  "$so8t" export "$run" --to "$form" --out "$work/$form" --model team/gate --dataset team/requests >/dev/null
done
"$python" - "$work" <<'PY'
import json, pathlib, sys
work = pathlib.Path(sys.argv[1])
import yaml
from huggingface_hub import ModelCard
from huggingface_hub._eval_results import parse_eval_result_entries
card = ModelCard.load(work / "model-card/README.md")
assert card.data.eval_results, "model-index"
print("ok     card,", len(card.data.eval_results), "results")
entries = parse_eval_result_entries(yaml.safe_load((work / "hf-eval-results/.eval_results/requests.yaml").read_text()))
assert entries[0].dataset_id == "team/requests" and isinstance(entries[0].value, float)
print("ok     hub results")
from inspect_ai.log import read_eval_log
log = read_eval_log(str(next((work / "inspect").glob("*.json"))))
assert log.status == "success" and log.samples and log.results.scores[0].metrics
print("ok     inspect,", len(log.samples), "samples")
import cyclonedx.schema, jsonschema
from referencing import Registry, Resource
schemas = pathlib.Path(cyclonedx.schema.__file__).parent / "_res"
registry = Registry()
for path in schemas.glob("*.schema.json"):
    contents = json.loads(path.read_text())
    resource = Resource.from_contents(contents)
    registry = registry.with_resource(contents.get("$id", path.name), resource).with_resource(path.name, resource)
    for name in (f"http://cyclonedx.org/schema/{path.name.replace('.SNAPSHOT', '')}", f"http://cyclonedx.org/schema/{path.name}"):
        registry = registry.with_resource(name, resource)
schema = json.loads((schemas / "bom-1.7.SNAPSHOT.schema.json").read_text())
bom = json.loads((work / "cyclonedx/bom.cdx.json").read_text())
jsonschema.Draft7Validator(schema, registry=registry).validate(bom)
print("ok     CycloneDX,", len(bom["components"]), "components")
results = json.loads(next((work / "lm-eval").glob("*/results_*.json")).read_text())
assert results["results"]
print("ok     lm-eval,", len(results["results"]), "tasks")
PY
if [ -n "$eee" ]; then
  find "$work/eee" -name '*.json*' -print0 | xargs -0 "$eee/bin/every_eval_ever" validate
  "$eee/bin/every_eval_ever" convert lm_eval --log_path "$(find "$work/lm-eval" -name "results_*.json")" --output_dir "$work/converted" && echo "ok     its reader of lm-eval takes the results"
fi

echo '== release'
"$so8t" release keygen "$work/key" >/dev/null
"$so8t" release "$run" --key "$work/key" --out "$work/release" --model team/gate >/dev/null
"$so8t" release verify "$work/release" --key "$work/key.pub"
check() { "$python" -m model_signing verify key "$work/release" --signature "$work/release/model.sig" --public_key "$work/key.pub" --ignore-paths "$work/release/model.sig"; }
check
echo >>"$work/release/README.md"
if check 2>/dev/null; then echo 'the reference tool takes a changed release'; exit 1; fi
if "$so8t" release verify "$work/release" --key "$work/key.pub" 2>/dev/null; then echo 'so8t takes a changed release'; exit 1; fi
echo 'ok     a changed release is refused by both'

if [ -n "$search" ]; then
  echo '== Optuna'
  cp "$search/journal.log" "$work/journal.log"
  "$python" - "$work/journal.log" <<'PY'
import sys
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
storage = JournalStorage(JournalFileBackend(sys.argv[1]))
name = optuna.get_all_study_names(storage)[0]
study = optuna.load_study(study_name=name, storage=storage)
complete = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
assert complete and all(trial.params for trial in complete)
study.enqueue_trial(complete[0].params)
import optuna_dashboard
print("ok    ", len(study.trials), "trials, best", study.best_value)
PY
fi
