//! One source after another: files → converter → label mapper → candidates.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashSet};
use std::hash::BuildHasher as _;
use std::path::Path;

use foldhash::quality::RandomState;
use serde::Serialize;

use super::convert::{Piece, convert};
use super::group;
use crate::data::{ByHash, Candidate, Example, LabelSet, Request, SourceStatistics, Text};
use crate::data::{ConvertedBatch, ExampleColumns};
use crate::manifest::SourcePlan;
use crate::pipeline::plugins::Plugins;
use crate::plugin::Bounds;
use crate::{Error, Result};

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
pub(in crate::pipeline) struct Reading {
    /// The labels that all mappers map into; `None` before the first source.
    pub(in crate::pipeline) labels: Option<LabelSet>,
    pub(in crate::pipeline) candidates: Vec<Candidate>,
    ids: Ids,
    /// The lines of `rejected.jsonl`.
    pub(in crate::pipeline) refused: Vec<String>,
    /// What the user should know of the sources, each once.
    pub(in crate::pipeline) warnings: BTreeSet<String>,
    amount: Amount,
}

/// How much all sources together have given.
#[derive(Default)]
struct Amount {
    records: u64,
    bytes: u64,
}

impl Amount {
    /// Counts what a converter gave, before anything is made of it.
    ///
    /// # Errors
    /// More than the host's policy lets a run hold.
    fn add(&mut self, source: &SourcePlan, batch: &ConvertedBatch, bounds: &Bounds) -> Result<()> {
        let ExampleColumns { id, instruction, input, output, group, label: _, extra_json: _ } = &batch.examples;
        let kept: usize = [id, instruction, input, output, group].iter().map(|column| column.bytes.len()).sum();
        self.records = self.records.saturating_add((batch.lines.len() + batch.rejected.len()) as u64);
        self.bytes = self.bytes.saturating_add(kept as u64);
        let (what, key) = match () {
            () if self.records > bounds.records => (format!("{} records", bounds.records), "records"),
            () if self.bytes > bounds.text_bytes => (format!("{} MiB of text", bounds.text_bytes >> 20), "text_mb"),
            () => return Ok(()),
        };
        Err(Error::data(format!(
            "source `{}`: plugin `{}` gives more than {what}, the most that all sources of a run may have together",
            source.name, source.converter
        ))
        .with_hint(format!("whoever runs this host bounds it: `[bounds] {key}` in the policy of so8t")))
    }
}

impl Reading {
    /// Reads one source through its converter and its mapper.
    ///
    /// # Errors
    /// A file, a plugin, other labels than those of the sources before it, or too many rejected records.
    pub(in crate::pipeline) fn source(
        &mut self,
        source: &SourcePlan,
        plugins: &Plugins,
        bounds: &Bounds,
    ) -> Result<SourceStatistics> {
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
            bounds,
            name: source.name.as_str().into(),
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
        let mut current = None;
        convert(source, plugins.get(&source.converter)?, |file, piece| {
            if current.replace(file) != Some(file) {
                pass.row = 0;
            }
            self.piece(&mut pass, &source.files[file], piece)
        })?;
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
    fn piece(&mut self, pass: &mut Pass<'_>, path: &Path, piece: Piece) -> Result<()> {
        piece.said.into_iter().for_each(|say| say());
        for column in piece.binary {
            self.warnings.insert(format!(
                "source `{}`: column `{column}` holds bytes that are no text, and records are read without them",
                pass.source.name
            ));
        }
        let batch = piece.batch?;
        self.amount.add(pass.source, &batch, pass.bounds)?;
        pass.statistics.bytes += piece.bytes;
        let columns = &batch.examples;
        let rows = columns.rows_of_text();
        let refused_before = self.refused.len();
        let mut rejected = batch.rejected.iter().peekable();
        let decisions = if columns.rows() == 0 { Vec::new() } else { pass.mapper.assign(columns)? };
        let mut accepted = Vec::with_capacity(decisions.len());
        let mut ids = Pending::default();
        for (index, decision) in decisions.into_iter().enumerate() {
            let line = batch.lines[index];
            while let Some(rejection) = rejected.next_if(|r| r.line < line) {
                pass.row += 1;
                self.refused.push(pass.refuse(path, rejection.line, &rejection.reason));
            }
            pass.row += 1;
            let group = group::value(&pass.source.group, &rows, index, pass.row, line, path);
            match decision.and_then(|label| Ok((label, group?))) {
                Ok((label, group)) => {
                    self.add_id(&mut ids, pass, path, rows.id.get(index), line);
                    accepted.push((index, label, group, group::category(&pass.source.category, &rows, index)));
                }
                Err(reason) => self.refused.push(pass.refuse(path, line, &reason)),
            }
        }
        for rejection in rejected {
            pass.row += 1;
            self.refused.push(pass.refuse(path, rejection.line, &rejection.reason));
        }
        // A mapper chooses the words with which it refuses: they count for the next piece.
        let words: usize = self.refused[refused_before..].iter().map(String::len).sum();
        self.amount.bytes = self.amount.bytes.saturating_add(words as u64);

        let texts: Vec<[&str; 6]> = accepted
            .iter()
            .enumerate()
            .map(|(place, &(index, _, ref group, ref category))| {
                let [instruction, input, output] =
                    [rows.instruction, rows.input, rows.output].map(|column| column.get(index).unwrap_or_default());
                [ids.get(place).unwrap_or_default(), instruction, input, output, group, category]
            })
            .collect();
        let training = pass.source.training();
        self.candidates.extend(accepted.iter().zip(Text::together(&texts)).map(|((_, label, ..), texts)| {
            let [id, instruction, input, output, group, category] = texts;
            let request = Request { instruction, input };
            let source = pass.name.clone();
            let example = Example { id, source, request, output, label: *label, group, category, training };
            Candidate { example, usage: pass.source.usage }
        }));
        pass.statistics.records += accepted.len();
        pass.statistics.accepted += accepted.len();
        Ok(())
    }

    /// Adds the id of the record at hand to those of its piece: `source:id`, or `source:row`, or `source:file:row`; with file and line
    /// where the source uses an id twice.
    fn add_id(&mut self, pending: &mut Pending, pass: &Pass<'_>, path: &Path, own: Option<&str>, line: u32) {
        pending.begin(&pass.source.name);
        match own {
            Some(own) if !own.is_empty() => pending.ids.push_str(own),
            _ if pass.source.files.len() == 1 => pending.ids.push_str(&pass.row.to_string()),
            _ => {
                pending.ids.push_str(&path.file_stem().unwrap_or_default().to_string_lossy());
                pending.ids.push_str(&format!(":{}", pass.row));
            }
        }
        if !self.ids.insert(pending, &self.candidates) {
            pending.ids.push_str(&format!("@{}:{line}", path.file_name().unwrap_or_default().to_string_lossy()));
            self.ids.insert(pending, &self.candidates);
        }
        pending.ends.push(pending.ids.len());
    }
}

/// The ids of the examples of one piece, one after another; the candidates that they belong to follow those that are there.
#[derive(Default)]
struct Pending {
    ids: String,
    ends: Vec<usize>,
}

impl Pending {
    /// Begins with the next id, which is at the end until it is complete.
    fn begin(&mut self, source: &str) {
        self.ids.push_str(source);
        self.ids.push(':');
    }

    /// The id that was begun last.
    fn last(&self) -> &str {
        &self.ids[self.ends.last().copied().unwrap_or(0)..]
    }

    /// An id that is complete.
    fn get(&self, place: usize) -> Option<&str> {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.ends.get(place).map(|&end| &self.ids[start..end])
    }
}

/// One source while it is read.
struct Pass<'a> {
    source: &'a SourcePlan,
    bounds: &'a Bounds,
    name: Text,
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

/// The ids of all candidates, by their hashes: the candidates hold the texts.
#[derive(Default)]
struct Ids {
    hasher: RandomState,
    /// The candidate whose id has this hash.
    by_hash: ByHash<usize>,
    /// Ids whose hash is that of another one.
    others: HashSet<String>,
}

impl Ids {
    /// Adds the id that was begun last; `false` where it is there.
    fn insert(&mut self, pending: &Pending, candidates: &[Candidate]) -> bool {
        let id = pending.last();
        let own = |index: usize| match index.checked_sub(candidates.len()) {
            None => Some(candidates[index].example.id.as_str()),
            Some(place) => pending.get(place),
        };
        match self.by_hash.entry(self.hasher.hash_one(id)) {
            Entry::Vacant(vacant) => {
                vacant.insert(candidates.len() + pending.ends.len());
                true
            }
            Entry::Occupied(first) if own(*first.get()) == Some(id) => false,
            Entry::Occupied(_) => self.others.insert(id.to_owned()),
        }
    }
}
