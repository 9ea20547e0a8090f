//! What a prepared set holds, by source and by class, and whether a result on it can mean anything.

use std::collections::{BTreeMap, HashMap, HashSet};

use foldhash::quality::RandomState;
use serde::{Deserialize, Serialize};

use super::policy::PolicyStatistics;
use super::{
    DuplicateCounts, Example, GateAction, GateOutcome, LENGTH_SPANS, LabelSet, Language, Parts, Provenance, Rebalanced,
    Traits, Usage, Withheld, is_thinking, length_span,
};
use so8t_base::{Error, Result};

/// One source's counts. Records = accepted + rejected + excluded; accepted = train + calibration + validation + eval + duplicates +
/// straddling + contaminated + dropped. Rebalancing changes the training examples after that: its own counts say how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceStatistics {
    /// The source's name.
    pub name: String,
    /// What it serves.
    #[serde(rename = "use")]
    pub usage: Usage,
    /// How many files it has.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// How many records they hold.
    pub records: usize,
    /// Records that became examples.
    pub accepted: usize,
    /// Records that a converter or mapper refused.
    pub rejected: usize,
    /// Records that a mapper's rule left out on purpose.
    pub excluded: usize,
    /// Examples removed as duplicates.
    pub duplicates: usize,
    /// Training examples left out because their group is evaluated.
    pub straddling: usize,
    /// Evaluation examples left out because training holds them too.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub contaminated: usize,
    /// Examples left out because the policy asks for it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: usize,
    /// Whether its texts are there to be judged alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub detection_only: bool,
    /// What the manifest says of where it comes from.
    #[serde(default, skip_serializing_if = "Provenance::is_empty")]
    pub provenance: Provenance,
    /// How often each kind of personal data or secret was found, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub found: BTreeMap<String, usize>,
    /// Training examples of each class.
    pub train: BTreeMap<String, usize>,
    /// Calibration examples of each class; empty where nothing is calibrated.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub calibration: BTreeMap<String, usize>,
    /// Validation examples of each class; empty where nothing is validated.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub validation: BTreeMap<String, usize>,
    /// Evaluation examples of each class.
    pub eval: BTreeMap<String, usize>,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The counts of a whole prepared set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Each source, in the manifest's order.
    pub sources: Vec<SourceStatistics>,
    /// Training examples of each class.
    pub train: BTreeMap<String, usize>,
    /// Calibration examples of each class; empty where nothing is calibrated.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub calibration: BTreeMap<String, usize>,
    /// Validation examples of each class; empty where nothing is validated.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub validation: BTreeMap<String, usize>,
    /// Evaluation examples of each class.
    pub eval: BTreeMap<String, usize>,
    /// Groups that are trained on, and that are evaluated.
    pub groups: (usize, usize),
    /// What was removed as a duplicate.
    pub duplicates: DuplicateCounts,
    /// Languages and lengths of the training part.
    #[serde(default)]
    pub train_profile: Profile,
    /// Languages and lengths of the evaluation part.
    #[serde(default)]
    pub eval_profile: Profile,
    /// What the policy came to, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyStatistics>,
    /// Outputs that were withheld for detection-only sources, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<Withheld>,
    /// How the training part was rebalanced, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebalanced: Option<Rebalanced>,
    /// The quality gates, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quality: Vec<GateOutcome>,
    /// What should be known before a number is believed.
    pub warnings: Vec<String>,
}

/// What the requests of a part are like.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Requests of each language.
    pub languages: BTreeMap<String, usize>,
    /// Requests of each span of lengths, in characters; in order.
    pub lengths: Vec<(String, usize)>,
    /// The median length of a request in characters: of an even number the smaller of the two in the middle; 0 without any.
    pub median_length: usize,
    /// The greatest length of a request in characters.
    pub longest: usize,
    /// Examples whose output thinks aloud before it decides.
    pub thinking: usize,
}

impl Profile {
    /// The profile of a part.
    pub fn of(examples: &[Example]) -> Self {
        let mut out = Self::default();
        for language in [Language::Ja, Language::En, Language::Other] {
            out.languages.insert(language.name().to_owned(), 0);
        }
        out.lengths = LENGTH_SPANS.map(|span| (span.to_owned(), 0)).to_vec();
        let mut lengths = Vec::with_capacity(examples.len());
        for example in examples {
            let traits = Traits::of(example);
            *out.languages.entry(traits.language.name().to_owned()).or_insert(0) += 1;
            let span = length_span(traits.length);
            out.lengths.iter_mut().filter(|(own, _)| own == span).for_each(|(_, count)| *count += 1);
            out.thinking += usize::from(!example.output.is_empty() && is_thinking(&example.output));
            lengths.push(traits.length);
        }
        lengths.sort_unstable();
        out.median_length = lengths.get(lengths.len().saturating_sub(1) / 2).copied().unwrap_or(0);
        out.longest = lengths.last().copied().unwrap_or(0);
        out
    }
}

impl Statistics {
    /// Counts the parts; `sources` brings what was counted while the files were read.
    pub fn new(
        mut sources: Vec<SourceStatistics>,
        parts: &Parts,
        duplicates: DuplicateCounts,
        labels: &LabelSet,
    ) -> Self {
        let zero: BTreeMap<String, usize> = labels.names.iter().map(|n| (n.clone(), 0)).collect();
        let mut out = Self { train: zero.clone(), eval: zero.clone(), duplicates, ..Self::default() };
        for source in &mut sources {
            source.train.clone_from(&zero);
            source.eval.clone_from(&zero);
        }
        let place: HashMap<String, usize> =
            sources.iter().enumerate().rev().map(|(index, source)| (source.name.clone(), index)).collect();
        let mut groups = [(); 2].map(|()| HashSet::with_hasher(RandomState::default()));
        let mut counted = vec![[[0_usize; 256]; 4]; sources.len()];
        let mut totals = [[0_usize; 256]; 4];
        let all = [&parts.train, &parts.eval, &parts.calibration, &parts.validation];
        for (part, examples) in all.into_iter().enumerate() {
            // Examples of one source mostly follow each other.
            let mut last: (&str, Option<usize>) = ("", None);
            let mut last_group = None;
            for example in examples {
                totals[part][usize::from(example.label)] += 1;
                if last.1.is_none() || example.source != last.0 {
                    last = (&example.source, place.get(example.source.as_str()).copied());
                }
                if let Some(source) = last.1 {
                    counted[source][part][usize::from(example.label)] += 1;
                }
                if let Some(groups) = groups.get_mut(part) {
                    let group = if example.group.is_empty() { example.id.as_str() } else { example.group.as_str() };
                    if last_group.replace(group) != Some(group) {
                        groups.insert(group);
                    }
                }
            }
        }
        let add = |counts: &[usize; 256], to: &mut BTreeMap<String, usize>| {
            for (id, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                *to.entry(labels.name(id as u8).to_owned()).or_insert(0) += count;
            }
        };
        let [train, eval, calibration, validation] = &totals;
        add(train, &mut out.train);
        add(eval, &mut out.eval);
        add(calibration, &mut out.calibration);
        add(validation, &mut out.validation);
        for (source, [train, eval, calibration, validation]) in sources.iter_mut().zip(&counted) {
            add(train, &mut source.train);
            add(eval, &mut source.eval);
            add(calibration, &mut source.calibration);
            add(validation, &mut source.validation);
            let own =
                |part: &[super::Example]| part.iter().filter(|example| example.source == source.name.as_str()).count();
            (source.straddling, source.contaminated) = (own(&parts.straddling), own(&parts.contaminated));
        }
        (out.train_profile, out.eval_profile) = (Profile::of(&parts.train), Profile::of(&parts.eval));
        out.sources = sources;
        out.groups = (groups[0].len(), groups[1].len());
        out
    }

    /// Adds the gates that are not passed to the warnings.
    ///
    /// # Errors
    /// Gates that are not passed and that the manifest makes failures: all of them, one after another.
    pub fn judge(&mut self, quality: Vec<GateOutcome>) -> Result<()> {
        self.quality = quality;
        let missed: Vec<&GateOutcome> = self.quality.iter().filter(|gate| !gate.passed).collect();
        let failures: Vec<String> =
            missed.iter().filter(|gate| gate.action == GateAction::Fail).map(|gate| gate.line()).collect();
        if !failures.is_empty() {
            return Err(Error::data(failures.join("; "))
                .with_hint("mend the data, or change the bound or the `action` of the gate under `[quality]`"));
        }
        self.warnings.extend(missed.into_iter().map(GateOutcome::line));
        Ok(())
    }

    /// Adds what is doubtful to the warnings, and refuses what makes a result meaningless.
    ///
    /// # Errors
    /// A source without examples, an evaluation of fewer than two examples, training without examples.
    pub fn check(&mut self, labels: &LabelSet, trains: bool) -> Result<()> {
        for source in &self.sources {
            if source.accepted == 0 {
                return Err(Error::data(format!(
                    "source `{}` gave no example: {} records, {} rejected, {} excluded",
                    source.name, source.records, source.rejected, source.excluded
                ))
                .with_hint("`rejected.jsonl` in the run's folder lists each record with its reason"));
            }
            let parts = [&source.train, &source.eval, &source.calibration, &source.validation];
            if parts.iter().flat_map(|part| part.values()).sum::<usize>() == 0 {
                self.warnings.push(format!(
                    "source `{}`: none of its {} examples is left ({} duplicates, {} in an evaluated group)",
                    source.name, source.accepted, source.duplicates, source.straddling
                ));
            }
        }
        let (train, eval): (usize, usize) = (self.train.values().sum(), self.eval.values().sum());
        if eval < 2 {
            return Err(Error::data(format!(
                "{eval} examples are left to evaluate: expected at least 2, since a metric over fewer means nothing"
            ))
            .with_hint("raise `[split] eval`, or give a source with `use = \"eval\"`"));
        }
        // Sets of one class are measured: the share of them that passes, or is blocked, says all there is to say.
        let only: Vec<&String> = self.eval.iter().filter(|(_, n)| **n > 0).map(|(name, _)| name).collect();
        if let [only] = only.as_slice() {
            self.warnings.push(format!(
                "all evaluation examples are {only}: accuracy, F1 and whatever else weighs classes against each other say nothing"
            ));
        }
        if trains && train == 0 {
            return Err(Error::data("no example is left to train on")
                .with_hint("give a source with `use = \"train\"` or `\"both\"`"));
        }
        for name in &labels.names {
            if self.eval[name] == 0 {
                self.warnings.push(format!("class {name} has no evaluation example: its recall and F1 say nothing"));
            }
            if trains && self.train[name] == 0 {
                self.warnings.push(format!("class {name} has no training example: the model cannot learn it"));
            }
        }
        if eval < 30 {
            self.warnings.push(format!("only {eval} evaluation examples: every number is very uncertain"));
        }
        Ok(())
    }
}
