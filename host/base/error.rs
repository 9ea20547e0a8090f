//! The one error type of the library: opaque, with predicates.

use std::fmt;
use std::path::Path;

/// What an operation of this library returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Where the cause of an error lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The manifest, or an argument of the command line.
    Manifest,
    /// A data file, or what the data make impossible.
    Data,
    /// A plugin: it broke a limit or the contract, or it was refused.
    Plugin,
    /// A model's files.
    Model,
    /// Training, for example a loss that is not finite.
    Train,
    /// A file that cannot be read or written.
    Io,
    /// The user stopped the run.
    Interrupted,
    /// A fault of this program.
    Internal,
}

/// How a call into a plugin went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The plugin refused its configuration.
    Config,
    /// The plugin refused its input.
    Input,
    /// The plugin said that it is at fault itself.
    Internal,
    /// More work than `fuel` allows.
    Fuel,
    /// Longer than `seconds` allows.
    Seconds,
    /// More memory than `memory_mb` allows.
    Memory,
    /// More given to the host than `result_mb` allows.
    Lifted,
    /// A trap, the end of the stack among them.
    Trap,
    /// Something was returned that breaks the contract.
    Malformed,
}

/// An error that says what was expected and what was found, and perhaps a hint.
#[derive(Debug, thiserror::Error)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    message: String,
    hint: Option<String>,
    fault: Option<Fault>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $kind:ident;)*) => {
        $($(#[$doc])*
        pub fn $name(message: impl Into<String>) -> Self {
            Self::new(Kind::$kind, message)
        })*
    };
}

impl Error {
    /// An error of the given kind. The message has no final period and holds literals in backticks.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), hint: None, fault: None }))
    }

    constructors! {
        /// The manifest or an argument is wrong.
        manifest => Manifest;
        /// A data file is wrong, or the data make the result meaningless.
        data => Data;
        /// A plugin failed, or was refused.
        plugin => Plugin;
        /// A model's files are wrong.
        model => Model;
        /// Training cannot go on.
        train => Train;
        /// A fault of this program.
        internal => Internal;
    }

    /// A file that could not be read or written: `verb` is what was tried (`read`, `write`, `create`, …).
    pub fn io(verb: &str, path: &Path, source: &std::io::Error) -> Self {
        let system = innermost(source);
        let error = Self::new(Kind::Io, format!("cannot {verb} `{}`: {system}", path.display()));
        match system.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                error.with_hint("make room there, then give the same command again: what is finished is kept")
            }
            _ => error,
        }
    }

    /// The user stopped the run; `what` says what was kept.
    pub fn interrupted(what: impl Into<String>) -> Self {
        Self::new(Kind::Interrupted, what)
    }

    /// Adds a hint, shown on a line of its own.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Says how a call into a plugin went wrong.
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.0.fault = Some(fault);
        self
    }

    /// Puts `context: ` before the message.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// The same error with another message, made from its own.
    #[must_use]
    pub fn rewritten(mut self, rewrite: impl FnOnce(&str) -> String) -> Self {
        self.0.message = rewrite(&self.0.message);
        self
    }

    /// Where the cause lies.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// How a call into a plugin went wrong, where this is what happened.
    pub fn fault(&self) -> Option<Fault> {
        self.0.fault
    }

    /// What the user may try.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The exit code of the command line: 2 for a fault of this program, 1 for everything that the user can mend.
    pub fn exit_code(&self) -> u8 {
        if self.0.kind == Kind::Internal { 2 } else { 1 }
    }
}

/// What the system said, below what libraries wrapped around it.
fn innermost(error: &std::io::Error) -> &std::io::Error {
    let mut found = error;
    let mut next = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    while let Some(inner) = next {
        if let Some(io) = inner.downcast_ref() {
            found = io;
        }
        next = inner.source();
    }
    found
}
