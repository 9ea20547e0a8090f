//! The conformance kit: every standard plugin keeps every law, and each law is broken by a guest that was written to break it.

mod command;
mod components;
mod converters;
mod mappers;
mod metrics;
mod standard;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Value, json};
use so8t::plugin::conformance::{Broken, Conformance, Outcome, Trials, check};
use so8t::plugin::{ComponentSource, Host, Limits, PluginSpec};

/// A host that all these tests share.
fn host() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance");
        Host::new(Some(&folder)).expect("the host starts").counting()
    })
}

/// The file of a lawless guest: a prebuilt one, or the one that was just built.
fn guest(name: &str) -> PathBuf {
    let folder = std::env::var_os("SO8T_COMPONENTS").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests/prebuilt"));
    folder.join(format!("{name}.wasm"))
}

/// Tries all laws on a component.
fn laws(component: ComponentSource, config: Value, limits: Limits, trials: &Trials) -> Conformance {
    let mut spec = PluginSpec::new("guest", component);
    spec.config = config;
    spec.limits = limits;
    check(host(), &spec, trials, &mut |_| {}).expect("a broken law is no error")
}

/// Limits under which ordinary work of a lawful guest is done, and that lawless ones reach soon.
fn tight() -> Limits {
    Limits { fuel: 2_000_000_000, seconds: 30.0, memory_bytes: 256 << 20, lifted_bytes: 64 << 20 }
}

/// How a law was broken.
fn broken<'a>(found: &'a Conformance, law: &str) -> &'a Broken {
    match &found.law(law).unwrap_or_else(|| panic!("`{law}` was not tried")).outcome {
        Outcome::Failed(broken) => broken,
        other => panic!("`{law}`: {other:?}"),
    }
}

/// A behaviour of a lawless guest, the law that it breaks, how what is found begins, and the counterexample; an empty one where it
/// is a size that depends on the compiler or the clock.
struct Case {
    config: Value,
    limits: fn() -> Limits,
    law: &'static str,
    found: &'static str,
    input: &'static str,
}

fn case(behaviour: &str, law: &'static str, found: &'static str, input: &'static str) -> Case {
    Case { config: json!({ "behaviour": behaviour }), limits: tight, law, found, input }
}

/// A case that breaks a limit.
fn limited(config: Value, limits: fn() -> Limits, law: &'static str, found: &'static str, input: &'static str) -> Case {
    Case { config, limits, law, found, input }
}

/// The behaviours that concern the configuration, which every lawless guest has.
fn configurations() -> Vec<Case> {
    vec![
        case(
            "config-refused",
            "config.accepted",
            "`open`: refuses its configuration: it refuses everything",
            "config `{\"behaviour\":\"config-refused\"}`",
        ),
        Case {
            config: json!({ "behaviour": "config-undeclared", "undeclared": 1 }),
            ..case(
                "",
                "config.accepted",
                "it opens, and its schema refuses it: `config` has no key `undeclared`: expected one of `behaviour`, `size`",
                "config `{\"behaviour\":\"config-undeclared\",\"undeclared\":1}`",
            )
        },
        case(
            "config-unknown",
            "config.refused",
            "it opens, though its schema says: `config` has no key `so8t-no-such-key`: expected one of `behaviour`, `size`",
            "config `{\"behaviour\":\"config-unknown\",\"so8t-no-such-key\":1}`",
        ),
        case(
            "config-input",
            "config.refused",
            "expected a failure `config`: `open`: refuses its input: unknown key `so8t-no-such-key`",
            "config `{\"behaviour\":\"config-input\",\"so8t-no-such-key\":1}`",
        ),
        case(
            "config-traps",
            "config.hostile",
            "`open`: trapped: wasm `unreachable` instruction executed; the last error that it logged: panicked",
            "config `{\"behaviour\":\"config-traps\",\"size\":null}`",
        ),
    ]
}

/// Whether a law was found broken as the case says. Where it is a limit of wall time, a busy machine may cut any call, and work of any size.
fn is_found(case: &Case, found: &str) -> bool {
    match case.law {
        "limits.seconds" => found.ends_with("took longer than `seconds = 0.01`"),
        _ => found.starts_with(case.found),
    }
}

fn is_expected(case: &Case, input: &str) -> bool {
    let size = input.split(' ').next().and_then(|size| size.parse::<usize>().ok());
    match case.input {
        "" => size.is_some_and(|size| size < 100_000 && (size > 0 || case.law == "limits.seconds")),
        expected => input == expected,
    }
}

/// Tries every case: the law must be broken so, and on this counterexample; a lawful guest keeps all laws.
fn try_cases(name: &str, cases: &[Case]) {
    let component = || ComponentSource::Path(guest(name));
    let lawful = laws(component(), json!({ "behaviour": "lawful" }), tight(), &Trials::default());
    assert_eq!(lawful.broken(), Vec::<&str>::new(), "{name}: {:#?}", lawful.laws);
    let mut wrong = Vec::new();
    for case in cases {
        let trials = Trials { only: vec![case.law.to_owned()], ..Trials::default() };
        let found = laws(component(), case.config.clone(), (case.limits)(), &trials);
        let Some(finding) = found.law(case.law) else { panic!("{name} {}: `{}` was not tried", case.config, case.law) };
        match &finding.outcome {
            Outcome::Failed(broken) if is_found(case, &broken.found) && is_expected(case, &broken.input) => {}
            Outcome::Failed(broken) => wrong.push(format!(
                "{} `{}`\n  expected {}\n  found    {}\n  expected {:?}\n  found    {:?}",
                case.config, case.law, case.found, broken.found, case.input, broken.input
            )),
            other => wrong.push(format!("{} `{}`: {other:?}\n  broken: {:?}", case.config, case.law, found.broken())),
        }
    }
    assert!(wrong.is_empty(), "{name}\n{}", wrong.join("\n"));
}

/// The laws that the cases of the three guests and the handmade components break.
fn every_broken_law() -> Vec<&'static str> {
    let cases = [metrics::cases(), converters::cases(), mappers::cases()];
    cases.iter().flatten().map(|case| case.law).chain(components::LAWS.iter().copied()).collect()
}

#[test]
fn every_law_is_broken_by_some_guest() {
    let broken = every_broken_law();
    for law in so8t::plugin::conformance::LAWS {
        assert!(broken.contains(&law.name), "no guest breaks `{}`: a law that cannot fail is none", law.name);
    }
}

/// The behaviours that a guest's documentation lists.
fn documented(source: &str) -> Vec<String> {
    let rows = source.lines().filter_map(|line| line.strip_prefix("//! | `"));
    rows.filter_map(|row| row.split('`').next()).map(str::to_owned).filter(|name| name != "lawful").collect()
}

/// Every behaviour of a guest has a case.
fn every_behaviour(source: &str, cases: &[Case]) {
    let tried: Vec<&str> = cases.iter().filter_map(|case| case.config["behaviour"].as_str()).collect();
    let common = include_str!("../guests/lawless-metric/src/behaviour.rs");
    let all: Vec<String> = documented(common).into_iter().chain(documented(source)).collect();
    assert!(all.len() > 10, "{all:?}");
    for behaviour in all {
        assert!(tried.contains(&behaviour.as_str()), "no case tries `{behaviour}`");
    }
}
