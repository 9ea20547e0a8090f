//! `[accept]`: the rules that a run must meet.

use serde::Deserialize;
use toml::Spanned;

use super::location::nearest;
use super::places::At;
use crate::evaluate::{Bound, Rule};
use crate::{Error, Result};

/// `[accept]`.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptTable {
    /// All of them must be met.
    #[schemars(with = "Vec<RuleTable>")]
    pub rules: Spanned<Vec<Spanned<RuleTable>>>,
}

/// One of `[[accept.rules]]`: a metric, and one bound.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleTable {
    /// `plugin.metric`.
    #[schemars(with = "String")]
    pub metric: Spanned<String>,
    /// The source whose value is judged; all rows where absent.
    #[schemars(with = "Option<String>")]
    pub source: Option<Spanned<String>>,
    /// The least latest value.
    #[schemars(with = "Option<f64>")]
    pub min: Option<Spanned<f64>>,
    /// The greatest latest value.
    #[schemars(with = "Option<f64>")]
    pub max: Option<Spanned<f64>>,
    /// How much larger it must be after than before.
    #[schemars(with = "Option<f64>")]
    pub rise: Option<Spanned<f64>>,
    /// How much smaller it must be after than before.
    #[schemars(with = "Option<f64>")]
    pub drop: Option<Spanned<f64>>,
    /// How much larger it may be after than before.
    #[schemars(with = "Option<f64>")]
    pub max_rise: Option<Spanned<f64>>,
    /// How much smaller it may be after than before.
    #[schemars(with = "Option<f64>")]
    pub max_drop: Option<Spanned<f64>>,
    /// Whether the whole 95 % interval must keep to the bound.
    #[serde(default, alias = "sure")]
    pub significant: bool,
}

/// A rule, and where the manifest states it.
#[derive(Clone, Debug, PartialEq)]
pub struct RulePlan {
    /// The rule.
    pub rule: Rule,
    /// The place of its metric's name: file, line, column.
    place: String,
}

const KEYS: &str = "`min`, `max`, `rise`, `drop`, `max_rise`, `max_drop`";

impl RulePlan {
    /// Checks that the metric exists; `known` are the names of all `plugin.metric`s of the run.
    ///
    /// # Errors
    /// A name that is not among them, with its place in the manifest and the name that it was perhaps meant to be.
    pub fn check(&self, known: &[String]) -> Result<()> {
        check_metric(&self.rule.metric, &self.place, known)
    }

    /// A rule that is stated at `place`.
    pub fn new(rule: Rule, place: String) -> Self {
        Self { rule, place }
    }
}

/// A rule as a command line states it: `PLUGIN.METRIC BOUND=NUMBER`, and perhaps `source=NAME` and `significant`.
///
/// ```
/// let rule = so8t::manifest::parse_rule("classification.unsafe_pass_rate max_rise=0 significant").unwrap();
/// assert_eq!(rule.to_string(), "`classification.unsafe_pass_rate` does not rise, with its whole 95 % interval");
/// assert!(so8t::manifest::parse_rule("classification.f1_macro min=high").is_err());
/// ```
///
/// # Errors
/// What was expected and what was found.
pub fn parse_rule(text: &str) -> std::result::Result<Rule, String> {
    let mut words = text.split_whitespace();
    let metric = words.next().ok_or("expected `PLUGIN.METRIC BOUND=NUMBER`, found nothing")?.to_owned();
    if !metric.contains('.') {
        return Err(format!("expected `PLUGIN.METRIC` first, found `{metric}`"));
    }
    let (mut bound, mut source, mut sure) = (None, None, false);
    for word in words {
        match word.split_once('=') {
            // `sure` is the earlier name.
            None if word == "significant" || word == "sure" => sure = true,
            Some(("source", name)) => source = Some(name.to_owned()),
            Some((key, number)) => {
                let make = match key {
                    "min" => Bound::Min as fn(f64) -> Bound,
                    "max" => Bound::Max,
                    "rise" => Bound::Rise,
                    "drop" => Bound::Drop,
                    "max_rise" => Bound::MaxRise,
                    "max_drop" => Bound::MaxDrop,
                    _ => return Err(format!("expected one of {KEYS}, found `{key}`")),
                };
                let number: f64 = number
                    .parse()
                    .ok()
                    .filter(|n: &f64| n.is_finite())
                    .ok_or(format!("`{key}`: expected a number, found `{number}`"))?;
                let made = make(number);
                if made.compares() && number < 0.0 {
                    return Err(format!("`{key}`: expected a number from 0 on, found `{number}`"));
                }
                if bound.replace(made).is_some() {
                    return Err(format!("expected one bound of {KEYS}, found several"));
                }
            }
            None => return Err(format!("expected `KEY=VALUE` or `significant`, found `{word}`")),
        }
    }
    let bound = bound.ok_or(format!("expected a bound, one of {KEYS}, found none"))?;
    Ok(Rule { metric, source, bound, sure })
}

/// Checks that the metric that is named at `place` is among the `known` ones.
///
/// # Errors
/// A name that is not among them, with its place and the name that it was perhaps meant to be.
pub fn check_metric(metric: &str, place: &str, known: &[String]) -> Result<()> {
    if known.iter().any(|own| own == metric) {
        return Ok(());
    }
    let error = Error::manifest(format!("{place}: no plugin of this run gives the metric `{metric}`"));
    let hint = match nearest(metric, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "the names of all metrics stand in a run's `report.json`".to_owned(),
    };
    Err(error.with_hint(hint))
}

/// Whether one of the run's metric plugins may give a metric of this name.
pub(super) fn is_of_a_plugin(metric: &str, plugins: &[String]) -> bool {
    plugins.iter().any(|plugin| metric.strip_prefix(plugin.as_str()).is_some_and(|rest| rest.starts_with('.')))
}

/// Checks the rules as far as it can be done without opening a plugin.
pub(super) fn resolve(table: &AcceptTable, metrics: &[String], sources: &[&str], at: At<'_>) -> Result<Vec<RulePlan>> {
    if table.rules.get_ref().is_empty() {
        return Err(at(table.rules.span()).error("`[accept] rules` is empty: expected at least one rule"));
    }
    table.rules.get_ref().iter().map(|table| rule(table, metrics, sources, at)).collect()
}

fn rule(table: &Spanned<RuleTable>, metrics: &[String], sources: &[&str], at: At<'_>) -> Result<RulePlan> {
    let whole = table.span();
    let table = table.get_ref();
    let metric = table.metric.get_ref();
    if !is_of_a_plugin(metric, metrics) {
        return Err(at(table.metric.span())
            .error(format!("`{metric}` is no metric: expected `PLUGIN.METRIC` with a plugin of `[evaluate] metrics`"))
            .with_hint(format!("for example `{}.…`", metrics.join(".…`, `"))));
    }
    if let Some(source) = &table.source
        && !sources.contains(&source.get_ref().as_str())
    {
        let error = at(source.span()).error(format!(
            "there is no source `{}`: expected one of `{}`",
            source.get_ref(),
            sources.join("`, `")
        ));
        return Err(match nearest(source.get_ref(), sources.iter().copied()) {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error,
        });
    }
    let given = [
        (&table.min, Bound::Min as fn(f64) -> Bound),
        (&table.max, Bound::Max),
        (&table.rise, Bound::Rise),
        (&table.drop, Bound::Drop),
        (&table.max_rise, Bound::MaxRise),
        (&table.max_drop, Bound::MaxDrop),
    ];
    let mut given = given.iter().filter_map(|(value, bound)| Some((value.as_ref()?, bound)));
    let Some((number, bound)) = given.next() else {
        return Err(at(whole).error(format!("the rule over `{metric}` has no bound: expected one of {KEYS}")));
    };
    if let Some((second, _)) = given.next() {
        return Err(at(second.span())
            .error(format!("the rule over `{metric}` has several bounds: expected one of {KEYS}"))
            .with_hint("give each bound a rule of its own; all rules must be met"));
    }
    let (value, bound) = (*number.get_ref(), bound(*number.get_ref()));
    if !value.is_finite() || (bound.compares() && value < 0.0) {
        let expected = if bound.compares() { "a number from 0 on" } else { "a number" };
        return Err(at(number.span()).error(format!("the bound is {value}: expected {expected}")));
    }
    Ok(RulePlan {
        rule: Rule {
            metric: metric.clone(),
            source: table.source.as_ref().map(|source| source.get_ref().clone()),
            bound,
            sure: table.significant,
        },
        place: at(table.metric.span()).place(),
    })
}
