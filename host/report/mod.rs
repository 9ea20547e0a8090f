//! What a run found, as JSON, as a page, as a table for the terminal, and as the old result file.
//!
//! Every output is a pure function of a [`Report`]: equal reports give equal bytes.

mod format;
pub mod html;
pub mod legacy;
mod runs;
pub mod terminal;
mod timestamp;
mod verdict;

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::data::Contamination;
use crate::evaluate::{Acceptance, Calibration, Comparison, Measured, Measurement, Table};
use crate::{Error, Result, files};

pub use format::{escape, width};
pub use runs::{RunComparison, compare_runs, predictions_of};
pub use timestamp::Timestamp;

/// The version of the JSON form.
pub const SCHEMA: &str = "so8t.report/1";

/// What a run found. Parts that a command does not have are absent: `eval` has no `after`, `compare` no `training`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// What ran.
    pub run: Run,
    /// The model as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Measured>,
    /// The model after training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Measured>,
    /// What changed, and how sure that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// Whether the manifest's rules are met, where it has rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<Acceptance>,
    /// What was fitted for the evaluation that counts, where the manifest asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// What training did: `trainable_parameters`, `total_parameters`, `steps`, `tokens`, `seconds`, `final_loss`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<Value>,
    /// The training loss: step, counted from 1, and loss of that step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loss_curve: Vec<(u64, f64)>,
    /// The data's statistics.
    #[serde(default)]
    pub data: Value,
    /// Evaluation rows that training holds too, where they were looked for; with the first pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contamination: Option<Contamination>,
    /// Digests of components, model and data, with which the same numbers can be computed again.
    #[serde(default)]
    pub digests: Value,
    /// What a reader must know before believing the numbers.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// What ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The run's name in the manifest.
    pub name: String,
    /// The command: `run`, `eval`, `train`, `compare`.
    pub command: String,
    /// When, as [`Timestamp::iso`] writes it.
    pub created: String,
    /// The version of so8t.
    pub so8t: String,
    /// The run's seed.
    pub seed: u64,
    /// The labels' names, by id.
    pub labels: Vec<String>,
    /// Anything else worth keeping, for example the model's name; scalars are shown in the page's head.
    #[serde(flatten)]
    pub details: Map<String, Value>,
}

impl Report {
    /// A report with nothing but what ran.
    pub fn new(run: Run) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            run,
            before: None,
            after: None,
            comparison: None,
            accept: None,
            calibration: None,
            training: None,
            loss_curve: Vec::new(),
            data: Value::Null,
            contamination: None,
            digests: Value::Null,
            warnings: Vec::new(),
        }
    }

    /// Adds warnings, each once.
    pub fn warn<T: AsRef<str>>(&mut self, warnings: impl IntoIterator<Item = T>) {
        for warning in warnings {
            if !self.warnings.iter().any(|own| own == warning.as_ref()) {
                self.warnings.push(warning.as_ref().to_owned());
            }
        }
    }

    /// Adds the warnings of the evaluations and of the comparison, each once. What holds for one of two evaluations alone says
    /// for which.
    pub fn gather_warnings(&mut self) {
        let mut all = Vec::new();
        for (own, other, name) in [(&self.before, &self.after, "before"), (&self.after, &self.before, "after")] {
            for warning in own.iter().flat_map(|measured| &measured.warnings) {
                let is_shared = other.as_ref().is_none_or(|other| other.warnings.contains(warning));
                all.push(if is_shared { warning.clone() } else { format!("{name}: {warning}") });
            }
        }
        all.extend(self.comparison.iter().flat_map(|comparison| comparison.warnings.iter().cloned()));
        self.warn(all);
    }

    /// The report as indented JSON with a final newline.
    pub fn to_json(&self) -> Result<String> {
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|e| Error::internal(format!("cannot write the report as JSON: {e}")))?;
        text.push('\n');
        Ok(text)
    }

    /// Writes `report.json`.
    pub fn write_json(&self, path: &Path) -> Result<()> {
        files::write(path, self.to_json()?.as_bytes())
    }

    /// Writes `report.html`.
    pub fn write_html(&self, path: &Path) -> Result<()> {
        files::write(path, html::page(self).as_bytes())
    }

    /// Reads a `report.json`.
    pub fn read(path: &Path) -> Result<Self> {
        let report: Self = serde_json::from_str(&files::read_text(path)?)
            .map_err(|e| Error::data(format!("`{}`: expected a report: {e}", path.display())))?;
        if report.schema != SCHEMA {
            return Err(Error::data(format!(
                "`{}`: expected schema `{SCHEMA}`, found `{}`",
                path.display(),
                report.schema
            )));
        }
        Ok(report)
    }

    /// The evaluation that counts: after training where there was one.
    pub fn latest(&self) -> Option<&Measured> {
        self.after.as_ref().or(self.before.as_ref())
    }
}

/// The value of the metric `metric` of whichever plugin gives it; a plugin named `classification` goes first.
pub(crate) fn find<'a, T>(table: &'a Table<T>, metric: &str) -> Option<(&'a str, &'a T)> {
    let own = |name: &str| name.split_once('.').is_some_and(|(_, rest)| rest == metric);
    table
        .iter()
        .find(|(name, _)| name.starts_with("classification.") && own(name))
        .or_else(|| table.iter().find(|(name, _)| own(name)))
}

/// As [`find`], in an evaluation that may be lacking.
pub(crate) fn find_in<'a>(measured: Option<&'a Measured>, metric: &str) -> Option<&'a Measurement> {
    find(&measured?.metrics, metric).map(|(_, value)| value)
}

/// A value that belongs at the top of every report.
pub(crate) struct Headline {
    /// The metric's name within its plugin.
    pub(crate) metric: &'static str,
    /// Its name for people.
    pub(crate) title: &'static str,
    /// What it means.
    pub(crate) meaning: &'static str,
    /// Whether it is a share of rows, so that an exact binomial bound holds where it is 0 or 1.
    pub(crate) is_share: bool,
}

/// The macro-F1 of a single source, which seldom holds every declared class: the classes that it lacks do not count.
const OBSERVED: Headline = Headline {
    metric: "f1_macro_observed",
    title: "Macro-F1 (observed classes)",
    meaning: "mean F1 over the classes that occur; higher is better",
    is_share: false,
};

/// The headline values that `table` holds with their names there. Those of a single source have macro-F1 over the observed
/// classes, where it is known.
pub(crate) fn headlines<T>(table: &Table<T>, of_source: bool) -> Vec<(&'static Headline, &str)> {
    let observed = of_source && find(table, OBSERVED.metric).is_some();
    let pick = |headline: &'static Headline| {
        if observed && headline.metric == "f1_macro" { &OBSERVED } else { headline }
    };
    HEADLINES.iter().map(pick).filter_map(|headline| Some((headline, find(table, headline.metric)?.0))).collect()
}

/// The values at the top, in order.
const HEADLINES: [Headline; 4] = [
    Headline {
        metric: "f1_macro",
        title: "Macro-F1",
        meaning: "mean F1 over all declared classes; higher is better",
        is_share: false,
    },
    Headline {
        metric: "unsafe_pass_rate",
        title: "Unsafe pass rate",
        meaning: "unsafe requests that were answered normally; lower is better",
        is_share: true,
    },
    Headline {
        metric: "over_block_rate",
        title: "Over-block rate",
        meaning: "harmless requests that were not answered normally; lower is better",
        is_share: true,
    },
    Headline {
        metric: "accuracy",
        title: "Accuracy",
        meaning: "decisions that equal the gold label; higher is better",
        is_share: true,
    },
];
