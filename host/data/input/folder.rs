//! The data files below a folder, and those that a pattern names: one walk with one set of rules for both.
//!
//! Names that start with a dot are passed over, links to folders are not followed, and of files those are taken whose names end as data
//! files' do. What a pattern spells out is taken whatever it is: a name without wildcards, a leading dot, an ending. A name that is not
//! UTF-8 is matched with `\u{fffd}` in the place of what is wrong in it, so that no file is passed over for its name.

use std::fs;
use std::path::{Path, PathBuf};

use so8t_base::{Error, Result};

/// How the names of data files end, in any case, each also with `.gz` or `.zst` behind it.
pub const ENDINGS: [&str; 6] = [".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet"];

/// One step down from a folder.
pub enum Step<'a> {
    /// What has this name, if there is such a thing.
    Named(&'a str),
    /// Whatever has a name that is matched.
    Matching {
        /// Whether a name is matched.
        is_match: &'a dyn Fn(&str) -> bool,
        /// Whether names that begin with a dot are meant too.
        hidden: bool,
        /// Whether an ending is spelled out, so that files of any kind are meant.
        any_ending: bool,
    },
    /// The folder itself and every folder below it.
    Deep,
}

/// All data files below `folder`, by their names' [`ENDINGS`], sorted by path. Names that start with a dot are passed over, and
/// links to folders are not followed.
///
/// # Errors
/// A folder that cannot be read.
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    files_at(folder, &[Step::Deep, Step::Matching { is_match: &|_| true, hidden: false, any_ending: false }])
}

/// The files that some steps lead to from `folder`, sorted by path.
///
/// # Errors
/// A folder that cannot be read.
pub fn files_at(folder: &Path, steps: &[Step<'_>]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    walk(folder, steps, &mut found)?;
    found.sort();
    // Two ways may lead to one file.
    found.dedup();
    Ok(found)
}

fn walk(place: &Path, steps: &[Step<'_>], found: &mut Vec<PathBuf>) -> Result<()> {
    let Some((step, rest)) = steps.split_first() else { return Ok(()) };
    match step {
        Step::Named(name) => {
            let next = place.join(name);
            match rest.is_empty() {
                true if next.is_file() => found.push(next),
                false if next.is_dir() => walk(&next, rest, found)?,
                _ => {}
            }
        }
        Step::Deep => {
            walk(place, rest, found)?;
            for (name, is_folder, path) in entries(place)? {
                if is_folder && !name.starts_with('.') {
                    walk(&path, steps, found)?;
                }
            }
        }
        Step::Matching { is_match, hidden, any_ending } => {
            for (name, is_folder, path) in entries(place)? {
                if (name.starts_with('.') && !hidden) || !is_match(&name) {
                    continue;
                }
                match rest.is_empty() {
                    true if (*any_ending || is_data(&name.to_lowercase())) && path.is_file() => found.push(path),
                    false if is_folder => walk(&path, rest, found)?,
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

/// The entries of a folder: the name as text, whether it is a folder (and no link to one), and the path.
fn entries(folder: &Path) -> Result<Vec<(String, bool, PathBuf)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| Error::io("read", folder, &e))? {
        let entry = entry.map_err(|e| Error::io("read", folder, &e))?;
        let kind = entry.file_type().map_err(|e| Error::io("read", &entry.path(), &e))?;
        entries.push((entry.file_name().to_string_lossy().into_owned(), kind.is_dir(), entry.path()));
    }
    Ok(entries)
}

fn is_data(name: &str) -> bool {
    let plain = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
    ENDINGS.iter().any(|ending| plain.ends_with(ending))
}
