//! When a prediction was made, of which part of the examples, and what it came to.

use crate::evaluate::{Calibration, EvaluatedRow, predictions};

/// When a prediction was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum Moment {
    Before,
    After,
}

impl Moment {
    pub(in crate::pipeline) fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }

    pub(in crate::pipeline) fn predictions(self) -> &'static str {
        match self {
            Self::Before => predictions::BEFORE,
            Self::After => predictions::AFTER,
        }
    }
}

/// The part of the examples that is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum Part {
    Evaluation,
    Calibration,
}

impl Part {
    /// The predictions file of the part.
    pub(in crate::pipeline) fn predictions(self, moment: Moment) -> String {
        match self {
            Self::Evaluation => moment.predictions().to_owned(),
            Self::Calibration => moment.predictions().replacen("predictions", "calibration", 1),
        }
    }
}

/// A model's predictions of the evaluation part, as it made them, and its calibration, where the manifest asks for one.
pub(in crate::pipeline) struct Judged {
    pub(in crate::pipeline) rows: Vec<EvaluatedRow>,
    pub(in crate::pipeline) calibration: Option<Calibration>,
}
