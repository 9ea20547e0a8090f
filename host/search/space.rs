//! What is searched: parameters, each with its domain, some of them only where another has a certain value.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use so8t_base::{Error, Result};

/// A value for every parameter that is active.
pub type Assignment = BTreeMap<String, Json>;

/// What a parameter may be.
#[derive(Clone, Debug, PartialEq)]
pub enum Domain {
    /// A number.
    Float {
        /// The least value.
        low: f64,
        /// The greatest value.
        high: f64,
        /// Whether the logarithm is what is even.
        log: bool,
    },
    /// A whole number.
    Integer {
        /// The least value.
        low: i64,
        /// The greatest value.
        high: i64,
        /// Whether the logarithm is what is even.
        log: bool,
    },
    /// One of several values without an order.
    Choice(Vec<Json>),
}

/// One parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it may be.
    pub domain: Domain,
    /// It is active only where the parameter of this name, a choice that stands before it, has one of these values.
    pub when: Option<(String, Vec<Json>)>,
}

/// What is searched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Space(Vec<Parameter>);

impl Domain {
    fn check(&self) -> std::result::Result<(), String> {
        match self {
            Self::Float { low, high, log } => {
                match low.is_finite() && high.is_finite() && low < high && (!log || *low > 0.0) {
                    true => Ok(()),
                    false => {
                        Err(format!("expected `low` below `high`, both above 0 with `log`, found {low} and {high}"))
                    }
                }
            }
            Self::Integer { low, high, log } => match low < high && (!log || *low > 0) && high.abs_diff(*low) < 1 << 52
            {
                true => Ok(()),
                false => Err(format!("expected `low` below `high`, both above 0 with `log`, found {low} and {high}")),
            },
            Self::Choice(values) => {
                match values.iter().enumerate().find(|(index, value)| values[..*index].contains(value)) {
                    _ if values.is_empty() => Err("expected at least one value, found none".to_owned()),
                    Some((_, value)) => Err(format!("expected distinct values, found `{value}` twice")),
                    None => Ok(()),
                }
            }
        }
    }

    /// The value at a place between 0 and 1.
    fn value(&self, gene: f64) -> Json {
        let gene = gene.clamp(0.0, 1.0);
        match self {
            Self::Float { low, high, log: false } => json!((low + gene * (high - low)).clamp(*low, *high)),
            Self::Float { low, high, log: true } => {
                let (a, b) = (libm::log(*low), libm::log(*high));
                json!(libm::exp(a + gene * (b - a)).clamp(*low, *high))
            }
            Self::Integer { low, high, log } => {
                // Half a step on each side, so that the ends are as likely as the others.
                let (a, b) = (*low as f64 - 0.5, *high as f64 + 0.5);
                let value = match log {
                    true => libm::exp(libm::log(a.max(0.5)) + gene * (libm::log(b) - libm::log(a.max(0.5)))),
                    false => a + gene * (b - a),
                };
                json!((libm::round(value) as i64).clamp(*low, *high))
            }
            Self::Choice(values) => values[((gene * values.len() as f64) as usize).min(values.len() - 1)].clone(),
        }
    }

    /// The place of a value; the middle of its part where several places give it. `None` where the domain does not hold it.
    fn gene(&self, value: &Json) -> Option<f64> {
        match self {
            Self::Float { low, high, log } => {
                let value = value.as_f64().filter(|value| value >= low && value <= high)?;
                Some(match log {
                    true => (libm::log(value) - libm::log(*low)) / (libm::log(*high) - libm::log(*low)),
                    false => (value - low) / (high - low),
                })
            }
            Self::Integer { low, high, log } => {
                let whole = value
                    .as_i64()
                    .or_else(|| value.as_f64().filter(|value| value.fract() == 0.0).map(|value| value as i64));
                let value = whole.filter(|value| value >= low && value <= high)? as f64;
                let (a, b) = (*low as f64 - 0.5, *high as f64 + 0.5);
                Some(match log {
                    true => {
                        let a = a.max(0.5);
                        (libm::log(value) - libm::log(a)) / (libm::log(b) - libm::log(a))
                    }
                    false => (value - a) / (b - a),
                })
            }
            Self::Choice(values) => {
                let same = |own: &Json| own == value || own.as_f64().zip(value.as_f64()).is_some_and(|(a, b)| a == b);
                let index = values.iter().position(same)?;
                Some((index as f64 + 0.5) / values.len() as f64)
            }
        }
    }
}

impl Space {
    /// The space of these parameters.
    ///
    /// # Errors
    /// Two of one name; a domain that makes no sense; a condition on what stands later, is no choice, or never has such a value.
    pub fn new(parameters: Vec<Parameter>) -> Result<Self> {
        if parameters.is_empty() {
            return Err(Error::manifest("the space of the search is empty: expected at least one parameter"));
        }
        for (index, own) in parameters.iter().enumerate() {
            let before = &parameters[..index];
            let wrong = |what: String| Error::manifest(format!("`{}` in the space of the search: {what}", own.name));
            if before.iter().any(|other| other.name == own.name) {
                return Err(wrong("it is there twice".to_owned()));
            }
            own.domain.check().map_err(&wrong)?;
            let Some((name, values)) = &own.when else { continue };
            match before.iter().find(|other| other.name == *name).map(|other| &other.domain) {
                Some(Domain::Choice(choices)) => {
                    if let Some(value) = values.iter().find(|value| !choices.contains(value)) {
                        return Err(wrong(format!("it waits for `{name}` to be {value}, which that never is")));
                    }
                    if values.is_empty() {
                        return Err(wrong(format!("it waits for `{name}` to be one of no values")));
                    }
                }
                _ => {
                    return Err(wrong(format!(
                        "it waits for `{name}`: expected the name of a choice that stands before it"
                    )));
                }
            }
        }
        Ok(Self(parameters))
    }

    /// The parameters, in order.
    pub fn parameters(&self) -> &[Parameter] {
        &self.0
    }

    /// How many parameters there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the parameter at `index` has no order.
    pub(crate) fn is_choice(&self, index: usize) -> bool {
        matches!(self.0[index].domain, Domain::Choice(_))
    }

    /// How many values the parameter at `index` can have; `None` for a number that is not whole.
    pub(crate) fn values(&self, index: usize) -> Option<usize> {
        match &self.0[index].domain {
            Domain::Float { .. } => None,
            Domain::Integer { low, high, .. } => usize::try_from(high.abs_diff(*low) + 1).ok(),
            Domain::Choice(values) => Some(values.len()),
        }
    }

    /// The values at places between 0 and 1, one a parameter; what is not active is left out.
    pub fn decode(&self, genes: &[f64]) -> Assignment {
        let mut out = Assignment::new();
        for (own, gene) in self.0.iter().zip(genes) {
            let is_active = own
                .when
                .as_ref()
                .is_none_or(|(name, values)| out.get(name).is_some_and(|value| values.contains(value)));
            if is_active {
                out.insert(own.name.clone(), own.domain.value(if gene.is_nan() { 0.5 } else { *gene }));
            }
        }
        out
    }

    /// The places of values; not a number for what is not active.
    ///
    /// # Errors
    /// A name that is no parameter, or is not active; an active one that lacks; a value outside of its domain.
    pub fn encode(&self, assignment: &Assignment) -> Result<Vec<f64>> {
        let mut genes = Vec::with_capacity(self.0.len());
        for own in &self.0 {
            let is_active = own
                .when
                .as_ref()
                .is_none_or(|(name, values)| assignment.get(name).is_some_and(|value| values.contains(value)));
            genes.push(match (is_active, assignment.get(&own.name)) {
                (true, Some(value)) => own.domain.gene(value).ok_or_else(|| {
                    Error::manifest(format!("`{}` is {value}, which lies outside of the search's space", own.name))
                })?,
                (true, None) => return Err(Error::manifest(format!("`{}` lacks: expected a value for it", own.name))),
                (false, Some(_)) => {
                    let (name, _) = own.when.as_ref().expect("what is not active waits for something");
                    return Err(Error::manifest(format!(
                        "`{}` has a value, but is not active where `{name}` is as it is",
                        own.name
                    )));
                }
                (false, None) => f64::NAN,
            });
        }
        match assignment.keys().find(|name| !self.0.iter().any(|own| own.name == **name)) {
            Some(name) => Err(Error::manifest(format!("`{name}` is no parameter of the search"))),
            None => Ok(genes),
        }
    }

    /// The places that the values at these places have: whole numbers and choices are in the middle of their part, what is not active is not a number.
    pub(crate) fn snapped(&self, genes: &[f64]) -> Vec<f64> {
        let assignment = self.decode(genes);
        let place =
            |own: &Parameter| assignment.get(&own.name).and_then(|value| own.domain.gene(value)).unwrap_or(f64::NAN);
        self.0.iter().map(place).collect()
    }

    /// Optuna's form of a parameter's domain.
    pub(crate) fn distribution(&self, name: &str) -> Option<String> {
        let own = self.0.iter().find(|own| own.name == name)?;
        let form = match &own.domain {
            Domain::Float { low, high, log } => {
                json!({ "name": "FloatDistribution", "attributes": { "step": null, "low": low, "high": high, "log": log } })
            }
            Domain::Integer { low, high, log } => {
                json!({ "name": "IntDistribution", "attributes": { "log": log, "step": 1, "low": low, "high": high } })
            }
            // Optuna knows no lists and tables as values: they stand as texts.
            Domain::Choice(values) => {
                let shown: Vec<Json> = values.iter().map(shown).collect();
                json!({ "name": "CategoricalDistribution", "attributes": { "choices": shown } })
            }
        };
        Some(form.to_string())
    }

    /// Optuna's number for a value: a choice's index, else the value.
    pub(crate) fn internal(&self, name: &str, value: &Json) -> Option<f64> {
        match &self.0.iter().find(|own| own.name == name)?.domain {
            Domain::Choice(values) => values.iter().position(|own| own == value).map(|index| index as f64),
            _ => value.as_f64(),
        }
    }

    /// The value that Optuna's number stands for.
    pub(crate) fn external(&self, name: &str, internal: f64) -> Option<Json> {
        match &self.0.iter().find(|own| own.name == name)?.domain {
            Domain::Choice(values) => values.get(internal as usize).cloned(),
            Domain::Integer { .. } => Some(json!(internal as i64)),
            Domain::Float { .. } => Some(json!(internal)),
        }
    }

    /// The value that another program's spelling of it stands for.
    pub(crate) fn spelled(&self, name: &str, value: &Json) -> Json {
        match self.0.iter().find(|own| own.name == name).map(|own| &own.domain) {
            Some(Domain::Choice(values)) => values.iter().find(|own| shown(own) == *value).unwrap_or(value).clone(),
            _ => value.clone(),
        }
    }
}

fn shown(value: &Json) -> Json {
    match value {
        Json::Array(_) | Json::Object(_) => Json::from(value.to_string()),
        other => other.clone(),
    }
}
