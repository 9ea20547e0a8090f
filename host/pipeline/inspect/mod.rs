//! What a data file holds: its format, fields, labels and duplicates, and the manifest entry that would read it. What is proposed
//! is tried: the numbers are those of the plugins that the entry names.

mod draft;
mod fields;
mod format;
mod known;
mod proposal;
mod tree;

use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};

use self::proposal::{Mapping, Proposal};
use crate::data::input::{self, InputOptions};
use crate::data::{ConvertedBatch, ExampleColumns, Texts, normalise};
use crate::pipeline::plugins::PluginLog;
use crate::pipeline::progress::Narrator;
use crate::plugin::{ComponentSource, Host, Plugin, PluginSpec};
use crate::{Error, Result, files};
pub use draft::{Draft, check_free, draft};
pub use fields::{Candidate, FieldSummary};
pub use format::Format;

/// What is looked at to tell the format.
const EVIDENCE: usize = 1 << 20;
/// What is read of a file, decompressed, unless all of it is asked for.
const SAMPLE: u64 = 64 << 20;
/// How many examples, and how many rejections, are shown.
const SHOWN: usize = 5;
/// How many different labels are counted apart.
const LABELS: usize = 1000;

/// What is to be inspected.
#[derive(Clone, Debug)]
pub struct Inspect {
    /// A file, a folder or `-`.
    pub path: PathBuf,
    /// How it is read.
    pub input: InputOptions,
    /// Read all of it, whatever its length.
    pub all: bool,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The file that was read: the first of a folder.
    pub file: String,
    /// How many data files there are.
    pub files: usize,
    /// `gzip` or `zstd`.
    pub compression: Option<&'static str>,
    /// The encoding of the text.
    pub encoding: String,
    /// `JSON lines`, `a JSON array`, `CSV`, …; `Parquet` is read as JSON lines.
    pub format: String,
    /// The public set that it seems to be, or the sort of records.
    pub known: Option<&'static str>,
    /// Whether the file goes on behind what was read.
    pub is_sample: bool,
    /// How many bytes of text were read.
    pub bytes: u64,
    /// How many records were read.
    pub records: usize,
    /// The rows of a Parquet file, whether read or not.
    pub rows: Option<u64>,
    /// How many records were rejected, by converter or mapper.
    pub rejected: usize,
    /// How many the mapper left out on purpose.
    pub excluded: usize,
    /// The first rejections, with their lines.
    pub rejections: Vec<(u32, String)>,
    /// Requests that occurred before.
    pub duplicates: usize,
    /// The columns of a Parquet file that hold bytes that are no text: records are read without them.
    pub binary: Vec<String>,
    /// The fields of the first records.
    pub fields: Vec<FieldSummary>,
    /// Which fields may be columns, and why.
    pub candidates: Vec<Candidate>,
    /// The labels that the source has, and what becomes of them.
    pub labels: Vec<LabelValue>,
    /// How many examples have each of the four decisions by the proposed mapper, in the order of their severity; empty where the entry is
    /// open.
    pub decisions: Vec<(String, usize)>,
    /// The first examples.
    pub samples: Vec<Sample>,
    /// Whether the entry asks something: `?` stands in it where the user must say what could not be told.
    pub is_open: bool,
    /// The manifest entry, as TOML.
    pub proposal: String,
}

/// A label of the source.
#[derive(Clone, Debug, Serialize)]
pub struct LabelValue {
    /// As the source spells it; empty where there is none.
    pub value: String,
    /// How many records have it.
    pub count: usize,
    /// What `four-class` makes of it: a decision, or the reason of a rejection.
    pub four_class: std::result::Result<String, String>,
}

/// An example as the proposed converter reads it.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// The line in which its record starts.
    pub line: u32,
    /// Its id.
    pub id: String,
    /// The instruction.
    pub instruction: String,
    /// The input.
    pub input: String,
    /// The output.
    pub output: String,
    /// The label as the source spells it.
    pub label: String,
    /// What the proposed mapper makes of it.
    pub decision: std::result::Result<String, String>,
}

/// Looks at a file, guesses how it is to be read, and tries that.
///
/// # Errors
/// A file that cannot be read, or of a format that no standard converter reads.
pub fn inspect(request: &Inspect, narrator: Narrator) -> Result<Inspection> {
    let mut all_files = vec![request.path.clone()];
    if request.path.is_dir() {
        all_files = input::files_below(&request.path)?;
    }
    let Some(file) = all_files.first().cloned() else {
        return Err(Error::data(format!("the folder `{}` holds no data file", request.path.display()))
            .with_hint(format!("a data file's name ends with `{}`", input::ENDINGS.join("`, `"))));
    };
    let within = |error: Error| error.context(file.display());
    let (head, goes_on) = beginning(&file, &request.input)?;
    let (format, records) = format::tell(&head, goes_on).map_err(within)?;
    let fields = fields::summaries(&records);
    let stem = stem(&file);
    let known = known::tell(format, &stem, &fields, &records);
    let told = fields::tell(&fields);
    let mut proposal = Proposal::new(&request.path, &stem, format, known, &told);

    let host = PluginLog::default().host(narrator, crate::plugin::Admission::default())?;
    let mut pass = match proposal.is_unread() {
        true => Pass::unread(&file, request, records.len(), goes_on)?,
        false => Pass::read(&host, &proposal, &file, request)?,
    };
    let four_class = load(&host, "four-class", &json!({}))?;
    let mut labels = pass.labels(&four_class)?;
    let label = told.candidates.iter().find(|candidate| candidate.column == "label");
    doubt_numbers(&mut labels, label.is_some_and(|label| fields::is_called_label(&label.field)));
    if proposal.mapping.is_none() {
        // A converter for one layout finds labels of its own.
        let from_converter = known.is_some_and(|known| known.converter == "quadruple-thinking");
        proposal.mapping = Some(Mapping::of(&labels, &told, from_converter));
    }
    if request.input.encoding.is_some() || !matches!(pass.encoding, "UTF-8" | "ASCII" | "UTF-16LE" | "UTF-16BE") {
        let declared = request.input.encoding.map(|encoding| encoding.to_string());
        proposal.encoding = Some(declared.unwrap_or_else(|| pass.encoding.to_owned()).to_lowercase());
    }
    pass.map(&host, &proposal, &stem)?;
    Ok(Inspection {
        file: file.display().to_string(),
        files: all_files.len(),
        compression: pass.compression,
        encoding: pass.encoding.to_owned(),
        format: if pass.is_parquet { "Parquet".to_owned() } else { format.name() },
        known: known.map(|known| known.what),
        is_sample: pass.is_sample,
        bytes: pass.bytes,
        records: pass.records,
        rows: pass.rows,
        rejected: pass.rejected,
        excluded: pass.excluded,
        rejections: pass.rejections,
        duplicates: pass.duplicates,
        binary: pass.binary,
        fields,
        candidates: if known.is_some_and(|known| known.mapper.is_some()) { Vec::new() } else { told.candidates },
        labels,
        decisions: pass.decisions,
        samples: pass.samples,
        is_open: proposal.is_open(),
        proposal: proposal.to_string(),
    })
}

/// The beginning of the text, and whether it goes on.
fn beginning(file: &Path, options: &InputOptions) -> Result<(String, bool)> {
    let mut head = Vec::new();
    let reader = input::open(file, options)?;
    reader.take(EVIDENCE as u64 + 1).read_to_end(&mut head).map_err(|e| input::failed(file, e))?;
    let goes_on = head.len() > EVIDENCE;
    head.truncate(EVIDENCE);
    Ok((String::from_utf8_lossy(&head).into_owned(), goes_on))
}

/// The name without its endings.
fn stem(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let plain = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    Path::new(plain).file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn load(host: &Host, component: &str, config: &Value) -> Result<Plugin> {
    let mut spec = PluginSpec::new(component, ComponentSource::Builtin(component.to_owned()));
    spec.config = config.clone();
    host.load(&spec)
}

/// The records of a file as the proposed converter reads them.
#[derive(Default)]
struct Pass {
    compression: Option<&'static str>,
    encoding: &'static str,
    is_parquet: bool,
    rows: Option<u64>,
    binary: Vec<String>,
    is_sample: bool,
    bytes: u64,
    records: usize,
    rejected: usize,
    excluded: usize,
    rejections: Vec<(u32, String)>,
    duplicates: usize,
    seen: HashSet<[u8; 16]>,
    labels: BTreeMap<String, usize>,
    decisions: Vec<(String, usize)>,
    samples: Vec<Sample>,
    /// What the mapper has yet to see.
    batches: Vec<(ExampleColumns, Vec<u32>)>,
}

impl Pass {
    /// Nothing but what the beginning of the file says.
    fn unread(file: &Path, request: &Inspect, records: usize, goes_on: bool) -> Result<Self> {
        let mut opened = input::open_described(file, &request.input)?;
        let mut head = vec![0; EVIDENCE];
        let mut bytes = 0;
        while bytes < head.len() {
            match opened.reader.read(&mut head[bytes..]).map_err(|e| input::failed(file, e))? {
                0 => break,
                read => bytes += read,
            }
        }
        Ok(Self {
            compression: opened.compression,
            encoding: opened.encoding(),
            binary: opened.binary.names(),
            is_parquet: opened.is_parquet,
            rows: opened.rows,
            is_sample: goes_on,
            bytes: bytes as u64,
            records,
            ..Self::default()
        })
    }

    fn read(host: &Host, proposal: &Proposal, file: &Path, request: &Inspect) -> Result<Self> {
        let mut pass = Self::default();
        let plugin = load(host, &proposal.component, &Value::Object(proposal.config.clone()))?;
        let mut converter = plugin.open_converter()?;
        let mut opened = input::open_described(file, &request.input)?;
        let mut chunk = vec![0; crate::plugin::Converter::CHUNK_BYTES];
        loop {
            let read = opened.reader.read(&mut chunk).map_err(|e| input::failed(file, e))?;
            if read == 0 {
                pass.add(converter.finish().map_err(|e| e.context(file.display()))?);
                break;
            }
            pass.bytes += read as u64;
            pass.add(converter.push(&chunk[..read]).map_err(|e| e.context(file.display()))?);
            if pass.bytes >= SAMPLE && !request.all {
                pass.is_sample = true;
                break;
            }
        }
        (pass.compression, pass.is_parquet, pass.rows) = (opened.compression, opened.is_parquet, opened.rows);
        pass.encoding = opened.encoding();
        pass.binary = opened.binary.names();
        pass.records += pass.rejected;
        Ok(pass)
    }

    fn add(&mut self, batch: ConvertedBatch) {
        fn text(column: &Texts, row: usize) -> &str {
            column.get(row).unwrap_or_default()
        }
        let mut request = String::new();
        for row in 0..batch.lines.len() {
            let examples = &batch.examples;
            request.clear();
            normalise(text(&examples.instruction, row), text(&examples.input, row), &mut request);
            // Sixteen bytes of a digest stand for a request.
            let digest = files::sha256(request.as_bytes());
            let mut key = [0; 16];
            key.copy_from_slice(&digest.as_bytes()[..16]);
            self.duplicates += usize::from(!self.seen.insert(key));
            let label = text(&examples.label, row);
            if self.labels.len() < LABELS || self.labels.contains_key(label) {
                *self.labels.entry(label.to_owned()).or_default() += 1;
            }
        }
        self.records += batch.lines.len();
        self.rejected += batch.rejected.len();
        for rejection in batch.rejected {
            if self.rejections.len() < SHOWN {
                self.rejections.push((rejection.line, rejection.reason));
            }
        }
        if !batch.lines.is_empty() {
            self.batches.push((batch.examples, batch.lines));
        }
    }

    /// The labels with their counts, the most frequent first, and what `four-class` makes of each.
    fn labels(&self, four_class: &Plugin) -> Result<Vec<LabelValue>> {
        let values: Vec<(&String, &usize)> = self.labels.iter().collect();
        let mut mapper = four_class.open_mapper()?;
        let names = mapper.labels().clone();
        let columns = ExampleColumns {
            instruction: values.iter().map(|_| "label").collect(),
            label: values.iter().map(|(value, _)| value.as_str()).collect(),
            ..ExampleColumns::default()
        };
        let decisions = if values.is_empty() { Vec::new() } else { mapper.assign(&columns)? };
        let mut labels: Vec<LabelValue> = values
            .into_iter()
            .zip(decisions)
            .map(|((value, &count), decision)| LabelValue {
                value: value.clone(),
                count,
                four_class: decision.map(|id| names.name(id).to_owned()),
            })
            .collect();
        labels.sort_by_key(|label| std::cmp::Reverse(label.count));
        Ok(labels)
    }

    /// What the proposed mapper makes of the examples.
    fn map(&mut self, host: &Host, proposal: &Proposal, stem: &str) -> Result<()> {
        let Some(mapping) = &proposal.mapping else { return Ok(()) };
        if mapping.is_open {
            for (columns, lines) in std::mem::take(&mut self.batches) {
                let shown = columns.rows().min(SHOWN - self.samples.len());
                for (row, line) in lines.into_iter().enumerate().take(shown) {
                    self.samples.push(sample(&columns, line, row, Err("its class is not said".to_owned())));
                }
            }
            return Ok(());
        }
        let mut mapper = load(host, &mapping.component, &Value::Object(mapping.config.clone()))?.open_mapper()?;
        let names = mapper.labels().clone();
        self.decisions = names.names.iter().map(|name| (name.clone(), 0)).collect();
        for (columns, lines) in std::mem::take(&mut self.batches) {
            let columns = with_file(columns, stem);
            for (row, decision) in mapper.assign(&columns)?.into_iter().enumerate() {
                let decision = decision.map(|id| names.name(id).to_owned());
                match &decision {
                    Ok(name) => {
                        if let Some((_, count)) = self.decisions.iter_mut().find(|(own, _)| own == name) {
                            *count += 1;
                        }
                    }
                    Err(reason) if reason.starts_with("excluded: ") => self.excluded += 1,
                    Err(reason) => {
                        self.rejected += 1;
                        if self.rejections.len() < SHOWN {
                            self.rejections.push((lines[row], reason.clone()));
                        }
                    }
                }
                if self.samples.len() < SHOWN {
                    self.samples.push(sample(&columns, lines[row], row, decision));
                }
            }
        }
        Ok(())
    }
}

fn sample(columns: &ExampleColumns, line: u32, row: usize, decision: std::result::Result<String, String>) -> Sample {
    let text = |column: &Texts| column.get(row).unwrap_or_default().to_owned();
    Sample {
        line,
        id: text(&columns.id),
        instruction: text(&columns.instruction),
        input: text(&columns.input),
        output: text(&columns.output),
        label: text(&columns.label),
        decision,
    }
}

/// Numbers are the four classes only where the field is called a label and all of 0 to 3 occur, and nothing else: 0 and 1 are more often
/// no and yes, and 0 to 3 in any field may be kinds of anything.
fn doubt_numbers(labels: &mut [LabelValue], is_called_label: bool) {
    let numbers: Vec<f64> = labels.iter().filter_map(|label| label.value.trim().parse().ok()).collect();
    let there = labels.iter().filter(|label| !label.value.trim().is_empty()).count();
    let are_four = (0..4).all(|class| numbers.contains(&f64::from(class)))
        && numbers.iter().all(|number| [0.0, 1.0, 2.0, 3.0].contains(number));
    if is_called_label && are_four && numbers.len() == there {
        return;
    }
    for label in labels.iter_mut().filter(|label| label.value.trim().parse::<f64>().is_ok()) {
        label.four_class = Err("what this number means is not said".to_owned());
    }
}

/// The columns with the file's name as the field `file`, as a run gives them to mappers.
fn with_file(columns: ExampleColumns, stem: &str) -> ExampleColumns {
    let file = Value::from(stem);
    let records: Vec<String> = (0..columns.rows())
        .map(|row| match columns.extra_json.get(row).map(str::trim) {
            Some(record) if record.len() > 2 => format!("{{\"file\":{file},{}", &record[1..]),
            _ => format!("{{\"file\":{file}}}"),
        })
        .collect();
    ExampleColumns { extra_json: records.iter().map(String::as_str).collect(), ..columns }
}
