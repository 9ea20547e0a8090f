//! `[accept]`: rules over an evaluation and a comparison.

use so8t::evaluate::{
    Acceptance, Better, Bound, Comparison, Difference, FlipCounts, McNemar, Measured, Measurement, Rule, RuleOutcome,
    SourceComparison, Table, judge,
};

fn measurement(value: Option<f64>, interval: Option<(f64, f64)>) -> Measurement {
    let mut json = serde_json::json!({ "value": value, "n": 100 });
    if let Some((low, high)) = interval {
        (json["low"], json["high"]) = (low.into(), high.into());
    }
    serde_json::from_value(json).unwrap()
}

/// One metric, overall and for source `xstest`.
fn measured(own: Measurement, of_source: Measurement) -> Measured {
    let mut measured = Measured::default();
    measured.metrics.insert("m.rate", own);
    measured.sources.entry("xstest").metrics.insert("m.rate", of_source);
    measured
}

fn comparison(own: Difference, of_source: Difference) -> Comparison {
    let table = |difference| Table::from_iter([("m.rate".to_owned(), difference)]);
    Comparison {
        metrics: table(own),
        sources: Table::from_iter([("xstest".to_owned(), SourceComparison { metrics: table(of_source) })]),
        mcnemar: McNemar::exact(0, 0),
        flips: Vec::new(),
        flip_counts: FlipCounts::default(),
        resamples: 200,
        warnings: Vec::new(),
    }
}

fn difference(delta: f64, interval: Option<(f64, f64)>) -> Difference {
    let (low, high) = (interval.map(|i| i.0), interval.map(|i| i.1));
    Difference { delta: Some(delta), low, high, better: Some(Better::Higher) }
}

fn rule(bound: Bound, sure: bool) -> Rule {
    Rule { metric: "m.rate".to_owned(), source: None, bound, sure }
}

/// What becomes of a rule where the value goes from 0.5 by `delta`, with the interval of that.
fn changed(bound: Bound, sure: bool, delta: f64, interval: Option<(f64, f64)>) -> bool {
    let before = measured(measurement(Some(0.5), None), measurement(None, None));
    let after = measured(measurement(Some(0.5 + delta), None), measurement(None, None));
    let comparison = comparison(difference(delta, interval), difference(0.0, None));
    let acceptance = judge(&[rule(bound, sure)], Some(&before), Some(&after), Some(&comparison));
    assert_eq!(acceptance.accepted, acceptance.rules[0].passed);
    assert!(!acceptance.rules[0].reason.is_empty());
    acceptance.accepted
}

fn judged(rule: Rule, before: Option<&Measured>, after: Option<&Measured>) -> RuleOutcome {
    let Acceptance { accepted, mut rules } = judge(&[rule], before, after, None);
    let outcome = rules.remove(0);
    assert_eq!(accepted, outcome.passed);
    outcome
}

#[test]
fn changes_are_held_against_their_bounds() {
    use Bound::{Drop, MaxDrop, MaxRise, Rise};
    for (bound, delta, expected) in [
        (Rise(0.02), 0.03, true),
        (Rise(0.02), 0.12 - 0.10, true),
        (Rise(0.02), 0.019, false),
        (Rise(0.0), 0.001, true),
        (Rise(0.0), 0.0, false),
        (Drop(0.02), -0.02, true),
        (Drop(0.02), 0.02, false),
        (Drop(0.0), 0.0, false),
        (MaxRise(0.0), 0.0, true),
        (MaxRise(0.0), -0.2, true),
        (MaxRise(0.0), 0.001, false),
        (MaxRise(0.01), 0.01, true),
        (MaxDrop(0.05), -0.05, true),
        (MaxDrop(0.05), -0.06, false),
        (MaxDrop(0.05), 0.4, true),
    ] {
        assert_eq!(changed(bound, false, delta, None), expected, "{bound:?} {delta}");
    }
}

#[test]
fn a_sure_rule_asks_for_the_whole_interval() {
    use Bound::{Drop, MaxDrop, MaxRise, Rise};
    for (bound, delta, interval, expected) in [
        (Rise(0.02), 0.05, Some((0.021, 0.08)), true),
        (Rise(0.02), 0.05, Some((0.02, 0.08)), false),
        (Rise(0.02), 0.05, Some((0.01, 0.08)), false),
        (Rise(0.02), 0.05, None, false),
        (Rise(0.0), 0.05, Some((0.0, 0.08)), false),
        (Drop(0.0), -0.05, Some((-0.1, -0.01)), true),
        (Drop(0.0), -0.05, Some((-0.1, 0.01)), false),
        (MaxRise(0.0), -0.05, Some((-0.1, 0.0)), true),
        (MaxRise(0.0), -0.05, Some((-0.1, 0.01)), false),
        (MaxRise(0.0), 0.0, None, false),
        (MaxDrop(0.1), -0.05, Some((-0.1, 0.01)), true),
        (MaxDrop(0.1), -0.05, Some((-0.11, 0.01)), false),
    ] {
        assert_eq!(changed(bound, true, delta, interval), expected, "{bound:?} {delta} {interval:?}");
    }
}

#[test]
fn values_are_those_of_the_latest_evaluation() {
    let before = measured(measurement(Some(0.1), None), measurement(None, None));
    let after = measured(measurement(Some(0.2), Some((0.15, 0.25))), measurement(Some(0.9), None));
    let passes = |bound, sure, after: Option<&Measured>| judged(rule(bound, sure), Some(&before), after).passed;
    assert!(passes(Bound::Max(0.1), false, None));
    assert!(!passes(Bound::Max(0.1), false, Some(&after)));
    assert!(passes(Bound::Min(0.2), false, Some(&after)));
    assert!(!passes(Bound::Min(0.2), true, Some(&after)), "its interval reaches below");
    assert!(passes(Bound::Max(0.25), true, Some(&after)));
    let outcome = judged(rule(Bound::Max(0.25), true), Some(&before), Some(&after));
    assert_eq!(
        (outcome.before, outcome.after, outcome.low, outcome.high),
        (Some(0.1), Some(0.2), Some(0.15), Some(0.25))
    );
    let of_source = Rule { source: Some("xstest".to_owned()), ..rule(Bound::Min(0.8), false) };
    assert!(judged(of_source, Some(&before), Some(&after)).passed);
}

#[test]
fn what_cannot_be_judged_is_not_met_and_says_why() {
    let good = measured(measurement(Some(0.5), None), measurement(None, None));
    let few = measured(Measurement { few: true, n: 3, ..measurement(Some(0.5), None) }, measurement(None, None));
    let max = || rule(Bound::Max(1.0), false);
    for (rule, before, after, expected) in [
        (max(), None, None, "nothing was evaluated"),
        (Rule { metric: "m.gone".to_owned(), ..max() }, Some(&good), None, "there is no metric `m.gone`"),
        (Rule { source: Some("gone".to_owned()), ..max() }, Some(&good), None, "source `gone` has no evaluated row"),
        (Rule { source: Some("xstest".to_owned()), ..max() }, Some(&good), None, "it has no value"),
        (max(), Some(&few), None, "on 3 rows only, which is too few"),
        (max(), Some(&good), Some(&few), "on 3 rows only, which is too few"),
        (rule(Bound::MaxRise(1.0), false), Some(&few), Some(&good), "before: it is 0.5000 on 3 rows only"),
        (rule(Bound::MaxRise(1.0), false), Some(&good), None, "this command measured one model"),
        (rule(Bound::MaxRise(1.0), false), Some(&good), Some(&good), "it was not compared"),
        (rule(Bound::Max(1.0), true), Some(&good), None, "without an interval"),
    ] {
        let outcome = judged(rule, before, after);
        assert!(!outcome.passed && outcome.reason.contains(expected), "expected `{expected}`: {outcome:?}");
    }
}

#[test]
fn a_rule_reads_as_a_sentence() {
    let of_source = Rule { source: Some("xstest".to_owned()), ..rule(Bound::MaxRise(0.0), true) };
    for (rule, expected) in [
        (rule(Bound::Rise(0.02), true), "`m.rate` rises by at least 0.02, with its whole 95 % interval"),
        (rule(Bound::Max(0.15), false), "`m.rate` is at most 0.15"),
        (of_source, "`m.rate` of source `xstest` does not rise, with its whole 95 % interval"),
    ] {
        assert_eq!(rule.to_string(), expected);
    }
}
