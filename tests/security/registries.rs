//! Registries that lie: answers without an end, and realms that would get a user's credentials.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::so8t;
use crate::cli::write;

/// What a registry on this machine does with every question.
#[derive(Clone)]
enum Lie {
    /// A status, and a body without an end.
    Endless(u16),
    /// A status and a length that says more than comes, or less.
    Length(u64),
    /// Tokens are to be had at this address.
    Realm(String),
    /// A token, for whoever asks.
    Token,
    /// A redirection to itself.
    Round,
}

struct Registry {
    name: String,
    /// The questions, each with its head.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Registry {
    /// Starts one that does this with all questions but `/v2/`, which it grants unless it asks for tokens.
    fn start(lie: Lie) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let name = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (lie, shared) = (lie.clone(), Arc::clone(&shared));
                std::thread::spawn(move || drop(answer(stream, &lie, &shared)));
            }
        });
        Self { name, asked }
    }

    fn asked(&self) -> String {
        self.asked.lock().unwrap().join("\n")
    }
}

fn answer(mut stream: TcpStream, lie: &Lie, asked: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = String::new();
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        head.push_str(&line);
        head.push('\n');
    }
    asked.lock().unwrap().push(head.clone());
    let is_root = head.starts_with("GET /v2/ ");
    let close = "Connection: close\r\n";
    match lie {
        Lie::Realm(realm) => {
            let challenge = format!("WWW-Authenticate: Bearer realm=\"{realm}\",service=\"x\",scope=\"y\"");
            write!(stream, "HTTP/1.1 401 No\r\n{challenge}\r\n{close}Content-Length: 2\r\n\r\n{{}}")
        }
        Lie::Token => write!(stream, "HTTP/1.1 200 OK\r\n{close}Content-Length: 14\r\n\r\n{{\"token\": \"x\"}}"),
        _ if is_root => write!(stream, "HTTP/1.1 200 OK\r\n{close}Content-Length: 2\r\n\r\n{{}}"),
        Lie::Round => write!(stream, "HTTP/1.1 307 Round\r\nLocation: /v2/a/b\r\n{close}Content-Length: 0\r\n\r\n"),
        Lie::Length(length) => {
            write!(stream, "HTTP/1.1 200 OK\r\n{close}Content-Length: {length}\r\n\r\n")?;
            stream.write_all(&[b' '; 1000])
        }
        Lie::Endless(status) => {
            write!(stream, "HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            let body = [b'A'; 1 << 16];
            // Sixty-four times what an answer may have, at the most: whoever reads all of it is found out.
            for _ in 0..256 {
                stream.write_all(b"10000\r\n")?;
                stream.write_all(&body)?;
                stream.write_all(b"\r\n")?;
            }
            asked.lock().unwrap().push("all was read".to_owned());
            Ok(())
        }
    }
}

#[test]
fn answers_without_an_end_are_cut_whatever_their_status() {
    for (status, expected) in
        [(200, "longer than 262144 bytes"), (401, "refuses"), (404, "is not in the registry"), (500, "status 500")]
    {
        let registry = Registry::start(Lie::Endless(status));
        let folder = tempfile::tempdir().unwrap();
        let reference = format!("oci://{}/team/x:1", registry.name);
        let (_, stderr, code) = so8t(folder.path(), &["plugin", "pull", &reference], &[]);
        assert!(code == 1 && stderr.contains(expected) && stderr.contains(&reference), "{status}: {stderr}");
        assert!(!registry.asked().contains("all was read"), "{status}");
    }
}

#[test]
fn lengths_that_lie_and_circles_are_refused() {
    for lie in [Lie::Length(u64::MAX), Lie::Length(1 << 40), Lie::Length(5000), Lie::Round] {
        let registry = Registry::start(lie);
        let folder = tempfile::tempdir().unwrap();
        let reference = format!("oci://{}/team/x:1", registry.name);
        let (_, stderr, code) = so8t(folder.path(), &["plugin", "pull", &reference], &[]);
        assert!(code == 1 && stderr.contains(&reference), "{stderr}");
    }
}

#[test]
fn credentials_go_to_their_own_registry_alone() {
    let thief = Registry::start(Lie::Token);
    let other = thief.name.replace("127.0.0.1", "localhost");
    for realm in
        [format!("http://{}/token", thief.name), format!("http://{other}/token"), "file:///etc/passwd".to_owned()]
    {
        let registry = Registry::start(Lie::Realm(realm.clone()));
        let folder = tempfile::tempdir().unwrap();
        // `user:secret` in base64.
        let config = serde_json::json!({ "auths": { &registry.name: { "auth": "dXNlcjpzZWNyZXQ=" } } });
        write(folder.path(), "docker/config.json", &config.to_string());
        let docker = folder.path().join("docker");
        let reference = format!("oci://{}/team/x:1", registry.name);
        let variables = [("DOCKER_CONFIG", docker.to_str().unwrap())];
        let (_, stderr, code) = so8t(folder.path(), &["plugin", "pull", &reference], &variables);
        assert!(code == 1 && stderr.contains("asks for tokens at"), "{realm}: {stderr}");
        assert!(!stderr.contains("secret") && !stderr.contains("dXNlcjpzZWNyZXQ="), "{stderr}");
    }
    assert_eq!(thief.asked(), "", "nothing was asked of the other host, let alone told");
}

#[test]
fn a_registry_that_gives_its_own_tokens_is_given_its_credentials() {
    // The registry asks for tokens at itself; what it says then is not the point.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = listener.local_addr().unwrap().to_string();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let (shared, own) = (Arc::clone(&asked), name.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut first = [0; 4096];
            let read = std::io::Read::read(&mut &stream, &mut first).unwrap_or(0);
            let head = String::from_utf8_lossy(&first[..read]).into_owned();
            let lie = if head.starts_with("GET /token") { "token" } else { "realm" };
            shared.lock().unwrap().push(head);
            let mut stream = stream;
            let _ = match lie {
                "token" => write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 14\r\n\r\n{{\"token\": \"x\"}}"
                ),
                _ => write!(
                    stream,
                    "HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer realm=\"http://{own}/token\",service=\"x\"\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}"
                ),
            };
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let config = serde_json::json!({ "auths": { &name: { "auth": "dXNlcjpzZWNyZXQ=" } } });
    write(folder.path(), "docker/config.json", &config.to_string());
    let docker = folder.path().join("docker");
    let reference = format!("oci://{name}/team/x:1");
    let (_, stderr, code) =
        so8t(folder.path(), &["plugin", "pull", &reference], &[("DOCKER_CONFIG", docker.to_str().unwrap())]);
    assert!(code == 1 && stderr.contains("refuses these credentials"), "{stderr}");
    let asked = asked.lock().unwrap().join("\n").to_lowercase();
    assert!(
        asked.contains("authorization: basic dxnlcjpzzwnyzxq=") && asked.contains("authorization: bearer x"),
        "{asked}"
    );
    assert!(asked.contains("scope=repository%3ateam%2fx%3apull"), "{asked}");
}
