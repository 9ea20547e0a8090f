//! What a guest returned, checked before anything believes it: pure functions over plain data.
//!
//! Each takes what came out of the sandbox and gives back what the rest of the program may rely on, or says what was
//! expected and what was found.

use std::collections::HashSet;

use so8t_data::{ConvertedBatch, ExampleColumns, INVALID, LabelSet, Rejection, Texts};
use so8t_evaluate::{MetricInfo, MetricValue};

use super::log::printable;

/// What a check returns: the text says what was expected and what was found.
pub type Checked<T> = Result<T, String>;

/// The most rows, and the most rejections, that one call may return.
pub const MAX_ROWS: usize = 1 << 20;
/// The most values that a metric may declare.
pub const MAX_METRICS: usize = 50_000;
/// The most labels that a mapper may declare.
pub const MAX_LABELS: usize = 200;
/// The id with which a mapper rejects a row.
pub const REJECTED: u8 = 255;
/// What stands in the place of a reason that is empty.
pub const NO_REASON: &str = "no reason given";
/// The most characters of a guest's reason that are kept.
const REASON_CHARACTERS: usize = 500;
/// The most characters of a name.
const NAME_CHARACTERS: usize = 200;

/// A text column of `rows` rows, or a lacking one: offsets in range, rising from 0 to the end, UTF-8 in every row.
pub fn texts(name: &str, column: Texts, rows: usize) -> Checked<Texts> {
    let Texts { bytes, offsets } = &column;
    if offsets.is_empty() {
        return match bytes.len() {
            0 => Ok(column),
            n => Err(format!("column `{name}` has {n} bytes and no offsets")),
        };
    }
    if offsets.len() != rows + 1 {
        return Err(format!("column `{name}` has {} rows: expected {rows}", offsets.len() - 1));
    }
    if offsets[0] != 0 {
        return Err(format!("column `{name}` starts at byte {}: expected 0", offsets[0]));
    }
    if let Some(row) = offsets.windows(2).position(|pair| pair[1] < pair[0]) {
        return Err(format!("column `{name}`, row {row}: offsets fall from {} to {}", offsets[row], offsets[row + 1]));
    }
    let end = offsets[rows] as usize;
    if end != bytes.len() {
        return Err(format!("column `{name}` ends at byte {end}: expected {}, the number of its bytes", bytes.len()));
    }
    let row_of = |byte: usize| offsets.partition_point(|offset| *offset as usize <= byte).saturating_sub(1);
    let text = simdutf8::compat::from_utf8(bytes).map_err(|e| {
        format!("column `{name}`, row {}: byte {} of the column is not UTF-8", row_of(e.valid_up_to()), e.valid_up_to())
    })?;
    if let Some(row) = offsets.iter().position(|offset| !text.is_char_boundary(*offset as usize)) {
        return Err(format!("column `{name}`, row {row} starts within a character: each row must be UTF-8"));
    }
    Ok(column)
}

/// Examples, their lines and the rejected records of one converter call.
pub fn converted(batch: ConvertedBatch) -> Checked<ConvertedBatch> {
    let ConvertedBatch { examples, lines, rejected } = batch;
    if rejected.len() > MAX_ROWS {
        return Err(format!("{} rejected records: expected at most {MAX_ROWS} a call", rejected.len()));
    }
    let examples = example_columns(examples, lines.len())?;
    let line_zero = lines.iter().position(|line| *line == 0);
    if let Some(row) = line_zero {
        return Err(format!("row {row} is said to start in line 0: lines are counted from 1"));
    }
    let rejected = rejected.into_iter().enumerate().map(|(i, rejection)| match rejection.line {
        0 => Err(format!("rejected record {i} is said to start in line 0: lines are counted from 1")),
        line => Ok(Rejection { line, reason: reason(&rejection.reason) }),
    });
    Ok(ConvertedBatch { examples, lines, rejected: rejected.collect::<Checked<_>>()? })
}

/// The columns of `rows` examples. Only `instruction` must be there, where there are rows at all.
pub fn example_columns(columns: ExampleColumns, rows: usize) -> Checked<ExampleColumns> {
    if rows > MAX_ROWS {
        return Err(format!("{rows} rows: expected at most {MAX_ROWS} a call"));
    }
    if rows > 0 && columns.instruction.is_lacking() {
        return Err(format!("column `instruction` is lacking: expected {rows} rows"));
    }
    let columns = ExampleColumns {
        id: texts("id", columns.id, rows)?,
        instruction: texts("instruction", columns.instruction, rows)?,
        input: texts("input", columns.input, rows)?,
        output: texts("output", columns.output, rows)?,
        label: texts("label", columns.label, rows)?,
        group: texts("group", columns.group, rows)?,
        extra_json: texts("extra-json", columns.extra_json, rows)?,
    };
    let extra = columns.extra_json.rows_of_text();
    for row in 0..columns.extra_json.rows() {
        let text = extra.get(row).unwrap_or_default();
        let object = text.is_empty()
            || (text.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
        if !object {
            return Err(format!(
                "column `extra-json`, row {row}: expected a JSON object, found `{}`",
                printable(text, 60)
            ));
        }
    }
    Ok(columns)
}

/// A label set: 1 to 200 distinct names, one severity each.
pub fn label_set(names: Vec<String>, severity: Vec<u8>) -> Checked<LabelSet> {
    if names.is_empty() || names.len() > MAX_LABELS {
        return Err(format!("{} labels: expected 1 to {MAX_LABELS}", names.len()));
    }
    if severity.len() != names.len() {
        return Err(format!("{} severities: expected {}, one a label", severity.len(), names.len()));
    }
    distinct_names("label", names.iter())?;
    LabelSet::check_names(&names)?;
    Ok(LabelSet { names, severity })
}

/// The decisions of one mapper call over `rows` rows: an id below `labels`, or a reason.
pub fn mapped(
    ids: &[u8],
    codes: &[u8],
    reasons: &[String],
    rows: usize,
    labels: usize,
) -> Checked<Vec<Result<u8, String>>> {
    for (what, length) in [("ids", ids.len()), ("codes", codes.len())] {
        if length != rows {
            return Err(format!("{length} {what}: expected {rows}, one a row"));
        }
    }
    if reasons.len() > 256 {
        return Err(format!("{} reasons: expected at most 256", reasons.len()));
    }
    let reasons: Vec<String> = reasons.iter().map(|text| reason(text)).collect();
    let decide = |(row, (id, code)): (usize, (&u8, &u8))| match *id {
        REJECTED => match reasons.get(usize::from(*code)) {
            Some(reason) => Ok(Err(reason.clone())),
            None => Err(format!("row {row}: reason {code} of {}", reasons.len())),
        },
        id if usize::from(id) >= labels => {
            Err(format!("row {row}: id {id}: expected an id below {labels}, or {REJECTED}"))
        }
        id if *code == 0 => Ok(Ok(id)),
        id => Err(format!("row {row}: id {id} with reason {code}: expected reason 0 where a row is not rejected")),
    };
    ids.iter().zip(codes).enumerate().map(decide).collect()
}

/// The values that a metric declares: distinct names, bounds that are numbers and in order.
pub fn metrics(metrics: Vec<MetricInfo>) -> Checked<Vec<MetricInfo>> {
    if metrics.is_empty() || metrics.len() > MAX_METRICS {
        return Err(format!("{} values declared: expected 1 to {MAX_METRICS}", metrics.len()));
    }
    distinct_names("value", metrics.iter().map(|metric| &metric.name))?;
    for metric in &metrics {
        let finite = [metric.low, metric.high].into_iter().flatten().all(f64::is_finite);
        let ordered = metric.low.zip(metric.high).is_none_or(|(low, high)| low <= high);
        if !finite || !ordered {
            let shown = |bound: Option<f64>| bound.map_or("none".into(), |bound| format!("`{bound}`"));
            let (low, high) = (shown(metric.low), shown(metric.high));
            let name = &metric.name;
            return Err(format!("bounds of `{name}`: expected numbers, the lower one first, found {low} and {high}"));
        }
    }
    Ok(metrics)
}

/// The values of one measurement: those that were declared, in order, finite, within their bounds, and resting on no more
/// rows, by weight, than were `taken` in, where that is known.
pub fn values(values: Vec<MetricValue>, declared: &[MetricInfo], taken: Option<u64>) -> Checked<Vec<MetricValue>> {
    // Declared names are distinct, so that the same names in the same order are too.
    let as_declared = values.iter().map(|value| &value.name).eq(declared.iter().map(|metric| &metric.name));
    if !as_declared {
        return Err(other_names(&values, declared));
    }
    for (value, metric) in values.iter().zip(declared) {
        if let Some(taken) = taken.filter(|taken| u64::from(value.support) > *taken) {
            return Err(format!("value `{}` rests on {} rows: {taken} were taken in", value.name, value.support));
        }
        let Some(number) = value.value else { continue };
        if !number.is_finite() {
            return Err(format!("value `{}` is {number}: expected a number, or none", value.name));
        }
        // Sums of many terms may pass a bound by their rounding.
        let slack = 1e-9 * number.abs().max(1.0);
        let low = metric.low.is_some_and(|low| number < low - slack);
        let high = metric.high.is_some_and(|high| number > high + slack);
        if low || high {
            let (side, bound) = if low { ("below", metric.low) } else { ("above", metric.high) };
            let bound = bound.unwrap_or_default();
            return Err(format!(
                "value `{}` is {number}: {side} {bound}, the bound that `metrics` declares",
                value.name
            ));
        }
    }
    Ok(values)
}

/// How the names of values differ from those that were declared.
fn other_names(values: &[MetricValue], declared: &[MetricInfo]) -> String {
    let names: HashSet<&str> = declared.iter().map(|metric| metric.name.as_str()).collect();
    let mut seen = HashSet::new();
    for value in values {
        let name = printable(&value.name, NAME_CHARACTERS);
        if !names.contains(value.name.as_str()) {
            return format!("value `{name}` was not declared by `metrics`");
        }
        if !seen.insert(value.name.as_str()) {
            return format!("value `{name}` was returned twice");
        }
    }
    let (found, expected) = (values.len(), declared.len());
    match values.iter().zip(declared).find(|(value, metric)| value.name != metric.name) {
        Some((value, metric)) if found == expected => {
            format!("value `{}` where `{}` is due: expected the order of `metrics`", value.name, metric.name)
        }
        _ => format!("{found} values: expected {expected}, as `metrics` declares"),
    }
}

/// What a plugin says about itself: a short name and version, and a schema that is a JSON object.
pub fn metadata(metadata: super::Metadata) -> Checked<super::Metadata> {
    let plain = |text: &str| !text.is_empty() && text.len() <= 64 && text.chars().all(|c| c.is_ascii_graphic());
    for (what, text) in [("name", &metadata.name), ("version", &metadata.version)] {
        if !plain(text) {
            return Err(format!(
                "{what} `{}`: expected 1 to 64 printable ASCII characters without spaces",
                printable(text, 80)
            ));
        }
    }
    if !is_semantic(&metadata.version) {
        return Err(format!("version `{}`: expected a semantic version such as `1.0.0`", metadata.version));
    }
    if metadata.licence.chars().any(char::is_control) || metadata.licence.len() > 200 {
        return Err(format!("licence `{}`: expected an SPDX expression", printable(&metadata.licence, 80)));
    }
    match serde_json::from_str::<serde_json::Value>(&metadata.config_schema) {
        Ok(serde_json::Value::Object(_)) => Ok(metadata),
        Ok(_) => Err("config-schema: expected a JSON object".into()),
        Err(e) => Err(format!("config-schema is not JSON: {e}")),
    }
}

/// The rows given to a metric: ids of labels, columns of one length, finite scores.
pub fn metric_batch(rows: &so8t_evaluate::MetricBatch, labels: usize, wants: so8t_evaluate::Wants) -> Checked<()> {
    let count = rows.gold.len();
    if rows.predicted.len() != count {
        return Err(format!("{} predicted ids for {count} gold ids", rows.predicted.len()));
    }
    // Every row is looked at without a branch; a wrong one is looked for where there is one.
    let least = u8::try_from(labels).unwrap_or(u8::MAX);
    let is_gold = |id: u8| id < least;
    let is_predicted = |id: u8| is_gold(id) | (id == INVALID);
    if !rows.gold.iter().fold(true, |all, id| all & is_gold(*id))
        && let Some(row) = rows.gold.iter().position(|id| !is_gold(*id))
    {
        return Err(format!("row {row}: gold id {}: expected an id below {labels}", rows.gold[row]));
    }
    if !rows.predicted.iter().fold(true, |all, id| all & is_predicted(*id))
        && let Some(row) = rows.predicted.iter().position(|id| !is_predicted(*id))
    {
        return Err(format!(
            "row {row}: predicted id {}: expected an id below {labels}, or {INVALID}",
            rows.predicted[row]
        ));
    }
    let columns = [
        ("scores", wants.scores, rows.scores.len(), count * labels, true),
        ("weights", wants.weights, rows.weights.len(), count, false),
        ("groups", wants.groups, rows.groups.len(), count, true),
    ];
    for (name, wanted, found, expected, needed) in columns {
        if wanted && found != expected && (needed || found != 0) {
            return Err(format!("{found} {name} for {count} rows: expected {expected}"));
        }
    }
    match rows.scores.iter().position(|score| !score.is_finite()) {
        Some(i) if wants.scores => {
            Err(format!("row {}: score {}: expected a number", i / labels.max(1), rows.scores[i]))
        }
        _ => Ok(()),
    }
}

fn distinct_names<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Checked<()> {
    let mut seen = HashSet::new();
    for (i, name) in names.enumerate() {
        let plain = !name.is_empty() && name.trim() == name && name.chars().count() <= NAME_CHARACTERS;
        if !plain || printable(name, NAME_CHARACTERS) != *name {
            let shown = printable(name, 80);
            return Err(format!("name `{shown}` of {what} {i}: expected 1 to {NAME_CHARACTERS} printable characters"));
        }
        if !seen.insert(name) {
            return Err(format!("name `{name}` of {what} {i} is taken: expected distinct names"));
        }
    }
    Ok(())
}

/// Whether a text has the shape `1.2.3`, `1.2.3-beta.1` or `1.2.3+build`.
fn is_semantic(version: &str) -> bool {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    numbers.len() == 3 && numbers.iter().all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

fn reason(text: &str) -> String {
    match printable(text, REASON_CHARACTERS) {
        empty if empty.trim().is_empty() => NO_REASON.into(),
        text => text,
    }
}
