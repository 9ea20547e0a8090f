//! What a run says on standard error while it works: one line a stage, and a bar where it takes long.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::plain;

/// Tells the user what happens. Standard output stays free for data.
#[derive(Clone, Copy, Debug)]
pub struct Narrator {
    quiet: bool,
}

impl Narrator {
    /// A narrator that speaks, or one that is silent.
    pub fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// One line.
    pub fn say(&self, line: impl std::fmt::Display) {
        if !self.quiet {
            eprintln!("{}", plain::line(&line));
        }
    }

    /// A line that must not be missed.
    pub fn warn(&self, line: impl std::fmt::Display) {
        eprintln!("warning: {}", plain::line(&line));
    }

    /// A bar over `length` steps; nothing is drawn where standard error is no terminal.
    pub fn bar(&self, length: u64, what: &'static str) -> ProgressBar {
        let target = if self.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(8) };
        let style = ProgressStyle::with_template("{prefix:>10} {bar:32} {pos}/{len} {msg} {elapsed} left {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(length), target).with_style(style).with_prefix(what);
        bar.enable_steady_tick(Duration::from_millis(500));
        bar
    }

    /// A bar over the bytes of a file, with a message and the time left.
    pub fn bytes_bar(&self, length: u64, what: &'static str) -> ProgressBar {
        let template = "{prefix:>10} {bar:32} {bytes}/{total_bytes} {msg} {elapsed} left {eta}";
        self.styled(ProgressBar::new(length), template, what)
    }

    /// What turns where nobody knows how much there is to do.
    pub fn spinner(&self, what: &'static str) -> ProgressBar {
        self.styled(ProgressBar::no_length(), "{prefix:>10} {spinner} {msg} {elapsed}", what)
    }

    fn styled(&self, bar: ProgressBar, template: &str, what: &'static str) -> ProgressBar {
        let target = if self.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(8) };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_draw_target(target);
        let bar = bar.with_style(style).with_prefix(what);
        bar.enable_steady_tick(Duration::from_millis(500));
        bar
    }
}
