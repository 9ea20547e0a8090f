//! The split: seeded, stratified by source and label, and grouped, so that a group never straddles.

use std::collections::BTreeMap;

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
    /// Training examples that were left out because their group is in an evaluation source.
    pub straddling: Vec<Example>,
}

/// Parts candidates. Sources that serve one part alone keep to it; the others are parted so that of each stratum
/// (source and label) the share `eval_share` is held out, in whole groups.
///
/// An example without a group is a group of its own. Which groups are held out depends on the seed and the groups' names
/// alone, never on the order of the files: a group's rank is the SHA-256 of both. A stratum of two groups or more has at
/// least one on either side.
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
            let stratum = (members[0].example.source.clone(), majority(&members));
            strata.entry(stratum).or_default().push((rank(seed, &key), members));
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

/// The label that most members have; the smaller id where several do.
fn majority(members: &[Candidate]) -> u8 {
    let mut counts = BTreeMap::new();
    for member in members {
        *counts.entry(member.example.label).or_insert(0usize) += 1;
    }
    counts.into_iter().max_by_key(|&(label, count)| (count, std::cmp::Reverse(label))).map_or(0, |(label, _)| label)
}

fn rank(seed: u64, key: &str) -> u64 {
    let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(key.as_bytes()).finalize();
    digest.iter().take(8).fold(0, |rank, byte| rank << 8 | u64::from(*byte))
}
