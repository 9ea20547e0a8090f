//! The adapter that a folder of PEFT's files holds. Which modules it adapts, its tensors say; the settings have to agree with them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fancy_regex::Regex;
use safetensors::SafeTensors;

use super::adapter_settings::{self, Begun, Stated};
use super::begun;
use super::peft::{SETTINGS, TENSORS, read_tensor};
use so8t_base::{Error, Result, files};
use so8t_model::modules::{EXPRESSION, LinearModule, Pattern, linears};
use so8t_model::network::{AdapterSettings, PREFIX};
use so8t_model::{ModelConfig, Weights, recognise};

/// An adapter, held against a model.
pub(super) struct AdapterFile {
    /// Which modules are adapted, and how.
    pub settings: AdapterSettings,
    /// By PEFT's names.
    pub tensors: BTreeMap<String, Vec<f32>>,
    /// What the user should know, such as a name that matches nothing.
    pub warnings: Vec<String>,
}

impl AdapterFile {
    /// Reads a folder. `base` are the weights of the model, which an adapter needs that did not begin at 0.
    ///
    /// Errors: settings of a kind of LoRA that is not implemented; tensors that the settings do not speak of, or that no module takes; a tensor
    /// that is missing, has another shape or type, or holds a number that is not finite.
    pub(super) fn read(folder: &Path, config: &ModelConfig, base: Option<&Weights>) -> Result<Self> {
        recognise::adapter_folder(folder)?;
        let settings_path = folder.join(SETTINGS);
        let in_settings = |e: Error| e.context(format!("`{}`", settings_path.display()));
        let value = recognise::json(&settings_path)?;
        let stated = adapter_settings::read(&value).map_err(in_settings)?;

        let path = folder.join(TENSORS);
        let in_tensors = |e: Error| e.context(format!("`{}`", path.display()));
        let bytes = files::read(&path)?;
        recognise::safetensors(&bytes).map_err(in_tensors)?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| in_tensors(Error::model(e.to_string())))?;
        let names: BTreeSet<&str> = tensors.names().into_iter().collect();

        let (settings, warnings) = selected(&stated, config, &names).map_err(in_settings)?;
        let warnings = warnings.into_iter().map(|text| format!("`{}`: {text}", settings_path.display())).collect();
        let modules = settings.modules(config).map_err(in_settings)?;
        let mut out = BTreeMap::new();
        for adapted in &modules {
            for (name, shape) in adapted.tensors(settings.dora) {
                let values = read_tensor(&tensors, &name, &shape).map_err(in_tensors)?;
                out.insert(name, values);
            }
        }
        if let Some(name) = names.into_iter().find(|name| !out.contains_key(*name)) {
            return Err(in_tensors(Error::model(format!("no module of this model takes the tensor `{name}`"))));
        }
        let mut file = Self { settings, tensors: out, warnings };
        if stated.begun != Begun::Plain {
            let base = base.ok_or_else(|| Error::internal("an adapter that needs the weights of its base"))?;
            begun::take_off(&mut file.settings, &mut file.tensors, modules, stated.begun, base).map_err(in_settings)?;
        }
        Ok(file)
    }
}

/// The settings that name the modules of which `tensors` holds an adapter, and what is odd about those of the file.
fn selected(stated: &Stated, config: &ModelConfig, tensors: &BTreeSet<&str>) -> Result<(AdapterSettings, Vec<String>)> {
    let settings = &stated.settings;
    let is_adapted =
        |module: &LinearModule| tensors.contains(format!("{PREFIX}{}.lora_A.weight", module.path).as_str());
    let linears = linears(config);
    // As a manifest is read: each name matches, and what they match is what is there.
    if stated.layers_pattern.is_empty()
        && let Ok(modules) = settings.modules(config)
    {
        let named: BTreeSet<&str> = modules.iter().map(|adapted| adapted.module.path.as_str()).collect();
        if linears.iter().all(|module| is_adapted(module) == named.contains(module.path.as_str()))
            && modules.iter().all(|adapted| adapted.module.fused.is_none())
        {
            return Ok((settings.clone(), Vec::new()));
        }
    }
    let mut warnings = Vec::new();
    let targets = Names::new("target_modules", &settings.targets, &mut warnings);
    let excluded = Names::new("exclude_modules", &settings.exclude, &mut warnings);
    let layers = Layers::new(stated)?;
    let is_meant = |module: &LinearModule| {
        targets.matches(&module.path) && !excluded.matches(&module.path) && layers.matches(&module.path)
    };
    for module in &linears {
        let path = &module.path;
        match (is_adapted(module), is_meant(module)) {
            (true, false) if targets.is_sure => {
                return Err(Error::model(format!(
                    "field `target_modules`: expected it to name `{path}`, of which `{TENSORS}` holds an adapter"
                )));
            }
            (false, true) if excluded.is_sure => {
                return Err(Error::model(format!(
                    "field `target_modules` names `{path}`, but `{TENSORS}` holds no tensor \
                     `{PREFIX}{path}.lora_A.weight`"
                )));
            }
            _ => {}
        }
    }
    let adapted: Vec<&LinearModule> = linears.iter().filter(|module| is_adapted(module)).collect();
    if adapted.is_empty() {
        let first = tensors.first().map_or_else(|| "none".to_owned(), |name| format!("`{name}`"));
        let known: BTreeSet<&str> = linears.iter().map(|module| module.name).collect();
        let known: Vec<&str> = known.into_iter().collect();
        return Err(Error::model(format!(
            "field `target_modules` matches no module of this model of which `{TENSORS}` holds an adapter; its first tensor: {first}"
        ))
        .with_hint(format!("the model's linears are `{}`", known.join("`, `"))));
    }
    targets.warn_of_idle(&linears, &mut warnings);
    let ranks = values(&settings.rank_pattern, "rank_pattern", settings.rank, &adapted, &mut warnings)?;
    let alphas = values(&settings.alpha_pattern, "alpha_pattern", settings.alpha, &adapted, &mut warnings)?;
    let settings = AdapterSettings {
        targets: adapted.iter().map(|module| module.path.clone()).collect(),
        exclude: Vec::new(),
        layers: None,
        rank_pattern: by_path(&adapted, &ranks, settings.rank),
        alpha_pattern: by_path(&adapted, &alphas, settings.alpha),
        ..settings.clone()
    };
    Ok((settings, warnings))
}

fn by_path<V: Copy + PartialEq>(modules: &[&LinearModule], values: &[V], default: V) -> Pattern<V> {
    let other = modules.iter().zip(values).filter(|(_, value)| **value != default);
    Pattern(other.map(|(module, value)| (regex::escape(&module.path), *value)).collect())
}

/// Names of modules as PEFT reads them.
struct Names<'a> {
    names: Vec<(&'a str, Option<Regex>)>,
    what: &'static str,
    /// Whether each name could be read.
    is_sure: bool,
}

impl<'a> Names<'a> {
    fn new(what: &'static str, names: &'a [String], warnings: &mut Vec<String>) -> Self {
        let mut is_sure = true;
        let names = names.iter().map(|name| {
            let expression = name.strip_prefix(EXPRESSION);
            match expression.map(|expression| Regex::new(&format!("^(?:{expression})$"))) {
                Some(Err(_)) => {
                    is_sure = false;
                    warnings.push(format!(
                        "field `{what}`: `{}` is no regular expression that is understood here: the tensors alone say what is adapted",
                        &name[EXPRESSION.len()..]
                    ));
                    (name.as_str(), None)
                }
                Some(Ok(expression)) => (name.as_str(), Some(expression)),
                None => (name.as_str(), None),
            }
        });
        let names = names.collect();
        Self { names, what, is_sure }
    }

    fn matches(&self, path: &str) -> bool {
        self.names.iter().any(|name| Self::one_matches(name, path))
    }

    fn one_matches((name, expression): &(&str, Option<Regex>), path: &str) -> bool {
        let ends = || path.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        match expression {
            Some(expression) => expression.is_match(path).unwrap_or(false),
            None => *name == "all-linear" || (!name.is_empty() && ends()),
        }
    }

    fn warn_of_idle(&self, linears: &[LinearModule], warnings: &mut Vec<String>) {
        for name in &self.names {
            if !linears.iter().any(|module| Self::one_matches(name, &module.path)) && self.is_sure {
                let what = self.what;
                warnings.push(format!("field `{what}`: `{}` matches no module of this model", name.0));
            }
        }
    }
}

/// The layers whose modules are meant, and under which names they are counted.
struct Layers<'a> {
    layers: Option<&'a [usize]>,
    counted: Vec<Regex>,
}

impl<'a> Layers<'a> {
    fn new(stated: &'a Stated) -> Result<Self> {
        let any = [r"[^.]*".to_owned()];
        let names = if stated.layers_pattern.is_empty() { &any[..] } else { &stated.layers_pattern };
        let counted = |name: &String| {
            Regex::new(&format!(r"^(?:.*?\.)?{name}\.(\d+)\."))
                .map_err(|_| Error::model(format!("field `layers_pattern`: `{name}` is no regular expression")))
        };
        let layers = stated.settings.layers.as_deref().filter(|_| !stated.one_target);
        Ok(Self { layers, counted: names.iter().map(counted).collect::<Result<_>>()? })
    }

    fn matches(&self, path: &str) -> bool {
        let Some(layers) = self.layers else { return true };
        let found = self.counted.iter().find_map(|expression| expression.captures(path).ok().flatten());
        let layer = found.and_then(|found| found.get(1)?.as_str().parse::<usize>().ok());
        layer.is_some_and(|layer| layers.contains(&layer))
    }
}

/// The value of each module: of the keys that match, the first decides.
fn values<V: Copy>(
    pattern: &Pattern<V>,
    what: &str,
    default: V,
    modules: &[&LinearModule],
    warnings: &mut Vec<String>,
) -> Result<Vec<V>> {
    let mut values: Vec<Option<V>> = vec![None; modules.len()];
    for (key, value) in &pattern.0 {
        let expression = Regex::new(&format!(r"^(?:.*\.)?(?:{key})$"))
            .map_err(|_| Error::model(format!("field `{what}`: key `{key}` is no regular expression")))?;
        let mut is_idle = true;
        for (module, slot) in modules.iter().zip(&mut values) {
            if expression.is_match(&module.path).unwrap_or(false) {
                is_idle = false;
                slot.get_or_insert(*value);
            }
        }
        if is_idle {
            warnings.push(format!("field `{what}`: key `{key}` matches no module that has an adapter"));
        }
    }
    Ok(values.into_iter().map(|value| value.unwrap_or(default)).collect())
}
