//! Inputs of a run that are not on this machine, which is no fault of the run.

use std::path::Path;

use super::stage::Fault;
use crate::Result;
use crate::data::input;
use crate::files;
use crate::manifest::ManifestFile;

/// What of a run's model, data and components does not lie where its manifest, at `path`, names it. A path with an environment variable is not looked
/// for.
pub(super) fn missing(folder: &Path, path: &Path) -> Result<Vec<Fault>> {
    let file = ManifestFile::parse(path, files::read_text(&folder.join("so8t.toml"))?)?;
    let beside = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut missing = Vec::new();
    let mut look = |what: String, named: &str| {
        if named.contains("${") {
            return;
        }
        // Of a pattern, the folder in which its files lie.
        let fixed: Vec<&str> = named.split('/').take_while(|part| !part.contains(['*', '?', '['])).collect();
        let place = beside.join(fixed.join("/"));
        let place = if named.starts_with('/') && fixed == [""] { Path::new("/").to_owned() } else { place };
        if !place.exists() {
            missing.push(Fault { file: what, what: format!("is not here: expected `{}`", place.display()) });
        }
    };
    let manifest = &file.manifest;
    if let Some(model) = manifest.model.as_ref().filter(|model| !model.base.get_ref().starts_with("hf:")) {
        look("model".to_owned(), model.base.get_ref());
    }
    for table in &manifest.data {
        for named in table.path.iter().filter(|named| named.get_ref() != input::STANDARD_INPUT) {
            look(format!("data `{}`", table.name.get_ref()), named.get_ref());
        }
    }
    for (name, plugin) in &manifest.plugins {
        let component = plugin.get_ref().component.get_ref();
        if !component.starts_with("builtin:") && !component.starts_with("oci://") {
            look(format!("component `{name}`"), component);
        }
    }
    Ok(missing)
}
