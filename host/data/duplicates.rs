//! Duplicates: one request is kept once, and what was one request is one group.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::{Candidate, Request, Usage};

/// What was removed, and what was found while looking.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DuplicateCounts {
    /// Requests equal to the letter.
    pub exact: usize,
    /// Requests equal after normalisation only.
    pub normalised: usize,
    /// How many of both stood in an evaluation source and in one that trains.
    pub across: usize,
    /// How many of both bear another label than the example that was kept.
    pub conflicts: usize,
}

/// A duplicate whose label differs from that of the example that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The example that was kept.
    pub kept: String,
    /// Its label.
    pub kept_label: u8,
    /// The example that was removed.
    pub removed: String,
    /// Its label.
    pub removed_label: u8,
}

/// Candidates without duplicates, in their order.
#[derive(Debug)]
pub struct Distinct {
    /// What was kept. Groups that a duplicate linked bear one name.
    pub candidates: Vec<Candidate>,
    /// How many were removed.
    pub counts: DuplicateCounts,
    /// How many were removed from each source.
    pub by_source: HashMap<String, usize>,
    /// Those whose labels disagree.
    pub conflicts: Vec<Conflict>,
}

/// A request in the form in which duplicates are looked for: NFKC, lower case, white space folded, closing
/// punctuation dropped.
pub fn normalised(request: &Request) -> String {
    let mut out = String::new();
    for part in [&request.instruction, &request.input] {
        let folded: String = part.nfkc().flat_map(char::to_lowercase).collect();
        let words: Vec<&str> = folded.split_whitespace().collect();
        out.push_str(words.join(" ").trim_end_matches(['.', '?', '!', '。', '…', ' ']));
        out.push('\u{1f}');
    }
    out
}

/// Whether an answer thinks aloud before it decides (quadruple thinking and its variants).
pub fn is_thinking(output: &str) -> bool {
    super::thinking::parse(output).is_some()
}

/// Keeps one example of each request: that of an evaluation source before one that trains (so that the measured set
/// stays as it was given), then the one that thinks aloud, then the first.
pub fn remove_duplicates(candidates: Vec<Candidate>) -> Distinct {
    let mut found: HashMap<String, usize> = HashMap::new();
    let mut classes: Vec<Class> = Vec::new();
    let mut removed: Vec<(usize, usize)> = Vec::new();
    let mut keep = vec![true; candidates.len()];
    let mut groups = Groups::default();
    let mut counts = DuplicateCounts::default();
    let mut by_source = HashMap::new();
    let rank = |c: &Candidate| (c.usage == Usage::Eval, is_thinking(&c.example.output));

    for (index, candidate) in candidates.iter().enumerate() {
        let group = &candidate.example.group;
        let place = match found.entry(normalised(&candidate.example.request)) {
            Entry::Vacant(vacant) => {
                vacant.insert(classes.len());
                classes.push(Class { winner: index, group: group.clone() });
                continue;
            }
            Entry::Occupied(occupied) => *occupied.get(),
        };
        let class = &mut classes[place];
        let other = class.winner;
        let first = &candidates[other];
        let (winner, loser) = if rank(candidate) > rank(first) { (index, other) } else { (other, index) };
        class.winner = winner;
        keep[loser] = false;
        removed.push((loser, place));
        if class.group.is_empty() {
            class.group.clone_from(group);
        } else {
            groups.link(&class.group, group);
        }

        if first.example.request == candidate.example.request {
            counts.exact += 1
        } else {
            counts.normalised += 1
        }
        if (first.usage == Usage::Eval) != (candidate.usage == Usage::Eval) {
            counts.across += 1;
        }
        *by_source.entry(candidates[loser].example.source.clone()).or_insert(0) += 1;
    }
    // Only now is it known which of a request's examples is kept.
    removed.sort_unstable();
    let conflicts: Vec<Conflict> = removed
        .into_iter()
        .map(|(loser, place)| (&candidates[classes[place].winner].example, &candidates[loser].example))
        .filter(|(kept, removed)| kept.label != removed.label)
        .map(|(kept, removed)| Conflict {
            kept: kept.id.clone(),
            kept_label: kept.label,
            removed: removed.id.clone(),
            removed_label: removed.label,
        })
        .collect();
    counts.conflicts = conflicts.len();
    // A winner without a group has that of the others of its class.
    let inherited: HashMap<usize, String> =
        classes.into_iter().filter(|class| !class.group.is_empty()).map(|class| (class.winner, class.group)).collect();

    let candidates = candidates
        .into_iter()
        .enumerate()
        .filter(|(index, _)| keep[*index])
        .map(|(index, mut candidate)| {
            if let Some(group) = inherited.get(&index) {
                candidate.example.group.clone_from(group);
            }
            candidate.example.group = groups.name(candidate.example.group);
            candidate
        })
        .collect();
    Distinct { candidates, counts, by_source, conflicts }
}

/// Group names joined by duplicates: each name points at a smaller one, or is the smallest.
#[derive(Default)]
struct Groups {
    parent: HashMap<String, String>,
}

/// Candidates that are one request.
struct Class {
    /// The place of the one that is kept.
    winner: usize,
    /// A group that the request stands in, to which all others that it stands in are linked; empty where there is none.
    group: String,
}

impl Groups {
    fn name(&self, mut group: String) -> String {
        while let Some(parent) = self.parent.get(&group) {
            group.clone_from(parent);
        }
        group
    }

    fn link(&mut self, a: &str, b: &str) {
        if a.is_empty() || b.is_empty() {
            return;
        }
        let (a, b) = (self.name(a.to_owned()), self.name(b.to_owned()));
        if a != b {
            self.parent.insert(a.clone().max(b.clone()), a.min(b));
        }
    }
}
