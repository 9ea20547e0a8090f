//! Messages for the run's log, under the plugin's name. Natively they go to standard error.
//!
//! ```
//! use so8t_plugin_sdk::log;
//!
//! log::info("three fields are not known");
//! log::warn("no record has the field `label`"); // shown at once; all lines are kept in the run's `plugins.log`
//! ```

/// Reports what only a developer wants to know.
pub fn debug(message: &str) {
    write(Level::Debug, message);
}

/// Reports progress or a decision.
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// Reports what may make the result less than what was hoped for.
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

/// Reports a fault.
pub fn error(message: &str) {
    write(Level::Error, message);
}

use crate::bindings::log::Level;

#[cfg(target_arch = "wasm32")]
fn write(level: Level, message: &str) {
    crate::bindings::log::log(level, message);
}

#[cfg(not(target_arch = "wasm32"))]
fn write(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
}

/// Sends the message of a panic to the log, once a component: without it a panic is a bare trap. The exports call it.
#[doc(hidden)]
pub fn report_panics() {
    #[cfg(target_arch = "wasm32")]
    {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| std::panic::set_hook(Box::new(|panic| error(&panic.to_string().replace('\n', " ")))));
    }
}
