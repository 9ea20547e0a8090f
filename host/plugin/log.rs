//! What plugins say: lines under the plugin's name, cut where a call says too much.

use std::fmt;
use std::sync::Arc;

use so8t_base::plain;

/// How loud a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For the plugin's author.
    Debug,
    /// Worth knowing.
    Info,
    /// Something may be wrong.
    Warn,
    /// Something is wrong.
    Error,
}

/// One line that a plugin wrote. Its display form is `[plugin] level: text`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The plugin's name in the manifest.
    pub plugin: String,
    /// How loud it is.
    pub level: LogLevel,
    /// The text, with control characters escaped: it is always one line.
    pub text: String,
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        };
        write!(f, "[{}] {level}: {}", self.plugin, self.text)
    }
}

/// Where lines go.
pub(super) type Sink = Arc<dyn Fn(&LogLine) + Send + Sync>;

/// How many lines a call may write; the others are counted.
pub(super) const LINES_PER_CALL: usize = 100;
/// How many bytes a call may write; the others are counted.
pub(super) const BYTES_PER_CALL: usize = 64 << 10;
/// How long a line may be, in characters.
const LINE_CHARACTERS: usize = 2000;

/// The log of one plugin, as it stands within a call.
pub(super) struct Log {
    plugin: String,
    sink: Sink,
    lines: usize,
    bytes: usize,
    dropped: usize,
    last_error: Option<String>,
}

impl Log {
    pub(super) fn new(plugin: &str, sink: Sink) -> Self {
        Self { plugin: plugin.into(), sink, lines: 0, bytes: 0, dropped: 0, last_error: None }
    }

    /// Takes one line from the guest.
    pub(super) fn write(&mut self, level: LogLevel, message: &str) {
        if self.lines == LINES_PER_CALL || self.bytes >= BYTES_PER_CALL {
            self.dropped += 1;
            return;
        }
        let text = printable(message, LINE_CHARACTERS);
        self.lines += 1;
        self.bytes += text.len();
        if level == LogLevel::Error {
            self.last_error = Some(text.clone());
        }
        (self.sink)(&LogLine { plugin: self.plugin.clone(), level, text });
    }

    /// Ends a call: says how much was left out, gives the last error that the guest wrote, and starts afresh.
    pub(super) fn end_call(&mut self) -> Option<String> {
        if self.dropped > 0 {
            let text = format!("{} more lines of this call were left out", self.dropped);
            (self.sink)(&LogLine { plugin: self.plugin.clone(), level: LogLevel::Warn, text });
        }
        (self.lines, self.bytes, self.dropped) = (0, 0, 0);
        self.last_error.take()
    }
}

/// Text of a guest, fit to be shown: control and direction characters escaped, cut after `limit` characters.
pub(super) fn printable(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(4 * limit));
    for (i, character) in text.chars().enumerate() {
        if i == limit {
            out.push('…');
            break;
        }
        match character {
            _ if plain::is_hidden(character) => out.extend(character.escape_default()),
            _ => out.push(character),
        }
    }
    out
}
