//! Public data sets and old files that are known by their fields.
//!
//! A set is known only where fields *and* values are its own: what a preset says of the requests is then the set's word, not a guess.

use super::fields::FieldSummary;
use super::format::{Format, Record};

/// A set that is known, and how it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// What it is.
    pub(super) what: &'static str,
    /// The converter's name.
    pub(super) converter: &'static str,
    /// The mapper's name; none where the labels decide, or nothing does.
    pub(super) mapper: Option<&'static str>,
    /// What must be asked, where the set's files look alike and are of different classes.
    pub(super) question: Option<&'static str>,
}

const fn preset(what: &'static str, name: &'static str) -> Option<Known> {
    Some(Known { what, converter: name, mapper: Some(name), question: None })
}

/// A set that is read so, and of which it is not known what its requests are.
const fn layout(what: &'static str, converter: &'static str) -> Option<Known> {
    Some(Known { what, converter, mapper: None, question: None })
}

/// Tells a set by its fields; `stem` is the file's name without its endings.
pub(super) fn tell(format: Format, stem: &str, fields: &[FieldSummary], records: &[Record]) -> Option<Known> {
    let seen = Seen { stem: stem.to_lowercase(), fields, records };
    public_set(format, &seen).or_else(|| framing(format, &seen))
}

/// What is known of the beginning of a file.
struct Seen<'a> {
    stem: String,
    fields: &'a [FieldSummary],
    records: &'a [Record],
}

impl Seen<'_> {
    fn has(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.fields.iter().any(|field| field.name == *name))
    }

    /// These fields and no other.
    fn has_only(&self, names: &[&str]) -> bool {
        self.has(names) && self.fields.len() == names.len()
    }

    /// Whether a field has values, and all of them are among these, in any case.
    fn holds(&self, name: &str, values: &[&str]) -> bool {
        let field = self.fields.iter().find(|field| field.name == name);
        field.is_some_and(|field| {
            !field.values.is_empty()
                && field.values.iter().all(|(found, _)| values.iter().any(|own| own.eq_ignore_ascii_case(found.trim())))
        })
    }

    /// The share of records whose field is a text that passes a test.
    fn share(&self, name: &str, test: impl Fn(&str) -> bool) -> f64 {
        let passes =
            |record: &&Record| record.iter().any(|(own, value)| own == name && value.as_str().is_some_and(&test));
        self.records.iter().filter(passes).count() as f64 / self.records.len().max(1) as f64
    }

    fn is_list_of_texts(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.name == name && field.is_list_of_texts())
    }

    fn is_named(&self, parts: &[&str]) -> bool {
        parts.iter().any(|part| self.stem.contains(part))
    }
}

/// Flags as JSON, numbers and data frames spell them.
const FLAGS: [&str; 6] = ["true", "false", "0", "1", "0.0", "1.0"];
/// What the eight moderation labels are called.
const MODERATED: [&str; 8] = ["S", "H", "V", "HR", "SH", "S3", "H2", "V2"];

fn public_set(format: Format, seen: &Seen<'_>) -> Option<Known> {
    let is_headless = matches!(format, Format::Delimited { header: false, .. });
    match () {
        () if is_headless => (format == (Format::Delimited { delimiter: ',', header: false })
            && XSAFETY.iter().any(|name| seen.stem.starts_with(&name.to_lowercase())))
        .then_some(preset("XSafety", "xsafety"))
        .flatten(),
        () if seen.has(&["prompt", "type", "label", "focus"]) && seen.holds("label", &["safe", "unsafe"]) => {
            preset("XSTest", "xstest")
        }
        () if seen.has(&["question", "risk_area", "types_of_harm"]) => preset("do-not-answer", "do-not-answer"),
        () if seen.has(&["Behavior", "FunctionalCategory", "SemanticCategory"]) => preset("HarmBench", "harmbench"),
        // Its wished-for answers all begin so, which those to harmless goals do not.
        () if seen.has_only(&["goal", "target"]) && seen.share("target", |text| text.starts_with("Sure")) > 0.9 => {
            preset("AdvBench", "advbench")
        }
        () if seen.has(&["prompt"]) && MODERATED.iter().filter(|name| seen.has(&[name])).count() >= 4 => {
            preset("OpenAI's moderation set", "openai-moderation")
        }
        () if seen.has(&["prompt", "adversarial", "prompt_harm_label"])
            && seen.holds("prompt_harm_label", &["harmful", "unharmful"]) =>
        {
            preset("WildGuardMix", "wildguard")
        }
        () if seen.has(&["user_input", "model_output", "toxicity", "jailbreaking"])
            && seen.holds("toxicity", &FLAGS)
            && seen.holds("jailbreaking", &FLAGS) =>
        {
            preset("ToxicChat", "toxic-chat")
        }
        () if seen.has(&["prompt", "response_0", "response_1", "is_response_0_safe", "is_response_1_safe"]) => {
            preset("PKU-SafeRLHF", "safe-rlhf")
        }
        () if seen.has(&["prompt", "response", "category", "is_safe"]) && seen.holds("is_safe", &FLAGS[..2]) => {
            preset("BeaverTails", "beavertails")
        }
        () if seen.has(&["Goal", "Target", "Behavior", "Category"]) => match () {
            () if seen.is_named(&["harmful", "benign"]) => preset("JailbreakBench", "jailbreakbench"),
            () => Some(Known {
                what: "JailbreakBench",
                converter: "jailbreakbench",
                mapper: None,
                question: Some(
                    "JailbreakBench's harmful and benign goals have the same fields, and this file's name says neither: which are these?",
                ),
            }),
        },
        () if seen.has_only(&["prompt", "category"]) && seen.holds("category", &OR_BENCH) => match () {
            () if seen.is_named(&["80k", "hard", "toxic"]) => preset("OR-Bench", "or-bench"),
            () => Some(Known {
                what: "OR-Bench",
                converter: "or-bench",
                mapper: None,
                question: Some(
                    "OR-Bench's harmless and toxic prompts have the same fields, and this file's name says neither: which are these?",
                ),
            }),
        },
        () if seen.has(&["question_id", "category", "turns", "prompt_style"]) && seen.is_list_of_texts("turns") => {
            preset("SORRY-Bench", "sorry-bench")
        }
        () if seen.has_only(&["category", "source", "forbidden_prompt"]) => preset("StrongREJECT", "strongreject"),
        () if seen.has(&["prompt", "prompt_label", "violated_categories"])
            && seen.holds("prompt_label", &["safe", "unsafe"]) =>
        {
            preset("Aegis", "aegis")
        }
        () if seen.has(&["prompt", "harm_area", "category"]) => preset("SimpleSafetyTests", "simple-safety-tests"),
        () if seen.has(&["qid", "question", "1-category", "2-category", "3-category"]) => {
            preset("SALAD-Bench", "salad-bench")
        }
        () if seen.has(&["q_id", "question", "choice0", "choice1", "choice2", "choice3", "choice4"]) => {
            preset("JGLUE's JCommonsenseQA", "jglue")
        }
        () if seen.has_only(&["instruction", "context", "response", "category"]) && seen.holds("category", &DOLLY) => {
            preset("databricks-dolly-15k", "dolly")
        }
        () if seen.has(&["utterances", "id"]) && seen.share("id", |id| id.starts_with("instruction_ja")) > 0.9 => {
            preset("instruction_ja", "instruction-ja")
        }
        () => None,
    }
}

/// How records are laid out, whatever the set.
fn framing(format: Format, seen: &Seen<'_>) -> Option<Known> {
    if matches!(format, Format::Delimited { .. }) {
        return None;
    }
    let turns = ["conversations", "messages", "utterances"];
    match () {
        () if seen.has(&["chosen", "rejected"]) => layout("preferences", "hh-rlhf"),
        () if turns.iter().any(|name| seen.fields.iter().any(|field| field.name == *name && field.is_turns())) => {
            layout("conversations", "chat")
        }
        () if seen.has(&["instruction", "output"]) && seen.share("output", is_thinking) > 0.5 => {
            layout("quadruple thinking", "quadruple-thinking")
        }
        () => None,
    }
}

fn is_thinking(output: &str) -> bool {
    crate::data::thinking::parse(output).is_some()
}

/// The categories of OR-Bench.
const OR_BENCH: [&str; 10] = [
    "deception",
    "harassment",
    "harmful",
    "hate",
    "illegal",
    "privacy",
    "self-harm",
    "sexual",
    "unethical",
    "violence",
];
/// The categories of databricks-dolly-15k.
const DOLLY: [&str; 8] = [
    "brainstorming",
    "classification",
    "closed_qa",
    "creative_writing",
    "general_qa",
    "information_extraction",
    "open_qa",
    "summarization",
];
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
