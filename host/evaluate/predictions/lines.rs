//! Predictions as JSON lines.
//!
//! One object a line: `id`, `source`, `group` (left out where empty), `gold` and `predicted` by name, `scores`, an object from
//! label to probability, and `latency_ms` and `request` (left out where they are not known). Numbers are written with as many digits as give the
//! same `f32` when read.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::Path;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bounded;
use super::{check_labels, empty, gold_id, open_file, predicted_id};
use crate::row::EvaluatedRow;
use crate::source::{BATCH_ROWS, RowBatch, RowRef};
use so8t_base::{Error, Kind, Result, files};
use so8t_data::{LabelSet, Prediction};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    source: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    group: String,
    gold: String,
    predicted: String,
    scores: Scores,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<String>,
}

/// Scores by label, in the order of the file; `f32` all the way, so that no digit is rounded twice.
struct Scores(Vec<(String, f32)>);

impl Serialize for Scores {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, score) in &self.0 {
            map.serialize_entry(name, score)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Scores {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Scores;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object from label to probability")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Scores, A::Error> {
                let mut scores = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    scores.push(entry);
                }
                Ok(Scores(scores))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Writes the rows to `path`, all or nothing.
pub(super) fn write(path: &Path, labels: &LabelSet, rows: &[EvaluatedRow]) -> Result<()> {
    files::write_with(path, |file| {
        for row in rows {
            let scores = labels.names.iter().cloned().zip(row.prediction.scores.iter().copied()).collect();
            let line = Line {
                id: row.id.clone(),
                source: row.source.clone(),
                group: row.group.clone(),
                gold: labels.name(row.gold).to_owned(),
                predicted: labels.name(row.prediction.label).to_owned(),
                scores: Scores(scores),
                latency_ms: row.latency_ms,
                request: row.request.clone(),
            };
            serde_json::to_writer(&mut *file, &line)?;
            file.write_all(b"\n")?;
        }
        Ok(())
    })
}

/// Gives the rows of a range of lines, counted from 0. Errors name the file and the line; blank lines are not allowed.
pub(super) fn each_row(
    path: &Path,
    labels: &LabelSet,
    range: Range<u64>,
    take: &mut dyn FnMut(EvaluatedRow) -> Result<()>,
) -> Result<()> {
    each_line(path, range, |line| {
        let row = resolve(line, labels)?;
        row.check(labels)?;
        take(row)?;
        Ok(true)
    })
}

/// As [`each_row`], in batches.
pub(super) fn each_batch(
    path: &Path,
    labels: &LabelSet,
    range: Range<u64>,
    scores: bool,
    take: &mut dyn FnMut(RowBatch) -> Result<()>,
) -> Result<()> {
    let mut batch = RowBatch::default();
    each_row(path, labels, range, &mut |row| {
        let scores = scores.then_some(row.prediction.scores.as_slice());
        let (id, source, group) = (&*row.id, &*row.source, &*row.group);
        batch.push(RowRef { id, source, group, gold: row.gold, predicted: row.prediction.label, scores }, labels)?;
        if batch.rows() == BATCH_ROWS { take(std::mem::take(&mut batch)) } else { Ok(()) }
    })?;
    if batch.rows() > 0 { take(batch) } else { Ok(()) }
}

/// The number of lines.
pub(super) fn count(path: &Path) -> Result<u64> {
    let mut file = BufReader::new(open_file(path)?);
    let (mut lines, mut last) = (0, b'\n');
    loop {
        let bytes = file.fill_buf().map_err(|e| Error::io("read", path, &e))?;
        let Some(&end) = bytes.last() else { return Ok(lines + u64::from(last != b'\n')) };
        lines += bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
        last = end;
        let length = bytes.len();
        file.consume(length);
    }
}

/// The label names of a predictions file, in the order of its first line's scores.
pub(super) fn label_names(path: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    each_line(path, 0..1, |line| {
        names = line.scores.0.into_iter().map(|(name, _)| name).collect();
        Ok(false)
    })?;
    if names.is_empty() {
        return Err(empty(path));
    }
    check_labels(&names).map_err(|e| e.context(format!("`{}` line 1: field `scores`", path.display())))?;
    Ok(names)
}

/// Calls `take` with every line of a range until it answers false; puts file and line number before its errors.
fn each_line(path: &Path, range: Range<u64>, mut take: impl FnMut(Line) -> Result<bool>) -> Result<()> {
    let file = open_file(path)?;
    for (index, text) in (0..range.end).zip(bounded::lines(BufReader::new(file))) {
        let place = || format!("`{}` line {}", path.display(), index + 1);
        let text = text.map_err(|e| Error::new(Kind::Io, format!("{}: cannot read it: {e}", place())))?;
        if index < range.start {
            continue;
        }
        let line: Line = serde_json::from_str(&text)
            .map_err(|e| Error::data(format!("{}: expected one prediction as a JSON object: {e}", place())))?;
        if !take(line).map_err(|e| e.context(place()))? {
            break;
        }
    }
    Ok(())
}

/// Names to ids, scores to the order of the labels.
fn resolve(line: Line, labels: &LabelSet) -> Result<EvaluatedRow> {
    let gold = gold_id(&line.gold, labels)?;
    let label = predicted_id(&line.predicted, labels)?;
    let mut scores = vec![f32::NAN; labels.len()];
    for (name, score) in &line.scores.0 {
        let id = labels.id(name).map_err(|e| e.context("field `scores`"))?;
        if !scores[usize::from(id)].is_nan() {
            return Err(Error::data(format!("field `scores`: expected each label once, found `{name}` twice")));
        }
        scores[usize::from(id)] = *score;
    }
    if let Some(lacking) = scores.iter().position(|score| score.is_nan()) {
        return Err(Error::data(format!(
            "field `scores`: expected a score for every label, found none for `{}`",
            labels.names[lacking]
        )));
    }
    Ok(EvaluatedRow {
        id: line.id,
        source: line.source,
        group: line.group,
        gold,
        prediction: Prediction { label, scores },
        latency_ms: line.latency_ms,
        request: line.request,
    })
}
