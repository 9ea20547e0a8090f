//! Which linears a manifest or PEFT's file means: targets, exceptions, layers, and values by module.

use std::collections::HashSet;

use regex::Regex;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ModelConfig;
use super::modules::{LinearModule, linears, parts};
use so8t_base::{Error, Result};

/// What stands before a regular expression among names of modules.
pub const EXPRESSION: &str = "re:";

/// The linears that `targets` name, in the order of [`linears`]. A target is a module's name (`o_proj`), the end of
/// a path at a dot (`mlp.down_proj`, `layers.3.mlp.down_proj`… a whole path too), `all-linear`, or `re:` and a regular expression for
/// whole paths (`re:model\.layers\.[0-3]\..*_proj`), which is what PEFT reads in a string in place of a list.
/// `q_proj`, `k_proj`, `v_proj`, `gate_proj` and `up_proj` mean those rows of the linears that a model stores fused.
///
/// Errors: no target; a target that matches no module, with the names that exist; a regular expression that is none.
pub fn matched(config: &ModelConfig, targets: &[String]) -> Result<Vec<LinearModule>> {
    Selection { targets, ..Selection::default() }.modules(config)
}

/// Which linears are meant: those that are targeted, less what is excluded, of some layers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection<'a> {
    /// Names of modules, as [`matched`] reads them.
    pub targets: &'a [String],
    /// Those that are left out all the same, named likewise.
    pub exclude: &'a [String],
    /// The layers whose modules are meant; all where absent.
    pub layers: Option<&'a [usize]>,
}

impl Selection<'_> {
    /// The linears, in the order of [`linears`].
    ///
    /// Errors: as of [`matched`], for excluded modules and layers too: each name must match a module, and each layer exist; nothing left.
    pub fn modules(&self, config: &ModelConfig) -> Result<Vec<LinearModule>> {
        if self.targets.is_empty() {
            return Err(Error::manifest("`targets` is empty: expected the name of at least one linear"));
        }
        if let Some(layer) = self.layers.unwrap_or_default().iter().find(|&&layer| layer >= config.layers) {
            return Err(Error::manifest(format!(
                "`layers_to_transform`: expected layers from 0 to {}, found `{layer}`",
                config.layers - 1
            )));
        }
        let all: Vec<(LinearModule, Vec<LinearModule>)> =
            linears(config).into_iter().map(|module| (module.clone(), parts(config, &module))).collect();
        let targets = named(&all, "target", self.targets)?;
        let excluded = named(&all, "excluded module", self.exclude)?;
        let layer = |module: &LinearModule| self.layers.is_none_or(|layers| layers.contains(&module.layer));
        let mut left = Vec::new();
        for (module, parts) in all.into_iter().filter(|(module, _)| layer(module)) {
            let is = |set: &HashSet<String>, module: &LinearModule| set.contains(&module.path);
            let whole = is(&targets, &module);
            if is(&excluded, &module) {
                continue;
            }
            if whole && !parts.iter().any(|part| is(&excluded, part)) {
                left.push(module);
                continue;
            }
            left.extend(parts.into_iter().filter(|part| (whole || is(&targets, part)) && !is(&excluded, part)));
        }
        match left.is_empty() {
            true => Err(Error::manifest("no linear is left to adapt: all targets are excluded, or of other layers")),
            false => Ok(left),
        }
    }
}

/// The paths of those of `all` that one of `names` matches; each name must match one. The parts of a fused linear are looked at where a name
/// matches no linear.
fn named(all: &[(LinearModule, Vec<LinearModule>)], what: &str, names: &[String]) -> Result<HashSet<String>> {
    let mut found = HashSet::new();
    for name in names {
        let matches: Box<dyn Fn(&str) -> bool> = match name.strip_prefix(EXPRESSION) {
            Some(expression) => {
                let expression = regex(what, name, &format!("^(?:{expression})$"))?;
                Box::new(move |path| expression.is_match(path))
            }
            None => Box::new(move |path| {
                let ends = path.strip_suffix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                name == "all-linear" || (ends && !name.is_empty())
            }),
        };
        let whole = all.iter().map(|(module, _)| &module.path);
        let mut hits: Vec<&String> = whole.filter(|path| matches(path)).collect();
        if hits.is_empty() {
            let parts = all.iter().flat_map(|(_, parts)| parts).map(|part| &part.path);
            hits = parts.filter(|path| matches(path)).collect();
        }
        if hits.is_empty() {
            let modules = all.iter().map(|(module, _)| module);
            return Err(unmatched(modules, what, name));
        }
        found.extend(hits.into_iter().cloned());
    }
    Ok(found)
}

fn regex(what: &str, name: &str, expression: &str) -> Result<Regex> {
    Regex::new(expression).map_err(|e| {
        let last = e.to_string();
        let last = last.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Error::manifest(format!("{what} `{name}` is no regular expression: {last}"))
    })
}

fn unmatched<'a>(modules: impl Iterator<Item = &'a LinearModule>, what: &str, name: &str) -> Error {
    let mut names: Vec<&str> = Vec::new();
    for module in modules {
        if !names.contains(&module.name) {
            names.push(module.name);
        }
    }
    Error::manifest(format!("{what} `{name}` matches no module of this model"))
        .with_hint(format!("its linears are `{}`; `all-linear` stands for all of them", names.join("`, `")))
}

/// Values by module: of the keys that match a module's path, the first decides (PEFT's `rank_pattern` and `alpha_pattern`). A key is a regular
/// expression for the end of a path at a dot: a name (`q_proj`), `layers.0.mlp.down_proj`, `layers\.[0-3]\..*`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern<V>(pub Vec<(String, V)>);

impl<V> Default for Pattern<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V: Copy> Pattern<V> {
    /// The value of each of `modules`, `default` where no key matches.
    ///
    /// Errors: a key that matches none of them, or is no regular expression; `what` is the pattern's name.
    pub fn values(&self, modules: &[LinearModule], what: &str, default: V) -> Result<Vec<V>> {
        let mut values: Vec<Option<V>> = vec![None; modules.len()];
        for (key, value) in &self.0 {
            let what = format!("`{what}`: key");
            let expression = regex(&what, key, &format!(r"^(?:.*\.)?(?:{key})$"))?;
            let mut hit = false;
            for (_, slot) in modules.iter().zip(&mut values).filter(|(module, _)| expression.is_match(&module.path)) {
                hit = true;
                slot.get_or_insert(*value);
            }
            if !hit {
                return Err(Error::manifest(format!("{what} `{key}` matches no module that gets an adapter")));
            }
        }
        Ok(values.into_iter().map(|value| value.unwrap_or(default)).collect())
    }
}

impl<V: Serialize> Serialize for Pattern<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pattern<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<V>(std::marker::PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = Pattern<V>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a table of modules and their values")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Pattern(entries))
            }
        }
        deserializer.deserialize_map(Entries(std::marker::PhantomData))
    }
}
