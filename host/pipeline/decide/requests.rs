//! Requests from a file or standard input: through the converter of one of the run's sources, or from a field.

use std::fmt;
use std::io::Read as _;
use std::path::Path;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use super::opened::Opened;
use crate::data::input::{self, Encoding, InputOptions};
use crate::data::{ConvertedBatch, Provenance, Request, Usage};
use crate::manifest::{GroupRule, SourcePlan};
use crate::pipeline::lock;
use crate::pipeline::plugins::{self, PluginLog};
use crate::pipeline::prepare::convert::convert;
use crate::pipeline::progress::Narrator;
use crate::pipeline::settings::Settings;
use crate::plugin::{ComponentSource, Plugin, PluginSpec, Resolution};
use crate::{Error, Result};

/// The fields that hold a request where nobody says which: the first that a record has.
const TEXTS: [&str; 4] = ["text", "instruction", "prompt", "input"];

/// How requests are read.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The field that holds the text.
    pub text: Option<String>,
    /// The field that holds the id; `id` where absent.
    pub id: Option<String>,
    /// The source of the manifest whose converter reads the file.
    pub source: Option<String>,
    /// What the file is, where its name does not say.
    pub format: Option<InputFormat>,
    /// The encoding of its text, where it is said.
    pub encoding: Option<Encoding>,
}

/// What a file of requests is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputFormat {
    /// JSON objects, one a line; Parquet reads as such.
    Jsonl,
    /// One JSON array of objects.
    Json,
    /// Delimited by commas, with a header.
    Csv,
    /// Delimited by tabs, with a header.
    Tsv,
}

impl FromStr for InputFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "jsonl" | "parquet" => Ok(Self::Jsonl),
            "json" => Ok(Self::Json),
            "csv" => Ok(Self::Csv),
            "tsv" => Ok(Self::Tsv),
            other => Err(format!("expected `jsonl`, `json`, `csv`, `tsv` or `parquet`, found `{other}`")),
        }
    }
}

impl fmt::Display for InputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jsonl => "JSON lines",
            Self::Json => "a JSON array",
            Self::Csv => "CSV",
            Self::Tsv => "TSV",
        })
    }
}

impl InputFormat {
    /// What a name says, behind endings of compression; `None` where it says nothing.
    fn of_name(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let name = [".gz", ".zst"].iter().find_map(|packed| name.strip_suffix(packed)).unwrap_or(&name);
        match name.rsplit_once('.')?.1 {
            "jsonl" | "ndjson" | "parquet" => Some(Self::Jsonl),
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            "tsv" => Some(Self::Tsv),
            _ => None,
        }
    }

    /// What a file is, by its name or by what it begins with.
    fn of_file(path: &Path) -> Result<Self> {
        let named = Self::of_name(&path.to_string_lossy());
        if named.is_some_and(|named| named != Self::Json) {
            return Ok(named.unwrap_or(Self::Jsonl));
        }
        let mut head = Vec::new();
        let reader = input::open(path, &InputOptions::default())?;
        reader.take(4096).read_to_end(&mut head).map_err(|e| input::failed(path, e))?;
        match head.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'[') => Ok(Self::Json),
            Some(b'{') | None => Ok(Self::Jsonl),
            Some(_) => {
                Err(Error::data(format!("`{}`: neither its name nor its beginning says what it is", path.display()))
                    .with_hint("`--read csv`, `--read tsv`, `--read jsonl` or `--read json` says it"))
            }
        }
    }
}

/// One request with its id.
#[derive(Clone, Debug)]
pub(super) struct One {
    pub(super) id: String,
    /// The number of its record, from 1.
    pub(super) row: u64,
    pub(super) request: Request,
}

/// What came of a piece of the file.
pub(super) enum Take {
    Requests { asked: Vec<One>, bytes: u64 },
    Rejected { line: u32, reason: String },
}

/// A file of requests, and what reads it.
pub(super) struct Requests {
    source: SourcePlan,
    title: String,
    /// Whether the instruction alone is the request.
    text_alone: bool,
    /// Whether the run's own converter reads it.
    is_own: bool,
    bytes: Option<u64>,
    plugin: Plugin,
}

impl Requests {
    /// Chooses what reads the file. The converter of the run's sources, where all have one and they are files of the same kind; it makes of a record what
    /// it made of the run's own. Else the field that is named, or the first of [`TEXTS`].
    ///
    /// # Errors
    /// A source that is not the run's, a file that nothing says how to read.
    pub(super) fn new(path: &Path, asked: &Asked, opened: &Opened, settings: &Settings) -> Result<Self> {
        let format = match asked.format {
            Some(format) => format,
            None if input::is_standard_input(path) => InputFormat::Jsonl,
            None => InputFormat::of_file(path)?,
        };
        let own = own_converter(asked, opened, format)?;
        let (spec, title) = match own {
            Some((ref spec, source)) => (spec.clone(), format!("with the converter of source `{source}`")),
            None => field_converter(asked, format),
        };
        let is_own = own.is_some();
        let narrator = Narrator::new(true);
        let plan = is_own.then_some(&opened.plan);
        let admission = lock::admission(Some(&opened.plan), &settings.policy, Resolution::Locked)?;
        let plugin = plugins::load(&PluginLog::of(&opened.plan)?.host(narrator, admission)?, &spec, plan)?;
        let plain = std::fs::metadata(path).ok().filter(|found| found.is_file() && !input::is_standard_input(path));
        let is_packed =
            path.extension().is_some_and(|ending| ["gz", "zst", "parquet"].iter().any(|own| ending == *own));
        let shown = match input::is_standard_input(path) {
            true => "standard input".to_owned(),
            false => path.display().to_string(),
        };
        Ok(Self {
            source: SourcePlan {
                name: "requests".to_owned(),
                files: vec![path.to_owned()],
                input: InputOptions { encoding: asked.encoding },
                converter: spec.name.clone(),
                mapper: String::new(),
                usage: Usage::Eval,
                group: GroupRule::Converter,
                category: String::new(),
                max_rejected: 1.0,
                detection_only: false,
                provenance: Provenance::default(),
            },
            title: format!("{shown} as {format}, {title}"),
            text_alone: asked.text.is_some(),
            is_own,
            bytes: plain.filter(|_| !is_packed).map(|found| found.len()),
            plugin,
        })
    }

    pub(super) fn title(&self) -> &str {
        &self.title
    }

    pub(super) fn path(&self) -> &Path {
        &self.source.files[0]
    }

    /// How many bytes there are to read, where it is known.
    pub(super) fn bytes(&self) -> Option<u64> {
        self.bytes
    }
}

impl Requests {
    /// Hands over the requests in the order of their records, piece by piece, with the records that hold none. `take` says whether to go on.
    ///
    /// # Errors
    /// A file that cannot be read; what `take` says.
    pub(super) fn each(&self, settings: &Settings, take: &mut dyn FnMut(Take) -> Result<bool>) -> Result<()> {
        let mut row = 0;
        let mut ended = false;
        let stopped = || Error::interrupted("prediction was stopped");
        let result = convert(&self.source, &self.plugin, |_, piece| {
            if settings.stop.load(std::sync::atomic::Ordering::Relaxed) {
                return Err(stopped());
            }
            piece.said.into_iter().for_each(|say| say());
            let batch = piece.batch?;
            let mut rejected = batch.rejected.iter().peekable();
            let mut asked = Vec::with_capacity(batch.lines.len());
            let mut missing = Vec::new();
            for (index, &line) in batch.lines.iter().enumerate() {
                while let Some(rejection) = rejected.next_if(|own| own.line < line) {
                    row += 1;
                    missing.push((rejection.line, rejection.reason.clone()));
                }
                row += 1;
                asked.push(self.one(&batch, index, row));
            }
            for rejection in rejected {
                row += 1;
                missing.push((rejection.line, rejection.reason.clone()));
            }
            for (line, reason) in missing {
                take(Take::Rejected { line, reason })?;
            }
            match take(Take::Requests { asked, bytes: piece.bytes })? {
                true => Ok(()),
                false => {
                    ended = true;
                    Err(stopped())
                }
            }
        });
        if ended { Ok(()) } else { result.map_err(|error| self.hinted(error)) }
    }

    /// One record's request.
    fn one(&self, batch: &ConvertedBatch, index: usize, row: u64) -> One {
        let columns = &batch.examples;
        let text = |column: &crate::data::Texts| column.get(index).unwrap_or_default().to_owned();
        let (instruction, mut input) = (text(&columns.instruction), text(&columns.input));
        // Where `input` alone holds the text, it is read as the instruction.
        if self.text_alone || (!self.is_own && input == instruction) {
            input.clear();
        }
        let id = columns.id.get(index).filter(|id| !id.is_empty());
        One {
            id: id.map_or_else(|| row.to_string(), str::to_owned),
            row,
            request: Request { instruction: instruction.into(), input: input.into() },
        }
    }

    fn hinted(&self, error: Error) -> Error {
        match error.hint().is_none() && !self.is_own && error.to_string().contains("column") {
            true => error.with_hint("`--text FIELD` and `--id FIELD` name the columns"),
            false => error,
        }
    }
}

/// The converter of the run's sources, where it is to read a file of this format, with the name of a source.
fn own_converter<'a>(asked: &Asked, opened: &'a Opened, format: InputFormat) -> Result<Option<(PluginSpec, &'a str)>> {
    let sources = &opened.plan.sources;
    let chosen = match (&asked.source, &asked.text) {
        (Some(_), Some(_)) => {
            return Err(Error::manifest(
                "`--source` and `--text` exclude each other: a source's converter finds the text",
            ));
        }
        (Some(name), None) => Some(sources.iter().find(|source| source.name == *name).ok_or_else(|| {
            let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
            Error::manifest(format!("there is no source `{name}`: expected one of `{}`", names.join("`, `")))
        })?),
        (None, Some(_)) => None,
        (None, None) => sources.first().filter(|first| {
            let tables = &opened.file.manifest.data;
            let formats = tables.iter().flat_map(|table| table.path.iter());
            sources.iter().all(|source| source.converter == first.converter)
                && formats.into_iter().all(|path| InputFormat::of_name(path.get_ref()).is_none_or(|own| own == format))
        }),
    };
    let Some(source) = chosen else { return Ok(None) };
    let mut spec = opened.plan.plugins[&source.converter].clone();
    if let Some(id) = &asked.id {
        let mut config = spec.config.as_object().cloned().unwrap_or_default();
        config.shift_remove("id_value");
        config.insert("id".to_owned(), Value::from(id.as_str()));
        spec.config = Value::Object(config);
    }
    Ok(Some((spec, &source.name)))
}

/// A standard converter that reads the text from a field.
fn field_converter(asked: &Asked, format: InputFormat) -> (PluginSpec, String) {
    let (component, title) = match format {
        InputFormat::Jsonl => ("jsonl", "field"),
        InputFormat::Json => ("json-array", "field"),
        InputFormat::Csv | InputFormat::Tsv => ("csv", "column"),
    };
    let mut config = Map::new();
    let title = match &asked.text {
        Some(field) => {
            config.insert("instruction".to_owned(), Value::from(field.as_str()));
            format!("the text from {title} `{field}`")
        }
        None => {
            config.insert("instruction".to_owned(), json!(TEXTS));
            format!("the text from the first {title} of `{}`", TEXTS.join("`, `"))
        }
    };
    if let Some(id) = &asked.id {
        config.insert("id".to_owned(), Value::from(id.as_str()));
    }
    // Nothing reads them here: a record need not have any.
    config.insert("label_value".to_owned(), Value::from("?"));
    config.insert("group_value".to_owned(), Value::from("?"));
    config.insert("extra".to_owned(), Value::from(false));
    if format == InputFormat::Tsv {
        config.insert("delimiter".to_owned(), Value::from("\t"));
    }
    let spec = PluginSpec::new(component, ComponentSource::Builtin(component.to_owned()));
    (PluginSpec { config: Value::Object(config), ..spec }, title)
}
