//! Predictions files: JSON lines from which every metric can be computed again, bit for bit.
//!
//! One object a line: `id`, `source`, `group` (left out where empty), `gold` and `predicted` by name, and `scores`, an
//! object from label to probability. Scores are written with as many digits as give the same `f32` when read.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::{fmt, fs};

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::row::{EvaluatedRow, check_rows};
use crate::data::{INVALID, LabelSet, Prediction};
use crate::{Error, Kind, Result, files};

/// The predictions of the model as it was.
pub const BEFORE: &str = "predictions_before.jsonl";
/// The predictions of the model after training.
pub const AFTER: &str = "predictions_after.jsonl";

/// The name that a prediction has that is no label.
const INVALID_NAME: &str = "INVALID";

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

/// Writes the rows to `path`, all or nothing. The rows are checked first: a file that cannot be read back is an error.
pub fn write(path: &Path, labels: &LabelSet, rows: &[EvaluatedRow]) -> Result<()> {
    check_rows(labels, rows)?;
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
            };
            serde_json::to_writer(&mut *file, &line)?;
            file.write_all(b"\n")?;
        }
        Ok(())
    })
}

/// Reads a predictions file. Errors name the file and the line; blank lines are not allowed.
pub fn read(path: &Path, labels: &LabelSet) -> Result<Vec<EvaluatedRow>> {
    let mut rows = Vec::new();
    each_line(path, |line| {
        let row = resolve(line, labels)?;
        row.check(labels)?;
        rows.push(row);
        Ok(true)
    })?;
    check_rows(labels, &rows).map_err(|e| e.context(format!("`{}`", path.display())))?;
    Ok(rows)
}

/// The label names of a predictions file, in the order of its first line's scores.
pub fn label_names(path: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    each_line(path, |line| {
        names = line.scores.0.into_iter().map(|(name, _)| name).collect();
        Ok(false)
    })?;
    if names.is_empty() {
        return Err(Error::data(format!("`{}`: expected predictions, found an empty file", path.display())));
    }
    Ok(names)
}

/// Calls `take` with every line until it answers false; puts file and line number before its errors.
fn each_line(path: &Path, mut take: impl FnMut(Line) -> Result<bool>) -> Result<()> {
    let file = fs::File::open(path).map_err(|e| Error::io("read", path, &e))?;
    for (index, text) in BufReader::new(file).lines().enumerate() {
        let place = || format!("`{}` line {}", path.display(), index + 1);
        let text = text.map_err(|e| Error::new(Kind::Io, format!("{}: cannot read it: {e}", place())))?;
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
    let gold = labels.id(&line.gold).map_err(|e| e.context("field `gold`"))?;
    let label = match labels.id(&line.predicted) {
        Ok(id) => id,
        Err(_) if line.predicted == INVALID_NAME => INVALID,
        Err(e) => return Err(e.context("field `predicted`")),
    };
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
    })
}
