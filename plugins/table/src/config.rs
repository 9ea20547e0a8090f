//! The manifest's `config` table, and its checked form.

use serde::Deserialize;
use so8t_plugin_sdk::config::OneOrMany;
use so8t_plugin_sdk::{Failure, LabelSet};

use crate::condition::{Column, Condition, Scalar, Test};

/// The manifest's `config` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    labels: Option<Vec<String>>,
    severity: Option<Vec<u8>>,
    #[serde(default)]
    rules: Vec<RuleConfig>,
    otherwise: Option<OutcomeConfig>,
}

/// A rule as it is written: one condition in place, or several below `all`, and an outcome.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleConfig {
    #[serde(flatten)]
    own: ConditionConfig,
    #[serde(default)]
    all: Vec<ConditionConfig>,
    #[serde(flatten)]
    outcome: OutcomeConfig,
}

/// A condition as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionConfig {
    column: Option<OneOrMany>,
    equals: Option<Scalars>,
    prefix: Option<OneOrMany>,
    contains: Option<OneOrMany>,
    min: Option<f64>,
    max: Option<f64>,
    missing: Option<bool>,
    #[serde(default)]
    ignore_case: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a string, a number, a truth value or a list of these")]
enum Scalars {
    One(Scalar),
    Many(Vec<Scalar>),
}

/// What becomes of an example, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutcomeConfig {
    label: Option<String>,
    exclude: Option<String>,
}

/// One rule: it matches where all conditions hold.
pub struct Rule {
    /// At least one.
    pub conditions: Vec<Condition>,
    /// What becomes of the example.
    pub outcome: Outcome,
}

/// What becomes of an example.
pub enum Outcome {
    /// It has the label of this id.
    Label(u8),
    /// It is left out, for this reason.
    Exclude(String),
}

impl Config {
    /// The label set, the rules, and what becomes of an example that none matches.
    pub fn resolve(self) -> Result<(LabelSet, Vec<Rule>, Option<Outcome>), Failure> {
        let labels = labels(self.labels, self.severity)?;
        if self.rules.is_empty() && self.otherwise.is_none() {
            return Err(Failure::Config("config: expected `rules` or `otherwise`, found neither".to_owned()));
        }
        let mut rules = Vec::with_capacity(self.rules.len());
        for (index, rule) in self.rules.into_iter().enumerate() {
            rules.push(
                rule.resolve(&labels).map_err(|what| Failure::Config(format!("config: rules[{index}]: {what}")))?,
            );
        }
        let otherwise = self.otherwise.map(|outcome| outcome.resolve(&labels));
        let otherwise = otherwise.transpose().map_err(|what| Failure::Config(format!("config: otherwise: {what}")))?;
        Ok((labels, rules, otherwise))
    }
}

/// The four decisions, or the names that are given, each graver than the one before unless `severity` says otherwise.
fn labels(names: Option<Vec<String>>, severity: Option<Vec<u8>>) -> Result<LabelSet, Failure> {
    let fail = |what: String| Err(Failure::Config(format!("config: {what}")));
    let mut labels = LabelSet::four_decisions();
    if let Some(names) = names {
        if names.is_empty() || names.len() > 200 {
            return fail(format!("`labels`: expected 1 to 200 names, found {}", names.len()));
        }
        if let Some(second) = (0..names.len()).find(|&i| names[i].is_empty() || names[..i].contains(&names[i])) {
            return fail(format!("`labels`: expected distinct names, found `{}` again or empty", names[second]));
        }
        labels = LabelSet { severity: (0..names.len() as u8).collect(), names };
    }
    match severity {
        Some(severity) if severity.len() != labels.names.len() => {
            fail(format!("`severity`: expected {} numbers, found {}", labels.names.len(), severity.len()))
        }
        Some(severity) => Ok(LabelSet { severity, ..labels }),
        None => Ok(labels),
    }
}

impl RuleConfig {
    fn resolve(self, labels: &LabelSet) -> Result<Rule, String> {
        let Self { own, all, outcome } = self;
        let mut conditions = Vec::new();
        if own.column.is_some() || own.any_test() {
            own.resolve(&mut conditions)?;
        }
        for condition in all {
            condition.resolve(&mut conditions)?;
        }
        if conditions.is_empty() {
            return Err("expected a condition, found none; `otherwise` takes what no rule matches".to_owned());
        }
        Ok(Rule { conditions, outcome: outcome.resolve(labels)? })
    }
}

impl ConditionConfig {
    fn any_test(&self) -> bool {
        let texts = self.equals.is_some() || self.prefix.is_some() || self.contains.is_some();
        texts || self.min.is_some() || self.max.is_some() || self.missing.is_some()
    }

    /// Adds one condition for every column.
    fn resolve(self, conditions: &mut Vec<Condition>) -> Result<(), String> {
        if !self.any_test() {
            return Err("expected `equals`, `prefix`, `contains`, `min`, `max` or `missing`, found none".to_owned());
        }
        let columns = self.column.map(OneOrMany::into_vec).unwrap_or_default();
        if columns.is_empty() {
            return Err("expected `column`, found none".to_owned());
        }
        let fold = |text: String| if self.ignore_case { text.to_lowercase() } else { text };
        let texts = |texts: OneOrMany| texts.into_vec().into_iter().map(fold).collect();
        let mut tests = Vec::new();
        if let Some(equals) = self.equals {
            let values = match equals {
                Scalars::One(one) => vec![one],
                Scalars::Many(many) => many,
            };
            let fold = |value| if let Scalar::Text(text) = value { Scalar::Text(fold(text)) } else { value };
            tests.push(Test::Equals(values.into_iter().map(fold).collect()));
        }
        tests.extend(self.prefix.map(|prefix| Test::Prefix(texts(prefix))));
        tests.extend(self.contains.map(|contains| Test::Contains(texts(contains))));
        tests.extend(self.min.map(Test::Min));
        tests.extend(self.max.map(Test::Max));
        tests.extend(self.missing.map(Test::Missing));
        for column in columns {
            let column = Column::parse(&column)?;
            conditions.push(Condition { column, tests: tests.clone(), ignore_case: self.ignore_case });
        }
        Ok(())
    }
}

impl OutcomeConfig {
    fn resolve(self, labels: &LabelSet) -> Result<Outcome, String> {
        match (self.label, self.exclude) {
            (Some(name), None) => match labels.names.iter().position(|known| *known == name) {
                Some(id) => Ok(Outcome::Label(id as u8)),
                None => Err(format!("`{name}` is not a label: expected one of `{}`", labels.names.join("`, `"))),
            },
            (None, Some(reason)) if reason.trim().is_empty() => {
                Err("`exclude`: expected a reason, found none".to_owned())
            }
            (None, Some(reason)) => Ok(Outcome::Exclude(reason)),
            (Some(_), Some(_)) => Err("expected `label` or `exclude`, found both".to_owned()),
            (None, None) => Err("expected `label` or `exclude`, found neither".to_owned()),
        }
    }
}
