//! A finished run in the files of other tools. Each form is a pure function of the run and its rows.

mod card;
mod cyclonedx;
mod eee;
mod hub;
mod inspect;
mod lm_eval;

use serde_json::Value as Json;
use so8t_base::{Error, Result};

use crate::finished::{FinishedRun, Row, Value};

/// A form that another tool reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Every Eval Ever, schema 0.3.0.
    EveryEvalEver,
    /// `.eval_results/*.yaml` of a model's repository on the Hugging Face Hub.
    HubResults,
    /// `README.md` of a model's repository, with `model-index`.
    ModelCard,
    /// A log of Inspect, as JSON.
    Inspect,
    /// An ML-BOM, CycloneDX 1.7.
    CycloneDx,
    /// The files of lm-evaluation-harness.
    LmEval,
}

impl Form {
    /// Every form with its name on the command line.
    pub const ALL: [(&'static str, Self); 6] = [
        ("eee", Self::EveryEvalEver),
        ("hf-eval-results", Self::HubResults),
        ("model-card", Self::ModelCard),
        ("inspect", Self::Inspect),
        ("cyclonedx", Self::CycloneDx),
        ("lm-eval", Self::LmEval),
    ];
}

/// What the forms ask for and a run does not know.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The model's name as `ORGANISATION/NAME`; the run's name stands alone otherwise.
    pub model: Option<String>,
    /// The benchmark's id on the hub, for [`Form::HubResults`].
    pub dataset: Option<String>,
    /// The task within it.
    pub task: Option<String>,
    /// `plugin.metric` that stands for the run where a form has room for one value.
    pub metric: Option<String>,
    /// The licence of what was trained, as the hub spells it.
    pub licence: Option<String>,
}

/// A file of a form: its path, and what is in it.
pub type File = (String, Vec<u8>);

/// The files of a form, and what could not be said in it.
///
/// # Errors
/// What a form asks for and neither the run nor `about` knows.
pub fn export(run: &FinishedRun, rows: &[Row], form: Form, about: &About) -> Result<(Vec<File>, Vec<String>)> {
    match form {
        Form::EveryEvalEver => eee::files(run, rows, about),
        Form::HubResults => hub::files(run, about),
        Form::ModelCard => Ok((vec![("README.md".to_owned(), card::text(run, about)?.into_bytes())], Vec::new())),
        Form::Inspect => inspect::files(run, rows, about),
        Form::CycloneDx => Ok((vec![("bom.cdx.json".to_owned(), json(&cyclonedx::bom(run, about))?)], Vec::new())),
        Form::LmEval => lm_eval::files(run, rows, about),
    }
}

/// The text of a model card, for a release too.
///
/// # Errors
/// A run that measured nothing.
pub fn model_card(run: &FinishedRun, about: &About) -> Result<String> {
    card::text(run, about)
}

/// The ML-BOM of a run, for a release too.
///
/// # Errors
/// None that a run can cause.
pub fn ml_bom(run: &FinishedRun, about: &About) -> Result<Vec<u8>> {
    json(&cyclonedx::bom(run, about))
}

fn json(value: &Json) -> Result<Vec<u8>> {
    so8t_base::files::json(value)
}

/// The metric that stands for a run: the one that was named, else the first that a rule, the validation or the usual reports know.
///
/// # Errors
/// A metric that the run did not measure.
fn headline(run: &FinishedRun, about: &About) -> Result<Value> {
    let values = run.latest_values();
    let find = |name: &str| values.iter().find(|value| value.metric == name).cloned();
    if let Some(name) = &about.metric {
        return find(name).ok_or_else(|| {
            let known: Vec<&str> = values.iter().map(|value| value.metric.as_str()).collect();
            Error::manifest(format!("there is no value `{name}` in the run: expected one of `{}`", known.join("`, `")))
        });
    }
    let rule = run.report["accept"]["rules"][0]["metric"].as_str();
    let names = [rule, Some("classification.f1_macro"), Some("classification.accuracy")];
    let first = names.into_iter().flatten().find_map(find).or_else(|| values.first().cloned());
    first.ok_or_else(|| Error::data(format!("run `{}` measured nothing", run.name)))
}

/// Whether a larger value is better; absent where the run does not say.
fn higher_is_better(run: &FinishedRun, metric: &str) -> Option<bool> {
    match run.report["comparison"]["metrics"][metric]["better"].as_str() {
        Some("higher") => Some(true),
        Some("lower") => Some(false),
        _ => None,
    }
}

/// The time of a run in ISO form.
fn created(run: &FinishedRun) -> &str {
    run.report["run"]["created"].as_str().unwrap_or_default()
}

/// The model's name in other tools.
fn model_name(run: &FinishedRun, about: &About) -> String {
    about.model.clone().unwrap_or_else(|| format!("so8t/{}", run.name))
}

/// A number in few words.
fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text == "-" { "0".to_owned() } else { text.to_owned() }
}

/// A UUID (version 4 in form) that follows from a digest, so that equal runs have equal names.
fn uuid(digest: &str) -> String {
    let hex: Vec<char> = digest.chars().collect();
    let part = |from: usize, to: usize| hex[from..to].iter().collect::<String>();
    format!("{}-{}-4{}-8{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}
