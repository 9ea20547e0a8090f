//! The sandbox: what it refuses, what it enforces, and what it never lets through.

mod cache;
mod checks;
mod compiling;
mod converters;
mod frozen;
mod guests;
pub(crate) mod handmade;
mod hostile;
mod laws;
mod limits;
mod lock;
mod logging;
mod mappers;
mod metrics;
mod refused;
mod speed;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::json;
use so8t::evaluate::{Measure, MetricBatch};
use so8t::plugin::{ComponentSource, Host, Limits, Plugin, PluginSpec};

/// A host that all these tests share: no guest of one test may disturb another.
fn host() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sandbox");
        Host::new(Some(&folder)).expect("the host starts")
    })
}

/// The file of a hostile guest: a prebuilt one, or the one that was just built.
pub(crate) fn guest(name: &str) -> PathBuf {
    let folder = std::env::var_os("SO8T_COMPONENTS").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests/prebuilt"));
    folder.join(format!("{name}.wasm"))
}

/// Limits that hostile guests reach soon.
fn tight() -> Limits {
    Limits { fuel: 300_000_000, seconds: 30.0, memory_bytes: 64 << 20, lifted_bytes: 16 << 20 }
}

/// Limits under which a guest can return hundreds of mebibytes, were it let.
fn roomy() -> Limits {
    Limits { fuel: 50_000_000_000, seconds: 60.0, memory_bytes: 3 << 30, lifted_bytes: 16 << 20 }
}

/// As [`roomy`], and the host takes much: only the checks of what came are left.
fn generous() -> Limits {
    Limits { lifted_bytes: 1 << 30, ..roomy() }
}

fn spec(guest_name: &str, behaviour: &str, call: &str, limits: Limits) -> PluginSpec {
    let mut spec = PluginSpec::new("guest", ComponentSource::Path(guest(guest_name)));
    spec.config = json!({ "behaviour": behaviour, "in": call });
    spec.limits = limits;
    spec
}

fn load(guest_name: &str, behaviour: &str, call: &str, limits: Limits) -> Plugin {
    host().load(&spec(guest_name, behaviour, call, limits)).expect("the guest loads")
}

fn labels() -> Vec<String> {
    ["ALLOW", "ESCALATION", "DENY", "REFUSE"].map(String::from).to_vec()
}

/// Five rows, three of them right.
fn rows() -> MetricBatch {
    MetricBatch { gold: vec![0, 1, 2, 3, 0], predicted: vec![0, 1, 2, 0, 254], ..MetricBatch::default() }
}

/// What a hostile guest does, in which call, under which limits, and the error that it must end with; an empty one where
/// the sandbox has nothing to object to.
struct Case {
    behaviour: &'static str,
    call: &'static str,
    limits: fn() -> Limits,
    error: &'static str,
}

/// Runs every case: the error must be exactly the one expected, and an honest guest must work afterwards.
fn check(cases: &[Case], run: impl Fn(&Case) -> so8t::Result<()>, honest: impl Fn()) {
    let mut wrong = Vec::new();
    for case in cases {
        let found = run(case).map_or_else(|e| e.to_string(), |()| String::new());
        if found != case.error {
            wrong.push(format!(
                "`{}` in `{}`\n  expected {}\n  found    {found}",
                case.behaviour, case.call, case.error
            ));
        }
        honest();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Shorthand for a case.
const fn case(behaviour: &'static str, call: &'static str, limits: fn() -> Limits, error: &'static str) -> Case {
    Case { behaviour, call, limits, error }
}

/// Asks a measurement everything once.
fn measure(plugin: &Plugin) -> so8t::Result<()> {
    let mut measurement = plugin.open_metric(&labels())?;
    let mut steps = || {
        measurement.update(&rows())?;
        measurement.update(&rows())?;
        let state = measurement.state()?;
        measurement.finalize()?;
        measurement.merge(&state)
    };
    let outcome = steps();
    if let Err(first) = &outcome {
        let again = measurement.finalize().expect_err("a guest that failed is not called again").to_string();
        let said = first.to_string();
        let first = said.split_once(": ").expect("a title").1;
        let begin = format!(
            "plugin `guest` {}: `finalize`: not called, for this plugin has failed before: {first}",
            plugin.version()
        );
        assert_eq!(again, begin);
    }
    outcome
}
