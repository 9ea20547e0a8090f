//! One source after another: files → converter → label mapper → candidates.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::Serialize;

use super::{Plugins, group};
use crate::data::{self, Candidate, ConvertedBatch, Example, ExampleColumns, LabelSet, Request, SourceStatistics};
use crate::manifest::SourcePlan;
use crate::{Error, Result};

/// How many bytes a converter is given at once.
const CHUNK: usize = 1 << 18;
/// How a mapper's reason starts where a rule left the row out on purpose.
const EXCLUDED: &str = "excluded: ";
/// A record that did not become an example.
#[derive(Serialize)]
struct Refused<'a> {
    source: &'a str,
    file: String,
    line: u32,
    reason: &'a str,
}

/// What was read so far.
#[derive(Default)]
pub(super) struct Reading {
    /// The labels that all mappers map into; `None` before the first source.
    pub(super) labels: Option<LabelSet>,
    pub(super) candidates: Vec<Candidate>,
    ids: HashSet<String>,
    /// The lines of `rejected.jsonl`.
    pub(super) refused: Vec<String>,
}

impl Reading {
    /// Reads one source through its converter and its mapper.
    ///
    /// # Errors
    /// A file, a plugin, other labels than those of the sources before it, or too many rejected records.
    pub(super) fn source(&mut self, source: &SourcePlan, plugins: &Plugins) -> Result<SourceStatistics> {
        let mapper = plugins.get(&source.mapper)?.open_mapper()?;
        match &self.labels {
            None => self.labels = Some(mapper.labels().clone()),
            Some(labels) if labels == mapper.labels() => {}
            Some(labels) => {
                return Err(Error::data(format!(
                    "source `{}`: plugin `{}` maps into `{}`, the sources before it into `{}`: expected one label set",
                    source.name,
                    source.mapper,
                    mapper.labels().names.join("`, `"),
                    labels.names.join("`, `")
                )));
            }
        }
        let mut pass = Pass {
            source,
            mapper,
            row: 0,
            first_reasons: Vec::new(),
            statistics: SourceStatistics {
                name: source.name.clone(),
                usage: source.usage,
                files: source.files.len(),
                ..SourceStatistics::default()
            },
        };
        for path in &source.files {
            let mut converter = plugins.get(&source.converter)?.open_converter()?;
            let mut input = File::open(path).map_err(|e| Error::io("read", path, &e))?;
            let mut chunk = vec![0; CHUNK];
            pass.row = 0;
            loop {
                let read = input.read(&mut chunk).map_err(|e| Error::io("read", path, &e))?;
                if read == 0 {
                    break;
                }
                pass.statistics.bytes += read as u64;
                let batch = converter.push(&chunk[..read]).map_err(|e| e.context(path.display()))?;
                self.batch(&mut pass, path, &batch)?;
            }
            let batch = converter.finish().map_err(|e| e.context(path.display()))?;
            self.batch(&mut pass, path, &batch)?;
        }
        let Pass { statistics, first_reasons, .. } = pass;
        if statistics.rejected as f64 > source.max_rejected * statistics.records as f64 {
            return Err(Error::data(format!(
                "source `{}`: {} of {} records were rejected, more than the share of {} that `max_rejected` allows; the first: {}",
                source.name,
                statistics.rejected,
                statistics.records,
                source.max_rejected,
                first_reasons.join("; ")
            ))
            .with_hint("`rejected.jsonl` in the run's folder lists each with file, line and reason"));
        }
        Ok(statistics)
    }

    /// Takes in what a converter returned. Records are numbered in the order of their lines, accepted or not.
    fn batch(&mut self, pass: &mut Pass<'_>, path: &Path, batch: &ConvertedBatch) -> Result<()> {
        let columns = &with_file(&batch.examples, path);
        let mut rejected = batch.rejected.iter().peekable();
        let decisions = if columns.rows() == 0 { Vec::new() } else { pass.mapper.assign(columns)? };
        for (index, decision) in decisions.into_iter().enumerate() {
            let line = batch.lines[index];
            while let Some(rejection) = rejected.next_if(|r| r.line < line) {
                pass.row += 1;
                self.refused.push(pass.refuse(path, rejection.line, &rejection.reason));
            }
            pass.row += 1;
            let group = group::value(&pass.source.group, columns, index, pass.row, line, path);
            match decision.and_then(|label| Ok((label, group?))) {
                Ok((label, group)) => {
                    let id = self.distinct_id(pass, path, columns, index, line);
                    let text = |column: &data::Texts| column.get(index).unwrap_or_default().to_owned();
                    self.candidates.push(Candidate {
                        example: Example {
                            id,
                            source: pass.source.name.clone(),
                            request: Request { instruction: text(&columns.instruction), input: text(&columns.input) },
                            output: text(&columns.output),
                            label,
                            group,
                            category: group::category(&pass.source.category, columns, index),
                        },
                        usage: pass.source.usage,
                    });
                    pass.statistics.records += 1;
                    pass.statistics.accepted += 1;
                }
                Err(reason) => self.refused.push(pass.refuse(path, line, &reason)),
            }
        }
        for rejection in rejected {
            pass.row += 1;
            self.refused.push(pass.refuse(path, rejection.line, &rejection.reason));
        }
        Ok(())
    }

    /// `source:id`, or `source:row`, or `source:file:row`; with file and line where the source uses an id twice.
    fn distinct_id(
        &mut self,
        pass: &Pass<'_>,
        path: &Path,
        columns: &ExampleColumns,
        index: usize,
        line: u32,
    ) -> String {
        let source = &pass.source.name;
        let mut id = match columns.id.get(index) {
            Some(id) if !id.is_empty() => format!("{source}:{id}"),
            _ if pass.source.files.len() == 1 => format!("{source}:{}", pass.row),
            _ => format!("{source}:{}:{}", path.file_stem().unwrap_or_default().to_string_lossy(), pass.row),
        };
        if self.ids.contains(&id) {
            id = format!("{id}@{}:{line}", path.file_name().unwrap_or_default().to_string_lossy());
        }
        self.ids.insert(id.clone());
        id
    }
}

/// One source while it is read.
struct Pass<'a> {
    source: &'a SourcePlan,
    mapper: crate::plugin::Mapper,
    /// The number of the record in its file, from 1.
    row: u64,
    statistics: SourceStatistics,
    first_reasons: Vec<String>,
}

impl Pass<'_> {
    /// Counts a record that was refused; the line of `rejected.jsonl` for it.
    fn refuse(&mut self, path: &Path, line: u32, reason: &str) -> String {
        self.statistics.records += 1;
        if reason.starts_with(EXCLUDED) {
            self.statistics.excluded += 1;
        } else {
            self.statistics.rejected += 1;
            if self.first_reasons.len() < 3 {
                self.first_reasons.push(format!("{}:{line}: {reason}", path.display()));
            }
        }
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        serde_json::to_string(&Refused { source: &self.source.name, file, line, reason }).unwrap_or_default()
    }
}

/// The columns with the file's name (its stem) as the field `file` of every record, so that mappers can tell the files
/// of a source apart; a record's own `file` overrides it.
fn with_file(columns: &ExampleColumns, path: &Path) -> ExampleColumns {
    let file = serde_json::Value::from(path.file_stem().unwrap_or_default().to_string_lossy());
    let records: Vec<String> = (0..columns.rows())
        .map(|row| match columns.extra_json.get(row).map(str::trim) {
            Some(record) if record.len() > 2 => format!("{{\"file\":{file},{}", &record[1..]),
            _ => format!("{{\"file\":{file}}}"),
        })
        .collect();
    ExampleColumns { extra_json: records.iter().map(String::as_str).collect(), ..columns.clone() }
}
