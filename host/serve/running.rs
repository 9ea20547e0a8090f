//! A server that runs: requests become decisions, entries, answers.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::timeout_at;

use crate::access::{Access, Caller};
use crate::answer::{Answer, Kind};
use crate::auditor::Auditor;
use crate::engine::{About, Ask, Decide, Decided, Job, Prepared, Unprepared, work};
use crate::failure::Failure;
use crate::metrics::{Metrics, Now};
use crate::options::Options;
use crate::queue::Queue;
use crate::{http, tls::Tls};
use so8t_audit::new_id;
use so8t_base::{Error, Result};

/// How long an entry may take to reach the disk.
const AUDIT: Duration = Duration::from_secs(10);
/// How many stored decisions a run is held against before it takes another's place.
const STORED: usize = 50;

/// Loads a run anew.
pub type Load = Box<dyn Fn() -> Result<Arc<dyn Decide>> + Send + Sync>;

/// A server without its socket.
pub struct Server {
    model: RwLock<Arc<dyn Decide>>,
    queue: Arc<Queue>,
    pub(crate) auditor: Auditor,
    pub(crate) access: Access,
    pub(crate) options: Options,
    pub(crate) metrics: Arc<Metrics>,
    permits: Arc<Semaphore>,
    pub(crate) is_draining: AtomicBool,
    pub(crate) connections: AtomicUsize,
    engine: Option<JoinHandle<()>>,
}

impl Server {
    /// A server of a model.
    ///
    /// # Errors
    /// Options that do not fit its labels; a system without threads.
    pub fn new(model: Arc<dyn Decide>, auditor: Auditor, access: Access, options: Options) -> Result<Arc<Self>> {
        options.check(model.about())?;
        let queue = Arc::new(Queue::default());
        let metrics = Arc::new(Metrics::default());
        let (own_queue, own_metrics) = (Arc::clone(&queue), Arc::clone(&metrics));
        let engine = std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || work(&own_queue, &own_metrics))
            .map_err(|e| Error::internal(format!("a thread cannot be started: {e}")))?;
        Ok(Arc::new(Self {
            model: RwLock::new(model),
            queue,
            auditor,
            access,
            permits: Arc::new(Semaphore::new(options.queue)),
            options,
            metrics,
            is_draining: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            engine: Some(engine),
        }))
    }

    /// What decides at the moment.
    pub fn model(&self) -> Arc<dyn Decide> {
        Arc::clone(&self.model.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets another model decide about every request from now on; what waits for the old one gets its decision from it.
    ///
    /// # Errors
    /// Options that do not fit the labels of the new one; decisions that are not those that are stored.
    pub fn swap(&self, model: Arc<dyn Decide>) -> Result<()> {
        self.options.check(model.about())?;
        let checked = model.check(STORED)?;
        if checked.decisions > 0 {
            return Err(Error::data(format!(
                "{} of {} stored decisions are decided otherwise",
                checked.decisions, checked.rows
            )));
        }
        *self.model.write().unwrap_or_else(PoisonError::into_inner) = model;
        Ok(())
    }

    /// Whether requests are taken, and why not.
    pub(crate) fn unready(&self) -> Option<Failure> {
        if self.is_draining.load(Ordering::SeqCst) {
            return Some(unavailable("draining", "the server is about to end"));
        }
        self.auditor.sink.failure().map(|_| audit_failure())
    }

    pub(crate) fn metrics_text(&self) -> String {
        self.metrics.text(&Now {
            waiting: self.queue.len(),
            permits: self.permits.available_permits(),
            connections: self.connections.load(Ordering::SeqCst),
            is_ready: self.unready().is_none(),
        })
    }

    /// Decides about requests, writes their entries, and only then answers.
    ///
    /// # Errors
    /// Too many at once; a request that the policy leaves out; a deadline without a label for it; a model or a log that fails.
    pub(crate) async fn decide(
        self: &Arc<Self>,
        caller: Caller<'_>,
        endpoint: &'static str,
        asks: Vec<Ask>,
        subject: Option<String>,
    ) -> std::result::Result<(Arc<dyn Decide>, Vec<Answer>), Failure> {
        let deadline = Instant::now() + self.options.deadline;
        if let Some(failure) = self.unready() {
            return Err(failure);
        }
        if asks.is_empty() {
            return Err(Failure::body("expected at least one text"));
        }
        if asks.len() > self.options.max_texts {
            let text = format!("expected at most {} texts, found {}", self.options.max_texts, asks.len());
            return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_texts", text));
        }
        self.access.count(caller, asks.len())?;
        // One text or many: the same permits, and the same answer where there are none.
        let permits = Arc::clone(&self.permits).try_acquire_many_owned(asks.len() as u32);
        let Ok(permits) = permits else {
            let seconds = (self.queue.len() as f64 / self.metrics.speed().max(1.0)).ceil().min(60.0) as u64;
            let failure = Failure::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", "too many texts wait");
            return Err(failure.retry(seconds));
        };
        let model = self.model();
        let own = Arc::clone(&model);
        let prepared = tokio::task::spawn_blocking(move || {
            // What was prepared goes with what it was prepared from.
            let prepared: Vec<_> = asks.iter().map(|ask| own.prepare(ask)).collect();
            (asks, prepared)
        });
        let (asks, prepared) = prepared.await.map_err(|_| model_failure())?;
        let mut waiting = Vec::with_capacity(asks.len());
        let mut jobs = Vec::with_capacity(asks.len());
        for prepared in prepared {
            match prepared {
                Ok(prepared) => {
                    let (reply, receiver) = oneshot::channel();
                    let count = prepared.tokens.len();
                    let copy = Prepared { tokens: Vec::new(), is_cut: prepared.is_cut, found: prepared.found.clone() };
                    jobs.push(Job { model: Arc::clone(&model), prepared, deadline, reply });
                    waiting.push(Ok(Waiting { prepared: copy, tokens: count, receiver }));
                }
                Err(unprepared) => waiting.push(Err(unprepared)),
            }
        }
        self.queue.put(jobs);
        let guard = Gone(Some(&self.metrics));
        let mut outcomes = Vec::with_capacity(asks.len());
        for waiting in waiting {
            outcomes.push(self.outcome(model.about(), waiting, deadline).await?);
        }
        self.audit(caller.name, endpoint, model.about(), &asks, &outcomes, subject).await?;
        guard.done();
        drop(permits);
        let mut answers = Vec::with_capacity(outcomes.len());
        let mut failure = None;
        for (answer, own) in outcomes {
            self.metrics.decision(answer.decision.as_deref().unwrap_or("none"), answer.kind.name());
            failure =
                failure.or(
                    own.map(|own| Failure { message: format!("{}; audit id {}", own.message, answer.audit_id), ..own })
                );
            answers.push(answer);
        }
        match failure {
            Some(failure) => Err(failure),
            None => Ok((model, answers)),
        }
    }

    /// What becomes of one request, and the failure that it is to its client where nothing was decided.
    async fn outcome(
        &self,
        about: &About,
        waiting: std::result::Result<Waiting, Unprepared>,
        deadline: Instant,
    ) -> std::result::Result<(Answer, Option<Failure>), Failure> {
        let audit_id = new_id().map_err(|_| audit_failure())?;
        let mut answer = Answer {
            audit_id,
            kind: Kind::Decision,
            decision: None,
            allowed: false,
            decided: None,
            prepared: Prepared::default(),
            tokens: 0,
        };
        let Waiting { prepared, tokens, receiver } = match waiting {
            Ok(waiting) => waiting,
            Err(Unprepared::Policy(kinds)) => {
                answer.kind = Kind::Refusal;
                let text =
                    format!("the request holds `{}`, which the policy of the run leaves out", kinds.join("`, `"));
                let failure = Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "policy", text);
                return Ok((answer, Some(failure)));
            }
            Err(Unprepared::Error(_)) => {
                answer.kind = Kind::Error;
                let text = "the request cannot be made a prompt of this run";
                return Ok((answer, Some(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "unprepared", text))));
            }
        };
        (answer.prepared, answer.tokens) = (prepared, tokens);
        match timeout_at(deadline.into(), receiver).await {
            Ok(Ok(Ok(decided))) => {
                answer.decision = Some(about.label(decided.label).to_owned());
                answer.allowed = about.allows(decided.label);
                answer.decided = Some(decided);
                Ok((answer, None))
            }
            Ok(Ok(Err(error))) => {
                tell(&format!("error: the model failed: {error}"));
                answer.kind = Kind::Error;
                Ok((answer, Some(model_failure())))
            }
            // The queue drops what is past its deadline.
            Err(_) | Ok(Err(_)) => {
                answer.kind = Kind::TimeOut;
                answer.decision.clone_from(&self.options.on_timeout);
                let failure = answer.decision.is_none().then(|| unavailable("deadline", "the deadline passed"));
                Ok((answer, failure))
            }
        }
    }

    /// Puts an entry a request on the disk.
    async fn audit(
        self: &Arc<Self>,
        client: &str,
        endpoint: &'static str,
        about: &About,
        asks: &[Ask],
        outcomes: &[(Answer, Option<Failure>)],
        subject: Option<String>,
    ) -> std::result::Result<(), Failure> {
        let started = Instant::now();
        let mut entries = Vec::with_capacity(asks.len());
        for (ask, (answer, _)) in asks.iter().zip(outcomes) {
            let entry = answer.entry(about, ask, endpoint, client, &self.auditor.keys);
            let mut entry = entry.map_err(|error| self.audit_fault(&error.to_string()))?;
            if let Some(subject) = &subject {
                let (sealed, id) = (self.options.seal, answer.audit_id.clone());
                let (server, subject, ask) = (Arc::clone(self), subject.clone(), ask.clone());
                let done = tokio::task::spawn_blocking(move || {
                    if !sealed {
                        return server.auditor.keys.subject(&subject).map(|subject| (subject, None));
                    }
                    let content = json!({"instruction": ask.instruction, "input": ask.input});
                    let sealed = server.auditor.seal(&subject, &id, so8t_audit::canonical(&content).as_bytes());
                    sealed.map(|(subject, sealed)| (subject, Some(sealed)))
                });
                let done = done.await.map_err(|_| audit_failure())?;
                let (subject, sealed) = done.map_err(|error| self.audit_fault(&error.to_string()))?;
                entry = entry.with("subject", subject);
                if let Some(sealed) = sealed {
                    entry = entry.with("sealed", sealed);
                }
            }
            entries.push(entry.bytes().map_err(|error| self.audit_fault(&error.to_string()))?);
        }
        let written = tokio::time::timeout(AUDIT, self.auditor.write(entries)).await;
        self.metrics.audit(started.elapsed());
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.audit_fault(&error)),
            Err(_) => Err(self.audit_fault("an entry takes too long")),
        }
    }

    fn audit_fault(&self, error: &str) -> Failure {
        tell(&format!("error: no answer, since the audit log failed: {error}"));
        audit_failure()
    }

    /// Loads a run beside the present one, holds it against stored decisions, and swaps.
    fn reload(&self, load: &Load) {
        let outcome = load().and_then(|model| self.swap(Arc::clone(&model)).map(|()| model));
        match outcome {
            Ok(model) => {
                self.metrics.reload("swapped");
                tell(&format!("swapped  {} decides from now on", model.about().name));
            }
            Err(error) => {
                self.metrics.reload("refused");
                tell(&format!("warning: the run was not swapped: {error}"));
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(engine) = self.engine.take() {
            let _ = engine.join();
        }
    }
}

/// What is known of a request that the model is asked about.
struct Waiting {
    prepared: Prepared,
    tokens: usize,
    receiver: oneshot::Receiver<std::result::Result<Decided, String>>,
}

/// Counts a client that goes away before it is answered.
struct Gone<'a>(Option<&'a Metrics>);

impl Gone<'_> {
    fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        if let Some(metrics) = self.0 {
            metrics.gone();
        }
    }
}

fn unavailable(code: &'static str, message: &str) -> Failure {
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, code, message).retry(1)
}

fn audit_failure() -> Failure {
    unavailable("audit", "the audit log cannot be written, so nothing is answered")
}

fn model_failure() -> Failure {
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "model", "the model failed")
}

/// One line on standard error, made plain.
fn tell(text: &str) {
    eprintln!("{}", so8t_base::plain::line(&text));
}

/// A server that answers on a socket, on threads of its own, until it is stopped or dropped.
pub struct Running {
    address: SocketAddr,
    stop: Option<watch::Sender<bool>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests, answers those that were begun, and ends.
    ///
    /// # Errors
    /// What it ended in.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(true);
        }
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => Err(Error::internal("the server panicked")),
            None => Ok(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// Listens at once and answers in the background.
///
/// # Errors
/// An address that cannot be listened at.
pub fn start(server: Arc<Server>, address: SocketAddr, tls: Option<Tls>) -> Result<Running> {
    let listener = listen(address)?;
    let address = listener.local_addr().map_err(|e| Error::manifest(format!("no address to listen at: {e}")))?;
    let (stop, stopped) = watch::channel(false);
    let work = move || {
        runtime()?.block_on(async move {
            let listener = TcpListener::from_std(listener).map_err(|e| Error::internal(e.to_string()))?;
            http::serve(server, listener, tls, stopped).await;
            Ok(())
        })
    };
    let thread = std::thread::Builder::new()
        .name("server".to_owned())
        .spawn(work)
        .map_err(|e| Error::internal(format!("a thread cannot be started: {e}")))?;
    Ok(Running { address, stop: Some(stop), thread: Some(thread) })
}

/// Listens and answers until SIGTERM or Ctrl-C; SIGHUP loads the run anew. `ready` is told the address.
///
/// # Errors
/// An address that cannot be listened at.
pub fn run(
    server: Arc<Server>,
    address: SocketAddr,
    tls: Option<Tls>,
    load: Load,
    ready: impl FnOnce(SocketAddr),
) -> Result<()> {
    let listener = listen(address)?;
    ready(listener.local_addr().map_err(|e| Error::manifest(format!("no address to listen at: {e}")))?);
    runtime()?.block_on(async move {
        let listener = TcpListener::from_std(listener).map_err(|e| Error::internal(e.to_string()))?;
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(signals(Arc::clone(&server), Arc::new(load), stop));
        http::serve(server, listener, tls, stopped).await;
        Ok(())
    })
}

#[cfg(unix)]
async fn signals(server: Arc<Server>, load: Arc<Load>, stop: watch::Sender<bool>) {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = || -> std::io::Result<_> {
        Ok((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?))
    };
    let Ok((mut terminate, mut interrupt, mut hangup)) = listen() else {
        tell("warning: signals cannot be listened to: the server ends without draining");
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                let (server, load) = (Arc::clone(&server), Arc::clone(&load));
                tokio::task::spawn_blocking(move || server.reload(&load));
            }
        }
    }
    tell("draining");
    let _ = stop.send(true);
    // A second signal ends the process at once.
    tokio::select! {
        _ = terminate.recv() => std::process::exit(1),
        _ = interrupt.recv() => std::process::exit(1),
    }
}

#[cfg(not(unix))]
async fn signals(_server: Arc<Server>, _load: Arc<Load>, stop: watch::Sender<bool>) {
    let _ = tokio::signal::ctrl_c().await;
    let _ = stop.send(true);
}

fn listen(address: SocketAddr) -> Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)
        .map_err(|e| Error::manifest(format!("`{address}` cannot be listened at: {e}")))?;
    listener.set_nonblocking(true).map_err(|e| Error::internal(e.to_string()))?;
    Ok(listener)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| Error::internal(format!("the server's threads cannot be started: {e}")))
}
