//! Contamination: evaluation requests that the training part holds too, to the letter, after normalisation, or nearly.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::{Example, MinHash, Parts, Request, normalised, similarity};

/// What becomes of an evaluation row that training holds too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ContaminationPolicy {
    /// It stays, and the report says so.
    #[default]
    Warn,
    /// It is taken out of the evaluation.
    Drop,
    /// The run fails.
    Fail,
}

/// How contamination is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ContaminationSettings {
    /// What becomes of what is found.
    pub policy: ContaminationPolicy,
    /// From which similarity on two requests are near duplicates: the Jaccard index of their character 5-grams.
    pub similarity: f64,
}

/// How alike two requests are. The order is that of what is told first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContaminationKind {
    /// Equal to the letter.
    Exact,
    /// Equal after normalisation (see [`normalised`]).
    Normalised,
    /// At least as similar as was asked for.
    Near,
}

/// An evaluation row and a training row that are alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContaminatedPair {
    /// The evaluation row's id.
    pub eval: String,
    /// The training row's id.
    pub train: String,
    /// How alike they are.
    pub kind: ContaminationKind,
    /// The Jaccard index of their character 5-grams; 1 where they are equal to the letter.
    pub similarity: f64,
}

/// How many evaluation rows training holds too, each counted once, by its nearest training row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContaminationCounts {
    /// Equal to the letter.
    pub exact: usize,
    /// Equal after normalisation.
    pub normalised: usize,
    /// Near duplicates.
    pub near: usize,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contamination {
    /// What became of it.
    pub policy: ContaminationPolicy,
    /// Evaluation rows that stand in training to the letter.
    pub exact: usize,
    /// Evaluation rows that do after normalisation only.
    pub normalised: usize,
    /// Evaluation rows that nearly do.
    pub near: usize,
    /// The same by source of the evaluation row; sources without any are left out.
    pub sources: BTreeMap<String, ContaminationCounts>,
    /// The pairs, in the order of the evaluation rows. In a report the first [`Contamination::SHOWN`].
    pub pairs: Vec<ContaminatedPair>,
}

impl ContaminationCounts {
    fn add(&mut self, kind: ContaminationKind) {
        match kind {
            ContaminationKind::Exact => self.exact += 1,
            ContaminationKind::Normalised => self.normalised += 1,
            ContaminationKind::Near => self.near += 1,
        }
    }
}

impl Contamination {
    /// How many pairs a report holds.
    pub const SHOWN: usize = 100;
    /// How many training rows are listed for one evaluation row: the nearest.
    pub const PAIRS_A_ROW: usize = 10;

    /// Looks for each evaluation row in the training part. The hash functions behind the near duplicates are drawn from `seed`;
    /// what they find is checked, so that the seed decides at most which few pairs are missed (see [`MinHash`]).
    pub fn find(parts: &Parts, settings: ContaminationSettings, seed: u64) -> Self {
        let mut out = Self {
            policy: settings.policy,
            exact: 0,
            normalised: 0,
            near: 0,
            sources: BTreeMap::new(),
            pairs: Vec::new(),
        };
        let forms: HashMap<String, Vec<usize>> =
            parts.train.iter().enumerate().fold(HashMap::new(), |mut forms, (index, example)| {
                forms.entry(normalised(&example.request)).or_insert_with(Vec::new).push(index);
                forms
            });
        let texts = |examples: &[Example]| examples.iter().map(|e| text(&e.request)).collect::<Vec<_>>();
        let (train, eval) = (texts(&parts.train), texts(&parts.eval));
        let hash = MinHash::new(settings.similarity, seed);
        let near = hash.across(&train, &eval, Self::PAIRS_A_ROW);
        let mut near = near.into_iter().peekable();

        let mut total = ContaminationCounts::default();
        for (row, example) in parts.eval.iter().enumerate() {
            let equal = forms.get(&normalised(&example.request)).map(Vec::as_slice).unwrap_or_default();
            let mut found: Vec<(ContaminationKind, f64, usize)> = equal
                .iter()
                .map(|&index| match parts.train[index].request == example.request {
                    true => (ContaminationKind::Exact, 1.0, index),
                    false => (ContaminationKind::Normalised, similarity(&train[index], &eval[row]), index),
                })
                .collect();
            while let Some(pair) = near.next_if(|pair| pair.query == row) {
                if !equal.contains(&pair.indexed) {
                    found.push((ContaminationKind::Near, pair.similarity, pair.indexed));
                }
            }
            found.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)).then(a.2.cmp(&b.2)));
            let Some(&(kind, ..)) = found.first() else { continue };
            total.add(kind);
            out.sources.entry(example.source.as_str().to_owned()).or_default().add(kind);
            out.pairs.extend(found.into_iter().take(Self::PAIRS_A_ROW).map(|(kind, similarity, index)| {
                ContaminatedPair {
                    eval: example.id.as_str().to_owned(),
                    train: parts.train[index].id.as_str().to_owned(),
                    kind,
                    similarity,
                }
            }));
        }
        (out.exact, out.normalised, out.near) = (total.exact, total.normalised, total.near);
        out
    }

    /// How many evaluation rows training holds too.
    pub fn rows(&self) -> usize {
        self.exact + self.normalised + self.near
    }

    /// As a report holds it: with the first pairs only.
    #[must_use]
    pub fn shortened(&self) -> Self {
        Self { pairs: self.pairs.iter().take(Self::SHOWN).cloned().collect(), ..self.clone() }
    }
}

/// What of a request is compared: instruction and input, a space between.
fn text(request: &Request) -> String {
    format!("{} {}", request.instruction, request.input)
}
