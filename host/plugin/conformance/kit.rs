//! Trying laws, one after another: a broken one does not keep the others from being tried.

use serde_json::Value;

use super::law::Law;
use super::report::{Broken, Finding, Outcome};
use super::shrink::{Broke, Kept, Smaller, smallest, smallest_size};

/// The findings so far, and who is told of each.
pub(super) struct Kit<'a> {
    pub(super) findings: Vec<Finding>,
    /// The names of the laws to try; all where there are none.
    only: &'a [String],
    tell: &'a mut dyn FnMut(&Finding),
}

impl<'a> Kit<'a> {
    pub(super) fn new(only: &'a [String], tell: &'a mut dyn FnMut(&Finding)) -> Self {
        Self { findings: Vec::new(), only, tell }
    }

    /// Whether a law is to be tried.
    pub(super) fn wants(&self, law: Law) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == law.name)
    }

    fn found(&mut self, law: Law, outcome: Outcome) {
        if !self.wants(law) {
            return;
        }
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
        if !self.wants(law) {
            return;
        }
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

    /// Tries a law on so many rows, records or bytes of something that is known, and looks for the fewest that break it.
    pub(super) fn hold_size(
        &mut self,
        law: Law,
        size: usize,
        show: impl Fn(usize) -> (String, Value),
        mut keeps: impl FnMut(usize) -> Kept,
    ) {
        if !self.wants(law) {
            return;
        }
        let outcome = match keeps(size) {
            Ok(()) => Outcome::Passed { trials: 1 },
            Err(broke) => Outcome::Failed(smallest_size(size, broke, &mut keeps, &show)),
        };
        self.found(law, outcome);
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
