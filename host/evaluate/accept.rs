//! The verdict: whether an evaluation meets the rules that its manifest states. A rule that cannot be judged is not met.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::compare::{Comparison, Difference};
use super::measured::{Measured, Measurement};

/// Values this near to a bound lie on it: 0.12 − 0.10 is not 0.02 in binary.
const ROUNDING: f64 = 1e-9;

/// One rule over one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// `plugin.metric`.
    pub metric: String,
    /// The source whose value is judged; all rows where absent.
    pub source: Option<String>,
    /// What must hold.
    pub bound: Bound,
    /// Whether the whole 95 % interval must keep to the bound, of the value or of the difference.
    pub sure: bool,
}

/// What must hold of a value, or of how it changed. Bounds of changes are not negative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// The latest value is at least this.
    Min(f64),
    /// The latest value is at most this.
    Max(f64),
    /// After is larger than before, by at least this.
    Rise(f64),
    /// After is smaller than before, by at least this.
    Drop(f64),
    /// After is larger than before by at most this, or not larger.
    MaxRise(f64),
    /// After is smaller than before by at most this, or not smaller.
    MaxDrop(f64),
}

/// Whether all rules are met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    /// Whether every rule is met.
    pub accepted: bool,
    /// The rules, in the manifest's order.
    pub rules: Vec<RuleOutcome>,
}

/// What became of one rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleOutcome {
    /// The rule in words.
    pub rule: String,
    /// `plugin.metric`.
    pub metric: String,
    /// Whether it is met.
    pub passed: bool,
    /// What was found.
    pub reason: String,
    /// The value before, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<f64>,
    /// The value after, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<f64>,
    /// After minus before, where both are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<f64>,
    /// The lower end of the 95 % interval of what the rule is about: the value, or the difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// The upper end of the 95 % interval of what the rule is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}

impl Bound {
    /// Whether it is about the difference between before and after.
    pub fn compares(self) -> bool {
        !matches!(self, Self::Min(_) | Self::Max(_))
    }

    /// Whether a value and the one before it keep to the bound; `None` where it is about both and there is none before.
    pub fn keeps(self, before: Option<f64>, after: f64) -> Option<bool> {
        let value = if self.compares() { after - before? } else { after };
        Some(self.holds(value, false))
    }

    /// Whether a value (of a change: after minus before) keeps to the bound. A rise or drop must be one: none at all is not
    /// enough, also where the bound is 0.
    fn holds(self, value: f64, is_end_of_interval: bool) -> bool {
        let beyond = |value: f64, bound: f64| match is_end_of_interval || bound == 0.0 {
            true => value > bound + ROUNDING,
            false => value >= bound - ROUNDING,
        };
        match self {
            Self::Min(bound) => value >= bound - ROUNDING,
            Self::Max(bound) => value <= bound + ROUNDING,
            Self::Rise(bound) => beyond(value, bound),
            Self::Drop(bound) => beyond(-value, bound),
            Self::MaxRise(bound) => value <= bound + ROUNDING,
            Self::MaxDrop(bound) => -value <= bound + ROUNDING,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.metric)?;
        if let Some(source) = &self.source {
            write!(f, " of source `{source}`")?;
        }
        match self.bound {
            Bound::Min(bound) => write!(f, " is at least {bound}")?,
            Bound::Max(bound) => write!(f, " is at most {bound}")?,
            Bound::Rise(0.0) => write!(f, " rises")?,
            Bound::Drop(0.0) => write!(f, " drops")?,
            Bound::MaxRise(0.0) => write!(f, " does not rise")?,
            Bound::MaxDrop(0.0) => write!(f, " does not drop")?,
            Bound::Rise(bound) => write!(f, " rises by at least {bound}")?,
            Bound::Drop(bound) => write!(f, " drops by at least {bound}")?,
            Bound::MaxRise(bound) => write!(f, " rises by at most {bound}")?,
            Bound::MaxDrop(bound) => write!(f, " drops by at most {bound}")?,
        }
        if self.sure { f.write_str(", with its whole 95 % interval") } else { Ok(()) }
    }
}

/// Judges the rules. `min` and `max` are about the latest evaluation (`after` where there is one); the others need both
/// evaluations and their comparison. A metric that is not there or has no value, a value on too few rows, a lacking
/// comparison, and a lacking interval where the rule asks for it: the rule is not met, and says why.
pub fn judge(
    rules: &[Rule],
    before: Option<&Measured>,
    after: Option<&Measured>,
    comparison: Option<&Comparison>,
) -> Acceptance {
    let rules: Vec<_> = rules.iter().map(|rule| outcome(rule, before, after, comparison)).collect();
    Acceptance { accepted: rules.iter().all(|rule| rule.passed), rules }
}

fn outcome(
    rule: &Rule,
    before: Option<&Measured>,
    after: Option<&Measured>,
    comparison: Option<&Comparison>,
) -> RuleOutcome {
    let value = |measured: Option<&Measured>| find(rule, measured?).ok().and_then(|m| m.value);
    let difference = comparison.and_then(|comparison| match &rule.source {
        None => comparison.metrics.get(&rule.metric),
        Some(source) => comparison.sources.get(source)?.metrics.get(&rule.metric),
    });
    let mut out = RuleOutcome {
        rule: rule.to_string(),
        metric: rule.metric.clone(),
        passed: false,
        reason: String::new(),
        before: value(before),
        after: value(after),
        delta: difference.and_then(|difference| difference.delta),
        low: None,
        high: None,
    };
    let judged = match rule.bound.compares() {
        true => judge_change(rule, before, after, difference, &mut out),
        false => judge_value(rule, after.or(before), &mut out),
    };
    (out.passed, out.reason) = match judged {
        Ok(reason) => (true, reason),
        Err(reason) => (false, reason),
    };
    out
}

/// The measurement that a rule is about, or why there is none.
fn find<'a>(rule: &Rule, measured: &'a Measured) -> Result<&'a Measurement, String> {
    let table = match &rule.source {
        None => &measured.metrics,
        Some(source) => match measured.sources.get(source) {
            Some(own) => &own.metrics,
            None => return Err(format!("source `{source}` has no evaluated row")),
        },
    };
    table.get(&rule.metric).ok_or_else(|| {
        let plugin = |name: &str| rule.metric.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        match measured.failed.iter().find(|(name, _)| plugin(name)) {
            Some((name, error)) => format!("metric `{name}` failed: {error}"),
            None => format!("there is no metric `{}` in this evaluation", rule.metric),
        }
    })
}

/// The value of a measurement that may be judged, or why none may: one that is defined, and rests on enough rows.
pub fn judged_value(measurement: &Measurement) -> Result<f64, String> {
    let value = measurement.value.ok_or("it has no value: what it is computed from is empty")?;
    match measurement.few {
        true => Err(format!("it is {value:.4} on {} rows only, which is too few to judge", measurement.n)),
        false => Ok(value),
    }
}

fn judge_value(rule: &Rule, latest: Option<&Measured>, out: &mut RuleOutcome) -> Result<String, String> {
    let measurement = find(rule, latest.ok_or("nothing was evaluated")?)?;
    let value = judged_value(measurement)?;
    (out.low, out.high) = (measurement.low, measurement.high);
    let found = format!("it is {value:.4}{}", interval(out.low.zip(out.high)));
    verdict(rule, value, out.low.zip(out.high), found)
}

fn judge_change(
    rule: &Rule,
    before: Option<&Measured>,
    after: Option<&Measured>,
    difference: Option<&Difference>,
    out: &mut RuleOutcome,
) -> Result<String, String> {
    let (Some(before), Some(after)) = (before, after) else {
        return Err("it needs a before and an after, and this command measured one model".to_owned());
    };
    let was = judged_value(find(rule, before)?).map_err(|why| format!("before: {why}"))?;
    let is = judged_value(find(rule, after)?).map_err(|why| format!("after: {why}"))?;
    let Some((difference, delta)) = difference.and_then(|d| Some((d, d.delta?))) else {
        return Err("it was not compared".to_owned());
    };
    (out.low, out.high) = (difference.low, difference.high);
    let range = interval(out.low.zip(out.high));
    verdict(rule, delta, out.low.zip(out.high), format!("it went from {was:.4} to {is:.4}, by {delta:+.4}{range}"))
}

/// `found` as the reason, or with what it lacks.
fn verdict(rule: &Rule, value: f64, interval: Option<(f64, f64)>, found: String) -> Result<String, String> {
    if !rule.bound.holds(value, false) {
        return Err(found);
    }
    match (rule.sure, interval) {
        (false, _) => Ok(found),
        (true, None) => Err(format!("{found}, without an interval: that is not sure")),
        (true, Some((low, high))) if rule.bound.holds(low, true) && rule.bound.holds(high, true) => Ok(found),
        (true, Some(_)) => Err(format!("{found}: the interval does not keep to it")),
    }
}

fn interval(range: Option<(f64, f64)>) -> String {
    range.map_or_else(String::new, |(low, high)| format!(" (95 % interval {low:.4} … {high:.4})"))
}
