//! The data files below a folder.

use std::fs;
use std::path::{Path, PathBuf};

use so8t_base::{Error, Result};

/// How the names of data files end, in any case, each also with `.gz` or `.zst` behind it.
pub const ENDINGS: [&str; 6] = [".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet"];

/// All data files below `folder`, by their names' [`ENDINGS`], sorted by path. Names that start with a dot are passed over, and
/// links to folders are not followed.
///
/// # Errors
/// A folder that cannot be read.
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|e| Error::io("read", &folder, &e))? {
            let entry = entry.map_err(|e| Error::io("read", &folder, &e))?;
            let name = entry.file_name().to_string_lossy().to_lowercase();
            if name.starts_with('.') {
                continue;
            }
            let kind = entry.file_type().map_err(|e| Error::io("read", &entry.path(), &e))?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if is_data(&name) && entry.path().is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn is_data(name: &str) -> bool {
    let plain = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
    ENDINGS.iter().any(|ending| plain.ends_with(ending))
}
