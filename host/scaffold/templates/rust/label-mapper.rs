//! The names of the four decisions in any case, and further spellings that the configuration gives.

use std::collections::BTreeMap;

use serde::Deserialize;
use so8t_plugin_sdk::{About, Decision, Example, Failure, LabelSet, Mapper, about, export_mapper};

/// The manifest's `config` table.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    aliases: BTreeMap<String, String>,
}

/// Ids by spelling, in lower case.
pub struct Spellings {
    labels: LabelSet,
    ids: BTreeMap<String, u8>,
}

export_mapper!(Spellings);

impl Mapper for Spellings {
    type Config = Config;
    const ABOUT: About = about!(
        "@NAME@",
        r#"{
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "aliases": {
                    "type": "object",
                    "additionalProperties": { "enum": ["ALLOW", "ESCALATION", "DENY", "REFUSE"] },
                    "description": "Further spellings, in any case, and the decision that each stands for"
                }
            }
        }"#
    );

    fn open(config: Config) -> Result<Self, Failure> {
        let labels = LabelSet::four_decisions();
        let mut ids = BTreeMap::new();
        for (spelling, name) in config.aliases {
            ids.insert(spelling.to_ascii_lowercase(), labels.id(&name)?);
        }
        for (id, name) in (0..).zip(&labels.names) {
            ids.insert(name.to_ascii_lowercase(), id);
        }
        Ok(Self { labels, ids })
    }

    fn labels(&self) -> LabelSet {
        self.labels.clone()
    }

    fn assign(&self, example: &Example<'_>) -> Decision {
        // A label or a reason: never a default.
        match self.ids.get(&example.label.to_ascii_lowercase()) {
            Some(&id) => Ok(id),
            None if example.label.is_empty() => Err("there is no label".to_owned()),
            None => Err(format!("unknown label `{}`", example.label)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assign(label: &str) -> Decision {
        let aliases = BTreeMap::from([("Bad".to_owned(), "REFUSE".to_owned())]);
        Spellings::open(Config { aliases }).unwrap().assign(&Example { label, ..Example::default() })
    }

    #[test]
    fn spellings_have_labels_and_others_have_reasons() {
        assert_eq!([assign("allow"), assign("DENY"), assign("BAD")], [Ok(0), Ok(2), Ok(3)]);
        assert_eq!(assign(""), Err("there is no label".to_owned()));
        assert_eq!(assign("perhaps"), Err("unknown label `perhaps`".to_owned()));
    }

    #[test]
    fn an_alias_of_no_label_is_refused() {
        let aliases = BTreeMap::from([("bad".to_owned(), "BLOCK".to_owned())]);
        assert!(Spellings::open(Config { aliases }).is_err());
    }
}
