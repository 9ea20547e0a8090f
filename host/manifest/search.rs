//! `[search]`: what is searched, by which value, under which constraints, and for how long.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;
use so8t_search::{Assignment, Domain, Parameter, Space};

use super::accept::is_of_a_plugin;
use super::{Manifest, Places};
use crate::{Error, Result};

/// `[search]`.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchTable {
    /// How many trials there are, those that fail among them.
    #[serde(default = "trials")]
    pub trials: usize,
    /// No trial is begun once all of them took so many hours together; no bound where absent.
    pub hours: Option<f64>,
    /// `plugin.metric`: what is to be as good as can be, on rows that are held out of the training part.
    #[serde(default = "objective")]
    pub objective: String,
    /// Whether a large or a small value of it is good.
    #[serde(default)]
    pub goal: Goal,
    /// The share of the training part that trials are judged on, in whole groups. The evaluation part is not read by any trial.
    #[serde(default = "share")]
    pub share: f64,
    /// The seed of the proposals; the run's where absent.
    pub seed: Option<u64>,
    /// How many trials, known-good ones among them, fill the space before what they found decides.
    pub startup: Option<usize>,
    /// With how many seeds the best setting is trained on the whole training part, and judged on the evaluation part.
    #[serde(default = "confirm")]
    pub confirm: usize,
    /// By the dotted path of a key, such as `"train.rank"`, what it may be.
    pub space: BTreeMap<String, DomainTable>,
    /// What a setting must keep to, with the unfavourable end of its 95 % interval.
    #[serde(default)]
    pub constraints: Vec<ConstraintTable>,
    /// Settings that are tried first, after the manifest's own.
    #[serde(default)]
    #[schemars(with = "Vec<std::collections::BTreeMap<String, serde_json::Value>>")]
    pub start: Vec<toml::Table>,
    /// Trials pause on their way unless they are among the best; none does where absent. It needs `[train.validation]`.
    pub halving: Option<HalvingTable>,
}

/// What is good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// A large value.
    #[default]
    Maximise,
    /// A small value.
    Minimise,
}

/// What a key may be: either `values`, or numbers from `low` to `high`.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DomainTable {
    /// The least number.
    pub low: Option<f64>,
    /// The greatest number.
    pub high: Option<f64>,
    /// Whether the logarithm is what is even.
    #[serde(default)]
    pub log: bool,
    /// Whether the number is whole.
    #[serde(default)]
    pub integer: bool,
    /// Values without an order.
    #[schemars(with = "Option<Vec<serde_json::Value>>")]
    pub values: Option<Vec<toml::Value>>,
    /// What is searched is a factor of the number at this path, such as `"train.rank"` for `"train.alpha"`.
    pub times: Option<String>,
    /// It is searched only where the key at a path has one of the values; that one is searched too, by `values`.
    #[serde(default)]
    #[schemars(with = "std::collections::BTreeMap<String, Vec<serde_json::Value>>")]
    pub when: BTreeMap<String, Vec<toml::Value>>,
}

/// One of `[[search.constraints]]`: a metric and one bound.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConstraintTable {
    /// `plugin.metric`.
    pub metric: String,
    /// The upper end of the interval is at most this.
    pub max: Option<f64>,
    /// The lower end is at least this.
    pub min: Option<f64>,
    /// The upper end is at most this much above the base model's value.
    pub max_rise: Option<f64>,
    /// The lower end is at least the base model's value less this.
    pub max_drop: Option<f64>,
}

/// `[search.halving]`.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HalvingTable {
    /// The shares of the epochs after whose validation a trial is held against the others.
    #[serde(default = "rungs")]
    pub rungs: Vec<f64>,
    /// The best part of 1/`eta` goes on.
    #[serde(default = "eta")]
    pub eta: f64,
}

fn trials() -> usize {
    25
}
fn objective() -> String {
    "classification.f1_macro".to_owned()
}
fn share() -> f64 {
    0.25
}
fn confirm() -> usize {
    3
}
fn rungs() -> Vec<f64> {
    vec![0.25, 0.5]
}
fn eta() -> f64 {
    3.0
}

/// `[search]`, checked.
#[derive(Clone, Debug)]
pub struct SearchPlan {
    /// The table.
    pub table: SearchTable,
    /// What is searched; a parameter's name is its path.
    pub space: Space,
    /// The paths whose parameter is a factor, and of what.
    pub factors: BTreeMap<String, String>,
    /// Settings that are tried first.
    pub known_good: Vec<Assignment>,
}

/// What may be searched: nothing that changes the data that trials are judged on, or how.
const SEARCHED: [&str; 4] = ["train.", "model.quantization", "model.embeddings", "rebalance."];
/// What of those may not.
const KEPT: [&str; 3] = ["train.validation", "train.seed", "train.method"];

/// Checks the table.
///
/// # Errors
/// The first key that makes no sense, with its place.
pub(super) fn resolve(
    table: &SearchTable,
    manifest: &Manifest,
    metrics: &[String],
    places: &Places,
    text: &toml::Table,
) -> Result<SearchPlan> {
    let wrong = |path: &[&str], what: String| {
        let all: Vec<&str> = std::iter::once("search").chain(path.iter().copied()).collect();
        Error::manifest(format!("{}: `{}`: {what}", places.place(&all), all.join(".")))
    };
    if manifest.train.is_none() {
        return Err(wrong(&[], "there is no `[train]`: expected one, whose keys are searched".to_owned()));
    }
    if table.trials == 0 {
        return Err(wrong(&["trials"], "expected at least 1, found 0".to_owned()));
    }
    if !(table.share > 0.0 && table.share < 1.0) {
        return Err(wrong(
            &["share"],
            format!("expected a share between 0 and 1, both left out, found {}", table.share),
        ));
    }
    if table.hours.is_some_and(|hours| !(hours > 0.0 && hours.is_finite())) {
        return Err(wrong(&["hours"], "expected a number above 0".to_owned()));
    }
    if table.confirm == 0 {
        return Err(wrong(&["confirm"], "expected at least 1 seed, found 0".to_owned()));
    }
    if !is_of_a_plugin(&table.objective, metrics) {
        return Err(wrong(
            &["objective"],
            format!(
                "`{}` is no metric: expected `PLUGIN.METRIC` with a plugin of `[evaluate] metrics`",
                table.objective
            ),
        ));
    }
    for (index, constraint) in table.constraints.iter().enumerate() {
        let own = ["constraints", &index.to_string(), "metric"].map(str::to_owned);
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        if !is_of_a_plugin(&constraint.metric, metrics) {
            return Err(wrong(
                &own,
                format!(
                    "`{}` is no metric: expected `PLUGIN.METRIC` with a plugin of `[evaluate] metrics`",
                    constraint.metric
                ),
            ));
        }
        let bounds = [constraint.max, constraint.min, constraint.max_rise, constraint.max_drop];
        if bounds.iter().flatten().count() != 1 || bounds.iter().flatten().any(|bound| !bound.is_finite()) {
            return Err(wrong(&own[..2], "expected one of `max`, `min`, `max_rise`, `max_drop`".to_owned()));
        }
    }
    if let Some(halving) = &table.halving {
        if manifest.train.as_ref().is_none_or(|train| train.validation.is_none()) {
            return Err(wrong(
                &["halving"],
                "trials are held against each other by their validations: expected `[train.validation]` too".to_owned(),
            ));
        }
        let rises = halving.rungs.windows(2).all(|pair| pair[0] < pair[1]);
        if !rises || halving.rungs.is_empty() || halving.rungs.iter().any(|rung| !(*rung >= 0.01 && *rung < 1.0)) {
            return Err(wrong(&["halving", "rungs"], "expected rising shares from 0.01 to below 1".to_owned()));
        }
        if !(halving.eta > 1.0 && halving.eta <= 100.0) {
            return Err(wrong(
                &["halving", "eta"],
                format!("expected a number above 1 and at most 100, found {}", halving.eta),
            ));
        }
    }
    let mut parameters = Vec::new();
    let mut factors = BTreeMap::new();
    // What others wait for stands before them.
    let (free, waiting): (Vec<_>, Vec<_>) = table.space.iter().partition(|(_, domain)| domain.when.is_empty());
    for (path, domain) in free.into_iter().chain(waiting) {
        let own = |what: String| wrong(&["space", path], what);
        let is_searched =
            SEARCHED.iter().any(|start| path == start || (start.ends_with('.') && path.starts_with(start)));
        if !is_searched || KEPT.iter().any(|kept| path == kept || path.starts_with(&format!("{kept}."))) {
            return Err(own("this cannot be searched: expected the dotted path of a key of `[train]` or `[rebalance]`, or `model.quantization`".to_owned()));
        }
        if let Some(of) = &domain.times {
            if !table.space.contains_key(of) && number(text, of).is_none() {
                return Err(own(format!(
                    "`times` names `{of}`, which is neither searched nor a number of this manifest"
                )));
            }
            if table.space.get(of).is_some_and(|other| other.times.is_some()) {
                return Err(own(format!("`times` names `{of}`, which is a factor itself")));
            }
            factors.insert(path.clone(), of.clone());
        }
        parameters.push(Parameter {
            name: path.clone(),
            domain: domain.resolve().map_err(&own)?,
            when: domain.waits().map_err(&own)?,
        });
    }
    let space = Space::new(parameters).map_err(|error| error.context(places.place(&["search", "space"])))?;
    let mut known_good: Vec<Assignment> = current(&space, &factors, text).into_iter().collect();
    for (index, start) in table.start.iter().enumerate() {
        let values: Assignment = start.iter().map(|(path, value)| (path.clone(), json(value))).collect();
        space.encode(&values).map_err(|error| {
            error
                .context(places.place(&["search", "start", &index.to_string()]))
                .with_hint("a factor, as `times` makes one, is given as the factor")
        })?;
        if !known_good.contains(&values) {
            known_good.push(values);
        }
    }
    Ok(SearchPlan { table: table.clone(), space, factors, known_good })
}

impl DomainTable {
    fn resolve(&self) -> std::result::Result<Domain, String> {
        match (&self.values, self.low, self.high) {
            (Some(values), None, None) if !self.log && !self.integer => {
                Ok(Domain::Choice(values.iter().map(json).collect()))
            }
            (None, Some(low), Some(high)) if self.integer => {
                let is_whole = |value: f64| value.fract() == 0.0 && value.abs() < 1e15;
                match is_whole(low) && is_whole(high) {
                    true => Ok(Domain::Integer { low: low as i64, high: high as i64, log: self.log }),
                    false => Err("with `integer`, expected whole numbers as `low` and `high`".to_owned()),
                }
            }
            (None, Some(low), Some(high)) => Ok(Domain::Float { low, high, log: self.log }),
            _ => {
                Err("expected either `values`, or `low` and `high` with `log` and `integer` where they hold".to_owned())
            }
        }
    }

    fn waits(&self) -> std::result::Result<Option<(String, Vec<Json>)>, String> {
        match self.when.iter().collect::<Vec<_>>().as_slice() {
            [] => Ok(None),
            [(path, values)] => Ok(Some(((*path).clone(), values.iter().map(json).collect()))),
            _ => Err("`when` names several keys: expected one".to_owned()),
        }
    }
}

/// The manifest's own setting, where the space holds it.
fn current(space: &Space, factors: &BTreeMap<String, String>, text: &toml::Table) -> Option<Assignment> {
    let mut out = Assignment::new();
    for parameter in space.parameters() {
        let is_active = parameter
            .when
            .as_ref()
            .is_none_or(|(name, values)| out.get(name).is_some_and(|value| values.contains(value)));
        if !is_active {
            continue;
        }
        let value = match factors.get(&parameter.name) {
            Some(of) => Json::from(number(text, &parameter.name)? / number(text, of)?),
            None => json(at(text, &parameter.name)?),
        };
        out.insert(parameter.name.clone(), whole(&parameter.domain, value));
    }
    space.encode(&out).ok().map(|_| out)
}

/// A value as its domain writes it.
fn whole(domain: &Domain, value: Json) -> Json {
    match domain {
        Domain::Choice(values) => {
            let same = |own: &&Json| own.as_f64().zip(value.as_f64()).is_some_and(|(a, b)| a == b);
            values.iter().find(same).cloned().unwrap_or(value)
        }
        Domain::Float { .. } => value.as_f64().map_or(value, Json::from),
        Domain::Integer { .. } => value,
    }
}

/// The value at a dotted path.
pub fn at<'t>(table: &'t toml::Table, path: &str) -> Option<&'t toml::Value> {
    let mut parts = path.split('.');
    let first = table.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))
}

fn number(table: &toml::Table, path: &str) -> Option<f64> {
    let value = at(table, path)?;
    value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))
}

/// A value of TOML as JSON; a date is a text.
pub fn json(value: &toml::Value) -> Json {
    match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(whole) => (*whole).into(),
        toml::Value::Float(number) => Json::from(*number),
        toml::Value::Boolean(flag) => (*flag).into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(list) => list.iter().map(json).collect(),
        toml::Value::Table(table) => {
            table.iter().map(|(name, value)| (name.clone(), json(value))).collect::<serde_json::Map<_, _>>().into()
        }
    }
}
