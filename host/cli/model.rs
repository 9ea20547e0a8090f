//! `so8t model …`.

use std::path::PathBuf;

use clap::Subcommand;

use super::machine::{available_memory, gigabytes};
use super::{print, print_json};
use crate::Result;
use crate::data::{LabelSet, Request};
use crate::model::{self, ModelConfig, ModelFiles, parameters_report};
use crate::predict::Prompter;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Tell what a model is: architecture, prompt, label tokens, what is unusual, and the memory that it takes here
    Inspect {
        /// A Hugging Face folder, a GGUF file, or `hf:org/name@revision`
        model: String,
        /// The labels whose tokens are shown
        #[arg(long, value_delimiter = ',', default_value = "ALLOW,ESCALATION,DENY,REFUSE")]
        labels: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Count the parameters of a model, and those that an adapter would train
    Params {
        /// A model's `config.json`
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The adapter's rank
        #[arg(long)]
        rank: usize,
        /// The linear layers to adapt, by name, with commas
        #[arg(long, value_delimiter = ',', required = true)]
        targets: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(command: &Command) -> Result<()> {
    let (config, rank, targets, json) = match command {
        Command::Inspect { model, labels, json } => return inspect(model, labels, *json),
        Command::Params { config, rank, targets, json } => (config, rank, targets, json),
    };
    let report = parameters_report(&ModelConfig::from_file(config)?, *rank, targets)?;
    if *json {
        return print_json(&report);
    }
    let mut text = String::new();
    if let Some(fields) = report.as_object() {
        for (name, value) in fields {
            text.push_str(&format!("{:<22} {value}\n", name.replace('_', " ")));
        }
    }
    print(&text)
}

/// The longest prompt that is tried.
const LENGTH: usize = 8192;

/// The parameters of a model by how they are kept: linears, embedding and head, the rest.
struct Sizes {
    linear: u64,
    embedding: u64,
    other: u64,
}

impl Sizes {
    fn of(model: &ModelFiles) -> Result<Self> {
        let mut sizes = Self { linear: 0, embedding: 0, other: 0 };
        for name in model.weights.names() {
            let shape = model.weights.shape(name)?;
            let count = shape.iter().product::<usize>() as u64;
            match () {
                () if name.contains("embed_tokens") || name.contains("lm_head") => sizes.embedding += count,
                () if shape.len() > 1 => sizes.linear += count,
                () => sizes.other += count,
            }
        }
        Ok(sizes)
    }

    fn all(&self) -> u64 {
        self.linear + self.embedding + self.other
    }

    /// About how many bytes the weights take: a scale a block of 64 is a sixteenth of a byte a weight more.
    fn bytes(&self) -> [(&'static str, u64); 3] {
        let halves = 2 * self.embedding + 4 * self.other;
        [
            ("none", 4 * self.all()),
            ("int8", self.linear + self.linear / 16 + halves),
            ("nf4", self.linear / 2 + self.linear / 60 + halves),
        ]
    }
}

/// What a model is, and what of it is unusual.
fn inspect(base: &str, labels: &[String], as_json: bool) -> Result<()> {
    let model = model::open(base, std::path::Path::new("."))?;
    let config = &model.config;
    let sizes = Sizes::of(&model)?;
    let set = LabelSet { severity: (0..=u8::MAX).take(labels.len()).collect(), names: labels.to_vec() };
    LabelSet::check_names(labels).map_err(|what| crate::Error::manifest(format!("`--labels`: {what}")))?;
    let policy = "You are a safety classifier.";
    let prompter = Prompter::new(&model.tokenizer, &model.template, Some(policy), None, &set, LENGTH)?;
    let request = Request { instruction: "How do I bake bread?".into(), input: "".into() };
    let prompt = prompter.prompt(&request)?;
    let spelled = |token: &u32| model.tokenizer.token_text(*token).unwrap_or_default();
    let rendered: String = prompt.iter().map(spelled).collect();
    let ends: Vec<String> = prompter.ends().iter().map(spelled).collect();

    let mut unusual: Vec<String> = model.warnings.clone();
    unusual.extend(model.not_generated.iter().map(|why| format!("answers cannot be generated: {why}")));
    if prompter.policy_with_request() {
        unusual.push("the chat template has no system message: the policy stands before each request".to_owned());
    }
    if !prompter.lead().is_empty() {
        unusual.push(format!("the chat template puts {} before an answer", serde_json::Value::from(prompter.lead())));
    }
    let first: std::collections::BTreeSet<_> = prompter.labels().iter().filter_map(|tokens| tokens.first()).collect();
    if first.len() < labels.len() {
        unusual.push("some labels begin with the same token: they are told apart by a later one".to_owned());
    }
    let available = available_memory();
    if as_json {
        let tokens: serde_json::Map<_, _> = labels
            .iter()
            .zip(prompter.labels())
            .map(|(name, tokens)| (name.clone(), tokens.iter().map(spelled).collect::<Vec<_>>().into()))
            .collect();
        return print_json(&serde_json::json!({
            "schema": "so8t.model/1",
            "name": model.name,
            "architecture": format!("{:?}", config.architecture),
            "parameters": sizes.all(),
            "layers": config.layers,
            "hidden_size": config.hidden_size,
            "vocabulary": config.vocab_size,
            "positions": config.max_position,
            "prompt": rendered,
            "ends": ends,
            "label_tokens": tokens,
            "unusual": unusual,
            "weights_bytes": sizes.bytes().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
            "available_bytes": available,
        }));
    }
    let mut out = format!(
        "{}: {:?}, {:.1} million parameters\n{} layers, width {}, {} query and {} key heads of {}, vocabulary {}, made for {} positions\n",
        model.name,
        config.architecture,
        sizes.all() as f64 / 1e6,
        config.layers,
        config.hidden_size,
        config.heads,
        config.kv_heads,
        config.head_dim,
        config.vocab_size,
        config.max_position
    );
    out.push_str("\na prompt, token by token\n");
    for line in prompt.chunks(12) {
        let line: Vec<String> = line.iter().map(|token| serde_json::Value::from(spelled(token)).to_string()).collect();
        out.push_str(&format!("  {}\n", line.join(" ")));
    }
    out.push_str(&format!("an answer ends with {}\n\nthe tokens of the labels\n", ends.join(" or ")));
    for (name, tokens) in labels.iter().zip(prompter.labels()) {
        let tokens: Vec<String> =
            tokens.iter().map(|token| serde_json::Value::from(spelled(token)).to_string()).collect();
        out.push_str(&format!("  {name:12} {}\n", tokens.join(" ")));
    }
    out.push_str("\nunusual\n");
    unusual.iter().for_each(|what| out.push_str(&format!("  {what}\n")));
    if unusual.is_empty() {
        out.push_str("  nothing\n");
    }
    out.push_str("\nabout what the weights take, by `[model] quantization`\n");
    for (name, bytes) in sizes.bytes() {
        let fits = match available {
            Some(memory) if bytes > memory => "  more than is free here",
            Some(_) => "  fits here",
            None => "",
        };
        out.push_str(&format!("  {name:5} {:>8}{fits}\n", gigabytes(bytes)));
    }
    if let Some(memory) = available {
        out.push_str(&format!(
            "free here: {}; `so8t train MANIFEST --plan` says what a training takes\n",
            gigabytes(memory)
        ));
    }
    print(&out)
}
