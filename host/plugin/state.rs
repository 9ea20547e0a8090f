//! What the host keeps beside each guest: its memory account and its log.

use wasmtime::ResourceLimiter;

use super::bindings::log::{Host, Level};
use super::limits::spelled;
use super::log::{Log, LogLevel, Sink};

/// How many core instances, memories and tables one component may have. Components made from several languages need dozens.
const PARTS: usize = 256;
/// What one table element takes in the host.
const TABLE_ELEMENT_BYTES: u64 = 16;

/// The data of a guest's store.
pub(super) struct State {
    pub(super) log: Log,
    memory_limit: u64,
    pub(super) memory_used: u64,
    /// The limit that growing broke, in words.
    pub(super) broken: Option<String>,
}

impl State {
    pub(super) fn new(plugin: &str, sink: Sink, memory_limit: u64) -> Self {
        Self { log: Log::new(plugin, sink), memory_limit, memory_used: 0, broken: None }
    }

    /// Memories and tables share one account, so that many small ones are no way round it.
    fn grow(&mut self, current: u64, desired: u64) -> wasmtime::Result<bool> {
        let used = self.memory_used.saturating_add(desired.saturating_sub(current));
        if used > self.memory_limit {
            let text = format!("needed more memory than {} allows", spelled("memory", self.memory_limit));
            self.broken = Some(text.clone());
            return Err(wasmtime::Error::msg(text));
        }
        self.memory_used = used;
        Ok(true)
    }
}

impl ResourceLimiter for State {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow(current as u64, desired as u64)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let bytes = |elements: usize| (elements as u64).saturating_mul(TABLE_ELEMENT_BYTES);
        self.grow(bytes(current), bytes(desired))
    }

    fn instances(&self) -> usize {
        PARTS
    }

    fn tables(&self) -> usize {
        PARTS
    }

    fn memories(&self) -> usize {
        PARTS
    }
}

impl Host for State {
    fn log(&mut self, level: Level, message: String) {
        let level = match level {
            Level::Debug => LogLevel::Debug,
            Level::Info => LogLevel::Info,
            Level::Warn => LogLevel::Warn,
            Level::Error => LogLevel::Error,
        };
        self.log.write(level, &message);
    }
}

impl super::bindings::types::Host for State {}
