//! Where the keys of a manifest's tables stand, for what is checked only after the manifest was read: configurations against the
//! plugins' schemas, limits against the host's policy.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::location::{Location, nearest};
use super::renamed::old_name;
use crate::plugin::policy::Policy;
use crate::plugin::schema::Mismatch;
use crate::plugin::{Plugin, PluginSpec};
use crate::{Error, Result};

/// Where in the manifest a span of its text is.
pub(super) type At<'a> = &'a dyn Fn(Range<usize>) -> Location<'a>;

/// A manifest's path and text.
#[derive(Clone, Debug)]
pub struct Places {
    path: PathBuf,
    text: Arc<str>,
}

impl Places {
    pub(super) fn new(path: &Path, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.into() }
    }

    /// Lowers limits that a manifest leaves to their defaults to what the policy allows.
    ///
    /// # Errors
    /// A limit that the manifest asks for and the policy does not allow, with its line and column and both numbers.
    pub fn hold_limits(&self, spec: &mut PluginSpec, policy: &Policy) -> Result<()> {
        for (key, asked, most) in policy.maxima.beyond(&spec.limits) {
            let place = self.find(&["plugins", &spec.name, "limits", key]);
            let Some(span) = place else {
                policy.maxima.lower(&mut spec.limits, key);
                continue;
            };
            return Err(self.at(Some(span)).error(format!(
                "plugin `{}` asks for `{key} = {asked}`: {} allows at most `{key} = {most}`",
                spec.name,
                policy.title()
            )));
        }
        Ok(())
    }

    /// Says where a plugin's entry stands, before an error about it.
    pub fn locate(&self, name: &str, error: Error) -> Error {
        match self.find(&["plugins", name, "component"]) {
            Some(span) => error.context(self.at(Some(span)).place()),
            None => error,
        }
    }

    /// Says where the key that an error begins with stands, such as `train.validation.share`, before the error.
    pub(super) fn locate_key(&self, error: Error) -> Error {
        let message = error.to_string();
        let key = message.strip_prefix('`').and_then(|rest| rest.split('`').next()).unwrap_or_default();
        let place = self.find(&key.split('.').collect::<Vec<_>>());
        error.context(self.at(place).place())
    }

    /// Where a value stands: file, and line and column where the manifest has it.
    pub(super) fn place(&self, path: &[&str]) -> String {
        self.at(self.find(path)).place()
    }

    /// Whether the manifest has a value.
    pub(super) fn holds(&self, path: &[&str]) -> bool {
        self.find(path).is_some()
    }

    /// Refuses a label that a configuration leaves open.
    ///
    /// # Errors
    /// The first `label = "?"`, with line and column.
    pub fn check_open(&self, spec: &PluginSpec) -> Result<()> {
        let mut waiting = vec![(&spec.config, vec!["plugins".to_owned(), spec.name.clone(), "config".to_owned()])];
        while let Some((value, path)) = waiting.pop() {
            let inner = |key: String| [path.clone(), vec![key]].concat();
            match value {
                serde_json::Value::Object(fields) => {
                    waiting.extend(fields.iter().rev().map(|(key, value)| (value, inner(key.clone()))));
                }
                serde_json::Value::Array(items) => {
                    waiting.extend(items.iter().enumerate().rev().map(|(at, value)| (value, inner(at.to_string()))));
                }
                serde_json::Value::String(text) if text == "?" && path.last().is_some_and(|key| key == "label") => {
                    let place = self.find(&path.iter().map(String::as_str).collect::<Vec<_>>());
                    return Err(self
                        .at(place)
                        .error(
                            "`label = \"?\"` is an open question: expected a label, or `exclude = \"…\"` with a reason",
                        )
                        .with_hint("`so8t data labels` explains the four labels and how others usually map"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Holds the configuration of a plugin against the schema that it declares.
    ///
    /// # Errors
    /// The first key that does not hold, with line and column; a schema that is not sound.
    pub fn check_config(&self, plugin: &Plugin) -> Result<()> {
        let found = plugin.check_config().map_err(|e| self.locate(plugin.name(), e))?;
        let placed = found.into_iter().map(|mismatch| (self.place_of(plugin.name(), &mismatch), mismatch));
        let Some((span, mismatch)) = placed.min_by_key(|(span, _)| span.as_ref().map_or(usize::MAX, |span| span.start))
        else {
            return Ok(());
        };
        let text = format!("`[plugins.{}] config`: {}", plugin.name(), mismatch.text);
        let error = self.at(span).error(text);
        let near = mismatch.key.as_deref().and_then(|key| nearest(key, mismatch.known.iter().map(String::as_str)));
        Err(match near {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error,
        })
    }

    fn at(&self, span: Option<Range<usize>>) -> Location<'_> {
        Location::new(&self.path, &self.text, span)
    }

    fn place_of(&self, plugin: &str, mismatch: &Mismatch) -> Option<Range<usize>> {
        let mut path = vec!["plugins", plugin, "config"];
        path.extend(mismatch.path.iter().map(String::as_str));
        match &mismatch.key {
            Some(key) => {
                path.push(key);
                self.find_key(&path)
            }
            // What is lacking has no place: its table, or failing that the plugin's, has.
            None => self.find(&path).or_else(|| self.find(&["plugins", plugin, "component"])),
        }
    }

    /// Where a value stands.
    fn find(&self, path: &[&str]) -> Option<Range<usize>> {
        self.walk(path).map(|(_, value)| value)
    }

    /// Where the key of a value stands.
    fn find_key(&self, path: &[&str]) -> Option<Range<usize>> {
        self.walk(path).map(|(key, _)| key)
    }

    fn walk(&self, path: &[&str]) -> Option<(Range<usize>, Range<usize>)> {
        let root = DeTable::parse(&self.text).ok()?;
        // By its name, or by the one that it had.
        let entry = |table: &'_ DeTable<'_>, upto: usize| -> Option<String> {
            let names = [path.get(upto).copied(), old_name(path.get(..=upto)?)];
            names.into_iter().flatten().find(|name| table.contains_key(*name)).map(str::to_owned)
        };
        let first = entry(root.get_ref(), 0)?;
        let (key, mut value): (_, &Spanned<DeValue<'_>>) = root.get_ref().get_key_value(first.as_str())?;
        let mut own = key.span();
        for (at, part) in path.iter().enumerate().skip(1) {
            match value.get_ref() {
                DeValue::Table(table) => {
                    let (key, inner) = table.get_key_value(entry(table, at)?.as_str())?;
                    (own, value) = (key.span(), inner);
                }
                DeValue::Array(items) => {
                    value = items.get(part.parse::<usize>().ok()?)?;
                    own = value.span();
                }
                _ => return None,
            }
        }
        Some((own, value.span()))
    }
}
