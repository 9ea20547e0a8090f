//! One guest at work: every call runs under all limits, and what goes wrong ends the guest, never the host.

use std::sync::Arc;

use wasmtime::component::Instance;
use wasmtime::{Store, Trap};

use super::Loaded;
use super::backtrace;
use super::bindings::types::Failure;
use super::engine::TICK_SECONDS;
use super::limits::spelled;
use super::log::printable;
use super::state::State;
use so8t_base::{Error, Fault, Result};

/// How long a guest's own words may be in an error, in characters.
const WORDS: usize = 1000;

/// What calls that return a few words or numbers may give the host, in bytes.
const LITTLE: u64 = 1 << 20;

/// What a call may give the host: what it returns, and each line that it logs.
#[derive(Clone, Copy)]
pub(super) enum Returns {
    /// A few words or numbers: a mebibyte, or the plugin's limit where that is less.
    Little,
    /// Columns or a state: the plugin's limit.
    Much,
}

/// A store, its instance and its fate.
pub(super) struct Session {
    store: Store<State>,
    plugin: Arc<Loaded>,
    batches: u64,
    failed: Option<String>,
}

impl Session {
    /// A fresh store and instance of a plugin.
    pub(super) fn start(plugin: &Arc<Loaded>) -> Result<(Self, Instance)> {
        let state = State::new(&plugin.name, Arc::clone(&plugin.log), plugin.limits.memory_bytes);
        let mut store = Store::new(&plugin.runtime.engine, state);
        store.limiter(|state| state);
        store.epoch_deadline_trap();
        let mut session = Self { store, plugin: Arc::clone(plugin), batches: 0, failed: None };
        let instantiate = |store: &mut Store<State>| plugin.instantiate.instantiate(store).map(Ok);
        let instance = session.call("instantiate", Returns::Little, instantiate, Ok)?;
        Ok((session, instance))
    }

    /// The store of a guest that is at rest; `None` where it failed.
    pub(super) fn rest(self) -> Option<Store<State>> {
        self.failed.is_none().then_some(self.store)
    }

    /// Goes on with a guest that was at rest.
    pub(super) fn resume(plugin: &Arc<Loaded>, store: Store<State>) -> Self {
        Self { store, plugin: Arc::clone(plugin), batches: 0, failed: None }
    }

    /// The limits of the plugin, and its name for errors that are not the guest's.
    pub(super) fn plugin(&self) -> &Arc<Loaded> {
        &self.plugin
    }

    /// The guest's memory and tables, in bytes.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.store.data().memory_used
    }

    /// As [`Session::call`], for a call that takes a batch in: it is counted, and errors say which one it was.
    pub(super) fn call_batch<T, U>(
        &mut self,
        call: &str,
        returns: Returns,
        run: impl FnOnce(&mut Store<State>) -> wasmtime::Result<Result<T, Failure>>,
        check: impl FnOnce(T) -> Result<U, String>,
    ) -> Result<U> {
        self.batches += 1;
        let batch = self.batches;
        self.guarded(call, Some(batch), returns, run, check)
    }

    /// Runs one call under the limits, and checks what it returned.
    pub(super) fn call<T, U>(
        &mut self,
        call: &str,
        returns: Returns,
        run: impl FnOnce(&mut Store<State>) -> wasmtime::Result<Result<T, Failure>>,
        check: impl FnOnce(T) -> Result<U, String>,
    ) -> Result<U> {
        self.guarded(call, None, returns, run, check)
    }

    fn guarded<T, U>(
        &mut self,
        call: &str,
        batch: Option<u64>,
        returns: Returns,
        run: impl FnOnce(&mut Store<State>) -> wasmtime::Result<Result<T, Failure>>,
        check: impl FnOnce(T) -> Result<U, String>,
    ) -> Result<U> {
        // Made where there is an error alone: a call takes less than a microsecond.
        let place = || batch.map_or_else(|| format!("`{call}`"), |batch| format!("`{call}`, batch {batch}"));
        if let Some(first) = &self.failed {
            let (title, place) = (self.plugin.title(), place());
            return Err(Error::plugin(format!(
                "{title}: {place}: not called, for this plugin has failed before: {first}"
            )));
        }
        let limits = &self.plugin.limits;
        let lifted = match returns {
            Returns::Little => limits.lifted_bytes.min(LITTLE),
            Returns::Much => limits.lifted_bytes,
        };
        self.store.set_hostcall_fuel(usize::try_from(lifted).unwrap_or(usize::MAX));
        self.store.set_epoch_deadline((limits.seconds / TICK_SECONDS).ceil() as u64 + 1);
        let fuelled = if self.plugin.runtime.counts_fuel() { self.store.set_fuel(limits.fuel) } else { Ok(()) };
        let outcome = fuelled.and_then(|()| run(&mut self.store));
        let last_words = self.store.data_mut().log.end_call();
        let checked = match outcome {
            Ok(Ok(value)) => check(value).map_err(|text| Ending {
                fault: Fault::Malformed,
                text: format!("returned malformed data: {text}"),
                hint: None,
            }),
            Ok(Err(failure)) => Err(described(&failure)),
            Err(error) => {
                let (fault, text) = self.cause(&error, lifted, last_words);
                Err(Ending { fault, text: text + &backtrace::of_trap(&error), hint: None })
            }
        };
        checked.map_err(|Ending { fault, text, hint }| {
            let (title, place) = (self.plugin.title(), place());
            let error = Error::plugin(format!("{title}: {place}: {text}")).with_fault(fault);
            self.failed = Some(format!("{place}: {}", text.lines().next().unwrap_or_default()));
            match hint {
                Some(hint) => error.with_hint(hint.replace("NAME", &self.plugin.name)),
                None => error,
            }
        })
    }

    /// Why the engine ended a call.
    fn cause(&self, error: &wasmtime::Error, lifted: u64, last_words: Option<String>) -> (Fault, String) {
        let limits = &self.plugin.limits;
        if let Some(broken) = &self.store.data().broken {
            return (Fault::Memory, broken.clone());
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => return (Fault::Fuel, format!("did more work than `fuel = {}`", limits.fuel)),
            Some(Trap::Interrupt) => {
                return (Fault::Seconds, format!("took longer than `seconds = {}`", limits.seconds));
            }
            Some(Trap::StackOverflow) => return (Fault::Trap, "used up its stack".into()),
            _ => {}
        }
        let root = printable(&error.root_cause().to_string(), WORDS);
        // The engine's error for this has no public type.
        if root.contains("fuel allocated for hostcalls") {
            let text = match lifted < limits.lifted_bytes {
                true => format!("gave the host more than {lifted} bytes, the most that this call may"),
                false => format!("gave the host more than {} allows", spelled("result", lifted)),
            };
            return (Fault::Lifted, text);
        }
        let (fault, text) = match (error.downcast_ref::<Trap>(), root.strip_prefix("wasm trap: ")) {
            (Some(_), trap) => (Fault::Trap, format!("trapped: {}", trap.unwrap_or(&root))),
            // What the engine cannot read as the type that the interface names.
            (None, _) => (Fault::Malformed, format!("broke the interface: {root}")),
        };
        match last_words {
            Some(words) => (fault, format!("{text}; the last error that it logged: {words}")),
            None => (fault, text),
        }
    }
}

/// How a call ended that did not end well, and what the user may do.
struct Ending {
    fault: Fault,
    text: String,
    hint: Option<String>,
}

/// A failure that the guest reported.
fn described(failure: &Failure) -> Ending {
    let (fault, text) = match failure {
        Failure::Config(text) => (Fault::Config, format!("refuses its configuration: {}", printable(text, WORDS))),
        Failure::Input(text) => (Fault::Input, format!("refuses its input: {}", printable(text, WORDS))),
        Failure::Internal(text) => (Fault::Internal, format!("failed: {}", backtrace::of_text(text, WORDS))),
    };
    let hint = (fault == Fault::Config).then(|| "see `[plugins.NAME.config]` in the manifest".into());
    Ending { fault, text, hint }
}
