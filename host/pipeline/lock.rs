//! What a run uses, held against the lock file beside the manifest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::data::input;
use crate::manifest::Plan;
use crate::pipeline::plugins::Plugins;
use crate::pipeline::progress::Narrator;
use crate::plugin::lock::{Entry, EntryKind, Lock};
use crate::plugin::{Admission, ComponentSource, PluginSpec, Policy, Provenance, Resolution, default_cache_folder};
use crate::{Error, Result, files, plain};

/// The lock of what a run uses. With `locked` it must be that of the file beside the manifest; else the file is written.
/// A command that opens no model leaves what the file says of models as it is.
pub(in crate::pipeline) fn hold(
    plan: &Plan,
    plugins: &Plugins,
    model: Option<&[PathBuf]>,
    locked: bool,
    narrator: Narrator,
) -> Result<Lock> {
    let cache = default_cache_folder();
    let digest = |path: &Path| files::sha256_file_cached(path, cache.as_deref());
    let mut lock = Lock { entries: entries(plan, plugins, model, &digest)? };
    let beside = plan.manifest.with_extension("lock");
    let known = beside.is_file().then(|| Lock::read(&beside));
    if model.is_none()
        && let Some(Ok(known)) = &known
    {
        lock.entries.extend(known.entries.iter().filter(|entry| entry.kind == EntryKind::Model).cloned());
    }
    match (locked, known) {
        (true, None) => {
            return Err(Error::manifest(format!("`--locked` needs `{}`, which does not exist", beside.display()))
                .with_hint("run once without `--locked` to write it"));
        }
        (true, Some(known)) => {
            known?.verify(&lock).map_err(|e| e.context(beside.display()))?;
        }
        // A manifest of another name may lie beside a lock file of another program: `Cargo.toml`, for one.
        (false, _) if beside.symlink_metadata().is_ok() && !Lock::is_one(&beside) => {
            narrator.warn(format!("the lock file was not written: `{}` is none of so8t's", beside.display()));
        }
        (false, _) => {
            if let Err(error) = lock.write(&beside) {
                narrator.warn(format!("the lock file was not written beside the manifest: {error}"));
            }
        }
    }
    Ok(lock)
}

/// What decides which components a plan may load: the policy, and the lock file beside the manifest.
pub(in crate::pipeline) fn admission(
    plan: Option<&Plan>,
    policy: &Policy,
    resolution: Resolution,
) -> Result<Admission> {
    let admission = Admission::new(policy.clone());
    let Some(plan) = plan else { return Ok(admission) };
    let beside = plan.manifest.with_extension("lock");
    // A lock file that cannot be read is written anew, but never where it would tell what a tag stands for.
    let is_remote = |spec: &PluginSpec| matches!(spec.component, ComponentSource::Oci(_));
    let lock = match beside.is_file().then(|| Lock::read(&beside)) {
        Some(Ok(lock)) => lock,
        Some(Err(error)) if plan.plugins.values().any(is_remote) => return Err(error),
        _ => Lock::default(),
    };
    Ok(admission.with_lock(lock, resolution))
}

/// Name and path of every locked file of a kind, with its digest.
pub(in crate::pipeline) fn digests(lock: &Lock, kind: EntryKind) -> BTreeMap<String, String> {
    let of_kind = lock.entries.iter().filter(|entry| entry.kind == kind);
    of_kind.map(|entry| (format!("{} ({})", entry.name, entry.path), entry.sha256.clone())).collect()
}

/// Every component, data and model file that a run uses, with its digest; those of model files are asked of `model_digest`.
pub(in crate::pipeline) fn entries(
    plan: &Plan,
    plugins: &Plugins,
    model: Option<&[PathBuf]>,
    model_digest: &dyn Fn(&Path) -> Result<String>,
) -> Result<Vec<Entry>> {
    let shown = |path: &Path| shown(plan, path);
    let mut entries = Vec::new();
    for (name, plugin) in plugins.iter() {
        let path = match &plan.plugins[name].component {
            ComponentSource::Builtin(builtin) => format!("builtin:{builtin}"),
            ComponentSource::Path(path) => shown(path),
            ComponentSource::Oci(reference) => reference.to_string(),
        };
        let Provenance { resolved, signer } = plugin.provenance().clone();
        entries.push(Entry { resolved, signer, ..Entry::new(EntryKind::Component, name, path, plugin.digest()) });
    }
    let mut file = |kind, name: &str, path: String, sha256| {
        entries.push(Entry::new(kind, name, path, sha256));
    };
    for source in &plan.sources {
        let outside: Vec<&Path> =
            source.files.iter().map(PathBuf::as_path).filter(|path| !path.starts_with(&plan.folder)).collect();
        let above = common_folder(&outside);
        for path in &source.files {
            // Two files of one name, in different folders, are told apart.
            // A file that a variable alone names is spelled by it.
            let is_variable = plain::spelled(&path.to_string_lossy()).ends_with('}');
            let below = above.filter(|_| !is_variable).and_then(|above| path.strip_prefix(above).ok());
            let path_shown = below.map_or_else(|| shown(path), |below| below.display().to_string());
            file(EntryKind::Data, &source.name, path_shown, input::digest(path)?);
        }
    }
    entries.extend(model_entries(plan, model.unwrap_or_default(), model_digest)?);
    Ok(entries)
}

/// The model's files, with their digests.
pub(in crate::pipeline) fn model_entries(
    plan: &Plan,
    paths: &[PathBuf],
    digest: &dyn Fn(&Path) -> Result<String>,
) -> Result<Vec<Entry>> {
    paths.iter().map(|path| Ok(Entry::new(EntryKind::Model, "base", shown(plan, path), digest(path)?))).collect()
}

/// How a lock file spells a path: relative to the manifest, so that it says the same on every machine.
fn shown(plan: &Plan, path: &Path) -> String {
    // Nor does it say what an environment variable stood for.
    let spelled = plain::spelled(&path.to_string_lossy()).into_owned();
    let path = if spelled.contains("${") { Path::new(&spelled) } else { path };
    let below = path.strip_prefix(&plan.folder).ok().filter(|path| path.is_relative()).map(Path::to_path_buf);
    below.unwrap_or_else(|| PathBuf::from(path.file_name().unwrap_or_default())).display().to_string()
}

/// The deepest folder that all files lie below; `None` where there is none.
fn common_folder<'a>(paths: &[&'a Path]) -> Option<&'a Path> {
    let first = paths.first()?.parent()?;
    first.ancestors().find(|folder| paths.iter().all(|path| path.starts_with(folder)))
}
