//! Whose a run's folder is: so8t replaces and removes what it wrote, and nothing else.
//!
//! A folder that so8t works in bears the file [`MARKER`], which lists the names in it that are so8t's. A folder that is not empty and bears none is
//! refused, unless what lies in it shows that an earlier version of so8t made it. While a command works the list holds every name that it might
//! write; at its end, those that are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::verify::checksums;
use crate::evaluate::{Calibrations, predictions};
use crate::plugin::Lock;
use crate::train::{gate_files, peft};
use crate::{Error, Result, files, model};

/// The file that says what is so8t's.
pub(super) const MARKER: &str = ".so8t-run";
/// The marker's first line; the number changes with the form.
const MAGIC: &str = "# This folder is a run's. These names in it are so8t's, which replaces and removes them: form 1";
/// The most bytes of a marker.
const MOST: u64 = 1 << 20;

/// What so8t writes into a run's folder, files and folders.
const NAMES: [&str; 33] = [
    "SHA256SUMS",
    Lock::FILE,
    "so8t.toml",
    "stages.json",
    "plugins.log",
    "dataset.jsonl",
    "evaluation.jsonl",
    "statistics.json",
    "calibration_set.jsonl",
    "validation_set.jsonl",
    "conflicts.jsonl",
    "rejected.jsonl",
    "contamination.jsonl",
    "dataset_card.md",
    predictions::BEFORE,
    predictions::AFTER,
    "calibration_before.parquet",
    "calibration_after.parquet",
    "answers_before.jsonl",
    "answers_after.jsonl",
    "answers_tuning.jsonl",
    Calibrations::FILE,
    "training.json",
    super::handover::FILE,
    "training.jsonl",
    "validation.jsonl",
    "checkpoint.key",
    CHECKPOINT,
    ADAPTER,
    MODEL,
    "report.json",
    "report.html",
    "report.md",
];

const CHECKPOINT: &str = "checkpoint";
/// The folder of a trained adapter.
pub(super) const ADAPTER: &str = "adapter";
/// The folder of a trained model.
pub(super) const MODEL: &str = "trained_model";

/// Takes a folder for a run, and makes it where it lacks.
///
/// # Errors
/// A folder that holds what so8t did not write; one that cannot be read or written.
pub(super) fn claim(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, &e))?;
    let mut found = entries(folder)?;
    // What a process left that was killed in its first moments.
    found.retain(|name| !files::is_temporary(name, MARKER));
    let own = if found.is_empty() { BTreeSet::new() } else { list(folder)?.ok_or_else(|| foreign(folder, &found))? };
    if let Some(name) = NAMES.iter().find(|name| found.contains(**name) && !own.contains(**name)) {
        let path = folder.join(name);
        return Err(Error::manifest(format!("`{}` was not written by so8t, and would be replaced", path.display()))
            .with_hint("move it away, or give this run another folder with `--out` or `[run] output`"));
    }
    let is_link = |name: &&&str| fs::symlink_metadata(folder.join(name)).is_ok_and(|found| found.is_symlink());
    if let Some(name) = NAMES.iter().find(is_link) {
        return Err(Error::manifest(format!("`{}` is a link: so8t writes through none", folder.join(name).display()))
            .with_hint("remove it, or give this run another folder with `--out` or `[run] output`"));
    }
    let names = NAMES.iter().map(|name| (*name).to_owned()).chain(own).collect();
    write(folder, &names)?;
    sweep(folder)
}

/// Removes what a killed process left half-written beside the names of so8t.
fn sweep(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_plain = entry.file_type().is_ok_and(|kind| kind.is_file());
        // A temporary name is drawn at random, so that it is nobody else's.
        if is_plain && NAMES.iter().chain([&MARKER]).any(|of| files::is_temporary(&name, of)) {
            fs::remove_file(entry.path()).map_err(|e| Error::io("remove", &entry.path(), &e))?;
        }
    }
    Ok(())
}

/// Ends a command: what is there of what so8t writes is so8t's, and the seal that is written next.
pub(super) fn settle(folder: &Path) -> Result<()> {
    let mut found = entries(folder)?;
    found.insert(checksums::FILE.to_owned());
    let own = list(folder)?.unwrap_or_default();
    write(folder, &own.intersection(&found).cloned().collect())
}

/// Adds a name that so8t is about to write, besides those that it always may.
pub(super) fn add(folder: &Path, name: &str) -> Result<()> {
    // A folder that no command claimed, that of a comparison for example, has no list.
    let Some(mut own) = list(folder)? else { return Ok(()) };
    match own.insert(name.to_owned()) {
        true => write(folder, &own),
        false => Ok(()),
    }
}

/// The names in a folder that so8t wrote; `None` where the folder is none of so8t's.
pub(super) fn list(folder: &Path) -> Result<Option<BTreeSet<String>>> {
    let marker = folder.join(MARKER);
    if fs::symlink_metadata(&marker).is_err() {
        return Ok(earlier(folder));
    }
    let text = files::open_unlinked(&marker).and_then(|_| files::read_text_at_most(&marker, MOST))?;
    let mut lines = text.lines();
    match lines.next() == Some(MAGIC) {
        true => Ok(Some(lines.filter(|line| !line.starts_with('#')).map(str::to_owned).collect())),
        false => Err(Error::data(format!("`{}`: expected the list of what so8t wrote", marker.display()))
            .with_hint("give this run another folder with `--out` or `[run] output`")),
    }
}

/// Whether a folder without a marker is one that an earlier version of so8t made, and what in it that wrote: what its sealed list names; or, where
/// it was interrupted after a stage, every usual name, if the lock file is one of so8t's and lies beside a manifest and the list of stages: the folder of a
/// manifest holds the first two as well.
fn earlier(folder: &Path) -> Option<BTreeSet<String>> {
    let first = |name: &str| name.split('/').next().unwrap_or_default().to_owned();
    let mut own: BTreeSet<String> = match checksums::read(folder) {
        Ok(seal) => seal.files.keys().map(|name| first(name)).collect(),
        Err(_) => {
            let of_so8t = |name: &str| files::open_unlinked(&folder.join(name)).is_ok();
            let is_interrupted = !folder.join(checksums::FILE).exists()
                && of_so8t("stages.json")
                && of_so8t("so8t.toml")
                && of_so8t(Lock::FILE)
                && Lock::is_one(&folder.join(Lock::FILE));
            is_interrupted.then(|| NAMES.iter().map(|name| (*name).to_owned()).collect())?
        }
    };
    own.insert(checksums::FILE.to_owned());
    Some(own)
}

fn write(folder: &Path, names: &BTreeSet<String>) -> Result<()> {
    let mut text = format!("{MAGIC}\n");
    for name in names.iter().filter(|name| !name.contains(['\n', '\r'])) {
        text.push_str(name);
        text.push('\n');
    }
    files::write(&folder.join(MARKER), text.as_bytes())
}

/// The names in a folder; those that are not UTF-8 are none of so8t's, and stand as they can be shown.
fn entries(folder: &Path) -> Result<BTreeSet<String>> {
    let io = |e: std::io::Error| Error::io("read", folder, &e);
    let name = |entry: std::io::Result<fs::DirEntry>| Ok(entry.map_err(io)?.file_name().to_string_lossy().into_owned());
    fs::read_dir(folder).map_err(io)?.map(name).collect()
}

fn foreign(folder: &Path, found: &BTreeSet<String>) -> Error {
    let first: Vec<&str> = found.iter().take(3).map(String::as_str).collect();
    let more =
        if found.len() > first.len() { format!(" and {} more", found.len() - first.len()) } else { String::new() };
    Error::manifest(format!(
        "`{}` is not empty and is no folder of a run: expected a new or empty folder, or one that so8t made, found `{}`{more}",
        folder.display(),
        first.join("`, `")
    ))
    .with_hint("give this run another folder with `--out` or `[run] output`, or move away what lies there")
}

/// Removes from a run's folder what a training writes into the folder `name` of it, and the folder where nothing else is left in it: what
/// somebody else put there stays. What a killed process left half-written beside it goes too.
pub(super) fn clear(run: &Path, name: &str) -> Result<()> {
    for entry in fs::read_dir(run).into_iter().flatten().flatten() {
        let (path, own) = (entry.path(), entry.file_name());
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        // A temporary name is drawn at random, so that it is nobody else's.
        if is_folder && files::is_temporary(&own.to_string_lossy(), name) {
            fs::remove_dir_all(&path).map_err(|e| Error::io("remove", &path, &e))?;
        }
    }
    let folder = run.join(name);
    match fs::symlink_metadata(&folder) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => {
            return Err(Error::data(format!("`{}` is no folder: expected what a training wrote", folder.display())));
        }
        Err(_) => return Ok(()),
    }
    for path in written(&folder, name)? {
        fs::remove_file(&path).map_err(|e| Error::io("remove", &path, &e))?;
    }
    match fs::remove_dir(&folder) {
        // Others' files are in it.
        Err(e) if e.kind() == std::io::ErrorKind::DirectoryNotEmpty => Ok(()),
        Err(e) => Err(Error::io("remove", &folder, &e)),
        Ok(()) => Ok(()),
    }
}

/// The files in a folder of a training that a training writes.
fn written(folder: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let of_adapter = [peft::TENSORS, peft::SETTINGS, gate_files::TENSORS, gate_files::SETTINGS];
    let is_own = |file: &str| match name {
        MODEL => model::is_exported(file),
        CHECKPOINT => of_adapter.contains(&file) || is_state(file) || model::is_exported(file),
        _ => of_adapter.contains(&file),
    };
    let of_temporary = |file: &str| {
        let of = file.strip_suffix(".tmp").and_then(|rest| rest.rsplit_once('.')).map_or("", |(of, _)| of);
        files::is_temporary(file, of) && is_own(of)
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| Error::io("read", folder, &e))? {
        let entry = entry.map_err(|e| Error::io("read", folder, &e))?;
        let own = entry.file_name();
        let Some(file) = own.to_str() else { continue };
        let is_plain = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_plain && (is_own(file) || of_temporary(file)) {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

/// `state-00000012.safetensors`.
fn is_state(file: &str) -> bool {
    let step = file.strip_prefix("state-").and_then(|rest| rest.strip_suffix(".safetensors"));
    step.is_some_and(|step| step.len() >= 8 && step.bytes().all(|b| b.is_ascii_digit()))
}

/// Removes the checkpoints of a run's training.
pub(super) fn clear_checkpoint(run: &Path) -> Result<()> {
    clear(run, CHECKPOINT)
}

/// Refuses a folder in which a report would replace files that are not one of so8t's.
///
/// # Errors
/// `report.json`, `report.html` or `report.md` lies there, and the first is no report.
pub(crate) fn check_report(folder: &Path) -> Result<()> {
    let there = ["report.json", "report.html", "report.md"].map(|name| folder.join(name));
    let is_there = |path: &&PathBuf| fs::symlink_metadata(path).is_ok();
    let Some(first) = there.iter().find(is_there) else { return Ok(()) };
    let is_report = files::open_unlinked(&there[0]).is_ok() && crate::report::Report::is_one(&there[0]);
    let plain = there.iter().filter(is_there).all(|path| files::open_unlinked(path).is_ok());
    match is_report && plain {
        true => Ok(()),
        false => Err(Error::manifest(format!("`{}` is no report of so8t, and would be replaced", first.display()))
            .with_hint("give `--out` another folder, or move it away")),
    }
}
