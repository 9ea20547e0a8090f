//! Keys, scopes, rates and limits.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use so8t::serve::{Access, ApiKey, Options, Scope};

use super::{Instant, Served, call};

#[test]
fn keys_are_kept_as_digests_and_open_what_they_are_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.toml");
    let mut keys = Vec::new();
    for (name, scopes) in
        [("gateway", vec![Scope::Decide]), ("thinker", vec![Scope::Think]), ("watch", vec![Scope::Metrics])]
    {
        let (key, own) = ApiKey::generate(name, scopes, None).unwrap();
        Access::add(&file, own).unwrap();
        keys.push(key);
    }
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(keys.iter().all(|key| !text.contains(key.as_str()) && text.contains(&so8t::files::sha256(key.as_bytes()))));
    let (_, twice) = ApiKey::generate("gateway", vec![Scope::Decide], None).unwrap();
    assert!(Access::add(&file, twice).unwrap_err().to_string().contains("a name that no other key has"));

    let served = Served::with(Instant::new("test"), Options::default(), Access::read(&file).unwrap());
    let body = json!({"instruction": "DENY"}).to_string();
    let ask = |path: &str, headers: &[(&str, &str)]| call(served.address(), "POST", path, headers, &body).status;
    let bearer = |key: &str| format!("Bearer {key}");
    assert_eq!(ask("/v1/decisions", &[]), 401);
    assert_eq!(ask("/v1/decisions", &[("Authorization", "Bearer so8t-wrong")]), 401);
    // The digest opens nothing.
    assert_eq!(ask("/v1/decisions", &[("Authorization", &bearer(&so8t::files::sha256(keys[0].as_bytes())))]), 401);
    assert_eq!(ask("/v1/decisions", &[("Authorization", &bearer(&keys[1]))]), 403);
    assert_eq!(ask("/v1/decisions", &[("Authorization", &bearer(&keys[0]))]), 200);
    assert_eq!(ask("/v1/decisions", &[("x-api-key", &keys[0])]), 200);
    assert_eq!(ask("/think", &[("Authorization", &bearer(&keys[0]))]), 403);
    let get =
        |path: &str, key: &str| call(served.address(), "GET", path, &[("Authorization", &bearer(key))], "").status;
    assert_eq!((get("/metrics", &keys[0]), get("/metrics", &keys[2]), get("/v1/models", &keys[0])), (403, 200, 200));
    assert_eq!(call(served.address(), "GET", "/health/live", &[], "").status, 200);
    assert!(served.entries().iter().all(|entry| entry["client"] == "gateway") && served.entries().len() == 2);
}

#[test]
fn a_rate_is_counted_in_texts() {
    // A text in so long a time that no second comes within the test.
    let (key, own) = ApiKey::generate("slow", vec![Scope::Decide], Some(1e-6)).unwrap();
    let served = Served::with(Instant::new("test"), Options::default(), Access::of(vec![own]).unwrap());
    let header = format!("Bearer {key}");
    let ask = || {
        call(
            served.address(),
            "POST",
            "/v1/decisions",
            &[("Authorization", &header)],
            &json!({"instruction": "DENY"}).to_string(),
        )
    };
    assert_eq!(ask().status, 200);
    let reply = ask();
    assert_eq!((reply.status, reply.json()["error"]["code"].as_str()), (429, Some("rate_limited")));
    assert!(reply.head.to_ascii_lowercase().contains("retry-after: "), "{}", reply.head);
}

#[test]
fn keys_that_are_none_are_refused() {
    let key = |sha256: &str, rate| ApiKey {
        name: "a".to_owned(),
        sha256: sha256.to_owned(),
        scopes: vec![Scope::Decide],
        rate,
    };
    let refused = |key: ApiKey| Access::of(vec![key]).unwrap_err().to_string();
    assert!(refused(key("secret", None)).contains("64 hexadecimal digits"));
    assert!(refused(key(&"a".repeat(64), Some(0.0))).contains("a `rate` above 0"));
    assert!(Access::of(Vec::new()).unwrap_err().to_string().contains("at least one"));
    assert!(
        refused(ApiKey { scopes: Vec::new(), ..key(&"a".repeat(64), None) }).contains("at least one of the scopes")
    );
}

#[test]
fn bodies_headers_kinds_and_time_have_limits() {
    let options = Options { max_body: 2000, read_timeout: Duration::from_millis(200), ..Options::default() };
    let served = Served::new(Instant::new("test"), options);
    let long = json!({"instruction": "x".repeat(3000)}).to_string();
    let reply = call(served.address(), "POST", "/v1/decisions", &[], &long);
    assert_eq!((reply.status, reply.json()["error"]["code"].as_str()), (413, Some("too_large")));
    // A page of another origin can send this kind without asking.
    let reply = call(served.address(), "POST", "/v1/decisions", &[("Content-Type", "text/plain")], "{}");
    assert_eq!(reply.status, 415);
    assert!(!reply.head.to_ascii_lowercase().contains("access-control"), "{}", reply.head);
    assert_eq!(call(served.address(), "OPTIONS", "/v1/decisions", &[("Origin", "http://evil")], "").status, 405);
    let many: Vec<(String, String)> = (0..100).map(|index| (format!("x-{index}"), "a".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(call(served.address(), "POST", "/v1/decisions", &many, "{}").status, 431);
    let huge = "a".repeat(100_000);
    assert_eq!(call(served.address(), "POST", "/v1/decisions", &[("x-long", &huge)], "{}").status, 431);
    for begun in [
        "POST /v1/dec",
        "POST /v1/decisions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
    ] {
        // Whoever sends slowly is not waited for.
        let mut stream = TcpStream::connect(served.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(begun.as_bytes()).unwrap();
        let mut reply = String::new();
        let _ = stream.read_to_string(&mut reply);
        assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 408"), "{reply}");
    }
    assert_eq!(served.post("/v1/decisions", &json!({"instruction": "DENY"})).0, 200);
}
