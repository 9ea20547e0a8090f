//! How a command is to be done, besides what the manifest says.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::plugin::Policy;

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
}
