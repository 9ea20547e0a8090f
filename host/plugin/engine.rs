//! The engine that all plugins of a host share, and the clock that ends calls which take too long.
//!
//! Everything that could make two runs differ is off: no threads, canonical NaNs (but see [`Trust`]), deterministic relaxed SIMD. Stores are
//! allocated on demand, not from a pool: opening one costs some 20 µs, once a measurement, and an embedder is spared the
//! pool's fixed number of instances and its hundreds of gigabytes of reserved addresses.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Engine};

use super::bindings::log;
use super::state::State;
use so8t_base::{Error, Result};

/// How often the clock ticks, in seconds: the precision of the wall-time limit.
pub(super) const TICK_SECONDS: f64 = 0.01;

/// The native stack that a guest may use, in bytes. It fits the 2 MiB that threads get unless told otherwise.
const STACK_BYTES: usize = 1 << 19;

/// Whose code an engine runs. Memory, results and wall time are limited for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Anyone's: its work is counted in fuel, and its NaNs have one form.
    Foreign,
    /// The standard plugins that this program carries, where the manifest sets no `fuel`: tests show that they end, and that no
    /// NaN gets into a state. Counting costs `jsonl` a fifth to a third of its speed.
    Carried,
}

/// The engine, what is linked into guests, and the clock.
pub(super) struct Runtime {
    pub(super) engine: Engine,
    pub(super) linker: Linker<State>,
    trust: Trust,
    _clock: Clock,
}

impl Runtime {
    pub(super) fn new(trust: Trust) -> Result<Arc<Self>> {
        let internal = |e: wasmtime::Error| Error::internal(format!("the WebAssembly engine does not start: {e:#}"));
        let engine = Engine::new(&configuration(trust)).map_err(internal)?;
        let mut linker = Linker::new(&engine);
        // Nothing else is ever linked: what a guest cannot import, it cannot do.
        log::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state).map_err(internal)?;
        let _clock = Clock::start(engine.clone())?;
        Ok(Arc::new(Self { engine, linker, trust, _clock }))
    }

    /// Whether stores of this engine have fuel.
    pub(super) fn counts_fuel(&self) -> bool {
        self.trust == Trust::Foreign
    }

    /// Whether an instance may serve another measurement than its first.
    pub(super) fn keeps_instances(&self) -> bool {
        self.trust == Trust::Carried
    }
}

/// The settings that compiled code and the engine that runs it must share.
pub(super) fn configuration(trust: Trust) -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(trust == Trust::Foreign)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES)
        .cranelift_nan_canonicalization(trust == Trust::Foreign)
        .wasm_relaxed_simd(true)
        .relaxed_simd_deterministic(true)
        .wasm_memory64(false)
        .memory_init_cow(true)
        .wasm_component_model(true);
    config
}

/// A thread that moves the engine's epoch on, until it is dropped.
struct Clock {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Clock {
    fn start(engine: Engine) -> Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopped = Arc::clone(&stop);
        let tick = move || {
            let (flag, changed) = &*stopped;
            let mut done = flag.lock().unwrap_or_else(PoisonError::into_inner);
            while !*done {
                let wait = changed.wait_timeout(done, Duration::from_secs_f64(TICK_SECONDS));
                done = wait.unwrap_or_else(PoisonError::into_inner).0;
                engine.increment_epoch();
            }
        };
        let thread = std::thread::Builder::new().name("so8t-clock".into()).spawn(tick);
        let thread = thread.map_err(|e| Error::internal(format!("cannot start the clock of the sandbox: {e}")))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
