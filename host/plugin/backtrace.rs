//! Where in a guest something went wrong, in the names that its component carries.

use wasmtime::WasmBacktrace;

use super::log::printable;

/// How many lines are shown.
const LINES: usize = 12;
/// How long a line may be, in characters.
const CHARACTERS: usize = 160;

/// What runs between the fault and the plugin's own functions, in Rust.
const MACHINERY: [&str; 9] =
    ["abort", "core::", "std::", "alloc::", "panic_abort::", "rust_", "__rust", "<core::", "<std::"];

/// The functions that were at work, innermost first, one a line: `  at NAME`. Empty where the component has no names.
pub(super) fn of_trap(error: &wasmtime::Error) -> String {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return String::new() };
    let names: Vec<String> = trace.frames().iter().filter_map(|frame| frame.func_name().map(demangled)).collect();
    let is_machinery = |name: &String| MACHINERY.iter().any(|start| name.starts_with(start));
    let first = names.iter().position(|name| !is_machinery(name)).unwrap_or(0);
    // What the bindings make of an exported function says nothing that the name of the call does not say.
    let is_glue = |name: &str| name.contains('#') || name.starts_with("__wasm_export_") || name.contains("_cabi");
    let own: Vec<&String> = names[first..].iter().filter(|name| !is_glue(name)).collect();
    lines(own.into_iter().map(|name| format!("at {name}")))
}

/// A text of several lines as its first line and, indented, those after it.
pub(super) fn of_text(text: &str, limit: usize) -> String {
    let mut parts = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = printable(parts.next().unwrap_or_default(), limit);
    first + &lines(parts.map(str::to_owned))
}

fn lines(all: impl Iterator<Item = String>) -> String {
    let shown: Vec<String> = all.take(LINES + 1).map(|line| printable(&line, CHARACTERS)).collect();
    let mut out = String::new();
    for line in shown.iter().take(LINES) {
        out.push_str("\n  ");
        out.push_str(line);
    }
    if shown.len() > LINES {
        out.push_str("\n  …");
    }
    out
}

/// A name as its language spells it, without the hash that Rust adds.
fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}
