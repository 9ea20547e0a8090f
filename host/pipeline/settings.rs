//! How a command is to be done, besides what the manifest says.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::plugin::Policy;
use crate::train::Validated;

/// Somebody who is told of every validation, while training waits.
#[derive(Clone)]
pub struct Hook(Arc<dyn Fn(&Validated) + Send + Sync>);

impl Hook {
    /// Calls `told` at every validation.
    pub fn new(told: impl Fn(&Validated) + Send + Sync + 'static) -> Self {
        Self(Arc::new(told))
    }

    pub(super) fn call(&self, validated: &Validated) {
        (self.0)(validated);
    }
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hook")
    }
}

/// How a command is to be done, besides what the manifest says.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The run's folder, instead of the manifest's.
    pub output: Option<PathBuf>,
    /// Refuse whatever differs from the lock file beside the manifest.
    pub locked: bool,
    /// What the tags of remote plugins name now, instead of what the lock file says.
    pub update: bool,
    /// What this host allows.
    pub policy: Policy,
    /// Go on from a checkpoint; an error where there is none.
    pub resume: bool,
    /// Do every stage again.
    pub fresh: bool,
    /// Say nothing but warnings.
    pub quiet: bool,
    /// Set when the user asks to stop.
    pub stop: Arc<AtomicBool>,
    /// Who is told of validations.
    pub validated: Option<Hook>,
    /// In a trial of a search: the share of the training part that takes the place of the evaluation part.
    pub trial_share: Option<f64>,
}
