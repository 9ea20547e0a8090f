//! Answers, token by token: at each step the likeliest token.

use crate::Result;
use crate::kernels::backend::Backend;
use crate::model::network::{Network, Workspace};

/// How to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// The most tokens of one answer.
    pub max_new_tokens: usize,
    /// The most tokens that a batch keeps, room for its answers included; a prompt that is longer goes alone.
    pub batch_tokens: usize,
}

/// Answers `prompts` greedily: each step takes the likeliest token, the first of them on a tie. An answer ends before `end`
/// (the tokens that end a turn; none where empty), before the first of `ends` (each of which ends it), or after `max_new_tokens`. Prompts of similar length are answered side by
/// side, which changes no answer but for the rounding of sums of another batch. `progress(done)` is called after every
/// batch; its error ends the generation. Answers are in the order of `prompts`. `beginning` is what prompts begin with, computed once a network; it changes no answer.
///
/// # Errors
/// An empty prompt, or one that with its answer is too long for the network.
pub fn generate<B: Backend>(
    network: &Network<B>,
    prompts: &[Vec<u32>],
    beginning: &[u32],
    end: &[u32],
    ends: &[u32],
    generation: Generation,
    mut progress: impl FnMut(usize) -> Result<()>,
) -> Result<Vec<Vec<u32>>> {
    let mut order: Vec<usize> = (0..prompts.len()).collect();
    order.sort_by_key(|&i| prompts[i].len());
    let mut answers = vec![Vec::new(); prompts.len()];
    let mut workspace = Workspace::default();
    let mut done = 0;
    while done < order.len() {
        // Sorted by length, so that the last prompt of a batch sets the room of all.
        let fits = |count: usize| {
            let longest = prompts[order[done + count - 1]].len() + generation.max_new_tokens;
            count * longest <= generation.batch_tokens
        };
        let count = (1..=order.len() - done).take_while(|&count| fits(count)).last().unwrap_or(1);
        let batch = &order[done..done + count];
        let sequences: Vec<&[u32]> = batch.iter().map(|&i| prompts[i].as_slice()).collect();
        for (&i, answer) in
            batch.iter().zip(answer(network, (&sequences, beginning), (end, ends), generation, &mut workspace)?)
        {
            answers[i] = answer;
        }
        done += count;
        progress(done)?;
    }
    Ok(answers)
}

fn answer<B: Backend>(
    network: &Network<B>,
    (prompts, beginning): (&[&[u32]], &[u32]),
    (end, ends): (&[u32], &[u32]),
    generation: Generation,
    workspace: &mut Workspace<B>,
) -> Result<Vec<Vec<u32>>> {
    let mut answers = vec![Vec::new(); prompts.len()];
    if generation.max_new_tokens == 0 {
        return Ok(answers);
    }
    let (mut kept, mut logits) = network.begin(prompts, beginning, generation.max_new_tokens, workspace)?;
    let mut open: Vec<usize> = (0..prompts.len()).collect();
    loop {
        for (logits, &s) in logits.chunks_exact(network.config().vocab_size).zip(&open) {
            answers[s].push(likeliest(logits));
        }
        open.retain(|&s| {
            let answer: &mut Vec<u32> = &mut answers[s];
            let ended = if !end.is_empty() && answer.ends_with(end) {
                end.len()
            } else {
                usize::from(answer.last().is_some_and(|last| ends.contains(last)))
            };
            answer.truncate(answer.len() - ended);
            let ended = ended > 0;
            !ended && answer.len() < generation.max_new_tokens
        });
        if open.is_empty() {
            return Ok(answers);
        }
        let tokens: Vec<u32> = open.iter().filter_map(|&s| answers[s].last().copied()).collect();
        logits = network.next(&mut kept, &open, &tokens, workspace)?;
    }
}

fn likeliest(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (token, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = token;
        }
    }
    best as u32
}
