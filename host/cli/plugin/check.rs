//! `so8t plugin check`.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use super::{PluginArguments, host, sample};
use crate::cli::{print, print_json};
use crate::plugin::PluginSpec;
use crate::plugin::anatomy::Anatomy;
use crate::plugin::conformance::{Broken, Conformance, Finding, LAWS, Outcome, Trials, check as try_laws};
use crate::report::terminal::colour_allowed;
use crate::{Error, Result};

#[derive(Args)]
#[command(after_help = "The exit code is 0 where all laws are kept, and 1 where one is broken.")]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    plugin: PluginArguments,
    /// Try the laws on this file too: a source for a converter, examples for a label mapper, predictions for a metric
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// What reads the examples for a label mapper
    #[arg(long, value_name = "COMPONENT", default_value = "builtin:jsonl")]
    converter: String,
    /// The labels of a metric, with commas; those of the predictions, or the four decisions, unless said
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    labels: Vec<String>,
    /// The limits of every call, as JSON with the keys of a manifest's `limits`
    #[arg(long, value_name = "JSON")]
    limits: Option<String>,
    /// Try this law alone; may be given several times
    #[arg(long, value_name = "NAME")]
    law: Vec<String>,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn check(arguments: &Arguments) -> Result<()> {
    let begin = Instant::now();
    let mut spec = arguments.plugin.spec()?;
    if let Some(text) = &arguments.limits {
        spec.limits = serde_json::from_str(text).map_err(|e| Error::manifest(format!("--limits: {e}")))?;
    }
    let host = host()?.counting();
    let mut trials = Trials { only: arguments.law.clone(), ..Trials::default() };
    if let Some(path) = &arguments.data
        && let Some(kind) = Anatomy::of(&spec)?.ok().and_then(|anatomy| anatomy.plugin_kind())
    {
        let (sample, labels) = sample::read(&host, kind, path, &arguments.converter)?;
        trials.sample = sample;
        trials.labels = labels.unwrap_or(trials.labels);
    }
    if !arguments.labels.is_empty() {
        if arguments.labels.len() != trials.labels.len() && arguments.data.is_some() {
            return Err(Error::manifest(format!(
                "--labels: expected as many labels as the predictions have (`{}`)",
                trials.labels.join("`, `")
            )));
        }
        trials.labels = arguments.labels.clone();
    }

    let colour = colour_allowed();
    let mut printed = Ok(());
    if !arguments.json {
        print(&format!("{}\n\n", title(&spec, arguments)))?;
    }
    let found = try_laws(&host, &spec, &trials, &mut |finding| {
        if !arguments.json && printed.is_ok() {
            printed = print(&line(finding, colour));
        }
    })?;
    printed?;
    match arguments.json {
        true => print_json(&found)?,
        false => print(&summary(&found, begin.elapsed().as_secs_f64()))?,
    }
    let broken = found.broken();
    let error = match broken[..] {
        [] => return Ok(()),
        [law] => format!("`{}` breaks the law `{law}`", spec.component),
        ref laws => format!("`{}` breaks {} laws: `{}`", spec.component, laws.len(), laws.join("`, `")),
    };
    let unconfigured = spec.config.is_null() && broken.contains(&"config.accepted");
    Err(match unconfigured {
        true => {
            Error::plugin(error).with_hint("give the configuration that it needs with `--config` or `--config-file`")
        }
        false => Error::plugin(error),
    })
}

fn title(spec: &PluginSpec, arguments: &Arguments) -> String {
    let data = match &arguments.data {
        Some(path) => format!("`{}` and made-up data", path.display()),
        None => "made-up data".to_owned(),
    };
    let config = match spec.config.as_object() {
        Some(config) if !config.is_empty() => format!(" with config `{}`", spec.config),
        _ => String::new(),
    };
    format!("{}{config}, on {data}", spec.component)
}

/// A finding as lines of the table.
fn line(finding: &Finding, colour: bool) -> String {
    let width = LAWS.iter().map(|law| law.name.len()).max().unwrap_or_default();
    let (word, paint) = match finding.outcome {
        Outcome::Passed { .. } => ("ok  ", "32"),
        Outcome::Failed(_) => ("FAIL", "1;31"),
        Outcome::NotApplicable { .. } => ("-   ", "2"),
    };
    let word = if colour { format!("\u{1b}[{paint}m{word}\u{1b}[0m") } else { word.to_owned() };
    let mut text = format!("{word}  {:<width$}  {}\n", finding.law.name, finding.law.says);
    let indent = " ".repeat(6);
    match &finding.outcome {
        Outcome::Passed { .. } => {}
        Outcome::NotApplicable { reason } => text.push_str(&format!("{indent}not applicable: {reason}\n")),
        Outcome::Failed(Broken { found, input, smallest, .. }) => {
            text.push_str(&format!("{indent}found: {found}\n"));
            let mut lines = input.lines();
            text.push_str(&format!("{indent}on:    {}\n", lines.next().unwrap_or_default()));
            lines.for_each(|line| text.push_str(&format!("{indent}       {line}\n")));
            if !smallest {
                text.push_str(&format!("{indent}       (the search for a smaller one took too long)\n"));
            }
        }
    }
    text
}

fn summary(found: &Conformance, seconds: f64) -> String {
    let laws = |count: usize| format!("{count} {}", if count == 1 { "law" } else { "laws" });
    let identity = match (&found.name, &found.version, &found.kind) {
        (Some(name), Some(version), Some(kind)) => format!("{name} {version}, a {kind}"),
        _ => "no plugin".to_owned(),
    };
    format!(
        "\n{identity}, sha256 {}\n{} kept, {} broken, {} not applicable, in {seconds:.1} s\n",
        found.sha256,
        laws(found.passed),
        found.failed,
        found.not_applicable
    )
}
