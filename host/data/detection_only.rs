//! Sources whose texts are there to be judged: no model may learn to write them.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{Candidate, Example, Text, normalise};
use so8t_base::{Error, Result};

/// The fewest characters of a text that counts as repeated: `OK` is nobody's text.
const LEAST: usize = 16;

/// How many outputs were withheld.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    /// Outputs of detection-only sources.
    pub own: usize,
    /// Outputs of other sources that are, after normalisation, a text of a detection-only source.
    pub repeated: usize,
}

impl Example {
    /// The text that a model may learn to write for this example; `None` where it has none. Whoever trains on outputs asks here.
    ///
    /// # Errors
    /// An example of a detection-only source that has an output all the same.
    pub fn target(&self) -> Result<Option<&str>> {
        match self.output.is_empty() {
            true => Ok(None),
            false if self.training.detection_only => Err(Error::data(format!(
                "`{}` has an output, though its source is `detection_only`: its texts must never be trained on as a target",
                self.id
            ))
            .with_hint("prepare the data again")),
            false => Ok(Some(&self.output)),
        }
    }
}

/// Takes the outputs from all examples of detection-only sources, whatever a plugin gave them, and from those of other sources
/// whose output is such a source's text.
pub fn withhold(candidates: &mut [Candidate]) -> Withheld {
    let mut out = Withheld::default();
    let mut texts = HashSet::new();
    for Candidate { example, .. } in candidates.iter_mut().filter(|c| c.example.training.detection_only) {
        let output = std::mem::take(&mut example.output);
        out.own += usize::from(!output.is_empty());
        texts.extend(
            [&example.request.instruction, &example.request.input, &output].into_iter().filter_map(|t| form(t)),
        );
    }
    if texts.is_empty() {
        return out;
    }
    for Candidate { example, .. } in candidates.iter_mut().filter(|c| !c.example.output.is_empty()) {
        if form(&example.output).is_some_and(|text| texts.contains(&text)) {
            example.output = Text::EMPTY;
            out.repeated += 1;
        }
    }
    out
}

/// A text as it is compared; `None` where it is too short to be anybody's.
fn form(text: &str) -> Option<String> {
    let mut form = String::with_capacity(text.len() + 2);
    normalise(text, "", &mut form);
    (form.chars().count() > LEAST).then_some(form)
}
