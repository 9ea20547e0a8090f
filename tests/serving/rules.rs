//! The rules that an earlier pipeline broke: private thinking stays private, and nothing is answered that is not recorded.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use so8t::serve::{Access, Auditor, Decide, Options, Server, Sink, start};

use super::{Instant, Served, auditor, call, entries};

const SECRET: &str = "what was thought in private";

fn thinks() -> Instant {
    Instant::new("thinks").with_thinking(SECRET)
}

/// All files of a folder, as one text.
fn all(folder: &std::path::Path) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => out.extend(all(&entry.path())),
            false => out.extend(std::fs::read(entry.path()).unwrap()),
        }
    }
    out
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn every_decision_is_recorded_whatever_it_is() {
    let served = Served::new(thinks(), Options::default());
    let mut ids = Vec::new();
    for (path, label) in
        ["ALLOW", "ESCALATION", "DENY", "REFUSE"].iter().flat_map(|label| [("/v1/decisions", label), ("/think", label)])
    {
        let (status, reply) = served.post(path, &json!({"instruction": format!("please {label} this")}));
        assert_eq!((status, reply["decision"].as_str()), (200, Some(*label)), "{reply}");
        ids.push((reply["audit_id"].as_str().unwrap().to_owned(), *label, path));
    }
    let entries = served.entries();
    assert_eq!(entries.len(), ids.len());
    for ((id, label, path), entry) in ids.iter().zip(&entries) {
        assert_eq!((entry["audit_id"].as_str(), entry["decision"].as_str()), (Some(id.as_str()), Some(*label)));
        assert_eq!((entry["kind"].as_str(), entry["endpoint"].as_str()), (Some("decision"), Some(*path)));
    }
}

#[test]
fn thinking_is_recorded_as_a_keyed_hash_and_shown_to_nobody() {
    let served = Served::new(thinks(), Options::default());
    let request = json!({"instruction": "please DENY my secret request"});
    let mut replies = String::new();
    for (path, body) in [
        ("/think", request.clone()),
        ("/v1/decisions", request.clone()),
        ("/v1/moderations", json!({"input": "please DENY my secret request"})),
        (
            "/v1/chat/completions",
            json!({"messages": [{"role": "user", "content": "please DENY my secret request"}], "logprobs": true, "top_logprobs": 4}),
        ),
        ("/v1/guardrail/checks", json!({"messages": [{"role": "user", "content": "please DENY my secret request"}]})),
        ("/beta/litellm_basic_guardrail_api", json!({"texts": ["please DENY my secret request"]})),
        ("/classify", json!({"input": "please DENY my secret request"})),
    ] {
        let reply = call(served.address(), "POST", path, &[], &body.to_string());
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        replies.push_str(&reply.head);
        replies.push_str(&reply.body);
    }
    assert!(!replies.contains(SECRET) && !replies.contains("think>"), "{replies}");
    let thought = format!("<think>{SECRET}</think><final>DENY</final>");
    let entries = served.entries();
    let keys = so8t::audit::Keys::open(&served.folder.path().join("audit.keys"), std::time::Duration::MAX).unwrap();
    for entry in &entries {
        let mac = |name: &str| so8t::audit::Mac {
            key: entry[name]["key"].as_u64().unwrap() as u32,
            hmac: entry[name]["hmac"].as_str().unwrap().to_owned(),
        };
        assert_eq!(keys.matches(thought.as_bytes(), &mac("thinking")).unwrap(), Some(true));
        assert_eq!(keys.matches(b"another thought", &mac("thinking")).unwrap(), Some(false));
    }
    // A bare hash would let anyone confirm a guess: there is none, neither in replies nor in the log.
    let folder = served.end();
    let log = all(&folder.path().join("audit"));
    for text in [SECRET, thought.as_str(), "please DENY my secret request"] {
        let digest = so8t::files::sha256(text.as_bytes());
        assert!(!holds(&log, text) && !holds(&log, &digest) && !replies.contains(&digest), "{text}");
    }
}

#[test]
fn the_final_part_alone_is_an_answer() {
    let served = Served::new(thinks(), Options::default());
    let (status, reply) = served.post("/think", &json!({"instruction": "please REFUSE"}));
    assert_eq!((status, reply["final"].as_str()), (200, Some("REFUSE")));
    let names: Vec<&String> = reply.as_object().unwrap().keys().collect();
    assert_eq!(names, ["final", "decision", "allowed", "timed_out", "audit_id"]);
    // A run that scores labels thinks nothing.
    let served = Served::new(Instant::new("scores"), Options::default());
    assert_eq!(served.post("/think", &json!({"instruction": "please REFUSE"})).0, 404);
}

/// A log that fails from some entry on.
struct Failing {
    left: std::sync::atomic::AtomicUsize,
}

impl Sink for Failing {
    fn append(&self, _: Vec<u8>, done: Box<dyn FnOnce(Result<u64, String>) + Send>) {
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        done(left.map(|left| left as u64).map_err(|_| "the disk is full".to_owned()));
    }

    fn failure(&self) -> Option<String> {
        (self.left.load(Ordering::SeqCst) == 0).then(|| "the disk is full".to_owned())
    }
}

#[test]
fn a_failing_log_means_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let own = auditor(folder.path());
    let sink = Box::new(Failing { left: 3.into() });
    let model: Arc<dyn Decide> = Arc::new(thinks());
    let server = Server::new(model, Auditor { sink, ..own }, Access::open(), Options::default()).unwrap();
    let running = start(server, "127.0.0.1:0".parse().unwrap(), None).unwrap();
    let ready = || call(running.address(), "GET", "/health/ready", &[], "").status;
    assert_eq!(ready(), 200);
    let ask =
        |texts: &Value| call(running.address(), "POST", "/v1/moderations", &[], &json!({"input": texts}).to_string());
    assert_eq!(ask(&json!("ALLOW")).status, 200);
    // Of three entries two can be written: none of the three is answered.
    let reply = ask(&json!(["ALLOW", "DENY", "REFUSE"]));
    assert_eq!(reply.status, 503, "{}", reply.body);
    assert!(reply.head.to_ascii_lowercase().contains("retry-after: "), "{}", reply.head);
    for word in ["ALLOW", "DENY", "REFUSE", "flagged"] {
        assert!(!reply.body.contains(word), "{}", reply.body);
    }
    assert_eq!(reply.json()["error"]["code"], "audit");
    assert_eq!((ask(&json!("ALLOW")).status, ready()), (503, 503));
}

#[test]
fn what_is_no_label_lets_nothing_pass() {
    let served = Served::new(Instant::new("test"), Options::default());
    let (status, reply) = served.post("/v1/decisions", &json!({"instruction": "NONSENSE"}));
    assert_eq!((status, reply["decision"].as_str(), reply["allowed"].as_bool()), (200, Some("INVALID"), Some(false)));
    let (_, reply) = served.post("/v1/moderations", &json!({"input": "NONSENSE"}));
    assert_eq!(reply["results"][0]["flagged"], true);
    let (_, reply) = served.post("/beta/litellm_basic_guardrail_api", &json!({"texts": ["ALLOW", "NONSENSE"]}));
    assert_eq!(reply["action"], "BLOCKED");
    let message = json!({"messages": [{"role": "user", "content": "NONSENSE"}]});
    let (_, reply) = served.post("/v1/guardrail/checks", &message);
    assert_eq!(reply["status"], "blocked");
    let (_, reply) = served.post("/v1/chat/completions", &message);
    assert_eq!(reply["choices"][0]["message"]["content"], "INVALID");
}

#[test]
fn refusals_of_the_policy_and_failures_of_the_model_are_recorded() {
    let served = Served::new(Instant::new("test"), Options::default());
    let (status, reply) = served.post("/v1/decisions", &json!({"instruction": "my card 4111 1111 1111 1111"}));
    assert_eq!((status, reply["error"]["code"].as_str()), (422, Some("policy")));
    assert!(!reply.to_string().contains("4111"), "{reply}");
    // One that breaks the model does not take its neighbours with it, as long as it comes alone.
    let (status, reply) = served.post("/v1/decisions", &json!({"instruction": "x".repeat(66)}));
    assert_eq!((status, reply["error"]["code"].as_str()), (500, Some("model")));
    let kinds: Vec<String> = served.entries().iter().map(|entry| entry["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["refusal", "error"]);
    let folder = served.end();
    assert_eq!(entries(&folder.path().join("audit")).len(), 2);
    so8t::audit::verify(&folder.path().join("audit"), None, None).unwrap();
}
