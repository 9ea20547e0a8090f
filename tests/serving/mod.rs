//! Decisions over HTTP, and the audit log.

mod access;
mod audit;
mod bits;
mod bundles;
mod engine;
mod killed;
mod rules;
mod shapes;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;
use so8t::audit::{Keys, Log, Writer};
use so8t::serve::{
    About, Access, Ask, Auditor, Checked, Decide, Decided, Digests, Options, Prepared, Running, Server, Unprepared,
    start,
};

/// A model that decides by what a request says: the name of a label in it, or the first label.
pub struct Instant {
    about: About,
    /// While it is shut, the model does not answer.
    gate: (Mutex<bool>, Condvar),
    /// How many requests each batch had.
    pub batches: Mutex<Vec<usize>>,
    /// How many requests it was asked about.
    pub asked: AtomicUsize,
    /// What stands before the final part of an answer.
    pub thinking: Option<String>,
    /// Whether decisions are other than the stored ones.
    pub is_changed: bool,
}

impl Instant {
    pub fn new(name: &str) -> Self {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let about = About {
            name: name.to_owned(),
            created: 1,
            labels: texts(&["ALLOW", "ESCALATION", "DENY", "REFUSE"]),
            severity: vec![0, 1, 2, 3],
            label_tokens: vec![1, 2, 3, 4],
            batch_tokens: 1000,
            generates: false,
            digests: Digests { model: "00".repeat(32), ..Digests::default() },
        };
        Self {
            about,
            gate: (Mutex::new(true), Condvar::new()),
            batches: Mutex::default(),
            asked: AtomicUsize::new(0),
            thinking: None,
            is_changed: false,
        }
    }

    pub fn with_thinking(mut self, thinking: &str) -> Self {
        (self.thinking, self.about.generates) = (Some(thinking.to_owned()), true);
        self
    }

    pub fn open(&self, is_open: bool) {
        *self.gate.0.lock().unwrap() = is_open;
        self.gate.1.notify_all();
    }
}

impl Decide for Instant {
    fn about(&self) -> &About {
        &self.about
    }

    fn prepare(&self, ask: &Ask) -> Result<Prepared, Unprepared> {
        if ask.instruction.contains("4111") {
            return Err(Unprepared::Policy(vec!["card".to_owned()]));
        }
        let named = self.about.labels.iter().position(|label| ask.instruction.contains(label.as_str()));
        let label = if ask.instruction.contains("NONSENSE") { 254 } else { named.unwrap_or(0) };
        let tokens = vec![label as u32; ask.instruction.len().min(100)];
        Ok(Prepared { tokens, is_cut: false, found: BTreeMap::new() })
    }

    fn decide(&self, batch: &[Prepared]) -> so8t::Result<Vec<Decided>> {
        let mut is_open = self.gate.0.lock().unwrap();
        while !*is_open {
            is_open = self.gate.1.wait(is_open).unwrap();
        }
        drop(is_open);
        self.batches.lock().unwrap().push(batch.len());
        self.asked.fetch_add(batch.len(), Ordering::SeqCst);
        if batch.iter().any(|one| one.tokens.len() == 66) {
            return Err(so8t::Error::model("a request of 66 bytes breaks this model"));
        }
        let one = |prepared: &Prepared| {
            let label = prepared.tokens.first().copied().unwrap_or(0) as u8;
            let raw: Vec<f32> = (0..4u8).map(|id| if id == label { 0.7 } else { 0.1 }).collect();
            let name = self.about.label(label);
            let answer = self.thinking.as_ref().map(|text| format!("<think>{text}</think><final>{name}</final>"));
            Decided { label, raw, calibrated: None, shown: answer.as_ref().map(|_| name.to_owned()), answer }
        };
        Ok(batch.iter().map(one).collect())
    }

    fn check(&self, rows: usize) -> so8t::Result<Checked> {
        Ok(Checked { rows, decisions: usize::from(self.is_changed), ..Checked::default() })
    }
}

pub fn auditor(folder: &Path) -> Auditor {
    let keys = Keys::open(&folder.join("audit.keys"), Duration::from_secs(1 << 40)).unwrap();
    let log = Log::open(&folder.join("audit"), keys.signer("so8t/test").unwrap()).unwrap();
    Auditor { sink: Box::new(Writer::start(log).unwrap()), keys, folder: folder.join("audit") }
}

pub struct Served {
    pub folder: tempfile::TempDir,
    pub model: Arc<Instant>,
    pub server: Arc<Server>,
    pub running: Option<Running>,
}

impl Served {
    pub fn new(model: Instant, options: Options) -> Self {
        Self::with(model, options, Access::open())
    }

    pub fn with(model: Instant, options: Options, access: Access) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let model = Arc::new(model);
        let own: Arc<dyn Decide> = Arc::clone(&model) as _;
        let server = Server::new(own, auditor(folder.path()), access, options).unwrap();
        let running = start(Arc::clone(&server), "127.0.0.1:0".parse().unwrap(), None).unwrap();
        Self { folder, model, server, running: Some(running) }
    }

    pub fn address(&self) -> SocketAddr {
        self.running.as_ref().unwrap().address()
    }

    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let reply = call(self.address(), "POST", path, &[], &body.to_string());
        (reply.status, reply.json())
    }

    /// The entries of the log, while it is written.
    pub fn entries(&self) -> Vec<Value> {
        entries(&self.folder.path().join("audit"))
    }

    /// Ends the server and its log.
    pub fn end(self) -> tempfile::TempDir {
        let Self { folder, running, server, .. } = self;
        running.unwrap().stop().unwrap();
        drop(server);
        folder
    }
}

pub fn entries(log: &Path) -> Vec<Value> {
    let mut out = Vec::new();
    so8t::audit::each_entry(log, None, |_, entry| {
        out.push(serde_json::from_slice(entry).unwrap());
        Ok(())
    })
    .unwrap();
    out
}

pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}{}", self.head, self.body))
    }
}

/// One request on a connection of its own.
pub fn call(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    try_call(address, method, path, headers, body).expect("a reply")
}

/// The same where the server may be gone.
pub fn try_call(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<Reply> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "Content-Type") {
        head.push_str("Content-Type: application/json\r\n");
    }
    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    // What is too long may be refused, and the connection ended, before it is sent.
    let _ = stream.write_all(format!("{head}\r\n{body}").as_bytes());
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let Some((head, rest)) = text.split_once("\r\n\r\n") else {
        read?;
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    };
    let status = head.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(0);
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
    if length.is_some_and(|length| length != rest.len()) {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Reply { status, head: head.to_owned(), body: rest.to_owned() })
}
