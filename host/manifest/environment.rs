//! Environment variables in a manifest: `${NAME}` in the paths of data, models and output, and nowhere else.
//!
//! Whoever writes a manifest chooses the names, and whoever runs it has the values: tokens and passwords among them. So a variable is put in only
//! where its value cannot leave the machine, and only where the host grants it. What it stands for is shown and stored nowhere: messages and
//! files speak the manifest's spelling ([`crate::plain::spelled`]).

use std::path::Path;
use std::sync::OnceLock;

use toml::Spanned;

use super::places::At;
use crate::plugin::{EnvironmentRule, Policy};
use crate::{Result, plain};

/// Which variables a manifest may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    rule: EnvironmentRule,
    named: Vec<String>,
}

static PROGRAM: OnceLock<Environment> = OnceLock::new();

impl Environment {
    /// Makes this the environment of every manifest that is parsed from now on and is not told otherwise. Only the first call of a process
    /// counts: it is for a program's `main`.
    pub fn use_everywhere(self) {
        let _ = PROGRAM.set(self);
    }

    /// What [`Environment::use_everywhere`] was told; otherwise what the default policy grants.
    pub(super) fn of_program() -> Self {
        PROGRAM.get().cloned().unwrap_or_default()
    }

    /// The variables that the command line names.
    pub fn named(&self) -> &[String] {
        &self.named
    }

    /// What a policy grants, and those that the command line names besides.
    pub fn new(policy: &Policy, named: &[String]) -> Self {
        Self { rule: policy.environment.clone(), named: named.to_vec() }
    }

    /// Whether a variable of this value is granted.
    fn grants(&self, name: &str, value: &str) -> bool {
        let is_place = || Path::new(value).is_absolute() && Path::new(value).exists();
        self.named.iter().any(|own| own == name)
            || match &self.rule {
                EnvironmentRule::Places => is_place(),
                EnvironmentRule::Names(names) => names.iter().any(|own| own == name),
            }
    }

    /// A path of the manifest, `${NAME}` put in.
    ///
    /// # Errors
    /// A variable that is not set or not granted; a path that would name another machine. No message holds a value.
    pub(super) fn path(&self, written: &Spanned<String>, at: At<'_>) -> Result<String> {
        let text = written.get_ref();
        let error = |message: String| at(written.span()).error(message);
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some(start) = rest.find("${") {
            let length =
                rest[start..].find('}').ok_or_else(|| error(format!("`{text}` has a `${{` without its `}}`")))?;
            let name = &rest[start + 2..start + length];
            if is_remote(text) {
                return Err(nowhere_else(text, at, written));
            }
            let value = std::env::var(name).map_err(|_| {
                error(format!("the environment variable `{name}` is not set, and `{text}` needs it"))
                    .with_hint(format!("set it before the command: `{name}=… so8t …`"))
            })?;
            if !self.grants(name, &value) {
                let found = match &self.rule {
                    EnvironmentRule::Places => {
                        "is no absolute path of something that exists, and is not named with `--env`"
                    }
                    EnvironmentRule::Names(_) => "is neither listed by the host's policy nor named with `--env`",
                };
                return Err(error(format!("`{text}`: the environment variable `{name}` {found}")).with_hint(format!(
                    "`--env {name}` lets this manifest use it; `[environment] names` in the policy, every manifest"
                )));
            }
            out.push_str(&rest[..start]);
            out.push_str(&value);
            rest = &rest[start + length + 1..];
        }
        out.push_str(rest);
        if out == *text {
            return Ok(out);
        }
        // The place that is named, and all that is found below it, is spelled as here; other paths that begin with the same value are not.
        let (place, spelling) = (before_pattern(&out), before_pattern(text));
        plain::hide(place, spelling);
        if let Ok(followed) = std::fs::canonicalize(place) {
            plain::hide(&followed.to_string_lossy(), spelling);
        }
        if is_remote(&out) {
            return Err(error(format!("`{text}` stands for something on another machine: expected a path"))
                .with_hint("write `hf:…` in the manifest itself"));
        }
        Ok(out)
    }
}

/// A path up to the folder within which a pattern begins.
fn before_pattern(path: &str) -> &str {
    let Some(pattern) = path.find(['*', '?', '[']) else { return path };
    path[..pattern].rfind('/').map_or(path, |end| &path[..end])
}

/// Refuses `${…}` in what is no path of data, a model or the output.
pub(super) fn none_in<'t>(written: &'t Spanned<String>, at: At<'_>) -> Result<&'t str> {
    match written.get_ref().contains("${") {
        true => Err(nowhere_else(written.get_ref(), at, written)),
        false => Ok(written.get_ref()),
    }
}

fn nowhere_else(text: &str, at: At<'_>, written: &Spanned<String>) -> crate::Error {
    at(written.span())
        .error(format!(
            "`{text}`: expected no `${{`: environment variables are put into paths of data, models and output alone"
        ))
        .with_hint("write the address or the path itself")
}

/// Whether an address leads to another machine.
fn is_remote(text: &str) -> bool {
    text.starts_with("hf:") || text.contains("://")
}
