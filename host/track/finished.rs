//! A finished run as it lies on the disk, held against its own seal.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value as Json;
use so8t_base::{Error, Result, files};

use crate::time;

/// The list of digests that ends a run.
pub const SEAL: &str = "SHA256SUMS";

/// A run that ended, read from its folder.
#[derive(Clone, Debug)]
pub struct FinishedRun {
    /// Its folder.
    pub folder: PathBuf,
    /// Its name in the manifest.
    pub name: String,
    /// The SHA-256 of its list of digests: two runs have the same only where every file of theirs is the same.
    pub digest: String,
    /// When it ended, in milliseconds since 1970.
    pub ended: i64,
    /// The digest of each file, by its path in the folder.
    pub files: BTreeMap<String, String>,
    /// `report.json`.
    pub report: Json,
    /// `so8t.toml`.
    pub manifest: toml::Table,
    /// What the lock file says.
    pub entries: Vec<Entry>,
    /// Every step of the training, in order.
    pub steps: Vec<Step>,
    /// Every validation, in order: a line of `validation.jsonl` each.
    pub validations: Vec<Json>,
}

/// One entry of the lock file.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    /// `component`, `model` or `data`.
    pub kind: String,
    /// The manifest's name for it.
    pub name: String,
    /// Where it was read.
    pub path: String,
    /// Its SHA-256.
    pub sha256: String,
}

/// One line of the training log.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Step {
    /// Counted from 1.
    pub step: u64,
    /// Epochs finished, as a fraction.
    pub epoch: f64,
    /// Mean loss of the step's completion tokens.
    pub loss: Option<f64>,
    /// Learning rate of the step.
    pub learning_rate: Option<f64>,
    /// Global norm of the gradient before clipping.
    pub gradient_norm: Option<f64>,
    /// Tokens seen so far.
    pub tokens: u64,
    /// Tokens of this step divided by its seconds.
    pub tokens_per_second: Option<f64>,
}

impl Step {
    /// The values that are shown over the steps, each with its name; what is not finite is left out.
    pub fn values(&self) -> Vec<(&'static str, f64)> {
        let all = [
            ("loss", self.loss),
            ("learning_rate", self.learning_rate),
            ("gradient_norm", self.gradient_norm),
            ("tokens_per_second", self.tokens_per_second),
            ("epoch", Some(self.epoch)),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| value.is_finite())?))).collect()
    }
}

/// One value of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// `before` or `after`.
    pub moment: String,
    /// The source; `None` for all rows.
    pub source: Option<String>,
    /// `plugin.metric`.
    pub metric: String,
    /// The value.
    pub value: f64,
    /// The ends of its 95 % interval.
    pub interval: Option<(f64, f64)>,
    /// How the interval was made.
    pub method: Option<String>,
    /// How many rows it rests on.
    pub n: u64,
    /// Whether these are too few to be believed.
    pub few: bool,
}

/// What the manifest's rules said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All are met.
    Accepted,
    /// One at least is not.
    Refused,
    /// There are none.
    NoRules,
}

impl Verdict {
    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::NoRules => "no rules",
        }
    }
}

/// One row of the predictions, as its reader gives it. It holds a text only where texts were asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Distinct within the evaluation.
    pub id: String,
    /// The source that it came from.
    pub source: String,
    /// The gold label.
    pub gold: String,
    /// The decision; `INVALID` is no label.
    pub decision: String,
    /// The probability of each label, in the order of [`FinishedRun::labels`].
    pub scores: Vec<f32>,
    /// How long it took.
    pub latency_ms: Option<f32>,
    /// The digest of the request.
    pub request: Option<String>,
    /// The request.
    pub text: Option<String>,
}

impl FinishedRun {
    /// Reads the folder of a run that ended, and holds every file that is read against its digest.
    ///
    /// # Errors
    /// A folder without a seal or a report; a file that is not as the run left it.
    pub fn read(folder: &Path) -> Result<Self> {
        let (digest, files) = seal(folder)?;
        let text = |name: &str| -> Result<Option<String>> {
            let Some(expected) = files.get(name) else { return Ok(None) };
            let bytes = bytes_of(folder, name, expected)?;
            let text = String::from_utf8(bytes).map_err(|_| Error::data(format!("`{name}`: expected UTF-8")))?;
            Ok(Some(text))
        };
        let report = text("report.json")?.ok_or_else(|| {
            Error::data(format!(
                "`{}` holds no `report.json`: expected the folder of `so8t run` or `so8t eval`",
                folder.display()
            ))
        })?;
        let report: Json = serde_json::from_str(&report).map_err(|e| Error::data(format!("`report.json`: {e}")))?;
        let schema = report["schema"].as_str().unwrap_or_default();
        if schema != "so8t.report/1" {
            return Err(Error::data(format!("`report.json`: expected schema `so8t.report/1`, found `{schema}`")));
        }
        let manifest = text("so8t.toml")?.unwrap_or_default();
        let manifest =
            manifest.parse().map_err(|e: toml::de::Error| Error::data(format!("`so8t.toml`: {}", e.message())))?;
        #[derive(Deserialize)]
        struct Lock {
            #[serde(default)]
            entry: Vec<Entry>,
        }
        let lock: Lock = toml::from_str(&text("so8t.lock")?.unwrap_or_default())
            .map_err(|e| Error::data(format!("`so8t.lock`: {}", e.message())))?;
        Ok(Self {
            folder: folder.to_owned(),
            name: report["run"]["name"].as_str().unwrap_or_default().to_owned(),
            digest,
            ended: time::milliseconds(report["run"]["created"].as_str().unwrap_or_default())?,
            manifest,
            entries: lock.entry,
            steps: lines("training.jsonl", &text("training.jsonl")?.unwrap_or_default())?,
            validations: lines("validation.jsonl", &text("validation.jsonl")?.unwrap_or_default())?,
            report,
            files,
        })
    }

    /// The bytes of a file of the run.
    ///
    /// # Errors
    /// A file that the run did not write, or that is not as it left it.
    pub fn file(&self, name: &str) -> Result<Vec<u8>> {
        let expected = self.files.get(name).ok_or_else(|| Error::data(format!("the run has no `{name}`")))?;
        bytes_of(&self.folder, name, expected)
    }

    /// The names of the labels, by id.
    pub fn labels(&self) -> Vec<String> {
        let labels = self.report["run"]["labels"].as_array().into_iter().flatten();
        labels.filter_map(|label| Some(label.as_str()?.to_owned())).collect()
    }

    /// What the manifest's rules said.
    pub fn verdict(&self) -> Verdict {
        match self.report["accept"]["accepted"].as_bool() {
            Some(true) => Verdict::Accepted,
            Some(false) => Verdict::Refused,
            None => Verdict::NoRules,
        }
    }

    /// The evaluation that counts: `after` where there is one.
    pub fn latest(&self) -> &'static str {
        if self.report["after"].is_object() { "after" } else { "before" }
    }

    /// Every value that is defined, in the report's order: of all rows, and then by source.
    pub fn values(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for moment in ["before", "after"] {
            let of = |metrics: &Json, source: Option<&str>, all: &mut Vec<Value>| {
                for (metric, own) in metrics.as_object().into_iter().flatten() {
                    let Some(value) = own["value"].as_f64().filter(|value| value.is_finite()) else { continue };
                    all.push(Value {
                        moment: moment.to_owned(),
                        source: source.map(str::to_owned),
                        metric: metric.clone(),
                        value,
                        interval: own["low"].as_f64().zip(own["high"].as_f64()),
                        method: own["method"].as_str().map(str::to_owned),
                        n: own["n"].as_u64().unwrap_or_default(),
                        few: own["few"].as_bool().unwrap_or_default(),
                    });
                }
            };
            of(&self.report[moment]["metrics"], None, &mut all);
            for (source, own) in self.report[moment]["sources"].as_object().into_iter().flatten() {
                of(&own["metrics"], Some(source), &mut all);
            }
        }
        all
    }

    /// The values of the evaluation that counts, over all rows.
    pub fn latest_values(&self) -> Vec<Value> {
        let latest = self.latest();
        self.values().into_iter().filter(|value| value.moment == latest && value.source.is_none()).collect()
    }

    /// Which base model was run, as the manifest names it.
    pub fn base(&self) -> String {
        let base = self.manifest.get("model").and_then(|model| model.get("base")?.as_str());
        base.or(self.report["run"]["model"].as_str()).unwrap_or("unknown").to_owned()
    }

    /// The files of what was trained, by their paths in the run's folder.
    pub fn trained_files(&self) -> Vec<&str> {
        let is_trained = |name: &&String| name.starts_with("adapter/") || name.starts_with("trained_model/");
        self.files.keys().filter(is_trained).map(String::as_str).collect()
    }
}

/// The digest of a run's seal, and what it says.
fn seal(folder: &Path) -> Result<(String, BTreeMap<String, String>)> {
    let path = folder.join(SEAL);
    if !path.is_file() {
        return Err(Error::data(format!(
            "`{}` has no `{SEAL}`: expected the folder of a run that ended",
            folder.display()
        ))
        .with_hint("the command that writes the folder writes it at its end; run it again"));
    }
    let text = files::read_text_at_most(&path, files::MOST_TEXT)?;
    let changed = || Error::data(format!("`{}` was changed: its own digest does not fit", path.display()));
    let own = "# sha256 of the lines above: ";
    let (body, last) = text.rfind(own).map(|place| text.split_at(place)).ok_or_else(changed)?;
    if last != format!("{own}{}\n", files::sha256(body.as_bytes())) {
        return Err(changed());
    }
    let entry = |line: &str| line.split_once("  ").map(|(digest, name)| (name.to_owned(), digest.to_owned()));
    let lines = body.lines().filter(|line| !line.starts_with('#'));
    let files = lines.map(entry).collect::<Option<_>>().ok_or_else(changed)?;
    Ok((files::sha256(text.as_bytes()), files))
}

/// Reads a file of a run, and holds it against its digest.
fn bytes_of(folder: &Path, name: &str, expected: &str) -> Result<Vec<u8>> {
    use std::io::Read as _;
    let path = folder.join(name);
    let mut bytes = Vec::new();
    let mut file = files::open_unlinked(&path)?.take(files::MOST_WHOLE);
    file.read_to_end(&mut bytes).map_err(|e| Error::io("read", &path, &e))?;
    let found = files::sha256(&bytes);
    match found == expected {
        true => Ok(bytes),
        false => Err(Error::data(format!(
            "`{name}` is not as the run left it: it has sha256 `{found}`, recorded is `{expected}`"
        ))
        .with_hint("`so8t verify RUN` names every file that was changed")),
    }
}

/// JSON lines.
fn lines<T: for<'de> Deserialize<'de>>(name: &str, text: &str) -> Result<Vec<T>> {
    let parse = |(index, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|e| Error::data(format!("`{name}`:{}: {e}", index + 1)))
    };
    text.lines().enumerate().map(parse).collect()
}
