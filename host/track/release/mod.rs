//! A release: what was trained, with its evidence, under one signature.
//!
//! A folder with the trained files, a model card, an ML-BOM, the report, the manifest and its lock, an in-toto statement of how it came about
//! (`provenance.json`), and `model.sig`: an OpenSSF model signature (v1.0) over every other file, by ECDSA on P-256. The reference tool `model_signing` verifies it.

mod keys;
mod signature;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use so8t_base::{Error, Result, files};

use crate::export::{self, About};
use crate::finished::{FinishedRun, Verdict};

pub use keys::{PrivateKey, PublicKey};

/// The signature's name.
pub const SIGNATURE: &str = "model.sig";
/// The most bytes of a signature.
const MOST: u64 = 64 << 20;

/// What a release holds of a run, where the run has it.
const KEPT: [&str; 6] =
    ["report.json", "report.md", "so8t.lock", "training.json", "dataset_card.md", "calibration.json"];

/// Makes a release of a run in `folder`, which must not exist or be empty.
///
/// # Errors
/// A run that trained nothing, that has no rules or does not meet them, or whose files are not as it left them; a folder that holds something.
pub fn make(
    run: &FinishedRun,
    extra: &[(String, PathBuf)],
    about: &About,
    key: &PrivateKey,
    folder: &Path,
) -> Result<Vec<String>> {
    match run.verdict() {
        Verdict::Accepted => {}
        Verdict::Refused => {
            let rules = run.report["accept"]["rules"].as_array().into_iter().flatten();
            let failed = rules.filter(|rule| rule["passed"] != true).filter_map(|rule| rule["rule"].as_str());
            let failed = failed.collect::<Vec<_>>().join("; ");
            return Err(Error::data(format!(
                "run `{}` does not meet its rules, and is not released: {failed}",
                run.name
            )));
        }
        Verdict::NoRules => {
            return Err(Error::data(format!("run `{}` has no rules to meet, and is not released", run.name))
                .with_hint(
                    "say in `[[accept.rules]]` what a release must show, and run again: nothing is trained anew",
                ));
        }
    }
    let trained: Vec<String> = run.trained_files().into_iter().map(str::to_owned).collect();
    if trained.is_empty() {
        return Err(Error::data(format!("run `{}` trained nothing: there is nothing to release", run.name)));
    }
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::manifest(format!(
            "`{}` is not empty: expected a new folder for the release",
            folder.display()
        )));
    }
    // Whole or absent: it is put together beside, and renamed at its end.
    let beside = files::folder_beside(folder)?;
    let made = fill(run, &trained, extra, about, key, &beside);
    let names = match made {
        Ok(names) => names,
        Err(error) => {
            let _ = fs::remove_dir_all(&beside);
            return Err(error);
        }
    };
    let _ = fs::remove_dir(folder);
    fs::rename(&beside, folder).map_err(|e| Error::io("write", folder, &e))?;
    Ok(names)
}

fn fill(
    run: &FinishedRun,
    trained: &[String],
    extra: &[(String, PathBuf)],
    about: &About,
    key: &PrivateKey,
    folder: &Path,
) -> Result<Vec<String>> {
    let kept = KEPT.iter().filter(|name| run.files.contains_key(**name)).map(|name| (*name).to_owned());
    let mut subjects = Vec::new();
    for name in trained.iter().cloned().chain(kept) {
        let bytes = run.file(&name)?;
        // PEFT's loaders look beside the card.
        let target =
            name.strip_prefix("adapter/").or_else(|| name.strip_prefix("trained_model/")).unwrap_or(&name).to_owned();
        if trained.contains(&name) {
            subjects.push(json!({ "name": target, "digest": { "sha256": run.files[&name] } }));
        }
        files::write(&folder.join(target), &bytes)?;
    }
    for (name, path) in extra {
        files::write(&folder.join(name), &files::read(path)?)?;
        subjects.push(json!({ "name": name, "digest": { "sha256": files::sha256_file(&folder.join(name))? } }));
    }
    files::write(&folder.join("README.md"), export::model_card(run, about)?.as_bytes())?;
    files::write(&folder.join("bom.cdx.json"), &export::ml_bom(run, about)?)?;
    files::write(&folder.join("provenance.json"), &files::json(&provenance(run, &subjects))?)?;

    let name = folder_name(run);
    let digests = digests(folder)?;
    files::write(&folder.join(SIGNATURE), &signature::sign(&name, &digests, key)?)?;
    Ok(digests.into_keys().chain([SIGNATURE.to_owned()]).collect())
}

/// An in-toto statement (v1) of how the files came about, as SLSA's provenance (v1) puts it.
fn provenance(run: &FinishedRun, subjects: &[serde_json::Value]) -> serde_json::Value {
    let materials: Vec<serde_json::Value> = run
        .entries
        .iter()
        .map(|entry| json!({ "name": entry.name, "uri": format!("{}:{}", entry.kind, entry.path), "digest": { "sha256": entry.sha256 } }))
        .collect();
    let manifest = run.files.get("so8t.toml").cloned().unwrap_or_default();
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "https://so8t.dev/run/v1",
                "externalParameters": { "command": run.report["run"]["command"], "seed": run.report["run"]["seed"], "manifest_sha256": manifest },
                "internalParameters": { "labels": run.labels() },
                "resolvedDependencies": materials,
            },
            "runDetails": {
                "builder": { "id": "https://so8t.dev/so8t", "version": { "so8t": run.report["run"]["so8t"] } },
                "metadata": { "invocationId": run.digest, "finishedOn": run.report["run"]["created"] },
                "byproducts": [
                    { "name": "report.json", "digest": { "sha256": run.files.get("report.json") } },
                    { "name": "SHA256SUMS", "digest": { "sha256": run.digest } },
                ],
            },
        },
    })
}

fn folder_name(run: &FinishedRun) -> String {
    run.name.clone()
}

/// What a verification found.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// The release's name.
    pub name: String,
    /// How many files were signed.
    pub files: usize,
}

/// Verifies a release: the signature by the key, and every file by its digest; a file more or less is a fault too.
///
/// # Errors
/// The first thing that does not fit.
pub fn verify(folder: &Path, key: &PublicKey) -> Result<Verified> {
    let path = folder.join(SIGNATURE);
    files::open_unlinked(&path)?;
    let text = files::read_text_at_most(&path, MOST)?;
    let (name, signed) = signature::verify(&text, key).map_err(|e| e.context(format!("`{}`", path.display())))?;
    let found = digests(folder)?;
    for (file, digest) in &signed {
        match found.get(file) {
            Some(own) if own == digest => {}
            Some(own) => {
                return Err(Error::data(format!(
                    "`{file}` is not what was signed: it has sha256 `{own}`, signed is `{digest}`"
                )));
            }
            None => return Err(Error::data(format!("`{file}` is lacking: it was signed"))),
        }
    }
    match found.keys().find(|file| !signed.contains_key(*file)) {
        Some(file) => Err(Error::data(format!("`{file}` was added: it was not signed"))),
        None => Ok(Verified { name, files: signed.len() }),
    }
}

/// The digest of every file below a folder but the signature, by its path with `/`. A link or anything else that is no plain file is an error.
fn digests(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        let full = folder.join(&inner);
        for entry in fs::read_dir(&full).map_err(|e| Error::io("read", &full, &e))? {
            let entry = entry.map_err(|e| Error::io("read", &full, &e))?;
            let kind = entry.file_type().map_err(|e| Error::io("read", &entry.path(), &e))?;
            let path = inner.join(entry.file_name());
            let shown = path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
            match () {
                () if shown == SIGNATURE => {}
                () if kind.is_dir() => folders.push(path),
                () if kind.is_file() && path.to_str().is_some() => {
                    let full = folder.join(&path);
                    all.insert(shown, files::sha256_of(&full, files::open_unlinked(&full)?)?);
                }
                () => {
                    return Err(Error::data(format!(
                        "`{shown}` is {}: expected plain files alone",
                        files::kind_of(kind)
                    )));
                }
            }
        }
    }
    Ok(all)
}
