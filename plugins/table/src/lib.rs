//! Rules over the columns of an example, in order: the first that matches gives the label, or leaves the example out.
//! Where none matches, the example is rejected, unless `otherwise` says what becomes of it.

mod condition;
mod config;

use condition::Fields;
use config::{Config, Outcome, Rule};
use so8t_plugin_sdk::{About, Decision, Example, Failure, LabelSet, Mapper, about, export_mapper};
use so8t_records::object::Object;
use so8t_records::text::excerpt;

/// The rules.
pub struct Table {
    labels: LabelSet,
    rules: Vec<Rule>,
    otherwise: Option<Outcome>,
}

export_mapper!(Table);

impl Mapper for Table {
    type Config = Config;
    const ABOUT: About = about!("table", include_str!("../config.json"));

    fn open(config: Config) -> Result<Self, Failure> {
        let (labels, rules, otherwise) = config.resolve()?;
        Ok(Self { labels, rules, otherwise })
    }

    fn labels(&self) -> LabelSet {
        self.labels.clone()
    }

    fn reads(&self, column: &str) -> bool {
        let mut conditions = self.rules.iter().flat_map(|rule| &rule.conditions);
        column == "label" || conditions.any(|condition| condition.column.name() == column)
    }

    fn assign(&self, example: &Example<'_>) -> Decision {
        // Empty also where no rule asks for it.
        let extra = match example.extra_json {
            "" => None,
            json => Some(Object::parse(json).map_err(|found| format!("`extra`: {found}"))?),
        };
        let fields = Fields { example, extra: extra.as_ref() };
        let rule = self.rules.iter().find(|rule| rule.conditions.iter().all(|condition| condition.holds(&fields)));
        match rule.map(|rule| &rule.outcome).or(self.otherwise.as_ref()) {
            Some(Outcome::Label(id)) => Ok(*id),
            Some(Outcome::Exclude(reason)) => Err(format!("excluded: {reason}")),
            None if example.label.is_empty() => Err("no rule matches".to_owned()),
            None => Err(format!("no rule matches; the label is `{}`", excerpt(example.label))),
        }
    }
}
