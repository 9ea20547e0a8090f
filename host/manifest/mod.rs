#![doc = include_str!("README.md")]

mod accept;
mod calibrate;
mod contamination;
mod environment;
mod places;
mod plan;
mod policy;
mod provenance;
mod quality;
mod rebalance;
mod renamed;
mod schema;
mod search;
mod serve;
mod sources;
mod track;
mod train;
mod types;
mod validation;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

pub use accept::{AcceptTable, RulePlan, RuleTable, check_metric, parse_rule};
pub use calibrate::{CalibratePlan, CalibrateTable};
pub use contamination::ContaminationTable;
pub use environment::Environment;
pub use places::Places;
pub use plan::Plan;
pub use policy::{PolicyPlan, PolicyTable};
pub use provenance::Day;
pub use quality::{BoundsTable, LeastTable, LongTable, MostTable, NearTable, QualityTable};
pub use rebalance::RebalanceTable;
pub use schema::{reference, schema};
pub(crate) use search::at as value_at;
pub use search::{ConstraintTable, DomainTable, Goal, HalvingTable, SearchPlan, SearchTable};
pub use serve::{ServePlan, ServeTable};
pub use sources::{GroupRule, SourcePlan};
pub use track::TrackTable;
pub use validation::ValidationPlan;

pub use crate::data::Usage;
use crate::kernels::gemm::Compute;
use crate::location::{self, Location};
pub use crate::model::device::DeviceChoice;
pub use crate::model::network::{Embeddings, Quantization};
use crate::plugin::Limits;
use crate::train::TrainConfig;
use crate::{Result, files};

/// The manifest as it is written.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `[run]`: the run's name, seed and output folder.
    pub run: RunTable,
    /// `[model]`: the base model; data are prepared without one.
    pub model: Option<ModelTable>,
    /// `[plugins.NAME]`: named components with their configuration.
    #[serde(default)]
    #[schemars(with = "std::collections::BTreeMap<String, PluginTable>")]
    pub plugins: std::collections::BTreeMap<String, Spanned<PluginTable>>,
    /// `[[data]]`: the sources.
    #[serde(default)]
    pub data: Vec<DataTable>,
    /// `[split]`: how the sources with `use = "both"` are parted.
    #[serde(default)]
    pub split: SplitTable,
    /// `[predict]`: the prompt and the batches.
    #[serde(default)]
    pub predict: PredictTable,
    /// `[evaluate]`: what is measured.
    #[serde(default)]
    pub evaluate: EvaluateTable,
    /// `[train]`: QLoRA, or training of all weights; without it nothing is trained.
    #[serde(default)]
    pub train: Option<TrainConfig>,
    /// `[calibrate]`: temperature and thresholds; without it the model's own probabilities are judged.
    #[serde(default)]
    pub calibrate: Option<CalibrateTable>,
    /// `[contamination]`: whether evaluation requests are looked for in the training part.
    #[serde(default)]
    pub contamination: Option<ContaminationTable>,
    /// `[redaction]`: what becomes of personal data and secrets; without it nothing is looked for.
    #[serde(default)]
    #[serde(alias = "policy")]
    pub redaction: Option<PolicyTable>,
    /// `[quality]`: the gates of the prepared set.
    #[serde(default)]
    pub quality: Option<QualityTable>,
    /// `[rebalance]`: how the classes of the training part are balanced.
    #[serde(default)]
    pub rebalance: Option<RebalanceTable>,
    /// `[accept]`: the rules that the run must meet; without it there is no verdict.
    #[serde(default)]
    pub accept: Option<AcceptTable>,
    /// `[serve]`: how the finished run answers requests.
    #[serde(default)]
    pub serve: Option<ServeTable>,
    /// `[search]`: what `so8t search` searches; other commands do not look at it.
    #[serde(default)]
    pub search: Option<SearchTable>,
    /// `[track]`: where a run is shown while it works.
    #[serde(default)]
    pub track: Option<TrackTable>,
}

/// `[run]`.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunTable {
    /// The run's name; part of the default output folder.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// The seed of everything that is drawn: split, order, dropout, resampling.
    #[serde(default)]
    pub seed: u64,
    /// The run's folder, relative to the manifest, `${NAME}` for an environment variable; `runs/NAME` where absent.
    #[schemars(with = "Option<String>")]
    pub output: Option<Spanned<String>>,
}

/// `[model]`.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelTable {
    /// A Hugging Face folder, a GGUF file, or `hf:org/name@revision`; `${NAME}` in a path puts in an environment variable.
    #[schemars(with = "String")]
    pub base: Spanned<String>,
    /// How the frozen weights are kept.
    #[serde(default)]
    pub quantization: Quantization,
    /// How the embedding and the head are kept; what `quantization` says where absent.
    pub embeddings: Option<Embeddings>,
    /// Where the model runs.
    #[serde(default)]
    pub device: DeviceChoice,
}

/// `[plugins.NAME]`.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PluginTable {
    /// `builtin:NAME`, `oci://REGISTRY/NAME:TAG`, or the path of a component relative to the manifest.
    #[schemars(with = "String")]
    pub component: Spanned<String>,
    /// The digest that the component must have.
    #[schemars(with = "Option<String>")]
    pub sha256: Option<Spanned<String>>,
    /// Handed to the plugin as JSON.
    #[serde(default)]
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    pub config: toml::Table,
    /// What one call may use.
    #[serde(default)]
    pub limits: Limits,
    /// Whether a metric asks to see the requests' text, which the host's policy must grant.
    #[serde(default)]
    pub texts: bool,
}

/// `[[data]]`.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataTable {
    /// The source's name in reports.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// One path or several, relative to the manifest: files, folders, globs, or `-` for standard input; `${NAME}` puts in an
    /// environment variable.
    #[schemars(with = "OneOrManyTexts")]
    pub path: OneOrMany,
    /// What the text is in, where that is not UTF-8 and cannot be told with certainty.
    #[schemars(with = "Option<String>")]
    pub encoding: Option<Spanned<String>>,
    /// A plugin's name.
    #[schemars(with = "String")]
    pub converter: Spanned<String>,
    /// A plugin's name.
    #[schemars(with = "String")]
    pub mapper: Spanned<String>,
    /// What the source serves.
    #[serde(rename = "use", default)]
    pub usage: Usage,
    /// What must not straddle the split: a column, a field's path, or a text with `{row}`, `{line}`, `{file}`, `{FIELD}`.
    #[schemars(with = "Option<String>")]
    pub group: Option<Spanned<String>>,
    /// The kind of each request: a column, or a field's path; the field `category` where absent.
    pub category: Option<String>,
    /// The largest share of records that may be rejected; more fails the run.
    pub max_rejected: Option<f64>,
    /// Whether its texts are there to be judged alone: no model may learn to write them.
    #[serde(default)]
    pub detection_only: bool,
    /// The licence: an SPDX expression or a sentence.
    #[schemars(with = "Option<String>")]
    pub licence: Option<Spanned<String>>,
    /// Where it was taken from.
    #[schemars(with = "Option<String>")]
    pub origin: Option<Spanned<String>>,
    /// The day on which it was.
    #[schemars(with = "Option<String>")]
    pub collected_at: Option<Day>,
    /// What terms of use, or a site's robots.txt, say of it.
    #[schemars(with = "Option<String>")]
    pub terms: Option<Spanned<String>>,
}

/// A string or a list of strings. Each has the place of the whole value.
#[derive(Clone, Debug)]
pub struct OneOrMany(Vec<Spanned<String>>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a path or a list of paths")]
        enum Texts {
            One(String),
            Many(Vec<String>),
        }
        // Places do not survive the buffer of an untagged value, so the place is taken around it.
        let value = Spanned::<Texts>::deserialize(deserializer)?;
        let span = value.span();
        let texts = match value.into_inner() {
            Texts::One(text) => vec![text],
            Texts::Many(texts) => texts,
        };
        Ok(Self(texts.into_iter().map(|text| Spanned::new(span.clone(), text)).collect()))
    }
}

/// What [`OneOrMany`] is written as.
#[derive(schemars::JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is there for its schema")]
enum OneOrManyTexts {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Spanned<String>> {
        self.0.iter()
    }
}

/// `[split]`.
#[derive(Clone, Copy, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SplitTable {
    /// The share of examples that is held out for evaluation, between 0 and 1.
    pub eval: f64,
    /// The largest share of a source's records that may be rejected, where the source does not say.
    pub max_rejected: f64,
}

impl Default for SplitTable {
    fn default() -> Self {
        Self { eval: 0.2, max_rejected: 0.05 }
    }
}

/// `[predict]`.
#[derive(Clone, Debug, Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PredictTable {
    /// The user's turn: a text with `{instruction}` and `{input}`.
    pub template: Option<String>,
    /// The system's turn: what the model is told to judge by.
    #[serde(rename(serialize = "policy"), alias = "policy")]
    pub system_prompt: Option<String>,
    /// How many tokens a batch holds at the most.
    pub batch: usize,
    /// How many tokens a prompt may have; longer requests are cut, and counted.
    pub max_length: usize,
    /// How a decision is made.
    pub mode: PredictMode,
    /// The most tokens of a generated answer.
    pub max_new_tokens: usize,
    /// The precision of matrix products when the model predicts, whatever a training computes in: `f32`, or `bf16` where the processor has it.
    #[serde(skip_serializing_if = "is_f32")]
    pub compute: Compute,
    /// The day that it is for the chat template, as 2025-01-31: what `strftime_now` says in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub date: Option<Day>,
    /// Variables that the chat template reads, such as `enable_thinking`.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty", deserialize_with = "template_variables")]
    pub template_variables: serde_json::Map<String, serde_json::Value>,
}

fn is_f32(compute: &Compute) -> bool {
    *compute == Compute::F32
}

/// Tables, lists, texts, numbers and booleans as JSON; a date has no form in it.
fn template_variables<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<serde_json::Map<String, serde_json::Value>, D::Error> {
    fn json(value: toml::Value) -> std::result::Result<serde_json::Value, &'static str> {
        Ok(match value {
            toml::Value::String(text) => text.into(),
            toml::Value::Integer(whole) => whole.into(),
            toml::Value::Float(number) => {
                serde_json::Number::from_f64(number).map(Into::into).ok_or("expected a finite number")?
            }
            toml::Value::Boolean(value) => value.into(),
            toml::Value::Datetime(_) => return Err("expected a text where a template needs a date"),
            toml::Value::Array(list) => list.into_iter().map(json).collect::<std::result::Result<Vec<_>, _>>()?.into(),
            toml::Value::Table(table) => table
                .into_iter()
                .map(|(name, value)| Ok((name, json(value)?)))
                .collect::<std::result::Result<serde_json::Map<_, _>, &'static str>>()?
                .into(),
        })
    }
    let table = toml::Table::deserialize(deserializer)?;
    let pair = |(name, value)| json(value).map(|value| (name, value)).map_err(serde::de::Error::custom);
    table.into_iter().map(pair).collect()
}

impl PredictTable {
    /// The tokens that an answer may take besides the prompt's.
    pub fn answer_room(&self) -> usize {
        if self.mode == PredictMode::Generate { self.max_new_tokens } else { 0 }
    }
}

/// How a decision is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PredictMode {
    /// Every label is scored as the answer: a probability for each, nothing to parse.
    #[default]
    Score,
    /// An answer is generated and read; one that names no label is INVALID.
    Generate,
}

impl Default for PredictTable {
    fn default() -> Self {
        Self {
            template: None,
            system_prompt: None,
            batch: 4096,
            max_length: 2048,
            mode: PredictMode::Score,
            max_new_tokens: 256,
            compute: Compute::F32,
            date: None,
            template_variables: serde_json::Map::new(),
        }
    }
}

/// `[evaluate]`.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluateTable {
    /// Names of metric plugins.
    #[schemars(with = "Vec<String>")]
    pub metrics: Vec<Spanned<String>>,
    /// Values, as `plugin.metric`, that stand at the top of every report beside the standard ones.
    #[schemars(with = "Vec<String>")]
    pub headline: Vec<Spanned<String>>,
    /// How many bootstrap resamples the intervals rest on.
    pub resamples: u32,
    /// A value that rests on fewer rows is shown as resting on too few.
    pub min_support: u32,
}

impl Default for EvaluateTable {
    fn default() -> Self {
        let metrics = vec![Spanned::new(0..0, "classification".to_owned())];
        Self { metrics, headline: Vec::new(), resamples: 1000, min_support: 10 }
    }
}

/// A manifest with the text that it was read from, so that every message can say where.
#[derive(Clone, Debug)]
pub struct ManifestFile {
    /// Where it was read.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// What it says.
    pub manifest: Manifest,
    /// Which environment variables its paths may use.
    environment: Environment,
}

impl ManifestFile {
    /// Reads and parses a manifest.
    ///
    /// # Errors
    /// A file that cannot be read; a syntax error, an unknown key, or a wrong type, with line and column.
    pub fn read(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Err(crate::Error::manifest(format!("`{}` is a folder: expected a manifest file", path.display()))
                .with_hint(format!("try `{}`", path.join("so8t.toml").display())));
        }
        Self::parse(path, files::read_text_at_most(path, files::MOST_TEXT)?)
    }

    /// Which environment variables its paths may use.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Lets its paths use these environment variables; without it those of the program.
    #[must_use]
    pub fn with_environment(mut self, environment: &Environment) -> Self {
        self.environment = environment.clone();
        self
    }

    /// A note for each key that is written by an earlier name, with its place.
    pub fn notes(&self) -> Vec<String> {
        renamed::notes(&self.path, &self.text)
    }

    /// Parses the text of a manifest as if it stood at `path`.
    ///
    /// # Errors
    /// A syntax error, an unknown key, or a wrong type, with line and column.
    pub fn parse(path: &Path, text: String) -> Result<Self> {
        let manifest = toml::from_str(&text)
            .map_err(|e| Location::new(path, &text, e.span()).parse_error(&e).rewritten(types::in_words))?;
        Ok(Self { path: path.to_owned(), text, manifest, environment: Environment::of_program() })
    }

    /// Resolves the manifest into a plan whose paths exist and whose names are known.
    ///
    /// # Errors
    /// The first value that does not hold, with line and column.
    pub fn resolve(&self) -> Result<Plan> {
        plan::resolve(self, plan::Scope::Whole)
    }

    /// As [`resolve`](Self::resolve), for what only decides on requests: the data files need not be there, and metrics and rules are left out.
    ///
    /// # Errors
    /// The first value that does not hold, with line and column.
    pub fn resolve_to_decide(&self) -> Result<Plan> {
        plan::resolve(self, plan::Scope::Deciding)
    }
}
