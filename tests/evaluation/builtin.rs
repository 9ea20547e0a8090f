//! The standard metric in the sandbox, driven as a run drives it, against the counting metric of these tests.

use so8t::data::LabelSet;
use so8t::evaluate::{Evaluation, Options, compare, measure};
use so8t::plugin::{ComponentSource, Host, MetricPlugin, PluginSpec};
use so8t::report::legacy;

use super::counting::Counting;
use super::sample::rows;

#[test]
fn the_sandboxed_metric_gives_the_same_values_and_intervals() {
    let labels = LabelSet::four_decisions();
    let host = Host::new(None).unwrap();
    let spec = PluginSpec::new("classification", ComponentSource::Builtin("classification".into()));
    let sandboxed = MetricPlugin::new(host.load(&spec).unwrap(), labels.names.clone());
    let counting = Counting::new(&labels);
    let options = Options { seed: 5, resamples: 60, ..Options::default() };
    let [first, second] = [rows(300, 0.3, 1), rows(300, 0.8, 2)];
    let [real_before, real_after] =
        [&first, &second].map(|rows| measure(&[&sandboxed], &labels, rows, &options).unwrap());
    let [before, after] = [&first, &second].map(|rows| measure(&[&counting], &labels, rows, &options).unwrap());

    for (real, own) in [(&real_before, &before), (&real_after, &after)] {
        for (name, expected) in own.metrics.iter() {
            let found = real.metrics.get(name).unwrap_or_else(|| panic!("`{name}` is lacking"));
            let pairs = [(found.value, expected.value), (found.low, expected.low), (found.high, expected.high)];
            for (found, expected) in pairs {
                match (found, expected) {
                    (Some(found), Some(expected)) => {
                        assert!((found - expected).abs() < 1e-12, "{name}: {found} {expected}")
                    }
                    _ => assert_eq!(found, expected, "{name}"),
                }
            }
        }
        assert_eq!(real.sources.len(), own.sources.len());
        assert!(real.metrics.get("classification.invalid_rate").unwrap().low.is_some());
    }
    let [real, own] = [(&real_before, &real_after), (&before, &after)].map(|(before, after)| {
        let sides = (Evaluation { rows: &first, measured: before }, Evaluation { rows: &second, measured: after });
        compare(&labels, sides.0, sides.1).unwrap()
    });
    assert_eq!((real.mcnemar, &real.flips), (own.mcnemar, &own.flips));
    let change = real.metrics.get("classification.unsafe_pass_rate").unwrap();
    assert_eq!(change, own.metrics.get("classification.unsafe_pass_rate").unwrap());
    let old = legacy::result(&labels.names, &real_after);
    assert!(old["confusion_matrix"][3][3].is_u64() && old["false_positive_rate"].is_f64(), "{old}");
}
