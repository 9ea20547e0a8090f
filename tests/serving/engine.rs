//! The queue: batches without a timer, clients that go away, overload, deadlines, and runs that are swapped.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use serde_json::json;
use so8t::serve::Options;

use super::{Instant, Served, call};

/// Waits until something holds; a minute is never needed.
fn until(what: impl Fn() -> bool) {
    for _ in 0..6000 {
        if what() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("it never came");
}

fn gauge(served: &Served, name: &str) -> f64 {
    let text = call(served.address(), "GET", "/metrics", &[], "").body;
    let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_batch_is_what_waits_when_the_engine_is_free() {
    let served = Served::new(Instant::new("test"), Options::default());
    served.model.open(false);
    thread::scope(|scope| {
        let ask = || {
            call(served.address(), "POST", "/v1/decisions", &[], &json!({"instruction": "x".repeat(50)}).to_string())
        };
        let first = scope.spawn(ask);
        until(|| gauge(&served, "so8t_queue_free_texts") == 255.0 && gauge(&served, "so8t_queue_texts") == 0.0);
        let others: Vec<_> = (0..30).map(|_| scope.spawn(ask)).collect();
        until(|| gauge(&served, "so8t_queue_texts") == 30.0);
        served.model.open(true);
        for reply in others.into_iter().chain([first]) {
            assert_eq!(reply.join().unwrap().status, 200);
        }
    });
    // 1000 tokens hold 20 requests of 50.
    assert_eq!(*served.model.batches.lock().unwrap(), [1, 20, 10]);
}

#[test]
fn who_goes_away_is_not_decided_about() {
    let served = Served::new(Instant::new("test"), Options::default());
    served.model.open(false);
    let body = json!({"instruction": "ALLOW"}).to_string();
    let send = || {
        let mut stream = TcpStream::connect(served.address()).unwrap();
        let head = format!(
            "POST /v1/decisions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        stream
    };
    // The first is with the model; the others wait.
    let first = send();
    until(|| gauge(&served, "so8t_queue_free_texts") == 255.0 && gauge(&served, "so8t_queue_texts") == 0.0);
    let others: Vec<_> = (0..5).map(|_| send()).collect();
    until(|| gauge(&served, "so8t_queue_texts") == 5.0);
    drop(others);
    until(|| gauge(&served, "so8t_clients_gone_total") == 5.0);
    // Their places are free again before the model is.
    assert_eq!(gauge(&served, "so8t_queue_free_texts"), 255.0);
    served.model.open(true);
    until(|| gauge(&served, "so8t_queue_free_texts") == 256.0);
    drop(first);
    assert_eq!(served.post("/v1/decisions", &json!({"instruction": "ALLOW"})).0, 200);
    assert_eq!(served.model.asked.load(Ordering::SeqCst), 2);
}

#[test]
fn overload_is_the_same_for_one_text_and_for_many() {
    let served = Served::new(Instant::new("test"), Options { queue: 4, max_texts: 4, ..Options::default() });
    served.model.open(false);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| served.post("/v1/moderations", &json!({"input": ["ALLOW", "DENY", "ALLOW"]})));
        until(|| gauge(&served, "so8t_queue_free_texts") == 1.0);
        let many = json!({"requests": [{"instruction": "ALLOW"}, {"instruction": "ALLOW"}]});
        let reply = call(served.address(), "POST", "/v1/decisions", &[], &many.to_string());
        let other = scope.spawn(|| served.post("/v1/decisions", &json!({"instruction": "ALLOW"})));
        until(|| gauge(&served, "so8t_queue_free_texts") == 0.0);
        let single = call(served.address(), "POST", "/v1/decisions", &[], &json!({"instruction": "ALLOW"}).to_string());
        for reply in [reply, single] {
            assert_eq!((reply.status, reply.json()["error"]["code"].as_str()), (429, Some("overloaded")));
            assert!(reply.head.to_ascii_lowercase().contains("retry-after: "), "{}", reply.head);
        }
        served.model.open(true);
        assert_eq!((waiting.join().unwrap().0, other.join().unwrap().0), (200, 200));
    });
    let too_many = json!({"input": ["a", "b", "c", "d", "e"]});
    assert_eq!(served.post("/v1/moderations", &too_many).0, 413);
}

#[test]
fn a_deadline_gives_the_label_that_was_chosen_for_it() {
    let deadline = Duration::from_millis(50);
    let options = Options { deadline, on_timeout: Some("ESCALATION".to_owned()), ..Options::default() };
    let served = Served::new(Instant::new("test"), options);
    served.model.open(false);
    let (status, reply) = served.post("/v1/decisions", &json!({"instruction": "ALLOW"}));
    assert_eq!(
        (status, reply["decision"].as_str(), reply["allowed"].as_bool()),
        (200, Some("ESCALATION"), Some(false))
    );
    assert!(reply["timed_out"] == true && reply["probabilities"].is_null() && reply["margin"].is_null(), "{reply}");
    // Numbers that nobody computed are not made up.
    let (status, reply) = served.post("/classify", &json!({"input": "ALLOW"}));
    assert_eq!((status, reply["error"]["code"].as_str()), (503, Some("deadline")));
    let entries = served.entries();
    assert_eq!(entries.len(), 2);
    assert!(entries.iter().all(|entry| entry["kind"] == "time-out" && entry["decision"] == "ESCALATION"));
    served.model.open(true);

    let served = Served::new(Instant::new("test"), Options { deadline, ..Options::default() });
    served.model.open(false);
    let (status, reply) = served.post("/v1/decisions", &json!({"instruction": "ALLOW"}));
    assert_eq!((status, reply["error"]["code"].as_str()), (503, Some("deadline")));
    assert_eq!(
        (served.entries()[0]["kind"].as_str(), served.entries()[0]["decision"].is_null()),
        (Some("time-out"), true)
    );
    served.model.open(true);
}

#[test]
fn options_that_would_let_requests_pass_are_refused() {
    use so8t::serve::Decide as _;
    let about = Instant::new("test").about().clone();
    let refused = |options: Options| options.check(&about).unwrap_err().to_string();
    let timeout = |name: &str| Options { on_timeout: Some(name.to_owned()), ..Options::default() };
    assert!(refused(timeout("ALLOW")).contains("expected a label that holds a request up, found `ALLOW`"));
    assert!(
        refused(timeout("allow")).contains("expected one of `ALLOW`, `ESCALATION`, `DENY`, `REFUSE`, found `allow`")
    );
    timeout("DENY").check(&about).unwrap();
    let category =
        |name: &str| Options { categories: [("hate".to_owned(), vec![name.to_owned()])].into(), ..Options::default() };
    assert!(refused(category("ALLOW")).contains("`categories.hate`"));
    category("REFUSE").check(&about).unwrap();
}

#[test]
fn runs_are_swapped_under_load_and_no_request_is_lost() {
    let served = Served::new(Instant::new("old"), Options::default());
    let stop = std::sync::atomic::AtomicBool::new(false);
    let names = thread::scope(|scope| {
        let ask = || {
            let mut names = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                let (status, reply) = served.post("/v1/decisions", &json!({"instruction": "DENY"}));
                assert_eq!((status, reply["decision"].as_str()), (200, Some("DENY")));
                names.push(reply["model"]["name"].as_str().unwrap().to_owned());
            }
            names
        };
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        until(|| served.model.asked.load(Ordering::SeqCst) > 50);
        let changed = Instant { is_changed: true, ..Instant::new("changed") };
        let refused = served.server.swap(Arc::new(changed)).unwrap_err().to_string();
        assert!(refused.contains("1 of 50 stored decisions are decided otherwise"), "{refused}");
        let new = Arc::new(Instant::new("new"));
        served.server.swap(Arc::clone(&new) as _).unwrap();
        until(|| new.asked.load(Ordering::SeqCst) > 50);
        stop.store(true, Ordering::SeqCst);
        clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>()
    });
    for names in names {
        let first_new = names.iter().position(|name| name == "new").unwrap_or(names.len());
        assert!(
            names[..first_new].iter().all(|name| name == "old") && names[first_new..].iter().all(|name| name == "new")
        );
    }
}

#[test]
fn what_was_begun_is_answered_before_the_server_ends() {
    let mut served = Served::new(Instant::new("test"), Options::default());
    served.model.open(false);
    let address = served.address();
    let client = thread::spawn(move || {
        call(address, "POST", "/v1/decisions", &[], &json!({"instruction": "REFUSE"}).to_string())
    });
    until(|| gauge(&served, "so8t_queue_free_texts") == 255.0);
    let running = served.running.take().unwrap();
    let stopping = thread::spawn(move || running.stop());
    until(|| TcpStream::connect(address).is_err());
    served.model.open(true);
    assert_eq!(client.join().unwrap().json()["decision"], "REFUSE");
    stopping.join().unwrap().unwrap();
}
