//! Trying laws, one after another: a broken one does not keep the others from being tried.

use serde_json::Value;

use super::law::Law;
use super::report::{Broken, Finding, Outcome};
use super::shrink::{Broke, Kept, Smaller, smallest};

/// The findings so far, and who is told of each.
pub(super) struct Kit<'a> {
    pub(super) findings: Vec<Finding>,
    tell: &'a mut dyn FnMut(&Finding),
}

impl<'a> Kit<'a> {
    pub(super) fn new(tell: &'a mut dyn FnMut(&Finding)) -> Self {
        Self { findings: Vec::new(), tell }
    }

    fn found(&mut self, law: Law, outcome: Outcome) {
        let finding = Finding { law, outcome };
        (self.tell)(&finding);
        self.findings.push(finding);
    }

    /// Tries a law on inputs until one breaks it, and looks for the smallest that does. `show` spells an input for people
    /// and for programs.
    pub(super) fn hold<I: Smaller>(
        &mut self,
        law: Law,
        inputs: impl IntoIterator<Item = I>,
        show: impl Fn(&I) -> (String, Value),
        mut keeps: impl FnMut(&I) -> Kept,
    ) {
        let mut trials = 0;
        for input in inputs {
            trials += 1;
            if let Err(broke) = keeps(&input) {
                let broken = smallest(input, broke, &mut keeps, &show);
                return self.found(law, Outcome::Failed(broken));
            }
        }
        match trials {
            0 => self.skip(law, "there is nothing to try it on"),
            trials => self.found(law, Outcome::Passed { trials }),
        }
    }

    /// Tries a law that has no inputs.
    pub(super) fn hold_once(&mut self, law: Law, kept: Result<(), (Broke, String, Value)>) {
        self.found(
            law,
            match kept {
                Ok(()) => Outcome::Passed { trials: 1 },
                Err((broke, input, counterexample)) => {
                    Outcome::Failed(Broken { found: broke.0, input, counterexample, smallest: true })
                }
            },
        );
    }

    /// Leaves a law out.
    pub(super) fn skip(&mut self, law: Law, reason: impl Into<String>) {
        self.found(law, Outcome::NotApplicable { reason: reason.into() });
    }
}
