//! What a run found, as JSON, as a page, as a table for the terminal, and as the old result file.
//!
//! Every output is a pure function of a [`Report`]: equal reports give equal bytes.

mod dictionary;
mod format;
mod headlines;
pub mod html;
pub mod legacy;
pub mod markdown;
mod runs;
mod safety;
pub mod sweep;
pub mod terminal;
mod timestamp;
mod verdict;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::data::Contamination;
use crate::evaluate::{Acceptance, Calibration, Comparison, Measured};
use crate::train::Validated;
use crate::{Error, Result, files, plain};

pub use dictionary::{Language, Text, all as dictionary};
pub(crate) use format::plain;
pub use format::{escape, width};
pub(crate) use headlines::{find, find_in, headlines};
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
    /// Values that the manifest puts at the top beside the standard ones, as `plugin.metric`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headline: Vec<String>,
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
    /// What was validated while training, in order; the first is the base model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub validation: Vec<Validated>,
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
    /// The requests of rows whose decision changed, by id. They are not part of `report.json`; the page shows them behind a click.
    #[serde(skip)]
    pub texts: BTreeMap<String, String>,
}

/// A metric that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure<'a> {
    /// The plugin's name in the manifest.
    pub metric: &'a str,
    /// `before` or `after`, where there are both.
    pub evaluation: Option<&'static str>,
    /// The plugin's error.
    pub error: &'a str,
}

impl Failure<'_> {
    /// In which evaluation, in brackets, where there are two; with a space before it.
    fn place(&self) -> String {
        self.evaluation.map_or_else(String::new, |evaluation| format!(" ({evaluation})"))
    }
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
    /// The commands that give the same numbers again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeat: Vec<String>,
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
            headline: Vec::new(),
            accept: None,
            calibration: None,
            training: None,
            loss_curve: Vec::new(),
            validation: Vec::new(),
            data: Value::Null,
            contamination: None,
            digests: Value::Null,
            warnings: Vec::new(),
            texts: BTreeMap::new(),
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
        files::write(path, plain::spelled(&self.to_json()?).as_bytes())
    }

    /// Writes `report.html`.
    pub fn write_html(&self, path: &Path) -> Result<()> {
        files::write(path, plain::spelled(&html::page(self)).as_bytes())
    }

    /// Writes `report.md`.
    pub fn write_markdown(&self, path: &Path) -> Result<()> {
        files::write(path, plain::spelled(&markdown::text(self)).as_bytes())
    }

    /// Writes every form of the report into `folder`: `report.json`, `report.md` and `report.html`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        self.write_html(&folder.join("report.html"))?;
        self.write_markdown(&folder.join("report.md"))?;
        self.write_json(&folder.join("report.json"))
    }

    /// Whether a file says that it is a report of so8t, of this form or of an earlier one.
    pub fn is_one(path: &Path) -> bool {
        #[derive(serde::Deserialize)]
        struct Named {
            schema: String,
        }
        let text = files::read_text_at_most(path, files::MOST_TEXT).unwrap_or_default();
        serde_json::from_str(&text).is_ok_and(|named: Named| named.schema.starts_with("so8t.report/"))
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

    /// The metrics that failed, each with its error; where there are two evaluations, with the one in which it failed.
    pub fn failures(&self) -> Vec<Failure<'_>> {
        let two = self.before.is_some() && self.after.is_some();
        let mut all = Vec::new();
        for (measured, evaluation) in [(&self.before, "before"), (&self.after, "after")] {
            let failed = measured.iter().flat_map(|measured| measured.failed.iter());
            let evaluation = two.then_some(evaluation);
            all.extend(failed.map(|(metric, error)| Failure { metric, evaluation, error }));
        }
        all
    }

    /// The error with which a command ends that made this report: a metric failed. The other metrics' values are good.
    pub fn failure(&self) -> Option<Error> {
        let mut metrics: Vec<&str> = self.failures().iter().map(|failure| failure.metric).collect();
        metrics.dedup();
        metrics.sort_unstable();
        metrics.dedup();
        let first = self.failures().first()?.error.to_owned();
        let names = metrics.join("`, `");
        let plural = if metrics.len() == 1 { "" } else { "s" };
        Some(
            Error::plugin(format!("metric{plural} `{names}` failed, and the report lacks the values: {first}"))
                .with_hint(
                    "the other values are whole; mend or exchange the plugin, and the same command measures again",
                ),
        )
    }

    /// The evaluation that counts: after training where there was one.
    pub fn latest(&self) -> Option<&Measured> {
        self.after.as_ref().or(self.before.as_ref())
    }
}
