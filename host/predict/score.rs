//! A probability for every label of every prompt.

use super::Branches;
use crate::data::Prediction;
use crate::kernels::backend::Backend;
use crate::model::network::{Network, Workspace};
use crate::{Error, Result};

/// Scores `labels` (their tokens, as an answer begins with them) after each of `prompts`; see [`Branches`] for what a
/// probability is. The predicted label is the likeliest, the first of them on a tie.
///
/// Prompts of similar length share a pass, as many as fit into `batch_tokens` (one that is longer goes alone). Each
/// sequence is computed independently of the others in its pass, so the result does not depend on `batch_tokens`.
/// What prompts have of `beginning` is computed once a network and not once a batch, which changes no bit either.
/// `progress(done)` is called after every pass; its error ends the scoring. Results are in the order of `prompts`.
///
/// Errors: see [`Branches::new`]; an empty prompt or one that is too long for the network; a score that is not finite.
pub fn score<B: Backend>(
    network: &Network<B>,
    prompts: &[Vec<u32>],
    beginning: &[u32],
    labels: &[Vec<u32>],
    batch_tokens: usize,
    mut progress: impl FnMut(usize) -> Result<()>,
) -> Result<Vec<Prediction>> {
    let branches = Branches::new(labels)?;
    let mut order: Vec<usize> = (0..prompts.len()).collect();
    order.sort_by_key(|&i| prompts[i].len());
    let mut out: Vec<Option<Prediction>> = vec![None; prompts.len()];
    let mut workspace = Workspace::default();
    let mut done = 0;
    while done < order.len() {
        let batch = &order[done..done + fitting(&order[done..], prompts, &branches, batch_tokens)];
        for (&prompt, prediction) in
            batch.iter().zip(pass(network, batch, (prompts, beginning), &branches, &mut workspace)?)
        {
            out[prompt] = Some(prediction);
        }
        done += batch.len();
        progress(done)?;
    }
    Ok(out.into_iter().flatten().collect())
}

/// How many of the prompts `order` fit into one pass: at least one.
fn fitting(order: &[usize], prompts: &[Vec<u32>], branches: &Branches, batch_tokens: usize) -> usize {
    let mut tokens = 0;
    let fits = |&&prompt: &&usize| {
        tokens += branches.runs.iter().map(|run| prompts[prompt].len() + run.len()).sum::<usize>();
        tokens <= batch_tokens
    };
    order.iter().take_while(fits).count().max(1)
}

fn pass<B: Backend>(
    network: &Network<B>,
    batch: &[usize],
    (prompts, beginning): (&[Vec<u32>], &[u32]),
    branches: &Branches,
    workspace: &mut Workspace<B>,
) -> Result<Vec<Prediction>> {
    if branches.branches.is_empty() {
        return Ok(batch.iter().map(|_| Prediction { label: 0, scores: vec![1.0] }).collect());
    }
    let (mut sequences, mut rows, mut start) = (Vec::new(), Vec::new(), 0);
    for &prompt in batch {
        let mut ends = Vec::with_capacity(branches.runs.len());
        for run in &branches.runs {
            let sequence = [prompts[prompt].as_slice(), run].concat();
            ends.push((start + prompts[prompt].len()).wrapping_sub(1));
            start += sequence.len();
            sequences.push(sequence);
        }
        rows.extend(branches.branches.iter().map(|branch| (ends[branch.run] + branch.prefix.len()) as u32));
    }
    if let Some(&prompt) = batch.iter().find(|&&prompt| prompts[prompt].is_empty()) {
        return Err(Error::data(format!("prompt {prompt} is empty")));
    }
    // The scores behind each prompt's last token are asked for.
    let shortest = batch.iter().map(|&prompt| prompts[prompt].len()).min().unwrap_or(0);
    let sequences: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
    let packed = network.pack_behind(beginning, shortest.saturating_sub(1), &sequences, workspace)?;
    let logits = network.logits(&packed, &rows, Some(&branches.tokens), workspace)?;
    let columns = branches.tokens.len();
    let one = |(prompt, logits): (&usize, &[f32])| {
        let scores = branches.probabilities(|branch, token| {
            let column = branches.tokens.binary_search(&token).unwrap_or(0);
            logits[branch * columns + column]
        });
        if scores.iter().any(|score| !score.is_finite()) {
            return Err(Error::model(format!("the scores of prompt {prompt} are not finite: `{scores:?}`")));
        }
        let best = (0..scores.len()).fold(0, |best, i| if scores[i] > scores[best] { i } else { best });
        Ok(Prediction { label: best as u8, scores })
    };
    batch.iter().zip(logits.chunks_exact(columns * branches.branches.len())).map(one).collect()
}
