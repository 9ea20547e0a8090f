//! Requests as prompts, and what a network says of them.

use std::time::Instant;

use super::answers;
use crate::Result;
use crate::data::{Example, LabelSet, Prediction, Request};
use crate::evaluate::EvaluatedRow;
use crate::kernels::backend::Backend;
use crate::manifest::{PredictMode, PredictTable};
use crate::model::TextTokenizer;
use crate::model::network::Network;
use crate::pipeline::progress::Narrator;
use crate::predict::{self, Prompter};

/// Requests as prompts, and how a network answers them.
pub(in crate::pipeline) struct Asked<'a> {
    prompter: Prompter,
    pub(in crate::pipeline) prompts: Vec<Vec<u32>>,
    tokenizer: TextTokenizer,
    predict: &'a PredictTable,
}

impl<'a> Asked<'a> {
    pub(in crate::pipeline) fn new(
        prompter: Prompter,
        requests: &[&Request],
        tokenizer: TextTokenizer,
        predict: &'a PredictTable,
        narrator: &Narrator,
    ) -> Result<Self> {
        let prompts = requests.iter().map(|request| prompter.prompt(request)).collect::<Result<Vec<_>>>()?;
        warn_truncated(&prompter, requests.len(), narrator);
        Ok(Self { prompter, prompts, tokenizer, predict })
    }

    /// The decision for every prompt, and the text of each answer where answers are generated.
    pub(in crate::pipeline) fn answer<B: Backend>(
        &self,
        network: &Network<B>,
        labels: &LabelSet,
        progress: impl FnMut(usize) -> Result<()>,
    ) -> Result<(Vec<Prediction>, Option<Vec<String>>)> {
        answer(network, &self.prompts, (&self.prompter, &self.tokenizer), self.predict, labels, progress)
    }
}

/// The decision for every prompt, and the text of each answer where answers are generated: the one way in which requests are decided on.
pub(in crate::pipeline) fn answer<B: Backend>(
    network: &Network<B>,
    prompts: &[Vec<u32>],
    (prompter, tokenizer): (&Prompter, &TextTokenizer),
    predict: &PredictTable,
    labels: &LabelSet,
    progress: impl FnMut(usize) -> Result<()>,
) -> Result<(Vec<Prediction>, Option<Vec<String>>)> {
    Ok(match predict.mode {
        PredictMode::Score => {
            let (beginning, labels) = (prompter.beginning(), prompter.labels());
            (predict::score(network, prompts, beginning, labels, predict.batch, progress)?, None)
        }
        PredictMode::Generate => {
            let answers = answers::generate(network, prompts, prompter, tokenizer, predict, progress)?;
            (answers::decide(&answers, labels), Some(answers))
        }
    })
}

/// Examples with what was predicted of them.
pub(in crate::pipeline) fn rows(
    examples: &[Example],
    predictions: Vec<Prediction>,
    milliseconds: Vec<Option<f32>>,
) -> Vec<EvaluatedRow> {
    let rows = examples.iter().zip(predictions).zip(milliseconds);
    rows.map(|((example, prediction), latency_ms)| EvaluatedRow {
        id: example.id.as_str().to_owned(),
        source: example.source.as_str().to_owned(),
        group: example.group.as_str().to_owned(),
        gold: example.label,
        prediction,
        latency_ms,
        request: Some(example.request.digest()),
    })
    .collect()
}

/// How long each prompt took: the time of its pass, shared evenly among the prompts of the pass.
pub(in crate::pipeline) struct Latency {
    /// The order in which [`predict::score`] takes the prompts: by length.
    order: Vec<usize>,
    done: usize,
    since: Instant,
    pub(in crate::pipeline) milliseconds: Vec<Option<f32>>,
}

impl Latency {
    pub(in crate::pipeline) fn new(prompts: &[Vec<u32>]) -> Self {
        let mut order: Vec<usize> = (0..prompts.len()).collect();
        order.sort_by_key(|&prompt| prompts[prompt].len());
        Self { order, done: 0, since: Instant::now(), milliseconds: vec![None; prompts.len()] }
    }

    /// A pass ended, with which so many prompts are done.
    pub(in crate::pipeline) fn pass(&mut self, done: usize) {
        let prompts = &self.order[self.done..done];
        let share = self.since.elapsed().as_secs_f64() * 1e3 / prompts.len().max(1) as f64;
        prompts.iter().for_each(|&prompt| self.milliseconds[prompt] = Some(share as f32));
        (self.done, self.since) = (done, Instant::now());
    }
}

pub(in crate::pipeline) fn warn_truncated(prompter: &Prompter, total: usize, narrator: &Narrator) {
    let truncated = prompter.truncated();
    if truncated > 0 {
        narrator.warn(format!("{truncated} of {total} requests were cut to fit `max_length`"));
    }
}
