//! A manifest with a trial's setting.

use serde_json::Value;
use so8t_search::Assignment;

use crate::manifest::{ManifestFile, SearchPlan, value_at};
use crate::{Error, Result};

/// The setting as the manifest writes it: factors multiplied out.
pub(super) fn whole(own: &SearchPlan, assignment: &Assignment) -> Assignment {
    let mut out = assignment.clone();
    for (path, of) in &own.factors {
        if let (Some(factor), Some(number)) =
            (assignment.get(path).and_then(Value::as_f64), assignment.get(of).and_then(Value::as_f64))
        {
            out.insert(path.clone(), (factor * number).into());
        }
    }
    out
}

/// The manifest with a setting, as if it stood where the manifest stands.
pub(super) fn applied(manifest: &ManifestFile, own: &SearchPlan, assignment: &Assignment) -> Result<ManifestFile> {
    let text = text(table(manifest, own, assignment)?)?;
    Ok(ManifestFile::parse(&manifest.path, text)?.with_environment(manifest.environment()))
}

/// The text of the manifest with a setting and a seed of the training, for any place: its paths are absolute.
pub(super) fn moved(manifest: &ManifestFile, own: &SearchPlan, assignment: &Assignment, seed: u64) -> Result<String> {
    let mut table = table(manifest, own, assignment)?;
    set(
        &mut table,
        "train.seed",
        toml::Value::Integer(
            i64::try_from(seed).map_err(|_| Error::manifest("the run's seed is too large to count on from"))?,
        ),
    )?;
    let parent = manifest.path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = std::path::absolute(parent.unwrap_or(std::path::Path::new(".")))
        .map_err(|e| Error::io("find", &manifest.path, &e))?;
    let absolute = |value: &mut toml::Value| {
        if let toml::Value::String(text) = value {
            let stays = text == "-"
                || text.contains("${")
                || ["hf:", "oci://", "builtin:"].iter().any(|start| text.starts_with(start));
            if !stays {
                *text = folder.join(text.as_str()).display().to_string();
            }
        }
    };
    for source in table.get_mut("data").and_then(toml::Value::as_array_mut).into_iter().flatten() {
        match source.get_mut("path") {
            Some(toml::Value::Array(paths)) => paths.iter_mut().for_each(absolute),
            Some(path) => absolute(path),
            None => {}
        }
    }
    if let Some(base) = table.get_mut("model").and_then(|model| model.get_mut("base")) {
        absolute(base);
    }
    for (_, plugin) in table.get_mut("plugins").and_then(toml::Value::as_table_mut).into_iter().flatten() {
        plugin.get_mut("component").into_iter().for_each(absolute);
    }
    text(table)
}

fn text(table: toml::Table) -> Result<String> {
    toml::to_string(&table).map_err(|e| Error::internal(format!("a trial's manifest has no TOML form: {e}")))
}

fn table(manifest: &ManifestFile, own: &SearchPlan, assignment: &Assignment) -> Result<toml::Table> {
    let mut table: toml::Table = toml::from_str(&manifest.text).map_err(|e| Error::manifest(e.message().to_owned()))?;
    for name in ["search", "track"] {
        table.remove(name);
    }
    if let Some(run) = table.get_mut("run").and_then(toml::Value::as_table_mut) {
        run.remove("output");
    }
    for (path, value) in assignment {
        let value =
            match own.factors.get(path) {
                Some(of) => {
                    let number = assignment.get(of).and_then(Value::as_f64).or_else(|| {
                        let value = value_at(&table, of)?;
                        value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))
                    });
                    let product = number.zip(value.as_f64()).map(|(a, b)| a * b);
                    toml::Value::Float(product.ok_or_else(|| {
                        Error::manifest(format!("`{path}` is a factor of `{of}`, which is no number"))
                    })?)
                }
                None => toml(value)?,
            };
        set(&mut table, path, value)?;
    }
    Ok(table)
}

/// Puts a value at a dotted path; tables on the way are made.
fn set(table: &mut toml::Table, path: &str, value: toml::Value) -> Result<()> {
    let mut parts: Vec<&str> = path.split('.').collect();
    let last = parts.pop().unwrap_or_default();
    let mut inner = table;
    for part in parts {
        let next = inner.entry(part).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        inner = next
            .as_table_mut()
            .ok_or_else(|| Error::manifest(format!("`{path}` leads through `{part}`, which is no table")))?;
    }
    inner.insert(last.to_owned(), value);
    Ok(())
}

fn toml(value: &Value) -> Result<toml::Value> {
    toml::Value::try_from(value).map_err(|e| Error::internal(format!("a setting has no TOML form: {e}")))
}
