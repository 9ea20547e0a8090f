//! MLflow, as a small server here takes it: the shape of every request is checked, and what was sent is kept.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use so8t_track::{Artefact, FinishedRun, Following, Mlflow, follow};

use crate::runs;

#[derive(Default)]
struct Kept {
    experiments: Vec<String>,
    /// Runs by id: what was sent of each.
    runs: BTreeMap<String, Run>,
    models: Vec<String>,
    versions: Vec<Value>,
    requests: usize,
    /// Requests from this one on are answered with 500.
    fails_from: Option<usize>,
}

#[derive(Default, Clone)]
struct Run {
    status: String,
    deleted: bool,
    tags: BTreeMap<String, String>,
    params: BTreeMap<String, String>,
    metrics: Vec<Value>,
    datasets: Vec<Value>,
    artefacts: BTreeMap<String, Vec<u8>>,
}

struct Server {
    url: String,
    kept: Arc<Mutex<Kept>>,
}

fn serve() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let kept = Arc::new(Mutex::new(Kept::default()));
    let own = Arc::clone(&kept);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let own = Arc::clone(&own);
            std::thread::spawn(move || connection(stream, &own));
        }
    });
    Server { url, kept }
}

fn connection(stream: TcpStream, kept: &Mutex<Kept>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a connection"));
    let mut stream = stream;
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a header");
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        let mut parts = first.split_whitespace();
        let (method, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (status, answer) = answered(method, path, &body, &mut kept.lock().expect("no panic"));
        let answer = answer.to_string();
        let text = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        );
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn lacking() -> (u16, Value) {
    (404, json!({ "error_code": "RESOURCE_DOES_NOT_EXIST", "message": "there is none" }))
}

fn wrong(what: &str) -> (u16, Value) {
    (400, json!({ "error_code": "INVALID_PARAMETER_VALUE", "message": what }))
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || "_-. /".contains(c);
    !name.is_empty()
        && name.len() <= 250
        && name.chars().all(fits)
        && name.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

fn answered(method: &str, path: &str, body: &[u8], kept: &mut Kept) -> (u16, Value) {
    kept.requests += 1;
    if kept.fails_from.is_some_and(|from| kept.requests >= from) {
        return (500, json!({ "error_code": "INTERNAL_ERROR", "message": "the disk is full" }));
    }
    if let Some(rest) = path.strip_prefix("/api/2.0/mlflow-artifacts/artifacts/") {
        let (run, name) =
            rest.strip_prefix("0/").and_then(|rest| rest.split_once("/artifacts/")).expect("a path of an artefact");
        kept.runs.get_mut(run).expect("a run").artefacts.insert(name.to_owned(), body.to_vec());
        return (200, json!({}));
    }
    let call = path.strip_prefix("/api/2.0/mlflow/").expect("a path of MLflow");
    let sent: Value = if method == "POST" { serde_json::from_slice(body).expect("JSON") } else { Value::Null };
    let run = sent["run_id"].as_str().unwrap_or_default().to_owned();
    match call.split('?').next().expect("a call") {
        "experiments/get-by-name" => {
            let name = call.split_once("experiment_name=").expect("a name").1;
            match kept.experiments.iter().any(|own| own == name) {
                true => {
                    (200, json!({ "experiment": { "experiment_id": "0", "name": name, "lifecycle_stage": "active" } }))
                }
                false => lacking(),
            }
        }
        "experiments/create" => {
            kept.experiments.push(sent["name"].as_str().expect("a name").to_owned());
            (200, json!({ "experiment_id": "0" }))
        }
        "runs/search" => {
            let filter = sent["filter"].as_str().expect("a filter");
            let (tag, value) = filter.strip_prefix("tags.`").and_then(|rest| rest.split_once("` = '")).expect("a tag");
            let value = value.trim_end_matches('\'');
            let found =
                kept.runs.iter().filter(|(_, run)| !run.deleted && run.tags.get(tag).is_some_and(|own| own == value));
            let shown = |(id, run): (&String, &Run)| {
                let tags: Vec<Value> =
                    run.tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
                json!({ "info": { "run_id": id, "status": run.status, "artifact_uri": format!("mlflow-artifacts:/0/{id}/artifacts") }, "data": { "tags": tags } })
            };
            (200, json!({ "runs": found.map(shown).collect::<Vec<_>>() }))
        }
        "runs/create" => {
            let id = format!("run{}", kept.runs.len());
            let mut own = Run { status: "RUNNING".to_owned(), ..Run::default() };
            assert!(sent["start_time"].is_i64() && sent["experiment_id"] == "0" && sent["run_name"].is_string());
            for tag in sent["tags"].as_array().expect("tags") {
                own.tags.insert(
                    tag["key"].as_str().expect("a key").to_owned(),
                    tag["value"].as_str().expect("a value").to_owned(),
                );
            }
            kept.runs.insert(id.clone(), own);
            (
                200,
                json!({ "run": { "info": { "run_id": id, "artifact_uri": format!("mlflow-artifacts:/0/{id}/artifacts") } } }),
            )
        }
        "runs/log-batch" => {
            let Some(own) = kept.runs.get_mut(&run) else { return lacking() };
            let list = |key: &str| sent[key].as_array().cloned().unwrap_or_default();
            if list("metrics").len() > 1000
                || list("params").len() > 100
                || list("tags").len() > 100
                || body.len() > 1 << 20
            {
                return wrong("the batch is too large");
            }
            for metric in list("metrics") {
                let name = metric["key"].as_str().expect("a name");
                if !is_name(name)
                    || !metric["value"].is_number()
                    || !metric["timestamp"].is_i64()
                    || !metric["step"].is_number()
                {
                    return wrong(&format!("metric {metric}"));
                }
                own.metrics.push(metric);
            }
            for param in list("params") {
                let (key, value) = (param["key"].as_str().expect("a key"), param["value"].as_str().expect("a value"));
                if !is_name(key) || value.chars().count() > 6000 {
                    return wrong(key);
                }
                if own.params.insert(key.to_owned(), value.to_owned()).is_some_and(|old| old != value) {
                    return wrong("a parameter changes");
                }
            }
            for tag in list("tags") {
                own.tags.insert(
                    tag["key"].as_str().expect("a key").to_owned(),
                    tag["value"].as_str().expect("a value").to_owned(),
                );
            }
            (200, json!({}))
        }
        "runs/log-inputs" => {
            for dataset in sent["datasets"].as_array().expect("datasets") {
                assert!(dataset["dataset"]["digest"].as_str().is_some_and(|digest| digest.len() <= 36), "{dataset}");
                assert!(
                    ["name", "source_type", "source"].iter().all(|key| dataset["dataset"][*key].is_string()),
                    "{dataset}"
                );
                kept.runs.get_mut(&run).expect("a run").datasets.push(dataset.clone());
            }
            (200, json!({}))
        }
        "runs/update" => {
            let own = kept.runs.get_mut(&run).expect("a run");
            own.status = sent["status"].as_str().expect("a status").to_owned();
            (200, json!({}))
        }
        "runs/delete" => {
            kept.runs.get_mut(&run).expect("a run").deleted = true;
            (200, json!({}))
        }
        "model-versions/search" => (
            200,
            json!({ "model_versions": kept.versions.iter().filter(|own| call.contains(own["run_id"].as_str().expect("an id"))).collect::<Vec<_>>() }),
        ),
        "registered-models/create" => {
            let name = sent["name"].as_str().expect("a name").to_owned();
            match kept.models.contains(&name) {
                true => (400, json!({ "error_code": "RESOURCE_ALREADY_EXISTS", "message": "it is there" })),
                false => {
                    kept.models.push(name);
                    (200, json!({}))
                }
            }
        }
        "model-versions/create" => {
            assert!(sent["source"].as_str().is_some_and(|source| source.ends_with("/artifacts/adapter")), "{sent}");
            let version = (kept.versions.len() + 1).to_string();
            kept.versions.push(json!({ "version": version, "run_id": sent["run_id"] }));
            (200, json!({ "model_version": { "version": version } }))
        }
        other => panic!("nobody asks for {other}"),
    }
}

fn artefact() -> Artefact {
    Artefact { path: "report.json".to_owned(), bytes: b"{}".to_vec() }
}

#[test]
fn a_run_is_sent_whole_and_once() {
    let server = serve();
    let (_folder, run) = runs::run(Some(true));
    let mlflow = Mlflow::new(&server.url, "safety").expect("a server");
    let pushed = mlflow.push(&run, &[artefact()], Some("gate"), false).expect("sent");
    assert!(!pushed.was_there && pushed.notes.is_empty());
    assert_eq!(pushed.version.as_deref(), Some("1"));
    {
        let kept = server.kept.lock().expect("no panic");
        let own = &kept.runs[&pushed.run_id];
        assert_eq!(own.status, "FINISHED");
        assert_eq!(
            (own.tags["so8t.verdict"].as_str(), own.tags["so8t.run_sha256"].as_str()),
            ("accepted", run.digest.as_str())
        );
        assert_eq!(own.params["train.rank"], "8");
        assert!(own.params["predict.policy"].starts_with("sha256:"), "{}", own.params["predict.policy"]);
        assert_eq!(own.metrics.len(), pushed.metrics);
        let of = |key: &str| own.metrics.iter().filter(|metric| metric["key"] == key).collect::<Vec<_>>();
        assert_eq!(
            (of("train/loss").len(), of("train/gradient_norm").len()),
            (1500, 1499),
            "what is absent is left out"
        );
        assert_eq!(
            of("after.low/classification.f1_macro")[0]["value"].as_f64().map(|value| (value * 10.0).round()),
            Some(7.0)
        );
        assert_eq!(of("after/classification.f1_macro")[0]["dataset_name"], "evaluation");
        assert!(of("after/classification.undefined").is_empty());
        assert_eq!(of("validation/classification.f1_macro").len(), 2);
        assert_eq!(own.datasets.len(), 2, "a source, and the evaluation part");
        assert_eq!(own.artefacts["report.json"], b"{}");
        let all = format!("{:?}{:?}{:?}", own.params, own.tags, own.metrics);
        assert!(!all.contains("SECRET"), "no text was asked for");
    }
    let again = mlflow.push(&run, &[artefact()], Some("gate"), false).expect("known");
    assert!(again.was_there);
    assert_eq!((again.run_id, again.version), (pushed.run_id, Some("1".to_owned())));
    let kept = server.kept.lock().expect("no panic");
    assert_eq!((kept.runs.len(), kept.versions.len()), (1, 1));
}

#[test]
fn texts_are_sent_where_they_are_asked_for() {
    let server = serve();
    let (_folder, run) = runs::run(None);
    let pushed = Mlflow::new(&server.url, "safety").expect("a server").push(&run, &[], None, true).expect("sent");
    let kept = server.kept.lock().expect("no panic");
    assert_eq!(kept.runs[&pushed.run_id].params["predict.policy"], "SECRET POLICY");
    assert_eq!(kept.runs[&pushed.run_id].tags["so8t.verdict"], "no rules");
}

#[test]
fn a_run_that_was_half_sent_is_never_finished_and_is_made_anew() {
    let server = serve();
    let (_folder, run) = runs::run(Some(false));
    let mlflow = Mlflow::new(&server.url, "safety").expect("a server");
    server.kept.lock().expect("no panic").fails_from = Some(8);
    let error = mlflow.push(&run, &[artefact()], None, false).expect_err("refused").to_string();
    assert!(error.contains("answered 500: the disk is full"), "{error}");
    {
        let mut kept = server.kept.lock().expect("no panic");
        assert!(kept.runs.values().all(|own| own.status == "RUNNING"));
        kept.fails_from = None;
    }
    let pushed = mlflow.push(&run, &[artefact()], None, false).expect("sent");
    assert!(!pushed.was_there);
    let kept = server.kept.lock().expect("no panic");
    let left: Vec<&Run> = kept.runs.values().filter(|own| !own.deleted).collect();
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].status.as_str(), left[0].tags["so8t.verdict"].as_str()), ("FINISHED", "refused"));
}

#[test]
fn a_dead_server_and_a_server_of_another_kind_are_told_apart() {
    let (_folder, run) = runs::run(None);
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let error = Mlflow::new(&format!("http://127.0.0.1:{port}"), "x")
        .expect("an address")
        .push(&run, &[], None, false)
        .expect_err("dead");
    assert!(error.to_string().contains("cannot reach"), "{error}");
    for (url, expected) in [
        ("127.0.0.1:5000", "no address"),
        ("http://", "no address"),
        ("http://user:word@host", "holds a name or a password"),
        ("file:///tmp", "no address"),
    ] {
        let error = Mlflow::new(url, "x").err().expect("refused").to_string();
        assert!(error.contains(expected) && !error.contains("word@"), "{error}");
    }
}

#[test]
fn a_run_is_followed_while_it_works_and_a_dead_server_costs_nothing_but_time() {
    let server = serve();
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("training.jsonl");
    let line = |step: u32| {
        format!(
            "{}\n",
            json!({ "step": step, "epoch": 0.1, "loss": 1.0, "learning_rate": 0.1, "gradient_norm": 1.0, "tokens": step, "tokens_per_second": 9.0 })
        )
    };
    let mlflow = Mlflow::new(&server.url, "safety").expect("a server");
    let mut following = Following::new(folder.path(), "live");
    assert_eq!(following.send(&mlflow).expect("nothing to send"), 0);
    assert!(server.kept.lock().expect("no panic").runs.is_empty(), "what has no step is not shown");
    std::fs::write(&log, format!("{}{}", line(1), &line(2)[..10])).expect("written");
    assert_eq!(following.send(&mlflow).expect("sent"), 5, "half a line is not there yet");
    server.kept.lock().expect("no panic").fails_from = Some(0);
    std::fs::write(&log, format!("{}{}", line(1), line(2))).expect("written");
    assert!(following.send(&mlflow).is_err());
    server.kept.lock().expect("no panic").fails_from = None;
    assert_eq!(following.send(&mlflow).expect("sent"), 5, "what was not taken is sent again, and no more");
    // The run ends; the finished one takes its place.
    std::fs::remove_file(&log).expect("removed");
    runs::write(folder.path(), Some(true));
    assert!(follow(&mut following, &mlflow, Duration::from_millis(1), || false));
    let run = FinishedRun::read(folder.path()).expect("a run");
    mlflow.push(&run, &[], None, false).expect("sent");
    assert_eq!(mlflow.clear_followed(folder.path()).expect("cleared"), 1);
    let kept = server.kept.lock().expect("no panic");
    assert_eq!(kept.runs.values().filter(|own| !own.deleted).count(), 1);
}
