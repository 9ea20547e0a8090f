//! The model of a run: its weights, prompts and answers, and the calibration of what it predicts.

pub(super) mod answers;
pub(super) mod calibrate;
pub(super) mod prompts;
pub(super) mod session;
pub(super) mod version;
