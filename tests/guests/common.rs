//! What every hostile guest can do, in any call.

use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;
use so8t_plugin_sdk::{Failure, config, log};

/// The guest's configuration: what it does, and in which call.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evil {
    /// What it does; `honest` does nothing wrong.
    #[serde(default = "honest")]
    pub behaviour: String,
    /// The call in which it does one of the things below: `open`, `update`, `finalize`, `push`, `assign`, …
    #[serde(default, rename = "in")]
    pub call: String,
}

fn honest() -> String {
    "honest".to_owned()
}

impl Evil {
    /// Reads the configuration.
    pub fn read(config: &str) -> Result<Self, Failure> {
        config::read(config)
    }

    /// Does what is wanted, if it is wanted in this call.
    pub fn act(&self, call: &str) -> Result<(), Failure> {
        if self.call != call {
            return Ok(());
        }
        match self.behaviour.as_str() {
            "loop" => endless(),
            "memory" => memory(),
            "trap" => trap(),
            "trap-later" => trap_later(),
            "panic" => panic!("the guest panics in `{call}`"),
            "stack" => log::debug(&overflow(1).to_string()),
            "log-flood" => (0..u32::MAX).for_each(|i| log::info(&format!("message {i} of a flood"))),
            "log-large" => log::info(&"x".repeat(256 << 20)),
            "log-escape" => log::info("\u{1b}[2J\u{1b}[31mred\u{7}\nso8t: error: a forged line\r"),
            "fail" => return Err(Failure::Internal(format!("the guest fails in `{call}`"))),
            "fail-large" => return Err(Failure::Input("x".repeat(256 << 20))),
            _ => {}
        }
        Ok(())
    }
}

/// Never ends, and cannot be optimised away.
pub fn endless() {
    let mut number = 1_u32;
    while std::hint::black_box(number) != 0 {
        number = number.wrapping_mul(2_654_435_761) | 1;
    }
}

/// Takes memory until there is none.
fn memory() {
    let mut kept = Vec::new();
    loop {
        kept.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}

/// Runs into an `unreachable` instruction without a word.
fn trap() {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
}

/// Works once, and then traps.
fn trap_later() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    if CALLS.fetch_add(1, Ordering::Relaxed) > 0 {
        trap();
    }
}

/// Calls itself until the stack ends.
fn overflow(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    if depth == 0 { 0 } else { overflow(depth + 1) + frame[(depth % 64) as usize] }
}
