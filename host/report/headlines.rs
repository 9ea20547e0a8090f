//! The values that belong at the top of every report.

use super::dictionary::{self as words, Text};
use super::safety::ESCALATION_PASS;
use crate::evaluate::{Measured, Measurement, Table};

/// A value that belongs at the top of every report.
pub(crate) struct Headline {
    /// The metric's name within its plugin.
    pub(crate) metric: &'static str,
    /// Its name for people.
    pub(crate) title: Text,
    /// What it means.
    pub(crate) meaning: Text,
    /// Whether it is a share of rows, so that an exact binomial bound holds where it is 0 or 1.
    pub(crate) is_share: bool,
}

/// The macro-F1 of a single source, which seldom holds every declared class: the classes that it lacks do not count.
static OBSERVED: Headline = Headline {
    metric: "f1_macro_observed",
    title: words::F1_OBSERVED,
    meaning: words::F1_OBSERVED_MEANING,
    is_share: false,
};

/// The values at the top, in order: what slips through before all else.
static HEADLINES: [Headline; 5] = [
    Headline {
        metric: "unsafe_pass_rate",
        title: words::UNSAFE_PASS,
        meaning: words::UNSAFE_PASS_MEANING,
        is_share: true,
    },
    Headline {
        metric: ESCALATION_PASS,
        title: words::ESCALATION_PASS,
        meaning: words::ESCALATION_PASS_MEANING,
        is_share: true,
    },
    Headline {
        metric: "over_block_rate",
        title: words::OVER_BLOCK,
        meaning: words::OVER_BLOCK_MEANING,
        is_share: true,
    },
    Headline { metric: "f1_macro", title: words::F1_MACRO, meaning: words::F1_MACRO_MEANING, is_share: false },
    Headline { metric: "accuracy", title: words::ACCURACY, meaning: words::ACCURACY_MEANING, is_share: true },
];

/// The value of the metric `metric` of whichever plugin gives it; a plugin named `classification` goes first.
pub(crate) fn find<'a, T>(table: &'a Table<T>, metric: &str) -> Option<(&'a str, &'a T)> {
    let own = |name: &str| name.split_once('.').is_some_and(|(_, rest)| rest == metric);
    table
        .iter()
        .find(|(name, _)| name.starts_with("classification.") && own(name))
        .or_else(|| table.iter().find(|(name, _)| own(name)))
}

/// As [`find`], in an evaluation that may be lacking.
pub(crate) fn find_in<'a>(measured: Option<&'a Measured>, metric: &str) -> Option<&'a Measurement> {
    find(&measured?.metrics, metric).map(|(_, value)| value)
}

/// The headline values that `table` holds with their names there. Those of a single source have macro-F1 over the observed
/// classes, where it is known.
pub(crate) fn headlines<T>(table: &Table<T>, of_source: bool) -> Vec<(&'static Headline, &str)> {
    let observed = of_source && find(table, OBSERVED.metric).is_some();
    let pick = |headline: &'static Headline| {
        if observed && headline.metric == "f1_macro" { &OBSERVED } else { headline }
    };
    HEADLINES.iter().map(pick).filter_map(|headline| Some((headline, find(table, headline.metric)?.0))).collect()
}
