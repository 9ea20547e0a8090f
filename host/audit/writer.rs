//! Group commit: whoever waits when the disk is free shares one `fsync`.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::log::Log;
use so8t_base::{Error, Result};

/// The most entries and bytes of a group.
const GROUP: (usize, usize) = (1024, 4 << 20);
/// A log that is left alone for so long publishes what it has.
const IDLE: Duration = Duration::from_secs(1);

/// What is told when an entry is on the disk, with its index, or is not.
pub type Done = Box<dyn FnOnce(std::result::Result<u64, String>) + Send>;

struct Waiting {
    entry: Vec<u8>,
    done: Done,
}

/// A thread that writes a log for many.
pub struct Writer {
    sender: Option<Sender<Waiting>>,
    thread: Option<JoinHandle<()>>,
    failure: Arc<Mutex<Option<String>>>,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// A system that gives no thread.
    pub fn start(log: Log) -> Result<Self> {
        let (sender, waiting) = mpsc::channel();
        let failure = Arc::new(Mutex::new(None));
        let own = Arc::clone(&failure);
        let thread = std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || work(log, &waiting, &own))
            .map_err(|e| Error::internal(format!("a thread cannot be started: {e}")))?;
        Ok(Self { sender: Some(sender), thread: Some(thread), failure })
    }

    /// Hands an entry over. `done` is called once it is on the disk, or once it is known that it is not.
    pub fn append(&self, entry: Vec<u8>, done: Done) {
        let Some(sender) = &self.sender else { return done(Err("the audit log is closed".to_owned())) };
        if let Err(mpsc::SendError(waiting)) = sender.send(Waiting { entry, done }) {
            (waiting.done)(Err("the audit log is closed".to_owned()));
        }
    }

    /// Why it cannot write, where it cannot.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Writer {
    /// Writes what waits, publishes, and ends.
    fn drop(&mut self) {
        drop(self.sender.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work(mut log: Log, waiting: &Receiver<Waiting>, failure: &Mutex<Option<String>>) {
    loop {
        let first = match log.is_ahead() {
            true => waiting.recv_timeout(IDLE),
            false => waiting.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let first = match first {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) => {
                log.publish();
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut bytes = first.entry.len();
        let (mut entries, mut done) = (vec![first.entry], vec![first.done]);
        while entries.len() < GROUP.0 && bytes < GROUP.1 {
            let Ok(next) = waiting.try_recv() else { break };
            bytes += next.entry.len();
            entries.push(next.entry);
            done.push(next.done);
        }
        match log.append(&entries) {
            Ok(first) => done.into_iter().zip(first..).for_each(|(done, index)| done(Ok(index))),
            Err(error) => {
                let text = error.to_string();
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.clone());
                done.into_iter().for_each(|done| done(Err(text.clone())));
            }
        }
    }
}
