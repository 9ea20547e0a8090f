//! A finished run in MLflow, by its REST interface (2.0).
//!
//! A run is known by its digest, which is a tag of MLflow's: sending it twice leaves one. What was begun and not ended is taken away and made anew.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use so8t_base::{Error, Result};

use crate::finished::{FinishedRun, Step};
use crate::http::{Answer, Server, escaped};
use crate::names::joined;

/// The most metrics of one request.
pub(crate) const BATCH: usize = 1000;
/// The most parameters or tags of one request.
const FEW: usize = 100;
/// The longest value of a parameter.
const LONGEST: usize = 6000;
/// The longest digest of a dataset: MLflow keeps 36 characters.
const DATASET_DIGEST: usize = 32;

/// The tag by which a run is known.
pub(crate) const DIGEST_TAG: &str = "so8t.run_sha256";
/// The tag of a run that is followed while it works.
pub(crate) const FOLLOWED_TAG: &str = "so8t.followed";

/// An MLflow server.
pub struct Mlflow {
    server: Server,
    experiment: String,
}

/// A file that is sent along.
#[derive(Clone, Debug)]
pub struct Artefact {
    /// Its path among the run's artefacts.
    pub path: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// What sending a run came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Pushed {
    /// MLflow's id of the run.
    pub run_id: String,
    /// Whether it was there already, so that nothing was sent.
    pub was_there: bool,
    /// How many values were sent.
    pub metrics: usize,
    /// The version in the registry, where one was asked for.
    pub version: Option<String>,
    /// What could not be sent, and why.
    pub notes: Vec<String>,
}

impl Mlflow {
    /// The server at `url`, and the experiment that runs are filed under.
    ///
    /// # Errors
    /// An address that is none.
    pub fn new(url: &str, experiment: &str) -> Result<Self> {
        Ok(Self { server: Server::new(url)?, experiment: experiment.to_owned() })
    }

    /// Sends a run: parameters, every step, values with the ends of their intervals, datasets, artefacts, the verdict as a tag. With `register`, what was
    /// trained becomes a version of the registered model of that name. `texts` lets the manifest's own texts (policy and template) through.
    ///
    /// # Errors
    /// A server that cannot be reached, or that refuses a part; nothing that looks finished is left there.
    pub fn push(
        &self,
        run: &FinishedRun,
        artefacts: &[Artefact],
        register: Option<&str>,
        texts: bool,
    ) -> Result<Pushed> {
        let experiment = self.experiment_id()?;
        let mut notes = Vec::new();
        for found in self.search(&experiment, DIGEST_TAG, &run.digest)? {
            let (id, status) = (text(&found["info"]["run_id"])?, found["info"]["status"].as_str().unwrap_or_default());
            if status == "FINISHED" {
                let version = register.map(|name| self.register(run, name, id, &found, &mut notes)).transpose()?;
                return Ok(Pushed { run_id: id.to_owned(), was_there: true, metrics: 0, version, notes });
            }
            self.call("runs/delete", &json!({ "run_id": id }))?;
        }
        let created = self.call(
            "runs/create",
            &json!({
                "experiment_id": experiment, "run_name": run.name, "start_time": started(run),
                "tags": [tag(DIGEST_TAG, &run.digest), tag("mlflow.source.name", "so8t"), tag("mlflow.source.type", "LOCAL")],
            }),
        )?;
        let id = text(&created["run"]["info"]["run_id"])?.to_owned();
        let metrics = self.fill(run, &id, &created, artefacts, texts, &mut notes)?;
        let version = match register {
            Some(name) => Some(self.register(run, name, &id, &created, &mut notes)?),
            None => None,
        };
        self.call("runs/update", &json!({ "run_id": id, "status": "FINISHED", "end_time": run.ended }))?;
        Ok(Pushed { run_id: id, was_there: false, metrics, version, notes })
    }

    /// Everything of a run but its end.
    fn fill(
        &self,
        run: &FinishedRun,
        id: &str,
        created: &Json,
        artefacts: &[Artefact],
        texts: bool,
        notes: &mut Vec<String>,
    ) -> Result<usize> {
        for chunk in tags(run).chunks(FEW) {
            self.call("runs/log-batch", &json!({ "run_id": id, "tags": chunk }))?;
        }
        for chunk in parameters(run, texts).chunks(FEW) {
            self.call("runs/log-batch", &json!({ "run_id": id, "params": chunk }))?;
        }
        let metrics = metrics(run);
        for chunk in metrics.chunks(BATCH) {
            self.call("runs/log-batch", &json!({ "run_id": id, "metrics": chunk }))?;
        }
        let datasets = datasets(run)?;
        if !datasets.is_empty() {
            self.call("runs/log-inputs", &json!({ "run_id": id, "datasets": datasets }))?;
        }
        match artefact_folder(created) {
            Ok(folder) => {
                for artefact in artefacts {
                    let path =
                        format!("/api/2.0/mlflow-artifacts/artifacts/{}/{}", escaped(&folder), escaped(&artefact.path));
                    let answer = self.server.put(&path, &artefact.bytes)?;
                    answer.map_err(|answer| self.server.refused(&path, &answer))?;
                }
            }
            Err(why) if !artefacts.is_empty() => notes.push(why),
            Err(_) => {}
        }
        Ok(metrics.len())
    }

    /// Makes what was trained a version of a registered model; one that stands for this run already is used.
    fn register(
        &self,
        run: &FinishedRun,
        name: &str,
        id: &str,
        created: &Json,
        notes: &mut Vec<String>,
    ) -> Result<String> {
        let trained = run.trained_files();
        let Some(folder) = trained.first().and_then(|name| name.split('/').next()) else {
            return Err(Error::data(format!("run `{}` trained nothing: there is no model to register", run.name)));
        };
        let filter = format!("name = '{}' and run_id = '{id}'", quoted(name)?);
        let path = format!("/api/2.0/mlflow/model-versions/search?filter={}", escaped(&filter).replace('/', "%2F"));
        if let Ok(found) = self.server.get(&path)?
            && let Some(version) = found["model_versions"].as_array().and_then(|all| all.first())
        {
            return Ok(text(&version["version"])?.to_owned());
        }
        match self.ask("registered-models/create", &json!({ "name": name }))? {
            Err(answer) if answer.code() != "RESOURCE_ALREADY_EXISTS" => {
                return Err(self.server.refused("/api/2.0/mlflow/registered-models/create", &answer));
            }
            _ => {}
        }
        let root = created["run"]["info"]["artifact_uri"]
            .as_str()
            .or(created["info"]["artifact_uri"].as_str())
            .unwrap_or_default();
        let source = format!("{root}/{folder}");
        if root.is_empty() {
            notes.push("the server does not say where it keeps artefacts".to_owned());
        }
        let tags = [tag(DIGEST_TAG, &run.digest), tag("so8t.verdict", run.verdict().name())];
        let made =
            self.call("model-versions/create", &json!({ "name": name, "source": source, "run_id": id, "tags": tags }))?;
        Ok(text(&made["model_version"]["version"])?.to_owned())
    }

    /// The experiment's id; it is made where it lacks.
    pub(crate) fn experiment_id(&self) -> Result<String> {
        let path = format!(
            "/api/2.0/mlflow/experiments/get-by-name?experiment_name={}",
            escaped(&self.experiment).replace('/', "%2F")
        );
        for attempt in 0..2 {
            match self.server.get(&path)? {
                Ok(found) if found["experiment"]["lifecycle_stage"] == "deleted" => {
                    return Err(Error::manifest(format!(
                        "experiment `{}` was deleted on the server: expected one that is there",
                        self.experiment
                    ))
                    .with_hint("restore it there, or name another one with `--experiment`"));
                }
                Ok(found) => return Ok(text(&found["experiment"]["experiment_id"])?.to_owned()),
                Err(answer) if answer.code() == "RESOURCE_DOES_NOT_EXIST" && attempt == 0 => {}
                Err(answer) => return Err(self.server.refused(&path, &answer)),
            }
            match self.ask("experiments/create", &json!({ "name": self.experiment }))? {
                Ok(made) => return Ok(text(&made["experiment_id"])?.to_owned()),
                // Somebody else made it meanwhile.
                Err(answer) if answer.code() == "RESOURCE_ALREADY_EXISTS" => {}
                Err(answer) => return Err(self.server.refused("/api/2.0/mlflow/experiments/create", &answer)),
            }
        }
        Err(Error::internal("an experiment was neither there nor could it be made"))
    }

    /// The runs with a tag.
    pub(crate) fn search(&self, experiment: &str, tag: &str, value: &str) -> Result<Vec<Json>> {
        let filter = format!("tags.`{tag}` = '{}'", quoted(value)?);
        let found =
            self.call("runs/search", &json!({ "experiment_ids": [experiment], "filter": filter, "max_results": 10 }))?;
        Ok(found["runs"].as_array().cloned().unwrap_or_default())
    }

    /// Asks, and takes whatever is answered.
    fn ask(&self, method: &str, body: &Json) -> Result<Result<Json, Answer>> {
        self.server.post(&format!("/api/2.0/mlflow/{method}"), body)
    }

    /// Asks; an answer that is none of success is an error.
    pub(crate) fn call(&self, method: &str, body: &Json) -> Result<Json> {
        let path = format!("/api/2.0/mlflow/{method}");
        self.server.post(&path, body)?.map_err(|answer| self.server.refused(&path, &answer))
    }
}

fn quoted(text: &str) -> Result<&str> {
    match text.contains(['\'', '"', '`', '\\']) {
        true => Err(Error::manifest(format!("`{text}`: expected a name without quotation marks"))),
        false => Ok(text),
    }
}

fn text(value: &Json) -> Result<&str> {
    value.as_str().ok_or_else(|| {
        Error::new(so8t_base::Kind::Io, "the server's answer lacks an id: expected one of an MLflow server")
            .with_hint("is this the address of an MLflow server?")
    })
}

pub(crate) fn tag(key: &str, value: &str) -> Json {
    json!({ "key": key, "value": value })
}

/// Where the server keeps a run's artefacts, if it takes them itself; else why they cannot be sent.
fn artefact_folder(created: &Json) -> Result<String, String> {
    let root = created["run"]["info"]["artifact_uri"].as_str().unwrap_or_default();
    let rest = root.strip_prefix("mlflow-artifacts:").ok_or_else(|| {
        format!("no artefact was sent: the server keeps them at `{root}`, and does not take them itself; start it with `--serve-artifacts`")
    })?;
    // `mlflow-artifacts://HOST/PATH` names a host, `mlflow-artifacts:/PATH` none.
    let path = match rest.strip_prefix("//") {
        Some(rest) => rest.split_once('/').map_or("", |(_, path)| path),
        None => rest,
    };
    Ok(path.trim_matches('/').to_owned())
}

/// When the training began, as far as its steps tell.
fn started(run: &FinishedRun) -> i64 {
    let seconds = run.report["training"]["seconds"].as_f64().filter(|seconds| seconds.is_finite()).unwrap_or(0.0);
    run.ended - (seconds * 1000.0) as i64
}

fn tags(run: &FinishedRun) -> Vec<Json> {
    let version = run.report["run"]["so8t"].as_str().unwrap_or_default();
    let command = run.report["run"]["command"].as_str().unwrap_or_default();
    let mut all = vec![
        tag("so8t.verdict", run.verdict().name()),
        tag("so8t.version", version),
        tag("so8t.command", command),
        tag("so8t.model", &run.base()),
    ];
    let models = run.entries.iter().filter(|entry| entry.kind == "model");
    all.extend(models.map(|entry| tag(&joined(&["so8t.model_sha256", &entry.path]), &entry.sha256)));
    let components = run.entries.iter().filter(|entry| entry.kind == "component");
    all.extend(components.map(|entry| tag(&joined(&["so8t.plugin_sha256", &entry.name]), &entry.sha256)));
    if let Some(rules) = run.report["accept"]["rules"].as_array() {
        for (index, rule) in rules.iter().enumerate() {
            let passed = if rule["passed"] == true { "met" } else { "not met" };
            let what = format!(
                "{passed}: {}; {}",
                rule["rule"].as_str().unwrap_or_default(),
                rule["reason"].as_str().unwrap_or_default()
            );
            all.push(tag(&format!("so8t.rule.{}", index + 1), &what));
        }
    }
    all
}

/// The manifest's keys, flat. Long texts and those that may be private stand as digests.
fn parameters(run: &FinishedRun, texts: bool) -> Vec<Json> {
    let mut flat = BTreeMap::new();
    flatten(&mut flat, String::new(), &toml::Value::Table(run.manifest.clone()));
    let is_text = |key: &str| matches!(key, "predict.system_prompt" | "predict.policy" | "predict.template");
    let pair = |(key, value): (String, String)| {
        let hidden = (is_text(&key) && !texts) || value.chars().count() > LONGEST;
        let value = if hidden { format!("sha256:{}", so8t_base::files::sha256(value.as_bytes())) } else { value };
        tag(&joined(&[&key]), &value)
    };
    flat.into_iter().map(pair).collect()
}

fn flatten(out: &mut BTreeMap<String, String>, key: String, value: &toml::Value) {
    let inner = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    match value {
        toml::Value::Table(table) => table.iter().for_each(|(name, value)| flatten(out, inner(name), value)),
        toml::Value::Array(list) if list.iter().any(toml::Value::is_table) => {
            for (index, value) in list.iter().enumerate() {
                let name =
                    value.get("name").and_then(toml::Value::as_str).map_or_else(|| index.to_string(), str::to_owned);
                flatten(out, inner(&name), value);
            }
        }
        toml::Value::String(text) => drop(out.insert(key, text.clone())),
        other => drop(out.insert(key, other.to_string())),
    }
}

/// The values of one step, in MLflow's form.
pub(crate) fn step_metrics(step: &Step, timestamp: i64) -> Vec<Json> {
    let metric = |(name, value): (&str, f64)| json!({ "key": joined(&["train", name]), "value": value, "timestamp": timestamp, "step": step.step });
    step.values().into_iter().map(metric).collect()
}

/// The values of one validation, guards among them.
pub(crate) fn validation_metrics(validated: &Json, timestamp: i64) -> Vec<Json> {
    let step = validated["step"].as_u64().unwrap_or_default();
    let own = (validated["metric"].as_str().unwrap_or_default().to_owned(), validated["value"].as_f64());
    let guards = validated["guards"].as_array().into_iter().flatten();
    let guards = guards.map(|guard| {
        (format!("guard {}", guard["guard"].as_str().unwrap_or_default().replace('`', "")), guard["value"].as_f64())
    });
    std::iter::once(own)
        .chain(guards)
        .filter_map(|(name, value)| Some((name, value.filter(|value| value.is_finite())?)))
        .map(|(name, value)| json!({ "key": joined(&["validation", &name]), "value": value, "timestamp": timestamp, "step": step }))
        .collect()
}

/// Every value of a run. What is absent or not finite is left out: it is no 0.
fn metrics(run: &FinishedRun) -> Vec<Json> {
    let mut all = Vec::new();
    let mut clock = started(run) as f64;
    let mut seen = 0;
    let mut times = BTreeMap::from([(0, clock as i64)]);
    for step in &run.steps {
        if let Some(rate) = step.tokens_per_second.filter(|rate| *rate > 0.0) {
            clock += 1000.0 * (step.tokens.saturating_sub(seen)) as f64 / rate;
        }
        seen = step.tokens;
        times.insert(step.step, clock as i64);
        all.extend(step_metrics(step, clock as i64));
    }
    for validated in &run.validations {
        let step = validated["step"].as_u64().unwrap_or_default();
        let time = times.range(..=step).next_back().map_or(run.ended, |(_, time)| *time);
        all.extend(validation_metrics(validated, time));
    }
    let evaluation = run.files.get("evaluation.jsonl").map(|digest| &digest[..DATASET_DIGEST]);
    let last = run.steps.last().map_or(0, |step| step.step);
    for value in run.values() {
        let step = if value.moment == "after" { last } else { 0 };
        let mut put = |kind: &str, number: f64| {
            let group = format!("{}{kind}", value.moment);
            let key = match &value.source {
                Some(source) => joined(&[&group, source, &value.metric]),
                None => joined(&[&group, &value.metric]),
            };
            let mut metric = json!({ "key": key, "value": number, "timestamp": run.ended, "step": step });
            if let Some(digest) = evaluation {
                metric["dataset_name"] = "evaluation".into();
                metric["dataset_digest"] = digest.into();
            }
            all.push(metric);
        };
        put("", value.value);
        if let Some((low, high)) = value.interval {
            put(".low", low);
            put(".high", high);
        }
        put(".n", value.n as f64);
    }
    for (name, own) in run.report["comparison"]["metrics"].as_object().into_iter().flatten() {
        for (key, kind) in [("delta", ""), ("low", ".low"), ("high", ".high")] {
            if let Some(value) = own[key].as_f64().filter(|value| value.is_finite()) {
                all.push(json!({ "key": joined(&[&format!("change{kind}"), name]), "value": value, "timestamp": run.ended, "step": last }));
            }
        }
    }
    all
}

/// The data that a run read and parted, each with its digest.
fn datasets(run: &FinishedRun) -> Result<Vec<Json>> {
    let input = |name: &str, digest: &str, source: Json, context: &str| {
        json!({
            "tags": [tag("mlflow.data.context", context)],
            "dataset": {
                "name": name, "digest": &digest[..DATASET_DIGEST.min(digest.len())], "source_type": "so8t", "source": source.to_string(),
            },
        })
    };
    let mut all = Vec::new();
    for entry in run.entries.iter().filter(|entry| entry.kind == "data") {
        let source = json!({ "path": entry.path, "sha256": entry.sha256 });
        all.push(input(&entry.name, &entry.sha256, source, "source"));
    }
    for (file, name, context) in [
        ("dataset.jsonl", "training", "training"),
        ("evaluation.jsonl", "evaluation", "evaluation"),
        ("validation_set.jsonl", "validation", "validation"),
    ] {
        if let Some(digest) = run.files.get(file) {
            all.push(input(name, digest, json!({ "path": file, "sha256": digest }), context));
        }
    }
    Ok(all)
}
