//! The verdict in words: whether the manifest's rules are met, and what each found.

use std::fmt::Write as _;

use super::format::plain;
use crate::evaluate::Acceptance;

/// One line for the whole and one a rule.
pub(super) fn lines(acceptance: &Acceptance) -> String {
    let (met, all) = (acceptance.rules.iter().filter(|rule| rule.passed).count(), acceptance.rules.len());
    let word = if acceptance.accepted { "accepted" } else { "refused" };
    let mut out = format!("verdict: {word}, {met} of {all} rules met\n");
    for rule in &acceptance.rules {
        let mark = if rule.passed { "met    " } else { "not met" };
        let _ = writeln!(out, "  {mark}  {}: {}", plain(&rule.rule), plain(&rule.reason));
    }
    out
}
