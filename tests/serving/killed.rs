//! The real program killed under load, and with a disk that fills: everything that was answered is in the log.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use so8t::audit::verify;
use so8t::train::random::Random;

use super::bits::{command, listening, run, terminate};
use super::{entries, try_call};

/// How often it is killed; `SO8T_KILLS` says how often in a longer test.
fn kills() -> usize {
    std::env::var("SO8T_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

/// Four clients ask until `stop`, or until nobody answers. Returns the audit ids of all answers.
fn load(address: std::net::SocketAddr, stop: &AtomicBool, answered: &AtomicUsize) -> Vec<String> {
    let ask = |client: usize| {
        let mut ids = Vec::new();
        for index in 0.. {
            if stop.load(Ordering::SeqCst) {
                break;
            }
            let text = |part: usize| json!({"instruction": format!("tell me about {client} {index} {part}")});
            let body = json!({"requests": [text(0), text(1), text(2)]}).to_string();
            let Ok(reply) = try_call(address, "POST", "/v1/decisions", &[], &body) else { break };
            if reply.status != 200 {
                continue;
            }
            for decision in reply.json()["decisions"].as_array().unwrap() {
                ids.push(decision["audit_id"].as_str().unwrap().to_owned());
            }
            answered.fetch_add(1, Ordering::SeqCst);
        }
        ids
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|client| scope.spawn(move || ask(client))).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

fn ids(log: &Path) -> BTreeSet<String> {
    entries(log).iter().map(|entry| entry["audit_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_was_answered_before_a_kill_is_in_the_log() {
    let run = run();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut random = Random::new(3, "kill");
    let mut all: BTreeSet<String> = BTreeSet::new();
    let mut within = 0;
    for kill in 0..kills() {
        let mut serve = command();
        serve.arg("serve").arg(&run).args(["--listen", "127.0.0.1:0", "--audit"]).arg(&log);
        let (mut child, address) = listening(&mut serve);
        let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
        let after = random.below(30);
        let pause = Duration::from_micros(random.below(20_000) as u64);
        let own = std::thread::scope(|scope| {
            let clients = scope.spawn(|| load(address, &stop, &answered));
            while answered.load(Ordering::SeqCst) < after {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(pause);
            child.kill().unwrap();
            child.wait().unwrap();
            stop.store(true, Ordering::SeqCst);
            clients.join().unwrap()
        });
        within += usize::from(!own.is_empty());
        all.extend(own);
        let found = verify(&log, None, None).unwrap();
        let ids = ids(&log);
        assert_eq!(found.entries as usize, ids.len());
        let lost: Vec<&String> = all.difference(&ids).collect();
        assert!(lost.is_empty(), "kill {kill}: answered and not in the log: {lost:?}");
        // At most what the last clients asked for and did not get is in the log besides.
        assert!(ids.len() - all.len() <= 12 * (kill + 1), "{} entries, {} answers", ids.len(), all.len());
    }
    assert!(within * 2 > kills(), "{within} kills came while it answered");
}

#[test]
fn a_disk_that_fills_ends_the_answers_and_not_the_log() {
    let run = run();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    // No file may become larger than 64 KiB; the shell's blocks have 512 bytes or 1024.
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "trap '' XFSZ; ulimit -f 128; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_so8t"), "serve"])
        .arg(&run)
        .args(["--listen", "127.0.0.1:0", "--audit"])
        .arg(&log)
        .env("XDG_CONFIG_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/no-configuration"))
        .env_remove("SO8T_POLICY");
    let (child, address) = listening(&mut shell);
    let body = json!({"requests": vec![json!({"instruction": "hello"}); 20]}).to_string();
    let mut answered = BTreeSet::new();
    let mut failed = None;
    for _ in 0..50 {
        let reply = try_call(address, "POST", "/v1/decisions", &[], &body).unwrap();
        if reply.status != 200 {
            failed = Some(reply);
            break;
        }
        let decisions: Value = reply.json();
        answered.extend(
            decisions["decisions"].as_array().unwrap().iter().map(|one| one["audit_id"].as_str().unwrap().to_owned()),
        );
    }
    let failed = failed.expect("the disk fills");
    assert_eq!((failed.status, failed.json()["error"]["code"].as_str()), (503, Some("audit")));
    assert!(!failed.body.contains("\"decision"), "{}", failed.body);
    // It does not come back by itself.
    assert_eq!(
        try_call(address, "POST", "/v1/decisions", &[], &json!({"instruction": "hello"}).to_string()).unwrap().status,
        503
    );
    assert_eq!(try_call(address, "GET", "/health/ready", &[], "").unwrap().status, 503);
    assert_eq!(try_call(address, "GET", "/health/live", &[], "").unwrap().status, 200);
    terminate(child);
    verify(&log, None, None).unwrap();
    let mut serve = command();
    serve.arg("serve").arg(&run).args(["--listen", "127.0.0.1:0", "--audit"]).arg(&log);
    let (child, address) = listening(&mut serve);
    assert_eq!(
        try_call(address, "POST", "/v1/decisions", &[], &json!({"instruction": "hello"}).to_string()).unwrap().status,
        200
    );
    terminate(child);
    verify(&log, None, None).unwrap();
    let ids = ids(&log);
    assert!(!answered.is_empty() && answered.is_subset(&ids), "{} answers, {} entries", answered.len(), ids.len());
}
