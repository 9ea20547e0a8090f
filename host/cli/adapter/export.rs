//! `so8t adapter export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::Pair;
use crate::Result;
use crate::cli::{print, print_json, tell};
use crate::model::{TensorKind, export_gguf, export_warnings};

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    pair: Pair,
    /// The new file
    #[arg(long, value_name = "FILE")]
    gguf: PathBuf,
    /// How the matrices are written; vectors are f32
    #[arg(long = "type", value_enum, default_value_t)]
    kind: Kind,
    /// Print the result as JSON on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Kind {
    /// Blocks of 32 numbers of 8 bits with a common step
    #[default]
    #[value(name = "q8_0")]
    Q8_0,
    F16,
    /// Nothing is lost
    F32,
}

pub(super) fn export(arguments: &Arguments) -> Result<()> {
    let kind = match arguments.kind {
        Kind::Q8_0 => TensorKind::Q8_0,
        Kind::F16 => TensorKind::F16,
        Kind::F32 => TensorKind::F32,
    };
    let base = arguments.pair.base()?;
    let merged = arguments.pair.merged(&base)?;
    export_warnings(&base).iter().for_each(|warning| tell(format_args!("warning: {warning}")));
    let (written, fallen) = export_gguf(&base, &arguments.gguf, kind, |name| merged.load_f32(name))?;
    let changed = merged.changed();
    if !fallen.is_empty() {
        tell(format_args!("warning: written as f16, since their rows are no whole blocks: `{}`", fallen.join("`, `")));
    }
    if arguments.json {
        let report = json!({ "schema": "so8t.exported/1", "changed": changed, "written": written, "as_f16": fallen });
        return print_json(&report);
    }
    tell(format_args!("{changed} of {} tensors changed, {} bytes", written.tensors, written.bytes));
    print(&format!("{}\n", written.path.display()))
}
