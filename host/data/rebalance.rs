//! Rebalancing of the training part: weights, or examples more or less often, by class.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Example, LabelSet};

/// How classes are balanced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RebalanceMethod {
    /// The loss of rarer classes counts more; no example is added or removed.
    Weights,
    /// Examples of rarer classes stand several times.
    Over,
    /// Examples of more frequent classes are left out.
    Under,
}

/// How the training part is rebalanced.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RebalanceSettings {
    /// How.
    pub method: RebalanceMethod,
    /// How far: 0 changes nothing, 1 makes all classes equal. Class c with n of its examples is wanted n·(m/n)^strength times, where m
    /// is the size of the largest class (over, weights) or of the smallest (under).
    pub strength: f64,
    /// The largest weight in relation to that of the largest class, and the most times that an example stands.
    pub most: f64,
}

/// What rebalancing did, by class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rebalanced {
    /// How.
    pub method: RebalanceMethod,
    /// Training examples of each class before.
    pub before: BTreeMap<String, usize>,
    /// Training examples of each class after.
    pub after: BTreeMap<String, usize>,
    /// The weight of each class' examples; empty where examples were sampled.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<String, f32>,
}

/// Rebalances the training part. What is repeated or left out depends on `seed` and on the examples' ids, not on their order; examples stay in
/// order, copies right behind their original, with `#2`, `#3`, … behind its id. The mean weight of an example is 1.
pub fn rebalance(train: &mut Vec<Example>, labels: &LabelSet, settings: RebalanceSettings, seed: u64) -> Rebalanced {
    let count = |examples: &[Example]| {
        let mut counts = vec![0_usize; labels.len()];
        examples.iter().for_each(|example| counts[usize::from(example.label)] += 1);
        counts
    };
    let named = |counts: &[usize]| labels.names.iter().cloned().zip(counts.iter().copied()).collect();
    let before = count(train);
    let mut weights = BTreeMap::new();
    let present = before.iter().copied().filter(|&n| n > 0);
    let (largest, smallest) = (present.clone().max().unwrap_or(0), present.min().unwrap_or(0));
    match settings.method {
        RebalanceMethod::Weights => {
            let factors: Vec<f64> = before.iter().map(|&n| factor(n, largest, settings)).collect();
            let sum: f64 = before.iter().zip(&factors).map(|(&n, factor)| n as f64 * factor).sum();
            let scale = train.len() as f64 / sum;
            for example in train.iter_mut() {
                example.training.weight = (factors[usize::from(example.label)] * scale) as f32;
            }
            let own = before.iter().zip(&factors).filter(|(n, _)| **n > 0).map(|(_, factor)| (factor * scale) as f32);
            let names = labels.names.iter().zip(&before).filter(|(_, n)| **n > 0).map(|(name, _)| name.clone());
            weights = names.zip(own).collect();
        }
        RebalanceMethod::Over => {
            let wanted: Vec<usize> =
                before.iter().map(|&n| (n as f64 * factor(n, largest, settings)).round() as usize).collect();
            let extra: Vec<usize> =
                wanted.iter().zip(&before).map(|(wanted, &n)| if n == 0 { 0 } else { wanted % n }).collect();
            let drawn = drawn(train, &extra, seed);
            let mut out = Vec::with_capacity(wanted.iter().sum());
            for (index, example) in std::mem::take(train).into_iter().enumerate() {
                let label = usize::from(example.label);
                let times = wanted[label] / before[label] + usize::from(drawn[index]);
                out.extend(
                    (2..=times).map(|copy| Example { id: format!("{}#{copy}", example.id).into(), ..example.clone() }),
                );
                let place = out.len() + 1 - times.max(1);
                out.insert(place, example);
            }
            *train = out;
        }
        RebalanceMethod::Under => {
            let wanted: Vec<usize> = before
                .iter()
                .map(|&n| {
                    (n as f64 * factor(n, smallest, RebalanceSettings { most: f64::MAX, ..settings })).round() as usize
                })
                .collect();
            let drawn = drawn(train, &wanted, seed);
            let mut index = 0;
            train.retain(|_| {
                index += 1;
                drawn[index - 1]
            });
        }
    }
    Rebalanced { method: settings.method, before: named(&before), after: named(&count(train)), weights }
}

/// (m/n)^strength, at most `most`; 1 for a class without examples.
fn factor(n: usize, m: usize, settings: RebalanceSettings) -> f64 {
    if n == 0 { 1.0 } else { libm::pow(m as f64 / n as f64, settings.strength).min(settings.most) }
}

/// Which examples are drawn: of each class as many as are wanted, those of the least SHA-256 of seed and id.
fn drawn(examples: &[Example], wanted: &[usize], seed: u64) -> Vec<bool> {
    let rank = |example: &Example| {
        let hash = Sha256::new().chain_update(b"rebalance").chain_update(seed.to_le_bytes());
        hash.chain_update(example.id.as_bytes()).finalize()
    };
    let mut out = vec![false; examples.len()];
    for (label, &wanted) in wanted.iter().enumerate() {
        let own = examples.iter().enumerate().filter(|(_, example)| usize::from(example.label) == label);
        let mut ranks: Vec<_> = own.map(|(index, example)| (rank(example), index)).collect();
        ranks.sort_unstable();
        ranks.into_iter().take(wanted).for_each(|(_, index)| out[index] = true);
    }
    out
}
