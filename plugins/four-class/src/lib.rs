//! Names, aliases and numbers of the four decisions. A label that is unknown or missing is a rejection, never ALLOW.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use so8t_plugin_sdk::{About, Decision, Example, Failure, LabelSet, Mapper, about, export_mapper};
use so8t_records::text::excerpt;

/// The manifest's `config` table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    aliases: BTreeMap<String, String>,
    #[serde(default)]
    binary: bool,
    safe: Option<String>,
    r#unsafe: Option<String>,
}

/// The spellings of the four decisions.
pub struct FourClass {
    labels: LabelSet,
    spellings: HashMap<String, u8>,
    binary: bool,
}

export_mapper!(FourClass);

/// Every spelling that needs no configuration, in lower case and without `<|` and `|>`.
const SPELLINGS: [(&str, u8); 9] = [
    ("allow", 0),
    ("escalation", 1),
    ("escalate", 1),
    ("deny", 2),
    ("refuse", 3),
    ("0", 0),
    ("1", 1),
    ("2", 2),
    ("3", 3),
];

impl Mapper for FourClass {
    type Config = Config;
    const ABOUT: About = about!("four-class", include_str!("../config.json"));

    fn open(config: Config) -> Result<Self, Failure> {
        let labels = LabelSet::four_decisions();
        let mut spellings: HashMap<String, u8> = SPELLINGS.iter().map(|&(name, id)| (name.to_owned(), id)).collect();
        let id = |name: &str, key: &str| {
            spelled(&labels, name).ok_or_else(|| {
                let expected = labels.names.join("`, `");
                Failure::Config(format!("config: `{key}`: expected one of `{expected}`, found `{name}`"))
            })
        };
        let mut extra: Vec<(&str, &str, String)> = config
            .aliases
            .iter()
            .map(|(alias, name)| (alias.as_str(), name.as_str(), format!("aliases.{alias}")))
            .collect();
        match (config.binary, &config.safe, &config.r#unsafe) {
            (true, safe, Some(hazard)) => {
                extra.push(("safe", safe.as_deref().unwrap_or("ALLOW"), "safe".to_owned()));
                extra.push(("unsafe", hazard, "unsafe".to_owned()));
            }
            (true, _, None) => {
                let what = "config: `binary = true` needs `unsafe`, the label that `unsafe` stands for";
                return Err(Failure::Config(what.to_owned()));
            }
            (false, None, None) => {}
            (false, _, _) => {
                return Err(Failure::Config("config: `safe` and `unsafe` need `binary = true`".to_owned()));
            }
        }
        for (alias, name, key) in extra {
            let spelling = normal(alias);
            let id = id(name, &key)?;
            match spellings.get(&spelling) {
                Some(&known) if known != id => {
                    let known = &labels.names[usize::from(known)];
                    return Err(Failure::Config(format!("config: `{key}`: `{alias}` stands for `{known}` already")));
                }
                _ => spellings.insert(spelling, id),
            };
        }
        Ok(Self { labels, spellings, binary: config.binary })
    }

    fn labels(&self) -> LabelSet {
        self.labels.clone()
    }

    fn reads(&self, column: &str) -> bool {
        column == "label"
    }

    fn assign(&self, example: &Example<'_>) -> Decision {
        // No alias says otherwise of a name, and most labels are spelled as the names are.
        if let Some(id) = self.labels.names.iter().position(|name| name == example.label) {
            return Ok(id as u8);
        }
        let spelling = normal(example.label);
        if spelling.is_empty() {
            return Err("there is no label".to_owned());
        }
        if let Some(&id) = self.spellings.get(&spelling).or_else(|| self.spellings.get(whole(&spelling)?)) {
            return Ok(id);
        }
        let found = excerpt(example.label.trim());
        if !self.binary && matches!(spelling.as_str(), "safe" | "unsafe") {
            return Err(format!(
                "`{found}` is ambiguous among four labels: `binary` and `unsafe` say what it stands for"
            ));
        }
        Err(format!("`{found}` is not a label: expected one of `{}`", self.labels.names.join("`, `")))
    }
}

/// A label without spaces, case, and the marks of a special token.
fn normal(label: &str) -> String {
    let label = label.trim();
    let inner = label.strip_prefix("<|").and_then(|label| label.strip_suffix("|>")).unwrap_or(label);
    inner.trim().to_lowercase()
}

/// A whole number without the zeros behind its point, with which data frames write it beside missing values: `2.0` is `2`.
fn whole(spelling: &str) -> Option<&str> {
    let (whole, rest) = spelling.split_once('.')?;
    let is_digit = whole.len() == 1 && whole.bytes().all(|byte| byte.is_ascii_digit());
    (is_digit && !rest.is_empty() && rest.bytes().all(|byte| byte == b'0')).then_some(whole)
}

/// The id of one of the four names, in any case.
fn spelled(labels: &LabelSet, name: &str) -> Option<u8> {
    labels.names.iter().position(|known| known.eq_ignore_ascii_case(name.trim())).map(|id| id as u8)
}
