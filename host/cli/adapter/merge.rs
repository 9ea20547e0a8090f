//! `so8t adapter merge`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::Pair;
use crate::Result;
use crate::cli::{print, print_json};
use crate::model::{Precision, export_folder};

/// Bytes of a file of weights.
const SHARD: u64 = 4 << 30;

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    pair: Pair,
    /// The new folder
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How the weights are written
    #[arg(long, value_enum, default_value_t)]
    dtype: Dtype,
    /// Print the result as JSON on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Dtype {
    /// Nothing is lost
    #[default]
    F32,
    Bf16,
    F16,
}

pub(super) fn merge(arguments: &Arguments) -> Result<()> {
    let precision = match arguments.dtype {
        Dtype::F32 => Precision::F32,
        Dtype::Bf16 => Precision::Bf16,
        Dtype::F16 => Precision::F16,
    };
    let base = arguments.pair.base()?;
    let merged = arguments.pair.merged(&base)?;
    let written = export_folder(&base, &arguments.out, precision, SHARD, |name| merged.load_f32(name))?;
    let changed = merged.changed();
    if arguments.json {
        return print_json(&json!({ "schema": "so8t.merged/1", "changed": changed, "written": written }));
    }
    eprintln!("{changed} of {} tensors changed, {} bytes in {} files", written.tensors, written.bytes, written.files);
    print(&format!("{}\n", written.path.display()))
}
