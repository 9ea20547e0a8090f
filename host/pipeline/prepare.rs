//! convert → map → duplicates → split: from the manifest's files to two lists of examples.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Narrator, Plugins, contamination, group};
use crate::data::{
    self, Candidate, Contamination, ConvertedBatch, Example, ExampleColumns, LabelSet, Parts, Request,
    SourceStatistics, Statistics, read_examples, write_examples,
};
use crate::manifest::{Plan, SourcePlan};
use crate::{Error, Result, files};

/// The examples that a calibration is fitted on, in the run's folder.
const CALIBRATION: &str = "calibration_set.jsonl";
/// How many bytes a converter is given at once.
const CHUNK: usize = 1 << 18;
/// How a mapper's reason starts where a rule left the row out on purpose.
const EXCLUDED: &str = "excluded: ";

/// The prepared data of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The labels that all mappers map into.
    pub labels: LabelSet,
    /// The two parts.
    pub parts: Parts,
    /// Counts and warnings.
    pub statistics: Statistics,
    /// What of the evaluation training holds too, where it was looked for; with the first pairs.
    pub contamination: Option<Contamination>,
}

#[derive(Serialize, Deserialize)]
struct Summary {
    labels: LabelSet,
    statistics: Statistics,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contamination: Option<Contamination>,
}

/// A record that did not become an example.
#[derive(Serialize)]
struct Refused<'a> {
    source: &'a str,
    file: String,
    line: u32,
    reason: &'a str,
}

/// Reads every source through its plugins, and parts the examples. `rejected.jsonl` in `folder` lists what was refused,
/// also where the stage fails for it.
///
/// # Errors
/// A file, a plugin, too many rejected records, mappers that disagree about the labels, or data that make the result
/// meaningless.
pub fn prepare(plan: &Plan, plugins: &Plugins, folder: &Path, narrator: &Narrator) -> Result<Prepared> {
    let mut reading = Reading { labels: None, candidates: Vec::new(), ids: HashSet::new(), refused: Vec::new() };
    let mut sources = Vec::new();
    let mut failure = None;
    for source in &plan.sources {
        narrator.say(format!("reading {}", source.name));
        match reading.source(source, plugins) {
            Ok(statistics) => sources.push(statistics),
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    let distinct = data::remove_duplicates(reading.candidates);
    for conflict in &distinct.conflicts {
        reading.refused.push(
            serde_json::to_string(&serde_json::json!({
                "source": conflict.removed.split(':').next(), "id": conflict.removed,
                "reason": format!("duplicate of `{}` with another label", conflict.kept),
            }))
            .unwrap_or_default(),
        );
    }
    files::write_with(&folder.join("rejected.jsonl"), |file| {
        reading.refused.iter().try_for_each(|line| writeln!(file, "{line}"))
    })?;
    if let Some(error) = failure {
        return Err(error);
    }
    let labels = reading.labels.ok_or_else(|| Error::internal("a plan without sources was prepared"))?;
    for source in &mut sources {
        source.duplicates = distinct.by_source.get(&source.name).copied().unwrap_or(0);
    }
    let mut parts = data::split(distinct.candidates, plan.eval_share, plan.seed);
    let contamination = contamination::look_for(plan, &mut parts, folder)?;
    if let Some(calibrate) = &plan.calibrate {
        parts.hold_out_calibration(calibrate.share, plan.seed);
    }
    let mut statistics = Statistics::new(sources, &parts, distinct.counts, &labels);
    statistics.check(&labels, plan.train.is_some())?;
    statistics.warnings.extend(contamination.as_ref().and_then(|found| contamination::warning(found, &parts)));
    if plan.calibrate.is_some() && parts.calibration.is_empty() {
        return Err(Error::data("no example is left to calibrate on: expected some in the training part")
            .with_hint("give a source with `use = \"train\"` or `\"both\"`, or raise `[calibrate] share`"));
    }
    Ok(Prepared { labels, parts, statistics, contamination })
}

struct Reading {
    labels: Option<LabelSet>,
    candidates: Vec<Candidate>,
    ids: HashSet<String>,
    refused: Vec<String>,
}

impl Reading {
    fn source(&mut self, source: &SourcePlan, plugins: &Plugins) -> Result<SourceStatistics> {
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

impl Prepared {
    /// The files that [`Prepared::write`] makes.
    pub fn paths(folder: &Path) -> [PathBuf; 3] {
        ["dataset.jsonl", "evaluation.jsonl", "statistics.json"].map(|name| folder.join(name))
    }

    /// The files that [`Prepared::write`] makes and those that the plan asks for besides.
    pub(super) fn paths_of(plan: &Plan, folder: &Path) -> Vec<PathBuf> {
        let mut paths = Self::paths(folder).to_vec();
        paths.extend(plan.calibrate.map(|_| folder.join(CALIBRATION)));
        paths.extend(plan.contamination.map(|_| folder.join(contamination::FILE)));
        paths
    }

    /// The same with the calibration part in the place of the evaluation part.
    pub(super) fn for_calibration(&self) -> Self {
        Self {
            labels: self.labels.clone(),
            parts: Parts { eval: self.parts.calibration.clone(), ..Parts::default() },
            statistics: Statistics::default(),
            contamination: None,
        }
    }

    /// Writes `dataset.jsonl` (training), `evaluation.jsonl` and `statistics.json`, and `calibration_set.jsonl` where something is
    /// calibrated.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let [dataset, evaluation, statistics] = Self::paths(folder);
        write_examples(&dataset, &self.parts.train, &self.labels)?;
        write_examples(&evaluation, &self.parts.eval, &self.labels)?;
        let calibration = folder.join(CALIBRATION);
        match self.parts.calibration.is_empty() {
            true => drop(std::fs::remove_file(calibration)),
            false => write_examples(&calibration, &self.parts.calibration, &self.labels)?,
        }
        let summary = Summary {
            labels: self.labels.clone(),
            statistics: self.statistics.clone(),
            contamination: self.contamination.clone(),
        };
        files::write(&statistics, &files::json(&summary)?)
    }

    /// Reads what [`Prepared::write`] wrote.
    pub fn read(folder: &Path) -> Result<Self> {
        let [dataset, evaluation, _] = Self::paths(folder);
        let Summary { labels, statistics, contamination } = read_summary(folder)?;
        let calibration = folder.join(CALIBRATION);
        let parts = Parts {
            train: read_examples(&dataset, &labels)?,
            eval: read_examples(&evaluation, &labels)?,
            calibration: match calibration.is_file() {
                true => read_examples(&calibration, &labels)?,
                false => Vec::new(),
            },
            ..Parts::default()
        };
        Ok(Self { labels, parts, statistics, contamination })
    }
}

/// The labels of the prepared data in a run's folder.
pub(super) fn read_labels(folder: &Path) -> Result<LabelSet> {
    Ok(read_summary(folder)?.labels)
}

/// The evaluation part of the prepared data in a run's folder; `None` where the folder holds none.
pub(super) fn read_evaluation(folder: &Path, labels: &LabelSet) -> Result<Option<Vec<Example>>> {
    let [_, path, _] = Prepared::paths(folder);
    if path.is_file() { read_examples(&path, labels).map(Some) } else { Ok(None) }
}

fn read_summary(folder: &Path) -> Result<Summary> {
    let [_, _, path] = Prepared::paths(folder);
    let text = files::read_text(&path)?;
    serde_json::from_str(&text).map_err(|e| Error::data(format!("{}:{}:{}: {e}", path.display(), e.line(), e.column())))
}
