//! Duplicates: one request is kept once, and what was one request is one group.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher as _;

use foldhash::quality::RandomState;
use serde::{Deserialize, Serialize};

use super::{ByHash, Candidate, Request, Usage, normalise, normalised};

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

/// Whether an answer thinks aloud before it decides (quadruple thinking and its variants).
pub fn is_thinking(output: &str) -> bool {
    // A tag ends with one, a heading begins with the other.
    memchr::memchr2(b'>', b'#', output.as_bytes()).is_some() && super::thinking::parse(output).is_some()
}

/// Keeps one example of each request: that of an evaluation source before one that trains (so that the measured set
/// stays as it was given), then the one that thinks aloud, then the first.
pub fn remove_duplicates(candidates: Vec<Candidate>) -> Distinct {
    let hashes = hashes(&candidates);
    let mut found = ByHash::default();
    found.reserve(candidates.len());
    let mut classes: Vec<Class> = Vec::new();
    let mut removed: Vec<(usize, usize)> = Vec::new();
    let mut keep = vec![true; candidates.len()];
    let mut groups = Groups::default();
    let mut counts = DuplicateCounts::default();
    let mut by_source = HashMap::new();
    let rank = |c: &Candidate| (c.usage == Usage::Eval, is_thinking(&c.example.output));

    for (index, candidate) in candidates.iter().enumerate() {
        let group = &candidate.example.group;
        let begun = Class { winner: index, grouped: (!group.is_empty()).then_some(index), next: None };
        let mut at = match found.entry(hashes[index]) {
            Entry::Vacant(vacant) => {
                vacant.insert(classes.len());
                classes.push(begun);
                continue;
            }
            Entry::Occupied(occupied) => *occupied.get(),
        };
        // What has one hash need not be one request.
        let is_one = |class: &Class| {
            let [one, other] = [&candidates[class.winner], candidate].map(|c| &c.example.request);
            one == other || normalised(one) == normalised(other)
        };
        while !is_one(&classes[at]) {
            let Some(next) = classes[at].next else { break };
            at = next;
        }
        if !is_one(&classes[at]) {
            classes[at].next = Some(classes.len());
            classes.push(begun);
            continue;
        }
        let class = &mut classes[at];
        let other = class.winner;
        let first = &candidates[other];
        let (winner, loser) = if rank(candidate) > rank(first) { (index, other) } else { (other, index) };
        class.winner = winner;
        keep[loser] = false;
        removed.push((loser, at));
        match class.grouped {
            None => class.grouped = (!group.is_empty()).then_some(index),
            Some(grouped) => groups.link(&candidates[grouped].example.group, group),
        }

        if first.example.request == candidate.example.request {
            counts.exact += 1
        } else {
            counts.normalised += 1
        }
        if (first.usage == Usage::Eval) != (candidate.usage == Usage::Eval) {
            counts.across += 1;
        }
        *by_source.entry(candidates[loser].example.source.as_str().to_owned()).or_insert(0) += 1;
    }
    // Only now is it known which of a request's examples is kept.
    removed.sort_unstable();
    let conflicts: Vec<Conflict> = removed
        .into_iter()
        .map(|(loser, place)| (&candidates[classes[place].winner].example, &candidates[loser].example))
        .filter(|(kept, removed)| kept.label != removed.label)
        .map(|(kept, removed)| Conflict {
            kept: kept.id.as_str().to_owned(),
            kept_label: kept.label,
            removed: removed.id.as_str().to_owned(),
            removed_label: removed.label,
        })
        .collect();
    counts.conflicts = conflicts.len();
    // A winner without a group has that of the others of its class; one with a group is linked to it.
    let mut candidates = candidates;
    for class in &classes {
        if let Some(grouped) = class.grouped.filter(|_| candidates[class.winner].example.group.is_empty()) {
            candidates[class.winner].example.group = candidates[grouped].example.group.clone();
        }
    }
    let mut kept = keep.into_iter();
    candidates.retain(|_| kept.next().unwrap_or(true));
    if !groups.parent.is_empty() {
        for candidate in &mut candidates {
            let group = &mut candidate.example.group;
            if groups.parent.contains_key(group.as_str()) {
                *group = groups.name(group.as_str().to_owned()).into();
            }
        }
    }
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
    /// A candidate whose group the request stands in, to which all others that it stands in are linked; `None` where there is none.
    grouped: Option<usize>,
    /// Another class with the same hash.
    next: Option<usize>,
}

/// The hash of every candidate's normalised request, by as many threads as the machine has.
fn hashes(candidates: &[Candidate]) -> Vec<u64> {
    let hasher = RandomState::default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut hashes = vec![0; candidates.len()];
    let share = candidates.len().div_ceil(threads).max(MIN_SHARE);
    std::thread::scope(|scope| {
        for (candidates, hashes) in candidates.chunks(share).zip(hashes.chunks_mut(share)) {
            let fill = || {
                let mut form = String::new();
                for (candidate, hash) in candidates.iter().zip(hashes) {
                    let Request { instruction, input } = &candidate.example.request;
                    form.clear();
                    normalise(instruction, input, &mut form);
                    *hash = hasher.hash_one(form.as_str());
                }
            };
            if candidates.len() < MIN_SHARE { fill() } else { drop(scope.spawn(fill)) }
        }
    });
    hashes
}

/// How many candidates make a thread worth its start.
const MIN_SHARE: usize = 2000;

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
