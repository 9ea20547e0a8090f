//! What decides, as the server sees it, and the thread that asks it.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use tokio::sync::oneshot;

use crate::metrics::Metrics;
use crate::queue::Queue;
use so8t_base::Result;

/// A request to decide about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// What the user asks for.
    pub instruction: String,
    /// Text that the instruction is about; empty where there is none.
    pub input: String,
}

impl Ask {
    /// The bytes that its keyed hash is made of: the instruction's length in eight bytes, the least first, the instruction, and the input.
    pub fn bytes(&self) -> Vec<u8> {
        let length = (self.instruction.len() as u64).to_le_bytes();
        [length.as_slice(), self.instruction.as_bytes(), self.input.as_bytes()].concat()
    }
}

/// A request that is ready for the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prepared {
    /// The tokens of its prompt.
    pub tokens: Vec<u32>,
    /// Whether its end was cut off to fit.
    pub is_cut: bool,
    /// What was redacted in it, with how often.
    pub found: BTreeMap<String, usize>,
}

/// Why a request does not reach the model.
#[derive(Debug)]
pub enum Unprepared {
    /// It holds what the run's policy leaves out: the kinds.
    Policy(Vec<String>),
    /// It could not be prepared.
    Error(so8t_base::Error),
}

/// What the model decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decided {
    /// The id of a label, or one that is none: an answer that is no label.
    pub label: u8,
    /// The probability of each label as the model gave it.
    pub raw: Vec<f32>,
    /// The same, calibrated; `None` where the run calibrates nothing.
    pub calibrated: Option<Vec<f32>>,
    /// The whole generated answer, private thinking with it; `None` where labels are scored.
    pub answer: Option<String>,
    /// What of the answer may be shown: its final part.
    pub shown: Option<String>,
}

/// SHA-256 digests of what decides; absent where there is no such thing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Digests {
    /// The model's files.
    pub model: String,
    /// The adapter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// The text of the policy that the model is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The calibration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<String>,
    /// The lock of the run's components.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugins: Option<String>,
}

/// What decides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct About {
    /// The run's name.
    pub name: String,
    /// When it was loaded, in seconds since 1970.
    pub created: u64,
    /// The names of the labels.
    pub labels: Vec<String>,
    /// How grave each label is; the least grave lets a request pass.
    pub severity: Vec<u8>,
    /// The first token of each label.
    pub label_tokens: Vec<u32>,
    /// How many tokens a batch holds at the most.
    pub batch_tokens: usize,
    /// Whether answers are generated, rather than labels scored.
    pub generates: bool,
    /// What it is.
    pub digests: Digests,
}

impl About {
    /// Whether a label lets a request pass.
    pub fn allows(&self, label: u8) -> bool {
        let least = self.severity.iter().min();
        self.severity.get(usize::from(label)).is_some_and(|own| Some(own) == least)
    }

    /// The name of a label; `INVALID` for what is none.
    pub fn label(&self, id: u8) -> &str {
        self.labels.get(usize::from(id)).map_or("INVALID", String::as_str)
    }
}

/// How a model's decisions agree with those that are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Checked {
    /// How many were compared.
    pub rows: usize,
    /// How many decisions differ.
    pub decisions: usize,
    /// How many rows have a probability of other bits.
    pub bits: usize,
    /// The largest difference of a probability.
    pub largest_difference: f32,
}

/// A model with all that makes decisions of what it says.
pub trait Decide: Send + Sync {
    /// What it is.
    fn about(&self) -> &About;

    /// Redacts a request and makes its prompt.
    ///
    /// # Errors
    /// A request that the policy leaves out.
    fn prepare(&self, ask: &Ask) -> std::result::Result<Prepared, Unprepared>;

    /// Decides, in the order of the batch. What is decided of a request does not depend on the others.
    ///
    /// # Errors
    /// A model that fails.
    fn decide(&self, batch: &[Prepared]) -> Result<Vec<Decided>>;

    /// Decides again about at most so many requests whose decisions are stored.
    ///
    /// # Errors
    /// Nothing stored; a model that fails.
    fn check(&self, rows: usize) -> Result<Checked>;
}

/// A request that waits.
pub(crate) struct Job {
    pub(crate) model: Arc<dyn Decide>,
    pub(crate) prepared: Prepared,
    /// Nobody waits for it from then on.
    pub(crate) deadline: Instant,
    pub(crate) reply: oneshot::Sender<std::result::Result<Decided, String>>,
}

/// Takes batches until the queue is closed and empty.
pub(crate) fn work(queue: &Queue, metrics: &Metrics) {
    while let Some(mut batch) = queue.take() {
        let Some(model) = batch.first().map(|job| Arc::clone(&job.model)) else { continue };
        let prepared: Vec<Prepared> = batch.iter_mut().map(|job| std::mem::take(&mut job.prepared)).collect();
        let started = Instant::now();
        let mut decided = decide(&*model, &prepared);
        if decided.is_err() && prepared.len() > 1 {
            // One that fails must not take the others with it.
            decided = Ok(Vec::new());
            for (job, prepared) in batch.drain(..).zip(&prepared) {
                let one = decide(&*model, std::slice::from_ref(prepared));
                let _ = job.reply.send(one.and_then(|mut one| one.pop().ok_or_else(|| "no decision".to_owned())));
            }
        }
        metrics.batch(prepared.len(), prepared.iter().map(|one| one.tokens.len()).sum(), started.elapsed());
        match decided {
            Ok(decided) => batch.into_iter().zip(decided).for_each(|(job, decided)| drop(job.reply.send(Ok(decided)))),
            Err(error) => batch.into_iter().for_each(|job| drop(job.reply.send(Err(error.clone())))),
        }
    }
}

/// A batch's decisions; a panic is an error like any other.
fn decide(model: &dyn Decide, batch: &[Prepared]) -> std::result::Result<Vec<Decided>, String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| model.decide(batch)));
    let decided = outcome.map_err(|_| "the model panicked".to_owned())?.map_err(|e| e.to_string())?;
    match decided.len() == batch.len() {
        true => Ok(decided),
        false => Err(format!("expected {} decisions, found {}", batch.len(), decided.len())),
    }
}
