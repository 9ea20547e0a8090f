//! `so8t data inspect`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{print, print_json};
use crate::Result;
use crate::data::input::{Encoding, InputOptions};
use crate::pipeline::{Inspect, Inspection, Narrator, inspect};
use crate::plugin::presets;
use crate::report::{plain, width};

/// Questions about data.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Tell what a file holds, and propose the manifest entry that reads it
    Inspect(InspectArguments),
    /// Explain the four labels: what each means, borderline examples, and how other labels usually map
    Labels,
    /// List the public sets that a manifest can name as `converter` and `mapper`
    Presets {
        /// Print the presets as JSON on standard output
        #[arg(long)]
        json: bool,
    },
}

/// What `so8t data inspect` takes.
#[derive(Args)]
pub(super) struct InspectArguments {
    /// A file, a folder (its first data file is read), or `-` for standard input
    path: PathBuf,
    /// What the text is in, where that is not UTF-8 and cannot be told
    #[arg(long, value_name = "NAME")]
    encoding: Option<Encoding>,
    /// Read the whole file: without it the first 64 MiB
    #[arg(long)]
    all: bool,
    /// Print the result as JSON on standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Inspect(arguments) => {
            let request = Inspect {
                path: arguments.path.clone(),
                input: InputOptions { encoding: arguments.encoding },
                all: arguments.all,
            };
            let found = inspect(&request, Narrator::new(true))?;
            if arguments.json { print_json(&found) } else { print(&shown(&found)) }
        }
        Command::Labels => print(include_str!("../../plugins/four-class/LABELS.md")),
        Command::Presets { json: true } => print_json(presets::all()),
        Command::Presets { json: false } => {
            let roles = |preset: &presets::Preset| match (&preset.converter, &preset.mapper) {
                (Some(_), Some(_)) => "converter, mapper",
                (Some(_), None) => "converter",
                _ => "mapper",
            };
            let rows: Vec<Vec<String>> = presets::all()
                .iter()
                .map(|(name, preset)| vec![name.clone(), roles(preset).to_owned(), preset.about.clone()])
                .collect();
            print(&aligned(&rows, ""))
        }
    }
}

/// How wide a cell may be.
const CELL: usize = 60;
/// How wide a text of a sample may be.
const TEXT: usize = 96;

/// The inspection for a terminal.
fn shown(found: &Inspection) -> String {
    let mut out = String::new();
    let mut facts = vec![found.format.clone()];
    facts.extend(found.compression.map(str::to_owned));
    facts.push(found.encoding.clone());
    facts.extend(found.known.map(|what| format!("looks like {what}")));
    let _ = writeln!(out, "{}: {}", cut(&found.file, TEXT), facts.join(", "));
    if found.files > 1 {
        let _ = writeln!(out, "the first of {} data files", found.files);
    }
    let of = match (found.is_sample, found.rows) {
        (true, Some(rows)) => format!(" of {rows}"),
        (true, None) => format!(" in the first {} MiB; `--all` reads on", found.bytes >> 20),
        (false, _) => String::new(),
    };
    let share = 100.0 * found.duplicates as f64 / found.records.max(1) as f64;
    let _ = writeln!(
        out,
        "{} records{of}: {} rejected, {} excluded, {} duplicates ({share:.1} %)",
        found.records, found.rejected, found.excluded, found.duplicates
    );
    for (line, reason) in &found.rejections {
        let _ = writeln!(out, "  rejected, line {line}: {}", cut(reason, TEXT));
    }

    for column in &found.binary {
        let _ =
            writeln!(out, "  column `{}` holds bytes that are no text: records are read without them", cut(column, 32));
    }

    out.push_str("\nfields of the first records\n");
    let mut rows = vec![["field", "kind", "filled", "different", "length", "for example"].map(str::to_owned).to_vec()];
    for field in &found.fields {
        rows.push(vec![
            cut(&field.name, 32),
            field.kind.clone(),
            format!("{:.0} %", 100.0 * field.filled),
            field.distinct.to_string(),
            format!("{:.0}", field.mean_length),
            cut(&field.example, CELL),
        ]);
    }
    out.push_str(&aligned(&rows, "  "));

    if !found.candidates.is_empty() {
        out.push_str("\nwhat they may be\n");
        let rows: Vec<Vec<String>> = found
            .candidates
            .iter()
            .map(|candidate| vec![candidate.column.to_owned(), cut(&candidate.field, 32), candidate.reason.clone()])
            .collect();
        out.push_str(&aligned(&rows, "  "));
    }
    if found.labels.iter().any(|label| !label.value.is_empty()) {
        out.push_str("\nlabels\n");
        let mut rows = vec![["label", "records", "four-class makes of it"].map(str::to_owned).to_vec()];
        for label in found.labels.iter().take(LABELS) {
            let value = if label.value.is_empty() { "(none)".to_owned() } else { cut(&label.value, 32) };
            let decision = match &label.four_class {
                Ok(name) => name.clone(),
                Err(reason) => format!("rejected: {}", cut(reason, TEXT)),
            };
            rows.push(vec![value, label.count.to_string(), decision]);
        }
        out.push_str(&aligned(&rows, "  "));
        if found.labels.len() > LABELS {
            let _ = writeln!(out, "  and {} more", found.labels.len() - LABELS);
        }
    }
    let decisions: Vec<String> = found.decisions.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let _ = match found.is_open {
        true => writeln!(out, "\nthe entry below is open: say what its comments ask, in the place of `?`"),
        false => writeln!(out, "\nwhat the entry below makes of them: {}", decisions.join(", ")),
    };

    if !found.samples.is_empty() {
        out.push_str("\nthe first examples\n");
    }
    for sample in &found.samples {
        let decision = match &sample.decision {
            Ok(name) => name.clone(),
            Err(reason) => cut(reason, CELL),
        };
        let _ = writeln!(out, "  line {}: {decision}", sample.line);
        let texts = [("instruction", &sample.instruction), ("input", &sample.input), ("output", &sample.output)];
        for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            let _ = writeln!(out, "    {name:11}  {}", cut(text, TEXT));
        }
    }
    let _ = write!(out, "\nfor the manifest\n\n{}", found.proposal);
    out
}

/// How many labels are shown.
const LABELS: usize = 24;

/// A text in one line that a terminal takes as text, of at most so many columns.
fn cut(text: &str, columns: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let word = plain(word);
        if used > 0 {
            out.push(' ');
            used += 1;
        }
        for c in word.chars() {
            let own = width(c.encode_utf8(&mut [0; 4]));
            if used + own >= columns {
                out.push('…');
                return out;
            }
            out.push(c);
            used += own;
        }
    }
    out
}

/// Rows whose cells stand below one another.
fn aligned(rows: &[Vec<String>], indent: &str) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in rows {
        let mut line = indent.to_owned();
        for (cell, width_of) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width_of - width(cell) + 2));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
