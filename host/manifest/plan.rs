//! A manifest resolved: every path exists, every name is known, every number is in range.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::accept::{self, RulePlan};
use super::calibrate::{self, CalibratePlan};
use super::environment::none_in;
use super::location::{Location, nearest};
use super::places::At;
use super::serve::{self, ServePlan};
use super::sources::{self, SourcePlan};
use super::train;
use super::validation::ValidationPlan;
use super::{
    DeviceChoice, Embeddings, Manifest, ManifestFile, Places, PluginTable, PolicyPlan, PredictTable, Quantization,
};
use super::{SearchPlan, contamination, policy, quality, rebalance, search, track};
use crate::data::input;
use crate::data::{ContaminationSettings, QualitySettings, RebalanceSettings};
use crate::evaluate::Options;
use crate::plugin::presets::{self, Role};
use crate::plugin::{Bounds, ComponentSource, PluginSpec, builtin};
use crate::train::TrainConfig;
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
    /// Values of them that stand at the top of a report, each with its place in the manifest.
    pub headline: Vec<(String, String)>,
    /// How many bootstrap resamples the intervals rest on.
    pub resamples: u32,
    /// A value that rests on fewer rows is marked as resting on too few.
    pub min_support: u32,
    /// QLoRA, where it is asked for.
    pub train: Option<TrainConfig>,
    /// What is measured while training, where it is asked for.
    pub validation: Option<ValidationPlan>,
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
    /// How the finished run answers requests.
    pub serve: ServePlan,
    /// What is searched, where it is asked for.
    pub search: Option<SearchPlan>,
    /// The share of the training part that takes the place of the evaluation part, in a trial of a search.
    pub trial_share: Option<f64>,
    /// What the host's policy lets its data and its metrics come to; the defaults until a policy is asked.
    pub bounds: Bounds,
}

impl Plan {
    /// How the metrics are driven.
    pub fn options(&self) -> Options {
        let Self { seed, resamples, min_support, .. } = *self;
        Options { seed, resamples, min_support, bounds: self.bounds.evaluation, ..Options::default() }
    }
}

/// How much of a manifest must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// All of it.
    Whole,
    /// What decides on requests: the model, the prompt, the calibration, the policy, and how sources are read. Data files need not be there, and
    /// metrics and rules are left out.
    Deciding,
}

pub(super) fn resolve(file: &ManifestFile, scope: Scope) -> Result<Plan> {
    let is_whole = scope == Scope::Whole;
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
    let output = match &manifest.run.output {
        Some(output) => folder.join(file.environment.path(output, &at)?),
        None => folder.join(format!("runs/{name}")),
    };
    let model = manifest.model.as_ref();
    if let Some(model) = model.filter(|model| model.base.get_ref() == "?") {
        return Err(at(model.base.span())
            .error(
                "`base = \"?\"` is an open question: expected a model's folder, a GGUF file, or `hf:org/name@revision`",
            )
            .with_hint("`so8t model inspect PATH` says what a model is and whether it fits here"));
    }
    let base = model.map(|model| file.environment.path(&model.base, &at)).transpose()?;

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
        policy::require_licence(manifest.redaction.as_ref(), table, &at)?;
        sources.push(sources::resolve(
            table,
            (&folder, &file.environment),
            (manifest.split.max_rejected, is_whole),
            &mut use_plugin,
            &at,
        )?);
        sources::one_purpose(&sources, table, &at)?;
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
    let metrics: &[_] = if is_whole { &manifest.evaluate.metrics } else { &[] };
    if is_whole && metrics.is_empty() {
        return Err(Location::new(&file.path, &file.text, None)
            .error("`[evaluate] metrics` is empty: expected at least one metric, for example `classification`"));
    }
    let metrics = metrics.iter().map(|name| use_plugin(name, None)).collect::<Result<Vec<_>>>()?;
    let headline: &[Spanned<String>] = if is_whole { &manifest.evaluate.headline } else { &[] };
    if let Some(name) = headline.iter().find(|name| !accept::is_of_a_plugin(name.get_ref(), &metrics)) {
        return Err(at(name.span()).error(format!(
            "`{}` is no metric: expected `PLUGIN.METRIC` with a plugin of `[evaluate] metrics`",
            name.get_ref()
        )));
    }
    let headline = headline.iter().map(|name| (name.get_ref().clone(), at(name.span()).place())).collect();
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

    if let Some(day) = manifest.predict.date.as_ref().filter(|day| !crate::data::is_date(day.text())) {
        return Err(at(day.span())
            .error(format!("`[predict] date` is `{}`: expected a day that exists, as YYYY-MM-DD", day.text())));
    }

    if !(1..=65_536).contains(&manifest.predict.max_new_tokens) {
        return Err(Location::new(&file.path, &file.text, None).error(format!(
            "`[predict] max_new_tokens` is {}: expected 1 to 65536 tokens",
            manifest.predict.max_new_tokens
        )));
    }
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    let accept = manifest.accept.as_ref().filter(|_| is_whole);
    let accept = accept.map(|table| accept::resolve(table, &metrics, &names, &at)).transpose()?;
    let calibrate = manifest.calibrate.as_ref().map(|table| calibrate::resolve(table, &at)).transpose()?;
    if calibrate.is_some() && manifest.predict.mode == super::PredictMode::Generate {
        return Err(Location::new(&file.path, &file.text, None)
            .error("`[calibrate]` fits probabilities, which generated answers do not have".to_owned())
            .with_hint("leave `[calibrate]` out, or use `[predict] mode = \"score\"`"));
    }
    let contamination = manifest.contamination.as_ref().map(|table| contamination::resolve(table, &at)).transpose()?;

    let places = Places::new(&file.path, &file.text);
    let validation = if is_whole { train::resolve(manifest, &metrics, &places)? } else { None };
    let search = match manifest.search.as_ref().filter(|_| is_whole) {
        Some(table) => {
            let text = toml::from_str(&file.text)
                .map_err(|e| Location::new(&file.path, &file.text, e.span()).parse_error(&e))?;
            Some(search::resolve(table, manifest, &metrics, &places, &text)?)
        }
        None => None,
    };
    manifest.track.as_ref().map(|table| track::check(table, &places)).transpose()?;

    Ok(Plan {
        manifest: file.path.clone(),
        places,
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
        headline,
        resamples: manifest.evaluate.resamples,
        min_support: manifest.evaluate.min_support,
        train: manifest.train.clone(),
        validation,
        calibrate,
        serve: manifest.serve.as_ref().map(|table| serve::resolve(table, &at)).transpose()?.unwrap_or_default(),
        contamination,
        policy: manifest.redaction.as_ref().map(policy::resolve),
        quality: quality::resolve(manifest.quality.as_ref(), &at)?,
        rebalance: manifest.rebalance.as_ref().map(|table| rebalance::resolve(table, &at)).transpose()?,
        accept: accept.unwrap_or_default(),
        search,
        trial_share: None,
        bounds: Bounds::default(),
    })
}

/// The error for a name that is neither the manifest's nor a standard plugin nor a preset.
fn no_such_plugin(manifest: &Manifest, reference: &Spanned<String>, role: Option<Role>, at: At<'_>) -> Error {
    let name = reference.get_ref();
    // What an inspection leaves open.
    if name == "?" {
        return at(reference.span())
            .error(format!(
                "`?` is a question of `so8t data inspect`: expected the name of a {}",
                match role {
                    Some(Role::Converter) => "converter",
                    Some(Role::Mapper) => "mapper",
                    None => "plugin",
                }
            ))
            .with_hint("the comment above it says what could not be told of the file");
    }
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

fn plugin(name: &str, table: &PluginTable, folder: &Path, at: At<'_>) -> Result<PluginSpec> {
    let text = none_in(&table.component, at)?;
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
            let path = folder.join(text);
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
