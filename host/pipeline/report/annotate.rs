//! What a report says besides values: the verdict, what flipped requests are like, and their texts.

use std::collections::BTreeSet;

use crate::Result;
use crate::data::{Example, LabelSet, Traits};
use crate::evaluate::{self, Acceptance, Comparison, Measured, Rule};
use crate::manifest::Plan;
use crate::report::Report;

/// A request as one text: instruction and input, parted by an empty line.
pub(super) fn text(example: &Example) -> String {
    match example.request.input.is_empty() {
        true => example.request.instruction.as_str().to_owned(),
        false => format!("{}\n\n{}", example.request.instruction, example.request.input),
    }
}

/// Hands the page the requests of the rows whose decision changed.
pub(super) fn show_requests(report: &mut Report, examples: &[Example]) {
    let Some(comparison) = &report.comparison else { return };
    let changed: BTreeSet<&str> = comparison.flips.iter().map(|flip| flip.id.as_str()).collect();
    let own = examples.iter().filter(|example| changed.contains(example.id.as_str()));
    report.texts = own.map(|example| (example.id.as_str().to_owned(), text(example))).collect();
}

/// Counts the flips by what their requests are like.
pub(super) fn describe(comparison: &mut Comparison, labels: &LabelSet, examples: &[Example]) -> Result<()> {
    let traits = examples.iter().map(|example| (example.id.as_str(), Traits::of(example))).collect();
    comparison.describe(labels, &traits)
}

/// Whether the manifest's rules are met; `None` where it has none.
pub(super) fn verdict(plan: &Plan, report: &Report) -> Option<Acceptance> {
    let rules: Vec<_> = plan.accept.iter().map(|plan| plan.rule.clone()).collect();
    judged(&rules, report)
}

/// Whether rules are met; `None` where there are none.
pub(super) fn judged(rules: &[Rule], report: &Report) -> Option<Acceptance> {
    let judge = || {
        let [before, after]: [Option<&Measured>; 2] = [report.before.as_ref(), report.after.as_ref()];
        evaluate::judge(rules, before, after, report.comparison.as_ref())
    };
    (!rules.is_empty()).then(judge)
}
