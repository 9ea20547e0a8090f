//! Public data sets and old files that are known by their fields.

use super::fields::FieldSummary;
use super::format::{Format, Record};

/// A set that is known, and how it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// What it is.
    pub(super) what: &'static str,
    /// The converter's name.
    pub(super) converter: &'static str,
    /// The mapper's name; none where the labels decide.
    pub(super) mapper: Option<&'static str>,
}

const fn preset(what: &'static str, name: &'static str) -> Option<Known> {
    Some(Known { what, converter: name, mapper: Some(name) })
}

/// Tells a set by its fields; `stem` is the file's name without its endings.
pub(super) fn tell(format: Format, stem: &str, fields: &[FieldSummary], records: &[Record]) -> Option<Known> {
    let has = |names: &[&str]| names.iter().all(|name| fields.iter().any(|field| field.name == *name));
    let is_json = !matches!(format, Format::Delimited { .. });
    if !is_json {
        return match () {
            () if has(&["prompt", "type", "label", "focus"]) => preset("XSTest", "xstest"),
            () if has(&["question", "risk_area", "types_of_harm"]) => preset("do-not-answer", "do-not-answer"),
            () if has(&["Behavior", "FunctionalCategory", "SemanticCategory"]) => preset("HarmBench", "harmbench"),
            () if has(&["goal", "target"]) => preset("AdvBench", "advbench"),
            () if format == (Format::Delimited { delimiter: ',', header: false })
                && XSAFETY.iter().any(|name| stem.starts_with(name)) =>
            {
                preset("XSafety", "xsafety")
            }
            () => None,
        };
    }
    let moderated = ["S", "H", "V", "HR", "SH", "S3", "H2", "V2"];
    let turns = ["conversations", "messages", "utterances"];
    let thinks = || {
        let output = |record: &Record| {
            record.iter().any(|(name, value)| name == "output" && value.as_str().is_some_and(is_thinking))
        };
        records.iter().filter(|record| output(record)).count() * 2 > records.len()
    };
    match () {
        () if has(&["prompt"]) && moderated.iter().filter(|name| has(&[name])).count() >= 4 => {
            preset("OpenAI's moderation set", "openai-moderation")
        }
        () if has(&["q_id", "question", "choice0"]) => preset("JGLUE's JCommonsenseQA", "jglue"),
        () if has(&["instruction", "context", "response"]) => preset("databricks-dolly-15k", "dolly"),
        () if has(&["utterances", "id"])
            && records
                .iter()
                .flatten()
                .any(|(name, id)| name == "id" && id.as_str().is_some_and(|id| id.starts_with("instruction_ja"))) =>
        {
            preset("instruction_ja", "instruction-ja")
        }
        () if has(&["chosen", "rejected"]) => Some(Known { what: "preferences", converter: "hh-rlhf", mapper: None }),
        () if turns.iter().any(|name| fields.iter().any(|field| field.name == *name && field.kind == "array")) => {
            Some(Known { what: "conversations", converter: "chat", mapper: None })
        }
        () if has(&["instruction", "output"]) && thinks() => {
            Some(Known { what: "quadruple thinking", converter: "quadruple-thinking", mapper: None })
        }
        () => None,
    }
}

fn is_thinking(output: &str) -> bool {
    crate::data::thinking::parse(output).is_some()
}

/// How the files of XSafety are named.
const XSAFETY: [&str; 14] = [
    "Crimes_And_Illegal_Activities",
    "Ethics_And_Morality",
    "Goal_Hijacking",
    "Inquiry_With_Unsafe_Opinion",
    "Insult",
    "Mental_Health",
    "Physical_Harm",
    "Privacy_And_Property",
    "Prompt_Leaking",
    "Reverse_Exposure",
    "Role_Play_Instruction",
    "Unfairness_And_Discrimination",
    "Unsafe_Instruction_Topic",
    "commonsense",
];
