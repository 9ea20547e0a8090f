//! Quality gates: shares of a prepared set that a manifest bounds, each a warning or a failure.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::traits::characters;
use super::{Example, Language, MinHash, Parts, Request, SourceStatistics};

/// What becomes of a set that does not pass a gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GateAction {
    /// The report says so.
    #[default]
    Warn,
    /// The run fails.
    Fail,
    /// Nothing: it is not measured.
    Off,
}

/// One gate: a share that must lie within its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Gate {
    /// The least share.
    pub min: f64,
    /// The greatest share.
    pub max: f64,
    /// What becomes of a set that does not pass.
    pub action: GateAction,
}

impl Gate {
    /// A warning above `max`.
    pub const fn at_most(max: f64) -> Self {
        Self { min: 0.0, max, action: GateAction::Warn }
    }

    /// A warning below `min`.
    pub const fn at_least(min: f64) -> Self {
        Self { min, max: 1.0, action: GateAction::Warn }
    }
}

/// All gates.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QualitySettings {
    /// The share of the smallest class in the training part.
    pub class_balance: Gate,
    /// Duplicates, exact and normalised, among the accepted examples.
    pub duplicates: Gate,
    /// Training examples that nearly repeat an earlier one; `None` where it is not looked for.
    pub near_duplicates: Option<(Gate, f64)>,
    /// Requests without a letter and without a digit.
    pub empty: Gate,
    /// Requests longer than so many characters.
    pub too_long: (Gate, usize),
    /// Shares of languages among the kept examples.
    pub languages: Vec<(Language, Gate)>,
    /// Duplicates whose label differs from that of the example that was kept, among the accepted examples.
    pub label_conflicts: Gate,
    /// Rejected records among all.
    pub rejected: Gate,
}

impl Default for QualitySettings {
    /// What is looked at without a `[quality]` table: all that costs nothing.
    fn default() -> Self {
        Self {
            class_balance: Gate::at_least(0.02),
            duplicates: Gate::at_most(0.3),
            near_duplicates: None,
            empty: Gate::at_most(0.0),
            too_long: (Gate::at_most(0.01), 20_000),
            languages: Vec::new(),
            label_conflicts: Gate::at_most(0.0),
            rejected: Gate::at_most(0.05),
        }
    }
}

impl QualitySettings {
    /// The similarity from which on two requests are near duplicates, where the manifest does not say.
    pub const SIMILARITY: f64 = 0.8;
    /// The gate of near duplicates, where the manifest does not say.
    pub const NEAR: Gate = Gate::at_most(0.1);
}

/// What a gate measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateOutcome {
    /// The gate's name in the manifest.
    pub gate: String,
    /// How many.
    pub count: usize,
    /// Of how many.
    pub of: usize,
    /// `count / of`; absent where `of` is 0.
    pub share: Option<f64>,
    /// The least share that passes; absent where any does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The greatest share that passes; absent where any does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// What becomes of a set that does not pass.
    pub action: GateAction,
    /// Whether the share lies within the bounds; a share that is not defined does.
    pub passed: bool,
    /// What was counted.
    pub meaning: String,
}

impl GateOutcome {
    /// One line for a reader: what was measured, and what was expected.
    pub fn line(&self) -> String {
        let percent = |share: f64| format!("{} %", (share * 1e4).round() / 1e2);
        let bound = match (self.min, self.max) {
            (Some(min), Some(max)) => format!("{} to {}", percent(min), percent(max)),
            (Some(min), None) => format!("at least {}", percent(min)),
            (None, Some(0.0)) => "none".to_owned(),
            (None, Some(max)) => format!("at most {}", percent(max)),
            (None, None) => "any".to_owned(),
        };
        let share = self.share.map_or_else(|| "none to measure".to_owned(), percent);
        format!("quality: {}: {} of {} {} ({share}): expected {bound}", self.gate, self.count, self.of, self.meaning)
    }
}

/// What was counted before the parts were made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted<'a> {
    /// Each source.
    pub sources: &'a [SourceStatistics],
    /// Duplicates that were removed.
    pub duplicates: usize,
    /// Those whose labels disagree with what was kept.
    pub conflicts: usize,
}

/// A class of the training part, rebalanced or not.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassSize {
    /// Its name.
    pub name: String,
    /// Its examples.
    pub examples: usize,
    /// The weight of each.
    pub weight: f64,
}

/// Measures all gates, in the order of [`QualitySettings`]. Near duplicates are looked for with hash functions drawn from `seed`.
pub fn gates(
    settings: &QualitySettings,
    counted: Counted<'_>,
    parts: &Parts,
    classes: &[ClassSize],
    seed: u64,
) -> Vec<GateOutcome> {
    let accepted: usize = counted.sources.iter().map(|source| source.accepted).sum();
    let records: usize = counted.sources.iter().map(|source| source.records).sum();
    let rejected: usize = counted.sources.iter().map(|source| source.rejected).sum();
    let kept: Vec<&Example> =
        [&parts.train, &parts.calibration, &parts.validation, &parts.eval].into_iter().flatten().collect();
    let mut out = Vec::new();
    let mut add = |gate: &str, bounds: Gate, count: usize, of: usize, meaning: String, weighted: Option<f64>| {
        if bounds.action == GateAction::Off {
            return;
        }
        let share = weighted.or_else(|| (of > 0).then(|| count as f64 / of as f64));
        out.push(GateOutcome {
            gate: gate.to_owned(),
            count,
            of,
            share,
            min: (bounds.min > 0.0).then_some(bounds.min),
            max: (bounds.max < 1.0).then_some(bounds.max),
            action: bounds.action,
            passed: share.is_none_or(|share| bounds.min <= share && share <= bounds.max),
            meaning,
        });
    };
    let mass = |class: &ClassSize| class.examples as f64 * class.weight;
    let total: f64 = classes.iter().map(mass).sum();
    if let Some(smallest) = classes.iter().min_by(|a, b| mass(a).total_cmp(&mass(b))) {
        let by_weight = if classes.iter().all(|class| class.weight == 1.0) { "" } else { ", by weight" };
        let meaning = format!("training examples are of the smallest class{by_weight}, {}", smallest.name);
        let examples = classes.iter().map(|class| class.examples).sum();
        let share = (total > 0.0).then(|| mass(smallest) / total);
        add("class_balance", settings.class_balance, smallest.examples, examples, meaning, share);
    }
    add("duplicates", settings.duplicates, counted.duplicates, accepted, "examples repeat another".to_owned(), None);
    if let Some((gate, similarity)) = settings.near_duplicates
        && gate.action != GateAction::Off
    {
        // No two of them are equal, but for the copies that sampling made.
        let mut seen = HashSet::new();
        let mut texts: Vec<String> = parts.train.iter().map(|example| text(&example.request).into_owned()).collect();
        texts.retain(|text| seen.insert(text.clone()));
        let near = MinHash::new(similarity, seed).duplicates(&texts).into_iter().flatten().count();
        let meaning = format!("training requests nearly repeat another (similarity from {similarity} on)");
        add("near_duplicates", gate, near, texts.len(), meaning, None);
    }
    let says = |text: &str| text.chars().any(char::is_alphanumeric);
    let is_empty = |request: &Request| !says(&request.instruction) && !says(&request.input);
    let empty = kept.iter().filter(|example| is_empty(&example.request)).count();
    add("empty", settings.empty, empty, kept.len(), "requests have no letter and no digit".to_owned(), None);
    let (gate, most) = settings.too_long;
    let is_long = |Request { instruction, input }: &Request| {
        // There are no more characters than bytes.
        instruction.len() + input.len() > most && characters(instruction) + characters(input) > most
    };
    let long = kept.iter().filter(|example| is_long(&example.request)).count();
    add("too_long", gate, long, kept.len(), format!("requests are longer than {most} characters"), None);
    for (language, gate) in &settings.languages {
        let own = kept.iter().filter(|example| Language::of(&text(&example.request)) == *language).count();
        let name = format!("languages.{}", language.name());
        add(&name, *gate, own, kept.len(), format!("requests are of the language `{}`", language.name()), None);
    }
    let meaning = "examples repeat another that has another label (`conflicts.jsonl` lists them)".to_owned();
    add("label_conflicts", settings.label_conflicts, counted.conflicts, accepted, meaning, None);
    add(
        "rejected",
        settings.rejected,
        rejected,
        records,
        "records were rejected (`rejected.jsonl` lists them)".to_owned(),
        None,
    );
    out
}

/// Instruction and input as one text.
fn text(request: &Request) -> Cow<'_, str> {
    match request.input.is_empty() {
        true => request.instruction.as_str().into(),
        false => format!("{}\n{}", request.instruction, request.input).into(),
    }
}
