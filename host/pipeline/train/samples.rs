//! From training examples to what the trainer reads: a prompt as the model will be asked, and the answer that it is to learn.

use crate::data::Example;
use crate::pipeline::model::prompts::warn_truncated;
use crate::pipeline::prepare::Prepared;
use crate::pipeline::progress::Narrator;
use crate::predict::{Prompter, Thought};
use crate::train::{AnswerForm, Sample, TrainConfig};
use crate::{Error, Result};

/// How many answers think aloud, and how.
#[derive(Default)]
struct Thoughts {
    whole: usize,
    cut: usize,
    none: usize,
    contradictions: Vec<String>,
}

/// A sample of every training example, in their order. Thinking that is cut, lacks or contradicts its label is warned of.
///
/// # Errors
/// A prompt and answer that do not fit into `max_length`; where answers are to think, no example that does.
pub(in crate::pipeline) fn samples(
    prompter: Prompter,
    prepared: &Prepared,
    config: &TrainConfig,
    narrator: &Narrator,
) -> Result<Vec<Sample>> {
    let (labels, examples) = (&prepared.labels, &prepared.parts.train);
    let prompter = match config.answer {
        AnswerForm::Decision => prompter,
        AnswerForm::Thinking => prompter.with_final_part(labels)?,
    };
    let weights = config.weights_of(&labels.names)?;
    let mut thoughts = Thoughts::default();
    let mut sample = |example: &Example| {
        let mut tokens = prompter.prompt(&example.request)?;
        let completion_start = tokens.len();
        match config.answer {
            AnswerForm::Decision => tokens.extend(prompter.completion(example.label)),
            AnswerForm::Thinking => {
                let room = config.max_length.saturating_sub(completion_start);
                let answer =
                    prompter.thinking_answer(example.target()?.unwrap_or_default(), labels, example.label, room)?;
                thoughts.count(answer.thought, example);
                tokens.extend(answer.tokens);
            }
        }
        let weight = example.training.weight * weights[usize::from(example.label)];
        Ok(Sample { tokens, completion_start, weight })
    };
    let samples = examples.iter().map(&mut sample).collect::<Result<Vec<_>>>()?;
    warn_truncated(&prompter, samples.len(), narrator);
    if config.answer == AnswerForm::Thinking {
        thoughts.report(narrator)?;
    }
    Ok(samples)
}

impl Thoughts {
    fn count(&mut self, thought: Thought, example: &Example) {
        match thought {
            Thought::Whole => self.whole += 1,
            Thought::Cut => self.cut += 1,
            Thought::None => self.none += 1,
            Thought::Contradiction => self.contradictions.push(example.id.as_str().to_owned()),
        }
    }

    fn report(&self, narrator: &Narrator) -> Result<()> {
        let Self { whole, cut, none, contradictions } = self;
        let total = whole + cut + none + contradictions.len();
        if whole + cut == 0 {
            return Err(Error::data(format!("none of {total} training examples thinks aloud in its answer"))
                .with_hint("`[train] answer = \"thinking\"` learns from outputs such as `<think-task>…</think-task>…<final>ALLOW</final>`"));
        }
        narrator.say(format!("train    {} of {total} answers think aloud before they decide", whole + cut));
        if *cut > 0 {
            narrator.warn(format!(
                "the thinking of {cut} answers was cut to fit `max_length`; their final parts are whole"
            ));
        }
        if let Some(first) = contradictions.first() {
            narrator.warn(format!(
                "{} answers decide for another label than their example has, so that their thinking is left out; the first: `{first}`",
                contradictions.len()
            ));
        }
        Ok(())
    }
}
