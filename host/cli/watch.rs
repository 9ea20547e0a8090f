//! `so8t watch`.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use so8t_track::curves;

use super::print;
use crate::{Error, Result};

#[derive(Args)]
pub(super) struct Arguments {
    /// The folder of a run
    run: PathBuf,
    /// Print once what there is, instead of following the run to its end
    #[arg(long)]
    once: bool,
    /// Seconds between two looks
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS")]
    every: f64,
}

pub(super) fn watch(arguments: &Arguments) -> Result<()> {
    let folder = &arguments.run;
    if !folder.is_dir() {
        return Err(Error::manifest(format!("`{}` is no folder: expected that of a run", folder.display())));
    }
    if !(arguments.every >= 0.1 && arguments.every <= 3600.0) {
        return Err(Error::manifest(format!("`--every`: expected 0.1 to 3600 seconds, found {}", arguments.every)));
    }
    let live = !arguments.once && std::io::stdout().is_terminal();
    let mut shown = 0;
    let mut last = String::new();
    loop {
        // Asked first, so that what was written last is read too.
        let ended = folder.join("SHA256SUMS").is_file();
        let (steps, validations) = curves::read(folder)?;
        let text = match steps.is_empty() && validations.is_empty() {
            true => "nothing is trained yet\n".to_owned(),
            false => curves::drawn(&steps, &validations, 100),
        };
        if text != last && (live || arguments.once || ended) {
            // The lines that were drawn before are drawn over.
            let up = if live && shown > 0 { format!("\u{1b}[{shown}A\u{1b}[J") } else { String::new() };
            if !up.is_empty() {
                super::print_raw(&up)?;
            }
            print(&text)?;
            shown = text.lines().count();
            last = text;
        }
        if arguments.once || ended {
            return Ok(());
        }
        std::thread::sleep(Duration::from_secs_f64(arguments.every));
    }
}
