//! `so8t plugin new`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{print, print_json};
use crate::Result;
use crate::plugin::PluginKind;
use crate::scaffold::{Language, Project};

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    /// What the plugin does
    kind: KindName,
    /// Its name: lower-case letters, digits and hyphens
    name: String,
    /// What it is written in
    #[arg(long)]
    lang: LanguageName,
    /// Where the project's folder is made; here unless said
    #[arg(long, value_name = "DIR", default_value = ".", hide_default_value = true)]
    dir: PathBuf,
    /// Print what was written as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum KindName {
    /// Measures predictions
    Metric,
    /// Reads a data format
    Converter,
    /// Turns the labels of a source into those of the experiment
    LabelMapper,
}

#[derive(Clone, Copy, ValueEnum)]
enum LanguageName {
    Rust,
    C,
    Js,
    Python,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let kind = match arguments.kind {
        KindName::Metric => PluginKind::Metric,
        KindName::Converter => PluginKind::Converter,
        KindName::LabelMapper => PluginKind::LabelMapper,
    };
    let language = match arguments.lang {
        LanguageName::Rust => Language::Rust,
        LanguageName::C => Language::C,
        LanguageName::Js => Language::JavaScript,
        LanguageName::Python => Language::Python,
    };
    let project = Project::new(kind, language, &arguments.name)?;
    let folder = project.write(&arguments.dir)?;
    let files: Vec<&str> = project.files().iter().map(|file| file.path).collect();
    if arguments.json {
        return print_json(&json!({ "folder": folder, "files": files }));
    }
    let shown = folder.display();
    print(&format!(
        "{shown}: a {kind} in {} ({} files)\n\n  cd {shown}\n  ./build.sh   # writes {}.wasm\n  ./test.sh    # tests it, and runs it on \
         sample/\n\nREADME.md says what is where.\n",
        language.title(),
        files.len(),
        arguments.name
    ))
}
