//! Label mappers: labels of a source to labels of the experiment.

use std::cell::RefCell;
use std::collections::HashMap;

use serde::de::DeserializeOwned;

use crate::bindings::mapping as generated;
use crate::bindings::types::{Examples, Metadata};
use crate::{About, Column, Example, Failure, config, log};

/// A plugin that decides about every example: a label, or a reason to leave it out; never a default.
///
/// One that knows two spellings, of which the configuration gives one, and its test:
///
/// ```
/// use serde::Deserialize;
/// use so8t_plugin_sdk::{About, Decision, Example, Failure, LabelSet, Mapper, about, config, export_mapper};
///
/// #[derive(Deserialize)]
/// #[serde(deny_unknown_fields)] // so that a misspelt key is a failure that names it
/// struct Config {
///     harmful: String,
/// }
/// struct Two(Config);
/// export_mapper!(Two);
///
/// impl Mapper for Two {
///     type Config = Config;
///     const ABOUT: About = about!(
///         "two",
///         r#"{"type": "object", "required": ["harmful"], "additionalProperties": false, "properties": {"harmful": {"type": "string"}}}"#
///     );
///
///     fn open(config: Config) -> Result<Self, Failure> {
///         Ok(Self(config))
///     }
///     fn labels(&self) -> LabelSet {
///         LabelSet::four_decisions()
///     }
///     fn assign(&self, example: &Example<'_>) -> Decision {
///         match example.label {
///             "harmless" => Ok(0),
///             label if label == self.0.harmful => Ok(3),
///             label => Err(format!("unknown label `{label}`")),
///         }
///     }
/// }
///
/// let two = Two::open(config::read(r#"{"harmful": "bad"}"#).unwrap()).unwrap();
/// let decide = |label| two.assign(&Example { label, ..Example::default() });
/// assert_eq!([decide("harmless"), decide("bad")], [Ok(0), Ok(3)]);
/// assert_eq!(decide("?"), Err("unknown label `?`".to_owned()));
/// assert!(config::read::<Config>(r#"{"harmfull": "bad"}"#).is_err());
/// ```
pub trait Mapper: Sized + 'static {
    /// The manifest's `config` table.
    type Config: DeserializeOwned;
    /// What this plugin is.
    const ABOUT: About;

    /// Begins with a source.
    fn open(config: Self::Config) -> Result<Self, Failure>;
    /// The labels that this mapper maps into.
    fn labels(&self) -> LabelSet;
    /// Decides about one example.
    fn assign(&self, example: &Example<'_>) -> Decision;
    /// Whether [`Mapper::assign`] looks at the column of this name (`id`, `instruction`, `input`, `output`, `label`, `group` or
    /// `extra-json`). Those it does not look at it gets empty, and nothing is spent on checking them.
    fn reads(&self, _column: &str) -> bool {
        true
    }
}

/// An index into the labels, or the reason why the example is left out. A reason that starts with `excluded: ` says
/// that the configuration asked for it.
pub type Decision = Result<u8, String>;

/// The labels of an experiment: label `i` has id `i`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelSet {
    /// Distinct names.
    pub names: Vec<String>,
    /// How grave each label is; larger is graver.
    pub severity: Vec<u8>,
}

impl LabelSet {
    /// The four decisions: ALLOW, ESCALATION, DENY, REFUSE, each graver than the one before.
    pub fn four_decisions() -> Self {
        let names = ["ALLOW", "ESCALATION", "DENY", "REFUSE"].map(String::from).to_vec();
        Self { names, severity: vec![0, 1, 2, 3] }
    }

    /// The id of the label that is spelled so, or a failure that lists the labels.
    pub fn id(&self, name: &str) -> Result<u8, Failure> {
        self.names.iter().position(|known| known == name).map(|id| id as u8).ok_or_else(|| {
            Failure::Config(format!("`{name}` is not a label: expected one of `{}`", self.names.join("`, `")))
        })
    }
}

/// Decides about every row, after checking the columns.
fn assign(mapper: &impl Mapper, rows: &Examples) -> Result<generated::Mapped, Failure> {
    let count = rows.instruction.offsets.len().saturating_sub(1);
    let read = |texts, name| match mapper.reads(name) {
        true => Column::check(texts, name, count),
        false => Ok(Column::UNREAD),
    };
    let id = read(&rows.id, "id")?;
    let instruction = read(&rows.instruction, "instruction")?;
    let input = read(&rows.input, "input")?;
    let output = read(&rows.output, "output")?;
    let label = read(&rows.label, "label")?;
    let group = read(&rows.group, "group")?;
    let extra = read(&rows.extra_json, "extra-json")?;

    let mut mapped = generated::Mapped { ids: Vec::with_capacity(count), code: vec![0; count], reasons: Vec::new() };
    let mut codes = HashMap::new();
    for row in 0..count {
        let decision = mapper.assign(&Example {
            id: id.row(row),
            instruction: instruction.row(row),
            input: input.row(row),
            output: output.row(row),
            label: label.row(row),
            group: group.row(row),
            extra_json: extra.row(row),
        });
        mapped.ids.push(decision.as_ref().copied().unwrap_or(REJECTED));
        if let Err(reason) = decision {
            mapped.code[row] = code(&mut codes, &mut mapped.reasons, reason);
        }
    }
    Ok(mapped)
}

/// The id of a rejected row.
const REJECTED: u8 = 255;

/// The index of `reason` among the reasons. There can be 256 of them in a batch; the last stands for all that follow.
fn code(codes: &mut HashMap<String, u8>, reasons: &mut Vec<String>, reason: String) -> u8 {
    if let Some(&code) = codes.get(&reason) {
        return code;
    }
    if reasons.len() == 255 {
        reasons.push("rejected for one of more than 255 different reasons in one batch".to_owned());
    }
    if reasons.len() == 256 {
        return 255;
    }
    let code = reasons.len() as u8;
    reasons.push(reason.clone());
    codes.insert(reason, code);
    code
}

/// The exports of a component whose mapper is `T`; used by [`export_mapper!`](crate::export_mapper).
#[derive(Debug)]
pub struct MapperExport<T>(RefCell<T>);

impl<T: Mapper> generated::Guest for MapperExport<T> {
    type Mapper = Self;

    fn describe() -> Metadata {
        T::ABOUT.into()
    }
}

impl<T: Mapper> generated::GuestMapper for MapperExport<T> {
    fn open(config: String) -> Result<generated::Mapper, Failure> {
        log::report_panics();
        Ok(generated::Mapper::new(Self(RefCell::new(T::open(config::read(&config)?)?))))
    }

    fn labels(&self) -> generated::LabelSet {
        let LabelSet { names, severity } = self.0.borrow().labels();
        generated::LabelSet { names, severity }
    }

    fn assign(&self, rows: Examples) -> Result<generated::Mapped, Failure> {
        assign(&*self.0.borrow(), &rows)
    }
}
