//! The limits of every call: that they hold, and that they are what the manifest says.

use std::time::{Duration, Instant};

use so8t::evaluate::Measure;
use so8t::plugin::{ComponentSource, Limits, PluginSpec};

use super::handmade::Handmade;
use super::{host, labels, load, measure, rows, tight};

#[test]
fn wall_time_ends_a_call_that_fuel_does_not() {
    let limits = Limits { fuel: u64::MAX, seconds: 0.3, ..tight() };
    for call in ["open", "update", "finalize"] {
        let plugin = load("evil-metric", "loop", call, limits.clone());
        let start = Instant::now();
        let error = measure(&plugin).unwrap_err().to_string();
        let took = start.elapsed();
        assert!(error.ends_with("took longer than `seconds = 0.3`"), "{error}");
        // It was not cut before its time; how soon after depends on what else the machine does.
        assert!(took > Duration::from_millis(250), "{took:?}");
    }
}

#[test]
fn fuel_is_the_same_in_every_run() {
    // The least fuel with which two calls of `update` and the others succeed, found twice.
    let least = || {
        let (mut low, mut high) = (1_u64, 100_000_000_u64);
        while low < high {
            let middle = low + (high - low) / 2;
            let plugin = || -> so8t::Result<()> {
                let spec = super::spec("evil-metric", "honest", "", Limits { fuel: middle, ..tight() });
                measure(&host().load(&spec)?)
            };
            match plugin() {
                Ok(()) => high = middle,
                Err(error) => {
                    assert!(error.to_string().ends_with(&format!("did more work than `fuel = {middle}`")), "{error}");
                    low = middle + 1;
                }
            }
        }
        low
    };
    let first = least();
    assert!(first > 100, "{first}");
    assert_eq!(first, least());
}

#[test]
fn a_looping_guest_disturbs_no_other() {
    let looping = load("evil-metric", "loop", "update", Limits { fuel: u64::MAX, seconds: 2.0, ..tight() });
    let honest = load("evil-metric", "honest", "", tight());
    std::thread::scope(|scope| {
        let running = scope.spawn(|| measure(&looping).unwrap_err().to_string());
        for _ in 0..50 {
            measure(&honest).unwrap();
        }
        assert!(running.join().unwrap().ends_with("took longer than `seconds = 2`"));
    });
}

#[test]
fn what_runs_before_any_call_is_limited_too() {
    let error = |handmade: Handmade| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), handmade.build()).unwrap();
        let mut spec = PluginSpec::new("guest", ComponentSource::Path(file.path().into()));
        spec.limits = tight();
        let error = host().load(&spec).err().map_or_else(String::new, |e| e.to_string());
        // What follows are the names of functions.
        error.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(
        error(Handmade { fields: "(func $f (loop br 0)) (start $f)", ..Handmade::default() }),
        "plugin `guest`: `instantiate`: did more work than `fuel = 300000000`"
    );
    assert_eq!(
        error(Handmade { pages: 2000, ..Handmade::default() }),
        "plugin `guest`: `instantiate`: needed more memory than `memory_mb = 64` allows"
    );
    assert_eq!(
        error(Handmade { fields: "(table 9000000 funcref)", ..Handmade::default() }),
        "plugin `guest`: `instantiate`: needed more memory than `memory_mb = 64` allows"
    );
    assert_eq!(
        error(Handmade {
            fields: "(table $t 1 funcref) (func $f (drop (table.grow $t (ref.null func) (i32.const 9000000)))) (start $f)",
            ..Handmade::default()
        }),
        "plugin `guest`: `instantiate`: needed more memory than `memory_mb = 64` allows"
    );
    assert_eq!(
        error(Handmade {
            fields: "(func $f (result i32) (i32.add (call $f) (i32.const 1)))",
            describe: "call $f drop",
            ..Handmade::default()
        }),
        "plugin `guest`: `describe`: used up its stack"
    );
}

#[test]
fn memory_is_one_account() {
    // Two memories of 40 MiB: each fits, both do not.
    let handmade = Handmade { pages: 640, fields: "(memory 640)", ..Handmade::default() };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), handmade.build()).unwrap();
    let mut spec = PluginSpec::new("guest", ComponentSource::Path(file.path().into()));
    spec.limits = tight();
    let error = host().load(&spec).err().unwrap().to_string();
    assert_eq!(error, "plugin `guest`: `instantiate`: needed more memory than `memory_mb = 64` allows");
    spec.limits.memory_bytes = 96 << 20;
    host().load(&spec).unwrap();
}

#[test]
fn limits_are_read_from_a_manifest() {
    let read = |text: &str| toml::from_str::<Limits>(text).map_err(|e| e.message().to_owned());
    assert_eq!(read("").unwrap(), Limits::default());
    let limits = read("fuel = 5\nseconds = 2\nmemory_mb = 3\nresult_mb = 1").unwrap();
    assert_eq!(limits, Limits { fuel: 5, seconds: 2.0, memory_bytes: 3 << 20, lifted_bytes: 1 << 20 });
    assert!(read("memory = 3").unwrap_err().contains("unknown field `memory`"));
    assert_eq!(read("fuel = 0").unwrap_err(), "expected `fuel` greater than 0, found `0`");
    assert_eq!(read("result_mb = 0").unwrap_err(), "expected `result_mb` greater than 0, found `0`");
    assert_eq!(read("seconds = 0").unwrap_err(), "expected `seconds` between 0 and 86400, found `0`");
    assert_eq!(read("seconds = inf").unwrap_err(), "expected `seconds` between 0 and 86400, found `inf`");
    assert!(read("memory_mb = -1").is_err());
}

#[test]
fn limits_count_for_each_call_and_not_for_all() {
    // A hundred calls, each well below the limit that all together pass by far.
    let plugin = load("evil-metric", "honest", "", Limits { fuel: 100_000, ..tight() });
    let mut measurement = plugin.open_metric(&labels()).unwrap();
    for _ in 0..1000 {
        measurement.update(&rows()).unwrap();
    }
    assert_eq!(measurement.finalize().unwrap()[0].value, Some(5000.0));
}
