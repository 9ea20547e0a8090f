//! A manifest resolved: every path exists, every name is known, every number is in range.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::accept::{self, RulePlan};
use super::calibrate::{self, CalibratePlan};
use super::location::{Location, nearest};
use super::{
    DataTable, DeviceChoice, Embeddings, Manifest, ManifestFile, Places, PluginTable, PolicyPlan, PredictTable,
    Quantization, Usage,
};
use super::{contamination, policy, provenance, quality, rebalance};
use crate::data::input::{self, Encoding, InputOptions};
use crate::data::{ContaminationSettings, Provenance, QualitySettings, RebalanceSettings, Training};
use crate::evaluate::Options;
use crate::plugin::presets::{self, Role};
use crate::plugin::{ComponentSource, PluginSpec, builtin};
use crate::train::{AnswerForm, TrainConfig};
use crate::{Error, Result};

/// What a run will do, checked as far as it can be without opening a plugin or a model.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The manifest that it came from.
    pub manifest: PathBuf,
    /// Where the manifest's keys stand.
    pub places: Places,
    /// The run's name.
    pub name: String,
    /// The seed of everything that is drawn.
    pub seed: u64,
    /// The run's folder.
    pub output: PathBuf,
    /// The base model, environment variables put in; `None` where the manifest has no `[model]`.
    pub base: Option<String>,
    /// What relative paths are relative to: the manifest's folder.
    pub folder: PathBuf,
    /// How the frozen weights are kept.
    pub quantization: Quantization,
    /// How the embedding and the head are kept, where the manifest says.
    pub embeddings: Option<Embeddings>,
    /// Where the model runs.
    pub device: DeviceChoice,
    /// The plugins that the run uses, by name.
    pub plugins: BTreeMap<String, PluginSpec>,
    /// The sources, in order.
    pub sources: Vec<SourcePlan>,
    /// The share that is held out.
    pub eval_share: f64,
    /// The prompt and the batches.
    pub predict: PredictTable,
    /// The metric plugins, in order.
    pub metrics: Vec<String>,
    /// How many bootstrap resamples the intervals rest on.
    pub resamples: u32,
    /// A value that rests on fewer rows is marked as resting on too few.
    pub min_support: u32,
    /// QLoRA, where it is asked for.
    pub train: Option<TrainConfig>,
    /// What is fitted on rows that are neither trained on nor evaluated, where it is asked for.
    pub calibrate: Option<CalibratePlan>,
    /// How evaluation requests are looked for in the training part, where it is asked for.
    pub contamination: Option<ContaminationSettings>,
    /// What becomes of personal data and secrets, where it is asked for.
    pub policy: Option<PolicyPlan>,
    /// The gates of the prepared set.
    pub quality: QualitySettings,
    /// How the training part is rebalanced, where it is asked for.
    pub rebalance: Option<RebalanceSettings>,
    /// The rules that the run must meet, in order.
    pub accept: Vec<RulePlan>,
}

/// One source of examples.
#[derive(Clone, Debug)]
pub struct SourcePlan {
    /// Its name in reports.
    pub name: String,
    /// Its files, in order; at least one. `-` is standard input.
    pub files: Vec<PathBuf>,
    /// How they are read.
    pub input: InputOptions,
    /// The converter's name in [`Plan::plugins`].
    pub converter: String,
    /// The mapper's name in [`Plan::plugins`].
    pub mapper: String,
    /// What it serves.
    pub usage: Usage,
    /// What must not straddle the split.
    pub group: GroupRule,
    /// The column or field that holds the kind of each request.
    pub category: String,
    /// The largest share of records that may be rejected.
    pub max_rejected: f64,
    /// Whether its texts are there to be judged alone.
    pub detection_only: bool,
    /// What the manifest says of where it comes from.
    pub provenance: Provenance,
}

impl SourcePlan {
    /// How its examples may be trained on.
    pub fn training(&self) -> Training {
        Training { detection_only: self.detection_only, ..Training::default() }
    }
}

/// Where an example's group comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupRule {
    /// The converter's `group` column.
    Converter,
    /// A column, or a field's path in the record.
    Field(String),
    /// A text with fields in braces: pieces of text and fields in turn.
    Template(Vec<(String, Option<String>)>),
}

impl Plan {
    /// How the metrics are driven.
    pub fn options(&self) -> Options {
        let Self { seed, resamples, min_support, .. } = *self;
        Options { seed, resamples, min_support, ..Options::default() }
    }
}

pub(super) fn resolve(file: &ManifestFile) -> Result<Plan> {
    let manifest = &file.manifest;
    let at = |span: std::ops::Range<usize>| Location::new(&file.path, &file.text, Some(span));
    let folder = match file.path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };

    let name = manifest.run.name.get_ref();
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\']) {
        return Err(at(manifest.run.name.span())
            .error(format!("`{name}` cannot name a run: expected a file name without `/`, not starting with `.`")));
    }
    let output = folder.join(manifest.run.output.clone().unwrap_or_else(|| format!("runs/{name}")));
    let model = manifest.model.as_ref();
    let base = model.map(|model| with_environment(&model.base, &at)).transpose()?;

    let mut plugins = BTreeMap::new();
    // The name under which the plan knows the plugin.
    let mut use_plugin = |reference: &Spanned<String>, role: Option<Role>| -> Result<String> {
        let name = reference.get_ref();
        let table = manifest.plugins.get(name);
        let preset = role.filter(|_| table.is_none()).and_then(|role| Some((role, presets::find(name, role)?)));
        // One name may stand for a converter and a mapper.
        let known = match preset {
            Some((Role::Mapper, _)) if !builtin::NAMES.contains(&name.as_str()) => format!("{name} (mapper)"),
            _ => name.clone(),
        };
        if !plugins.contains_key(&known) {
            let spec = match (table, preset) {
                (Some(table), _) => plugin(name, table.get_ref(), &folder, &at)?,
                (None, _) if builtin::NAMES.contains(&name.as_str()) => {
                    PluginSpec::new(name, ComponentSource::Builtin(name.clone()))
                }
                (None, Some((_, preset))) => PluginSpec {
                    config: preset.config.clone(),
                    ..PluginSpec::new(&known, ComponentSource::Builtin(preset.component.clone()))
                },
                (None, None) => return Err(no_such_plugin(manifest, reference, role, &at)),
            };
            plugins.insert(known.clone(), spec);
        }
        Ok(known)
    };

    let mut sources: Vec<SourcePlan> = Vec::new();
    for table in &manifest.data {
        if sources.iter().any(|s| s.name == *table.name.get_ref()) {
            return Err(at(table.name.span())
                .error(format!("there are two sources named `{}`: expected distinct names", table.name.get_ref())));
        }
        policy::require_licence(manifest.policy.as_ref(), table, &at)?;
        sources.push(SourcePlan {
            name: source_name(table, &at)?,
            files: source_files(table, &folder, &at)?,
            input: input_options(table, &at)?,
            converter: use_plugin(&table.converter, Some(Role::Converter))?,
            mapper: use_plugin(&table.mapper, Some(Role::Mapper))?,
            usage: table.usage,
            group: group_rule(table, &at)?,
            category: table.category.clone().unwrap_or_else(|| "category".to_owned()),
            max_rejected: table.max_rejected.unwrap_or(manifest.split.max_rejected),
            detection_only: table.detection_only,
            provenance: provenance::resolve(table, &at)?,
        });
        one_purpose(&sources, table, &at)?;
    }
    if let Some(second) = manifest
        .data
        .iter()
        .zip(&sources)
        .filter(|(_, plan)| plan.files.iter().any(|f| input::is_standard_input(f)))
        .nth(1)
    {
        return Err(at(second.0.name.span()).error("two sources read standard input (`-`): it can be read only once"));
    }
    if sources.is_empty() {
        return Err(Location::new(&file.path, &file.text, None)
            .error("there is no source: expected at least one `[[data]]` table")
            .with_hint("a source needs `name`, `path`, `converter` and `mapper`"));
    }
    if manifest.evaluate.metrics.is_empty() {
        return Err(Location::new(&file.path, &file.text, None)
            .error("`[evaluate] metrics` is empty: expected at least one metric, for example `classification`"));
    }
    let metrics = manifest.evaluate.metrics.iter().map(|name| use_plugin(name, None)).collect::<Result<Vec<_>>>()?;
    let share = manifest.split.eval;
    if !(share > 0.0 && share < 1.0) {
        return Err(Location::new(&file.path, &file.text, None)
            .error(format!("`[split] eval` is {share}: expected a share between 0 and 1, both left out")));
    }
    for (key, value) in [("batch", manifest.predict.batch), ("max_length", manifest.predict.max_length)] {
        if value < 16 {
            return Err(Location::new(&file.path, &file.text, None)
                .error(format!("`[predict] {key}` is {value}: expected at least 16 tokens")));
        }
    }

    if !(1..=65_536).contains(&manifest.predict.max_new_tokens) {
        return Err(Location::new(&file.path, &file.text, None).error(format!(
            "`[predict] max_new_tokens` is {}: expected 1 to 65536 tokens",
            manifest.predict.max_new_tokens
        )));
    }
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    let accept = manifest.accept.as_ref().map(|table| accept::resolve(table, &metrics, &names, &at)).transpose()?;
    let calibrate = manifest.calibrate.as_ref().map(|table| calibrate::resolve(table, &at)).transpose()?;
    if calibrate.is_some() && manifest.predict.mode == super::PredictMode::Generate {
        return Err(Location::new(&file.path, &file.text, None)
            .error("`[calibrate]` fits probabilities, which generated answers do not have".to_owned())
            .with_hint("leave `[calibrate]` out, or use `[predict] mode = \"score\"`"));
    }
    let thinks = manifest.train.as_ref().is_some_and(|config| config.answer == AnswerForm::Thinking);
    if thinks && manifest.predict.mode == super::PredictMode::Score {
        return Err(Location::new(&file.path, &file.text, None)
            .error("`[train] answer = \"thinking\"` trains answers that do not begin with a label, as `[predict] mode = \"score\"` expects".to_owned())
            .with_hint("use `[predict] mode = \"generate\"`"));
    }
    let contamination = manifest.contamination.as_ref().map(|table| contamination::resolve(table, &at)).transpose()?;

    Ok(Plan {
        manifest: file.path.clone(),
        places: Places::new(&file.path, &file.text),
        name: name.clone(),
        seed: manifest.run.seed,
        output,
        base,
        folder,
        quantization: model.map(|model| model.quantization).unwrap_or_default(),
        embeddings: model.and_then(|model| model.embeddings),
        device: model.map(|model| model.device).unwrap_or_default(),
        plugins,
        sources,
        eval_share: share,
        predict: manifest.predict.clone(),
        metrics,
        resamples: manifest.evaluate.resamples,
        min_support: manifest.evaluate.min_support,
        train: manifest.train.clone(),
        calibrate,
        contamination,
        policy: manifest.policy.as_ref().map(policy::resolve),
        quality: quality::resolve(manifest.quality.as_ref(), &at)?,
        rebalance: manifest.rebalance.as_ref().map(|table| rebalance::resolve(table, &at)).transpose()?,
        accept: accept.unwrap_or_default(),
    })
}

/// The error for a name that is neither the manifest's nor a standard plugin nor a preset.
fn no_such_plugin(manifest: &Manifest, reference: &Spanned<String>, role: Option<Role>, at: At<'_>) -> Error {
    let name = reference.get_ref();
    let presets = presets::all().keys().filter(|name| role.is_some_and(|role| presets::find(name, role).is_some()));
    let known: Vec<&str> = manifest
        .plugins
        .keys()
        .map(String::as_str)
        .chain(builtin::NAMES.iter().copied())
        .chain(presets.map(String::as_str))
        .collect();
    let error = at(reference.span()).error(format!(
        "there is no plugin `{name}`: expected a `[plugins.NAME]` of this manifest or a builtin (`{}`)",
        known.join("`, `")
    ));
    match nearest(name, known.into_iter()) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error.with_hint(format!("declare it: `[plugins.{name}]` with `component = \"…\"`")),
    }
}

pub(super) type At<'a> = &'a dyn Fn(std::ops::Range<usize>) -> Location<'a>;

fn source_name(table: &DataTable, at: At<'_>) -> Result<String> {
    let name = table.name.get_ref();
    if name.is_empty() || name.contains(char::is_control) {
        return Err(at(table.name.span()).error("a source's name is empty or holds control characters"));
    }
    if let Some(share) = table.max_rejected
        && !(0.0..=1.0).contains(&share)
    {
        return Err(at(table.name.span()).error(format!("`max_rejected` is {share}: expected a share from 0 to 1")));
    }
    Ok(name.clone())
}

/// Whether the last source reads a file of an earlier one under the other rule about targets.
fn one_purpose(sources: &[SourcePlan], table: &DataTable, at: At<'_>) -> Result<()> {
    let Some((last, others)) = sources.split_last() else { return Ok(()) };
    let canonical = |path: &PathBuf| std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    let own: std::collections::HashSet<PathBuf> = last.files.iter().map(canonical).collect();
    for other in others.iter().filter(|other| other.detection_only != last.detection_only) {
        if let Some(file) = other.files.iter().find(|file| own.contains(&canonical(file))) {
            let (only, free) = if last.detection_only { (last, other) } else { (other, last) };
            return Err(at(table.name.span())
                .error(format!(
                    "`{}` is read by source `{}`, which is `detection_only`, and by `{}`, which is not",
                    file.display(),
                    only.name,
                    free.name
                ))
                .with_hint("give both `detection_only = true`, or read the file once"));
        }
    }
    Ok(())
}

/// The files that a source's paths name; a glob's matches and a folder's files are sorted.
fn source_files(table: &DataTable, folder: &Path, at: At<'_>) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in table.path.iter() {
        let text = with_environment(path, at)?;
        if text == input::STANDARD_INPUT {
            files.push(PathBuf::from(text));
            continue;
        }
        let full = folder.join(&text);
        if full.is_file() {
            files.push(full);
            continue;
        }
        if full.is_dir() {
            let below = input::files_below(&full)?;
            if below.is_empty() {
                return Err(at(path.span())
                    .error(format!("the folder `{}` holds no data file", full.display()))
                    .with_hint(format!(
                        "a data file's name ends with `{}`, perhaps with `.gz` or `.zst` behind it; name others one by one",
                        input::ENDINGS.join("`, `")
                    )));
            }
            files.extend(below);
            continue;
        }
        if !text.contains(['*', '?', '[']) {
            return Err(at(path.span())
                .error(format!("`{}` does not exist: expected a data file or a folder", full.display()))
                .with_hint("paths are relative to the manifest; `*` matches several files"));
        }
        let before = files.len();
        let matches = glob::glob(&full.to_string_lossy())
            .map_err(|e| at(path.span()).error(format!("`{text}` is not a pattern: {}", e.msg)))?;
        for entry in matches {
            let entry = entry.map_err(|e| Error::io("read", e.path(), e.error()))?;
            if entry.is_file() {
                files.push(entry);
            }
        }
        if files.len() == before {
            return Err(at(path.span()).error(format!("`{}` matches no file", full.display())));
        }
        files[before..].sort();
    }
    let mut seen = std::collections::HashSet::new();
    files.retain(|file| seen.insert(file.clone()));
    if files.is_empty() {
        return Err(at(table.name.span()).error("`path` is an empty list: expected at least one data file"));
    }
    Ok(files)
}

fn input_options(table: &DataTable, at: At<'_>) -> Result<InputOptions> {
    let Some(name) = &table.encoding else { return Ok(InputOptions::default()) };
    let encoding: Encoding = name.get_ref().parse().map_err(|what| at(name.span()).error(what))?;
    Ok(InputOptions { encoding: Some(encoding) })
}

fn plugin(name: &str, table: &PluginTable, folder: &Path, at: At<'_>) -> Result<PluginSpec> {
    let text = with_environment(&table.component, at)?;
    let component = match text.strip_prefix("builtin:") {
        Some(builtin) if builtin::NAMES.contains(&builtin) => ComponentSource::Builtin(builtin.to_owned()),
        Some(builtin) => {
            return Err(at(table.component.span())
                .error(format!("there is no builtin `{builtin}`: expected one of `{}`", builtin::NAMES.join("`, `"))));
        }
        None if text.starts_with("oci://") => {
            let parsed = text.parse().map_err(|e: String| {
                at(table.component.span()).error(e).with_hint("a remote component is `oci://REGISTRY/NAME:TAG`")
            });
            ComponentSource::Oci(parsed?)
        }
        None => {
            let path = folder.join(&text);
            if !path.is_file() {
                return Err(at(table.component.span())
                    .error(format!("`{}` does not exist: expected a component file", path.display()))
                    .with_hint(
                        "a component is `builtin:NAME`, `oci://REGISTRY/NAME:TAG` or a path relative to the manifest",
                    ));
            }
            ComponentSource::Path(path)
        }
    };
    if let Some(digest) = &table.sha256
        && !(digest.get_ref().len() == 64 && digest.get_ref().bytes().all(|b| b.is_ascii_hexdigit()))
    {
        return Err(
            at(digest.span()).error(format!("`{}` is not a SHA-256: expected 64 hexadecimal digits", digest.get_ref()))
        );
    }
    let config = serde_json::to_value(&table.config)
        .map_err(|e| at(table.component.span()).error(format!("`[plugins.{name}.config]` has no JSON form: {e}")))?;
    let limits = table.limits.clone();
    limits.check().map_err(|e| at(table.component.span()).error(format!("`[plugins.{name}.limits]`: {e}")))?;
    Ok(PluginSpec {
        name: name.to_owned(),
        component,
        sha256: table.sha256.as_ref().map(|d| d.get_ref().to_ascii_lowercase()),
        config,
        limits,
        texts: table.texts,
    })
}

fn group_rule(table: &DataTable, at: At<'_>) -> Result<GroupRule> {
    let Some(rule) = &table.group else { return Ok(GroupRule::Converter) };
    let text = rule.get_ref();
    if text.is_empty() {
        return Err(at(rule.span()).error("`group` is empty: expected a column, a field, or a text with `{row}`"));
    }
    if !text.contains('{') {
        return Ok(GroupRule::Field(text.clone()));
    }
    let mut pieces = Vec::new();
    let mut rest = text.as_str();
    while let Some(open) = rest.find('{') {
        let close = rest[open..]
            .find('}')
            .ok_or_else(|| at(rule.span()).error(format!("`{text}` has a `{{` without its `}}`")))?
            + open;
        pieces.push((rest[..open].to_owned(), Some(rest[open + 1..close].to_owned())));
        rest = &rest[close + 1..];
    }
    pieces.push((rest.to_owned(), None));
    Ok(GroupRule::Template(pieces))
}

/// Puts environment variables, written `${NAME}`, into a value.
fn with_environment(value: &Spanned<String>, at: At<'_>) -> Result<String> {
    let text = value.get_ref();
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find("${") {
        let length = rest[start..]
            .find('}')
            .ok_or_else(|| at(value.span()).error(format!("`{text}` has a `${{` without its `}}`")))?;
        let name = &rest[start + 2..start + length];
        let content = std::env::var(name).map_err(|_| {
            at(value.span())
                .error(format!("the environment variable `{name}` is not set, and `{text}` needs it"))
                .with_hint(format!("set it before the command: `{name}=… so8t …`"))
        })?;
        out.push_str(&rest[..start]);
        out.push_str(&content);
        rest = &rest[start + length + 1..];
    }
    out.push_str(rest);
    Ok(out)
}
