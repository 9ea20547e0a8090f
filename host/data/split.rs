//! The split: seeded, stratified by source and label, and grouped, so that a group never straddles.

use std::collections::{BTreeMap, HashMap, HashSet};

use foldhash::quality::RandomState;
use sha2::{Digest, Sha256};

use super::{Candidate, Example, Usage, normalised};

/// The rank by which a group is drawn, its name, and its members by their indices.
type Ranked<'a> = (u64, Name<'a>, &'a [usize]);

/// The two parts of a run's examples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts {
    /// What training reads.
    pub train: Vec<Example>,
    /// What evaluation reads.
    pub eval: Vec<Example>,
    /// What a calibration is fitted on: held out of training, and never evaluated.
    pub calibration: Vec<Example>,
    /// What is measured while training, to choose among its adapters: held out of training, and never evaluated.
    pub validation: Vec<Example>,
    /// Training examples that were left out because their group is in an evaluation source.
    pub straddling: Vec<Example>,
    /// Evaluation examples that were left out because training holds them too.
    pub contaminated: Vec<Example>,
}

impl Parts {
    /// Moves the share `share` of what training reads to the calibration: seeded, stratified by source and label, in whole groups,
    /// by ranks that have nothing to do with those of [`split`].
    pub fn hold_out_calibration(&mut self, share: f64, seed: u64) {
        self.calibration = self.hold_out(share, seed ^ u64::from_le_bytes(*b"calibrat"));
    }

    /// Moves the share `share` of what training reads to the validation, in the same way.
    pub fn hold_out_validation(&mut self, share: f64, seed: u64) {
        self.validation = self.hold_out(share, seed ^ u64::from_le_bytes(*b"validate"));
    }

    /// Puts the share `share` of what training reads in the place of the evaluation part, which is forgotten: a trial of a search is not judged on it.
    pub fn hold_out_trial(&mut self, share: f64, seed: u64) {
        self.eval = self.hold_out(share, seed ^ u64::from_le_bytes(*b"searched"));
    }

    fn hold_out(&mut self, share: f64, seed: u64) -> Vec<Example> {
        let examples = std::mem::take(&mut self.train);
        let candidates = examples.into_iter().map(|example| Candidate { example, usage: Usage::Both }).collect();
        let parts = split(candidates, share, seed);
        self.train = parts.train;
        parts.eval
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
    let groups = Groups::of(&candidates);
    let mut places = vec![Place::Train; candidates.len()];
    let mut strata: BTreeMap<(&str, u8), Vec<Ranked<'_>>> = BTreeMap::new();
    for (name, members) in groups.iter() {
        let usages = || members.iter().map(|&member| candidates[member].usage);
        if usages().any(|usage| usage == Usage::Eval) {
            for (&member, usage) in members.iter().zip(usages()) {
                places[member] = if usage == Usage::Train { Place::Straddling } else { Place::Eval };
            }
        } else if !usages().any(|usage| usage == Usage::Train) {
            let examples = || members.iter().map(|&member| &candidates[member].example);
            let source = majority(examples().map(|example| example.source.as_str())).unwrap_or_default();
            let label = majority(examples().map(|example| example.label)).unwrap_or_default();
            strata.entry((source, label)).or_default().push((rank(seed, name), name, members));
        }
    }
    for mut stratum in strata.into_values() {
        stratum.sort_unstable_by_key(|(rank, name, _)| (*rank, *name));
        let wanted = eval_share * stratum.iter().map(|(_, _, members)| members.len()).sum::<usize>() as f64;
        let (mut held_out, mut left) = (0.0, stratum.len());
        for (_, _, members) in stratum {
            let size = members.len() as f64;
            let nearer = (held_out + size - wanted).abs() < (held_out - wanted).abs();
            let hold_out = left > 1 && (nearer || held_out == 0.0);
            left -= 1;
            if hold_out {
                held_out += size;
                members.iter().for_each(|&member| places[member] = Place::Eval);
            }
        }
    }
    let (mut eval, mut straddling) = (Vec::new(), Vec::new());
    // Most examples train: they stay where they lie.
    let train = candidates.into_iter().zip(places).filter_map(|(Candidate { example, .. }, place)| match place {
        Place::Train => Some(example),
        Place::Eval => {
            eval.push(example);
            None
        }
        Place::Straddling => {
            straddling.push(example);
            None
        }
    });
    let train = train.collect();
    Parts { train, eval, straddling, ..Parts::default() }
}

/// The name of a group: of one that the examples name, or of an example without a group, which its request names. In this order,
/// and within it in that of the names, groups of one rank are drawn.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Name<'a> {
    Named(&'a str),
    Request(&'a str),
}

/// Candidates by group, in the order in which the groups come.
struct Groups<'a> {
    candidates: &'a [Candidate],
    /// The normalised request of each candidate without a group; empty for the others.
    requests: Vec<String>,
    /// The candidates, those of one group together.
    members: Vec<usize>,
    /// Where each group starts among the members, and the end.
    starts: Vec<usize>,
}

impl<'a> Groups<'a> {
    fn of(candidates: &'a [Candidate]) -> Self {
        let request = |Candidate { example, .. }: &Candidate| match example.group.is_empty() {
            true => normalised(&example.request),
            false => String::new(),
        };
        let requests: Vec<String> = candidates.iter().map(request).collect();
        let mut numbers: HashMap<Name<'_>, usize, RandomState> = HashMap::default();
        let mut sizes = Vec::new();
        let mut numbered = Vec::with_capacity(candidates.len());
        let mut last = None;
        for (Candidate { example, .. }, request) in candidates.iter().zip(&requests) {
            let name = Name::of(&example.group, request);
            let next = sizes.len();
            // Those of one group mostly follow each other.
            let number = match last {
                Some((last, number)) if last == name => number,
                _ => *numbers.entry(name).or_insert(next),
            };
            last = Some((name, number));
            if number == next {
                sizes.push(0);
            }
            sizes[number] += 1;
            numbered.push(number);
        }
        let mut starts = vec![0];
        starts.extend(sizes.iter().scan(0, |end, size| {
            *end += size;
            Some(*end)
        }));
        let mut members = vec![0; candidates.len()];
        let mut free = starts.clone();
        for (index, number) in numbered.into_iter().enumerate() {
            members[free[number]] = index;
            free[number] += 1;
        }
        drop(numbers);
        Self { candidates, requests, members, starts }
    }

    /// Every group's name and members.
    fn iter(&self) -> impl Iterator<Item = (Name<'_>, &[usize])> {
        self.starts.windows(2).map(|bounds| {
            let members = &self.members[bounds[0]..bounds[1]];
            let first = members[0];
            (Name::of(&self.candidates[first].example.group, &self.requests[first]), members)
        })
    }
}

impl<'a> Name<'a> {
    fn of(group: &'a str, request: &'a str) -> Self {
        if group.is_empty() { Self::Request(request) } else { Self::Named(group) }
    }
}

/// Where an example goes.
#[derive(Clone, Copy)]
enum Place {
    Train,
    Eval,
    Straddling,
}

/// What most members have; the smallest where several have equally many.
fn majority<T: Ord + Copy>(values: impl Iterator<Item = T> + Clone) -> Option<T> {
    let first = values.clone().next();
    if first.is_none_or(|first| values.clone().all(|value| value == first)) {
        return first;
    }
    let mut counts = BTreeMap::new();
    values.for_each(|value| *counts.entry(value).or_insert(0_usize) += 1);
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(value, _)| value)
}

fn rank(seed: u64, name: Name<'_>) -> u64 {
    let (kind, name) = match name {
        Name::Named(name) => ("group\u{1f}", name),
        Name::Request(name) => ("one\u{1f}", name),
    };
    let hash =
        Sha256::new().chain_update(seed.to_le_bytes()).chain_update(kind.as_bytes()).chain_update(name.as_bytes());
    hash.finalize().iter().take(8).fold(0, |rank, byte| rank << 8 | u64::from(*byte))
}
