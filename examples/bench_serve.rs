//! What HTTP, queue and audit take with a model that answers at once, and what verifying the log takes:
//! `cargo run --release --example bench_serve [CLIENTS] [REQUESTS]`.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use so8t::audit::{Keys, Log, Writer, verify};
use so8t::serve::{
    About, Access, Ask, Auditor, Checked, Decide, Decided, Digests, Options, Prepared, Server, Unprepared, start,
};

struct AtOnce(About);

impl Decide for AtOnce {
    fn about(&self) -> &About {
        &self.0
    }

    fn prepare(&self, ask: &Ask) -> Result<Prepared, Unprepared> {
        Ok(Prepared { tokens: vec![0; ask.instruction.len() / 4], is_cut: false, found: BTreeMap::new() })
    }

    fn decide(&self, batch: &[Prepared]) -> so8t::Result<Vec<Decided>> {
        let one = |_: &Prepared| Decided { label: 1, raw: vec![0.1, 0.7, 0.1, 0.1], ..Decided::default() };
        Ok(batch.iter().map(one).collect())
    }

    fn check(&self, rows: usize) -> so8t::Result<Checked> {
        Ok(Checked { rows, ..Checked::default() })
    }
}

/// Asks `count` times on one connection that stays open; the seconds of each.
fn client(address: SocketAddr, count: usize) -> std::io::Result<Vec<f64>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let body = format!("{{\"instruction\":\"{}\"}}", "tell me how a bicycle stays upright. ".repeat(7));
    let request = format!(
        "POST /v1/decisions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut times = Vec::with_capacity(count);
    let mut reply = Vec::new();
    for _ in 0..count {
        let started = Instant::now();
        stream.write_all(request.as_bytes())?;
        reply.clear();
        loop {
            let mut bytes = [0; 4096];
            let read = stream.read(&mut bytes)?;
            reply.extend(&bytes[..read]);
            let text = String::from_utf8_lossy(&reply);
            let Some((head, rest)) = text.split_once("\r\n\r\n") else { continue };
            assert!(head.starts_with("HTTP/1.1 200"), "{text}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if length.is_some_and(|length| rest.len() >= length) {
                break;
            }
        }
        times.push(started.elapsed().as_secs_f64());
    }
    Ok(times)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |index: usize, default: usize| arguments.get(index).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (clients, requests) = (number(0, 32), number(1, 20_000));
    let folder = tempfile::tempdir_in(".")?;
    let keys = Keys::open(&folder.path().join("keys"), Duration::from_secs(1 << 30))?;
    let path = folder.path().join("log");
    let log = Log::open(&path, keys.signer("so8t/bench")?)?;
    let auditor = Auditor { sink: Box::new(Writer::start(log)?), keys, folder: path.clone() };
    let labels = ["ALLOW", "ESCALATION", "DENY", "REFUSE"].map(str::to_owned).to_vec();
    let digests = Digests { model: "0".repeat(64), ..Digests::default() };
    let about = About {
        name: "bench".to_owned(),
        labels,
        severity: vec![0, 1, 2, 3],
        batch_tokens: 4096,
        digests,
        ..About::default()
    };
    let server = Server::new(Arc::new(AtOnce(about)), auditor, Access::open(), Options::default())?;
    let running = start(Arc::clone(&server), "127.0.0.1:0".parse()?, None)?;
    let address = running.address();
    let started = Instant::now();
    let mut times: Vec<f64> = std::thread::scope(|scope| {
        let each = requests / clients;
        let all: Vec<_> =
            (0..clients).map(|_| scope.spawn(move || client(address, each).unwrap_or_default())).collect();
        all.into_iter().flat_map(|client| client.join().unwrap_or_default()).collect()
    });
    let seconds = started.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize] * 1e3;
    println!(
        "{clients} clients, {} requests: {:.0} a second, p50 {:.2} ms, p99 {:.2} ms, largest {:.2} ms",
        times.len(),
        times.len() as f64 / seconds,
        at(0.5),
        at(0.99),
        at(1.0)
    );
    running.stop()?;
    drop(server);
    let started = Instant::now();
    let found = verify(&path, None, None)?;
    println!("{} entries verified in {:.2} s", found.entries, started.elapsed().as_secs_f64());
    Ok(())
}
