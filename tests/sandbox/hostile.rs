//! Hostile components that no compiler of a guest language gives: bombs, crowds, calls at the wrong moment; and the memory that
//! the host takes while every hostile guest does its worst.

use std::fs;
use std::path::Path;
use std::process::Command;

use so8t::evaluate::{Measure, MetricBatch};
use so8t::plugin::{ComponentSource, PluginSpec};

use super::handmade::Handmade;
use super::{converters, host, labels, load, mappers, measure, metrics, rows, tight};

/// The error with which a component is refused, without its folder; afterwards, an honest guest works in the same host.
fn refusal(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guest.wasm");
    fs::write(&path, bytes).unwrap();
    let mut spec = PluginSpec::new("guest", ComponentSource::Path(path));
    spec.limits = tight();
    let error = host().load(&spec).err().map_or_else(String::new, |e| e.to_string());
    measure(&load("evil-metric", "honest", "", tight())).expect("an honest guest works");
    error.replace(&format!("{}/", folder.path().display()), "")
}

/// An error may go on with where in the guest it was.
fn begins(found: &str, expected: &str) {
    assert!(found.starts_with(expected), "expected {expected}\nfound    {found}");
}

/// A component that looks like a metric to one who reads its names, with a core module of these bytes.
pub(super) fn around(module: &[u8]) -> Vec<u8> {
    let text = r#"(component (instance $i) (export "so8t:plugin/measurement@0.1.0" (instance $i)))"#;
    let component = wat::parse_str(text).unwrap();
    let (head, rest) = component.split_at(8);
    [head, &section(1, module), rest].concat()
}

/// A section of a module or component.
fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id][..], &number(content.len()), content].concat()
}

/// LEB128.
fn number(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return out;
        }
        out.push(low | 0x80);
    }
}

/// A module with `count` functions of this body, which begins with its locals.
pub(super) fn module(count: usize, body: &[u8]) -> Vec<u8> {
    let functions = [number(count), vec![0; count]].concat();
    let mut code = number(count);
    for _ in 0..count {
        code.extend(number(body.len()));
        code.extend_from_slice(body);
    }
    let types = [0x01, 0x60, 0x00, 0x00];
    [b"\0asm\x01\0\0\0".to_vec(), section(1, &types), section(3, &functions), section(10, &code)].concat()
}

/// Loops within loops, and in the innermost one a look at very many locals: each has a value of its own in each loop, so that some
/// hundred kilobytes of WebAssembly become gigabytes in any compiler.
pub(super) fn nested_loops(depth: usize, locals: usize) -> Vec<u8> {
    let mut body = [vec![1], number(locals), vec![0x7f]].concat();
    body.extend([0x03, 0x40].repeat(depth));
    for local in 0..locals {
        body.push(0x20);
        body.extend(number(local));
        body.push(0x1a);
    }
    // A way back to every loop, so that none is taken apart.
    body.extend([0x41, 0x00, 0x0d, 0x00, 0x0b].repeat(depth));
    body.push(0x0b);
    body
}

#[test]
fn a_guest_cannot_leave_its_instance_while_the_host_is_in_it() {
    let log = "(call $log (i32.const 3) (i32.const 128) (i32.const 4))";
    // As an argument comes in, and after a result was read: the component model allows no call out there.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guest.wasm");
    fs::write(&path, Handmade { realloc: log, ..Handmade::default() }.build()).unwrap();
    let plugin = host().load(&PluginSpec::new("guest", ComponentSource::Path(path))).unwrap();
    let error = plugin.open_converter().err().unwrap().to_string();
    begins(&error, "plugin `guest` 1.2.3: `open`: trapped: cannot leave component instance");
    let bytes = Handmade { post_return: log, ..Handmade::default() }.build();
    begins(&refusal(&bytes), "plugin `guest`: `describe`: trapped: cannot leave component instance");
}

#[test]
fn what_runs_between_calls_is_limited_too() {
    let looping = "(loop br 0)";
    let bytes = Handmade { post_return: looping, ..Handmade::default() }.build();
    begins(&refusal(&bytes), "plugin `guest`: `describe`: did more work than `fuel = 300000000`");
    let bytes = Handmade { post_return: "unreachable", ..Handmade::default() }.build();
    begins(&refusal(&bytes), "plugin `guest`: `describe`: trapped: wasm `unreachable` instruction executed");
    let bytes = Handmade { fields: "(func $f unreachable) (start $f)", ..Handmade::default() }.build();
    begins(&refusal(&bytes), "plugin `guest`: `instantiate`: trapped: wasm `unreachable` instruction executed");
    for (realloc, expected) in [
        (looping, "did more work than `fuel = 300000000`"),
        ("unreachable", "trapped: wasm `unreachable` instruction executed"),
        ("i32.const 0x7fffffff return", "broke the interface: realloc return: beyond end of memory"),
        ("(drop (memory.grow (i32.const 20000)))", "needed more memory than `memory_mb = 64` allows"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("guest.wasm");
        fs::write(&path, Handmade { realloc, ..Handmade::default() }.build()).unwrap();
        let mut spec = PluginSpec::new("guest", ComponentSource::Path(path));
        spec.limits = tight();
        let error = host().load(&spec).unwrap().open_converter().err().unwrap().to_string();
        begins(&error, &format!("plugin `guest` 1.2.3: `open`: {expected}"));
    }
}

#[test]
fn a_trap_in_the_middle_of_a_large_batch_names_the_piece() {
    // 600,000 rows are sent in three pieces.
    let many = MetricBatch { gold: vec![0; 600_000], predicted: vec![0; 600_000], ..MetricBatch::default() };
    let mut measurement = load("evil-metric", "trap-later", "update", tight()).open_metric(&labels()).unwrap();
    let error = measurement.update(&many).unwrap_err().to_string();
    begins(&error, "plugin `guest` 0.1.0: `update`, batch 2: trapped: wasm `unreachable` instruction executed");
    assert!(measurement.state().is_err(), "half a batch is never a result");
}

#[test]
fn a_state_that_grows_is_stopped_by_the_limits() {
    // By the state's size, and by the guest's memory.
    let mut measurement = load("evil-metric", "state-grows", "", tight()).open_metric(&labels()).unwrap();
    (0..17).for_each(|_| measurement.update(&rows()).unwrap());
    let error = measurement.state().unwrap_err().to_string();
    assert_eq!(error, "plugin `guest` 0.1.0: `state`: gave the host more than `result_mb = 16` allows");
    let mut measurement = load("evil-metric", "state-grows", "", tight()).open_metric(&labels()).unwrap();
    let error = (0..100).find_map(|_| measurement.update(&rows()).err()).unwrap().to_string();
    assert!(error.ends_with(": needed more memory than `memory_mb = 64` allows"), "{error}");
}

#[test]
fn scores_that_are_no_numbers_never_reach_a_guest() {
    let spec = PluginSpec::new("sure", ComponentSource::Builtin("calibration".into()));
    let plugin = host().load(&spec).unwrap();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut measurement = plugin.open_metric(&labels()).unwrap();
        let mut batch = rows();
        batch.scores = vec![0.25; 20];
        batch.scores[6] = bad;
        let error = measurement.update(&batch).unwrap_err().to_string();
        assert_eq!(error, format!("plugin `sure` 0.1.0: `update`: row 1: score {bad}: expected a number"));
    }
}

#[test]
fn crowds_of_parts_are_refused_or_harmless() {
    // Exports by the thousand: the one that counts is found.
    let many = |text: &dyn Fn(usize) -> String, count: usize| (0..count).map(text).collect::<String>();
    let exports = many(&|i| format!("(instance $j{i}) (export \"a{i}\" (instance $j{i}))"), 400);
    let bytes = Handmade { exports: Box::leak(exports.into_boxed_str()), ..Handmade::default() }.build();
    assert_eq!(refusal(&bytes), "");
    let exports = many(&|i| format!("(instance $j{i}) (export \"a{i}\" (instance $j{i}))"), 20);
    let error = refusal(&wat::parse_str(format!("(component {exports})")).unwrap());
    assert!(error.ends_with("found `a0`, `a1`, `a2`, `a3`, `a4`, `a5`, `a6`, `a7`, and 12 more"), "{error}");
    // Instances, memories and tables are counted.
    let inner = many(&|i| format!("(core instance $k{i} (instantiate $small))"), 300);
    let parts = format!("(core module $small) {inner}");
    let bytes = Handmade { exports: Box::leak(parts.into_boxed_str()), ..Handmade::default() }.build();
    let error = refusal(&bytes);
    assert!(error.contains("`instantiate`") && error.contains("instance"), "{error}");
    // Components within components.
    for depth in [50, 2000] {
        let error = refusal(&around_component(&nested(depth)));
        assert!(error.starts_with("plugin `guest`: `guest.wasm` "), "{error}");
    }
}

/// Empty components within each other.
fn nested(depth: usize) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    for _ in 0..depth {
        bytes = [b"\0asm\x0d\0\x01\0".to_vec(), section(4, &bytes)].concat();
    }
    bytes
}

/// A component that looks like a metric, with another component in it.
fn around_component(inner: &[u8]) -> Vec<u8> {
    let text = r#"(component (instance $i) (export "so8t:plugin/measurement@0.1.0" (instance $i)))"#;
    let component = wat::parse_str(text).unwrap();
    let (head, rest) = component.split_at(8);
    [head, &section(4, inner), rest].concat()
}

#[test]
fn a_component_of_a_hundred_megabytes_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guest.wasm");
    let file = fs::File::create(&path).unwrap();
    file.set_len(100 << 20).unwrap();
    let error = host().load(&PluginSpec::new("guest", ComponentSource::Path(path.clone()))).err().unwrap();
    assert_eq!(
        error.to_string(),
        format!("plugin `guest`: `{}` has 104857600 bytes: expected at most 67108864", path.display())
    );
}

#[cfg(unix)]
#[test]
fn what_never_ends_is_no_file() {
    for path in ["/dev/zero", "/dev"] {
        let error = host().load(&PluginSpec::new("guest", ComponentSource::Path(path.into()))).err().unwrap();
        assert_eq!(error.to_string(), format!("plugin `guest`: `{path}` is not a file: expected a component"));
    }
}

/// The most that a process takes in which every hostile guest did its worst, one after the other: 64 MiB of guest and 16 MiB of
/// results, which are there twice as they are lifted, beside the test program itself.
const PEAK_MEMORY: u64 = 320 << 20;

#[cfg(target_os = "linux")]
#[test]
fn memory_stays_bounded_whatever_the_guests_do() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["sandbox::hostile::every_guest_in_a_process_of_its_own", "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let peak = text.split("peak ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let peak: u64 = peak.parse().unwrap();
    assert!(peak < PEAK_MEMORY, "{} MiB", peak >> 20);
}

#[test]
#[ignore = "run by the test above, in a process whose memory is its own"]
fn every_guest_in_a_process_of_its_own() {
    let mut ran = 0;
    for case in metrics::CASES {
        let _ = measure(&load("evil-metric", case.behaviour, case.call, tight()));
        ran += 1;
    }
    for case in converters::CASES {
        let _ = converters::convert(&load("evil-converter", case.behaviour, case.call, tight()));
        ran += 1;
    }
    for case in mappers::CASES {
        let _ = mappers::map(&load("evil-mapper", case.behaviour, case.call, tight()));
        ran += 1;
    }
    let status = fs::read_to_string(Path::new("/proc/self/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kibibytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("peak {} bytes after {ran} cases", kibibytes << 10);
}
