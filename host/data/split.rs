//! The split: seeded, stratified by source and label, and grouped, so that a group never straddles.

use std::collections::{BTreeMap, HashSet};

use sha2::{Digest, Sha256};

use super::{Candidate, Example, Usage, normalised};

/// A group's members, and the rank by which it is drawn.
type Ranked = (u64, Vec<Candidate>);

/// The two parts of a run's examples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts {
    /// What training reads.
    pub train: Vec<Example>,
    /// What evaluation reads.
    pub eval: Vec<Example>,
    /// What a calibration is fitted on: held out of training, and never evaluated.
    pub calibration: Vec<Example>,
    /// Training examples that were left out because their group is in an evaluation source.
    pub straddling: Vec<Example>,
    /// Evaluation examples that were left out because training holds them too.
    pub contaminated: Vec<Example>,
}

impl Parts {
    /// Moves the share `share` of what training reads to the calibration: seeded, stratified by source and label, in whole groups,
    /// by ranks that have nothing to do with those of [`split`].
    pub fn hold_out_calibration(&mut self, share: f64, seed: u64) {
        let examples = std::mem::take(&mut self.train);
        let candidates = examples.into_iter().map(|example| Candidate { example, usage: Usage::Both }).collect();
        let parts = split(candidates, share, seed ^ u64::from_le_bytes(*b"calibrat"));
        (self.train, self.calibration) = (parts.train, parts.eval);
    }

    /// Takes the evaluation examples with these ids out of the evaluation.
    pub fn drop_contaminated(&mut self, ids: &HashSet<&str>) {
        let (dropped, kept) = std::mem::take(&mut self.eval).into_iter().partition(|e| ids.contains(e.id.as_str()));
        self.contaminated = dropped;
        self.eval = kept;
    }
}

/// Parts candidates. Sources that serve one part alone keep to it; the others are parted so that of each stratum
/// (source and label) the share `eval_share` is held out, in whole groups.
///
/// An example without a group is a group of its own, named by its request. Which groups are held out depends on the seed and on
/// the groups' names and members alone, never on the order of files or rows or on the machine: a group's rank is the
/// SHA-256 of seed and name, its stratum the source and the label that most of its members have (the smaller name or id of equal
/// ones). A stratum of two groups or more has at least one on either side.
pub fn split(candidates: Vec<Candidate>, eval_share: f64, seed: u64) -> Parts {
    let mut groups: BTreeMap<String, Vec<Candidate>> = BTreeMap::new();
    let mut order = BTreeMap::new();
    for (index, candidate) in candidates.into_iter().enumerate() {
        let key = if candidate.example.group.is_empty() {
            format!("one\u{1f}{}", normalised(&candidate.example.request))
        } else {
            format!("group\u{1f}{}", candidate.example.group)
        };
        order.insert(candidate.example.id.clone(), index);
        groups.entry(key).or_default().push(candidate);
    }

    let mut parts = Parts::default();
    let mut strata: BTreeMap<(String, u8), Vec<Ranked>> = BTreeMap::new();
    for (key, members) in groups {
        if members.iter().any(|m| m.usage == Usage::Eval) {
            for member in members {
                let part = if member.usage == Usage::Train { &mut parts.straddling } else { &mut parts.eval };
                part.push(member.example);
            }
        } else if members.iter().any(|m| m.usage == Usage::Train) {
            parts.train.extend(members.into_iter().map(|m| m.example));
        } else {
            let source = majority(members.iter().map(|m| m.example.source.as_str())).unwrap_or_default().to_owned();
            let label = majority(members.iter().map(|m| m.example.label)).unwrap_or_default();
            strata.entry((source, label)).or_default().push((rank(seed, &key), members));
        }
    }
    for mut stratum in strata.into_values() {
        stratum.sort_by_key(|(rank, _)| *rank);
        let wanted = eval_share * stratum.iter().map(|(_, members)| members.len()).sum::<usize>() as f64;
        let (mut held_out, mut left) = (0.0, stratum.len());
        for (_, members) in stratum {
            let size = members.len() as f64;
            let nearer = (held_out + size - wanted).abs() < (held_out - wanted).abs();
            let hold_out = left > 1 && (nearer || held_out == 0.0);
            left -= 1;
            let part = if hold_out { &mut parts.eval } else { &mut parts.train };
            held_out += if hold_out { size } else { 0.0 };
            part.extend(members.into_iter().map(|m| m.example));
        }
    }
    for part in [&mut parts.train, &mut parts.eval, &mut parts.straddling] {
        part.sort_by_key(|example| order[&example.id]);
    }
    parts
}

/// What most members have; the smallest where several have equally many.
fn majority<T: Ord>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut counts = BTreeMap::new();
    values.for_each(|value| *counts.entry(value).or_insert(0_usize) += 1);
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(value, _)| value)
}

fn rank(seed: u64, key: &str) -> u64 {
    let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(key.as_bytes()).finalize();
    digest.iter().take(8).fold(0, |rank, byte| rank << 8 | u64::from(*byte))
}
