//! Where label sequences part.
//!
//! A decision among labels is a walk from the root of the tree of their tokens to a leaf. Only a node with several
//! children is a choice; where the labels that remain share the next token, no information is left in it, and scoring it
//! would only let a long label lose against a short one. So
//!
//! `P(label | prompt) = Π over branch points on its path of P(its token | prefix, one of the branch's tokens)`,
//!
//! a distribution over the labels without further normalisation. Where all first tokens differ, this is the softmax over
//! the first tokens' logits.

use std::collections::BTreeMap;

use crate::{Error, Result};

/// A point where labels part: after `prefix`, each of `children` leads to some of the labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The tokens that the labels share up to here.
    pub prefix: Vec<u32>,
    /// Distinct tokens, and the labels that go on with each.
    pub children: Vec<(u32, Vec<usize>)>,
    /// The run that computes it.
    pub run: usize,
}

/// The branch points of a set of labels, and the fewest continuations of a prompt that pass all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branches {
    /// Number of labels.
    pub labels: usize,
    /// The branch points.
    pub branches: Vec<Branch>,
    /// What is appended to a prompt, one sequence each; a single empty one where all first tokens differ.
    pub runs: Vec<Vec<u32>>,
    /// The tokens of all branches, sorted.
    pub tokens: Vec<u32>,
}

impl Branches {
    /// Errors: no label, an empty one, two that are equal, or one that another begins with (no token then tells them
    /// apart).
    pub fn new(labels: &[Vec<u32>]) -> Result<Self> {
        if labels.is_empty() {
            return Err(Error::data("there are no labels to choose from"));
        }
        let mut branches = Vec::new();
        part(labels, (0..labels.len()).collect(), &mut Vec::new(), &mut branches)?;
        let mut prefixes: Vec<Vec<u32>> = branches.iter().map(|branch| branch.prefix.clone()).collect();
        prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
        let mut runs: Vec<Vec<u32>> = Vec::new();
        for prefix in prefixes {
            if !runs.iter().any(|run| run.starts_with(&prefix)) {
                runs.push(prefix);
            }
        }
        for branch in &mut branches {
            branch.run = runs.iter().position(|run| run.starts_with(&branch.prefix)).unwrap_or(0);
        }
        let mut tokens: Vec<u32> = branches.iter().flat_map(|b| b.children.iter().map(|child| child.0)).collect();
        tokens.sort_unstable();
        tokens.dedup();
        Ok(Self { labels: labels.len(), branches, runs, tokens })
    }

    /// Every label's probability, given `logit(branch, token)`.
    pub fn probabilities(&self, logit: impl Fn(usize, u32) -> f32) -> Vec<f32> {
        let mut logarithms = vec![0.0f64; self.labels];
        for (index, branch) in self.branches.iter().enumerate() {
            let logits: Vec<f64> = branch.children.iter().map(|child| f64::from(logit(index, child.0))).collect();
            let greatest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total = logits.iter().map(|x| (x - greatest).exp()).sum::<f64>().ln() + greatest;
            for ((_, labels), x) in branch.children.iter().zip(&logits) {
                for &label in labels {
                    logarithms[label] += x - total;
                }
            }
        }
        logarithms.into_iter().map(|x| x.exp() as f32).collect()
    }
}

fn part(labels: &[Vec<u32>], among: Vec<usize>, prefix: &mut Vec<u32>, out: &mut Vec<Branch>) -> Result<()> {
    let mut children: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for &label in &among {
        match labels[label].get(prefix.len()) {
            Some(&token) => children.entry(token).or_default().push(label),
            None if prefix.is_empty() => return Err(Error::data(format!("label {label} has no tokens"))),
            None if among.len() > 1 => {
                let other = among.iter().find(|&&other| other != label).unwrap_or(&label);
                return Err(Error::data(format!("the tokens of label {other} begin with all tokens of label {label}"))
                    .with_hint("a decision needs a token that differs: rename one of them"));
            }
            None => return Ok(()),
        }
    }
    if children.len() > 1 {
        let children = children.iter().map(|(token, labels)| (*token, labels.clone())).collect();
        out.push(Branch { prefix: prefix.clone(), children, run: 0 });
    }
    for (token, labels_below) in children {
        if labels_below.len() > 1 {
            prefix.push(token);
            let result = part(labels, labels_below, prefix, out);
            prefix.pop();
            result?;
        }
    }
    Ok(())
}
