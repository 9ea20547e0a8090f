//! What the server writes into the audit log, and waits for.

use std::path::PathBuf;

use tokio::sync::oneshot;

use so8t_audit::{Keys, Writer};
use so8t_base::Result;

/// Where entries go.
pub trait Sink: Send + Sync {
    /// Takes an entry, and says when it is on the disk, or that it is not.
    fn append(&self, entry: Vec<u8>, done: Box<dyn FnOnce(std::result::Result<u64, String>) + Send>);

    /// Why it cannot write, where it cannot.
    fn failure(&self) -> Option<String>;
}

impl Sink for Writer {
    fn append(&self, entry: Vec<u8>, done: Box<dyn FnOnce(std::result::Result<u64, String>) + Send>) {
        Writer::append(self, entry, done);
    }

    fn failure(&self) -> Option<String> {
        Writer::failure(self)
    }
}

/// A log, its keys and its folder.
pub struct Auditor {
    /// Where entries go.
    pub sink: Box<dyn Sink>,
    /// What requests and thinking are hashed with.
    pub keys: Keys,
    /// Where sealed contents lie.
    pub folder: PathBuf,
}

impl Auditor {
    /// Hands entries over and waits until all of them are on the disk.
    ///
    /// # Errors
    /// The first that is not.
    pub(crate) async fn write(&self, entries: Vec<Vec<u8>>) -> std::result::Result<(), String> {
        let waiting: Vec<oneshot::Receiver<_>> = entries
            .into_iter()
            .map(|entry| {
                let (sender, receiver) = oneshot::channel();
                self.sink.append(entry, Box::new(move |outcome| drop(sender.send(outcome))));
                receiver
            })
            .collect();
        for outcome in waiting {
            outcome.await.map_err(|_| "the audit log is closed".to_owned())??;
        }
        Ok(())
    }

    /// Seals a content for a subject; see [`Keys::seal`].
    pub(crate) fn seal(&self, subject: &str, id: &str, content: &[u8]) -> Result<(String, serde_json::Value)> {
        self.keys.seal(&self.folder, subject, id, content)
    }
}
