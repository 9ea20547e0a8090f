//! What a guest returned, through every check of `so8t_plugin::checks`: a check never panics, and what it lets through is
//! what its documentation promises, told by slower means.
#![no_main]

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use so8t_data::{ConvertedBatch, ExampleColumns, INVALID, Rejection, Texts};
use so8t_evaluate::{Direction, MetricBatch, MetricInfo, MetricValue, Wants};
use so8t_plugin::{Metadata, checks};

fuzz_target!(|data: &[u8]| {
    let mut from = Unstructured::new(data);
    let _ = match from.arbitrary::<u8>().unwrap_or_default() % 6 {
        0 => converted(&mut from),
        1 => mapped(&mut from),
        2 => labels(&mut from),
        3 => values(&mut from),
        4 => metadata(&mut from),
        _ => batch(&mut from),
    };
});

/// A column: often nearly right, so that the later checks are reached too.
fn column(from: &mut Unstructured<'_>, rows: usize) -> Result<Texts> {
    Ok(match from.int_in_range(0..=5)? {
        0 => Texts::lacking(),
        1 => Texts { bytes: from.arbitrary()?, offsets: from.arbitrary()? },
        2 => {
            let bytes: Vec<u8> = from.arbitrary()?;
            let mut offsets = vec![0];
            for _ in 0..rows {
                offsets.push(from.int_in_range(0..=bytes.len() as u32)?);
            }
            offsets.sort_unstable();
            if let Some(last) = offsets.last_mut() {
                *last = bytes.len() as u32;
            }
            if from.ratio(1_u8, 8)? {
                let at = from.choose_index(offsets.len())?;
                offsets[at] = from.arbitrary()?;
            }
            Texts { bytes, offsets }
        }
        _ => {
            let mut texts = Texts { bytes: Vec::new(), offsets: vec![0] };
            for _ in 0..rows {
                texts.push(from.arbitrary()?);
            }
            texts
        }
    })
}

/// Whether a column that was let through is lacking, or has a text in every row and nothing besides.
fn assert_whole(column: &Texts, rows: usize) {
    if column.is_lacking() {
        assert!(column.bytes.is_empty());
        return;
    }
    assert_eq!(column.rows(), rows);
    let mut joined = Vec::new();
    for row in 0..rows {
        joined.extend_from_slice(column.get(row).expect("each row is UTF-8").as_bytes());
    }
    assert_eq!(joined, column.bytes);
}

fn converted(from: &mut Unstructured<'_>) -> Result<()> {
    let rows = from.int_in_range(0..=6_usize)?;
    let examples = ExampleColumns {
        instruction: column(from, rows)?,
        extra_json: column(from, rows)?,
        id: column(from, rows)?,
        input: column(from, rows)?,
        output: column(from, rows)?,
        label: column(from, rows)?,
        group: column(from, rows)?,
    };
    let lines = match from.arbitrary()? {
        true => (1..=rows as u32).collect(),
        false => from.arbitrary()?,
    };
    let mut rejected = Vec::new();
    for _ in 0..from.int_in_range(0..=3)? {
        rejected.push(Rejection { line: from.arbitrary()?, reason: from.arbitrary()? });
    }
    let Ok(batch) = checks::converted(ConvertedBatch { examples, lines, rejected }) else { return Ok(()) };
    let rows = batch.lines.len();
    let ExampleColumns { id, instruction, input, output, label, group, extra_json } = &batch.examples;
    [id, instruction, input, output, label, group, extra_json].iter().for_each(|column| assert_whole(column, rows));
    assert!(rows == 0 || !instruction.is_lacking());
    assert!(batch.lines.iter().chain(batch.rejected.iter().map(|r| &r.line)).all(|line| *line > 0));
    for row in 0..extra_json.rows() {
        let text = extra_json.get(row).unwrap_or_default();
        assert!(text.is_empty() || text.trim_start().starts_with('{'), "{text}");
    }
    for rejection in &batch.rejected {
        assert!(!rejection.reason.trim().is_empty() && !rejection.reason.contains(char::is_control));
    }
    Ok(())
}

fn mapped(from: &mut Unstructured<'_>) -> Result<()> {
    let (rows, labels) = (from.int_in_range(0..=6_usize)?, from.int_in_range(0..=200_usize)?);
    let (mut ids, mut codes): (Vec<u8>, Vec<u8>) = (from.arbitrary()?, from.arbitrary()?);
    if from.arbitrary()? {
        ids.resize(rows, 255);
        codes.resize(rows, 0);
    }
    let reasons: Vec<String> = from.arbitrary()?;
    if let Ok(decisions) = checks::mapped(&ids, &codes, &reasons, rows, labels) {
        assert_eq!(decisions.len(), rows);
        for (decision, id) in decisions.iter().zip(&ids) {
            match decision {
                Ok(own) => assert!(own == id && usize::from(*id) < labels),
                Err(reason) => assert!(*id == checks::REJECTED && !reason.contains(char::is_control)),
            }
        }
    }
    Ok(())
}

fn labels(from: &mut Unstructured<'_>) -> Result<()> {
    let names: Vec<String> = from.arbitrary()?;
    let mut severity: Vec<u8> = from.arbitrary()?;
    if from.arbitrary()? {
        severity.resize(names.len(), 0);
    }
    if let Ok(set) = checks::label_set(names, severity) {
        assert!(!set.names.is_empty() && set.names.len() <= checks::MAX_LABELS);
        assert_names(&set.names);
    }
    Ok(())
}

fn assert_names(names: &[String]) {
    for (i, name) in names.iter().enumerate() {
        assert!(!name.is_empty() && !name.contains(char::is_control) && !names[..i].contains(name));
    }
}

fn values(from: &mut Unstructured<'_>) -> Result<()> {
    let mut declared = Vec::new();
    for _ in 0..from.int_in_range(0..=4)? {
        let name = from.arbitrary()?;
        declared.push(MetricInfo {
            name,
            direction: Direction::Lower,
            low: from.arbitrary()?,
            high: from.arbitrary()?,
        });
    }
    let Ok(declared) = checks::metrics(declared) else { return Ok(()) };
    assert_names(&declared.iter().map(|info| info.name.clone()).collect::<Vec<_>>());
    let mut values = Vec::new();
    for info in &declared {
        let name = if from.ratio(7_u8, 8)? { info.name.clone() } else { from.arbitrary()? };
        values.push(MetricValue { name, value: from.arbitrary()?, support: from.arbitrary()? });
    }
    let taken: Option<u64> = from.arbitrary()?;
    let Ok(values) = checks::values(values, &declared, taken) else { return Ok(()) };
    assert_eq!(values.len(), declared.len());
    for (value, info) in values.iter().zip(&declared) {
        assert_eq!(value.name, info.name);
        assert!(taken.is_none_or(|taken| u64::from(value.support) <= taken));
        let Some(number) = value.value else { continue };
        assert!(number.is_finite());
        let slack = 1e-9 * number.abs().max(1.0);
        assert!(info.low.is_none_or(|low| number >= low - slack));
        assert!(info.high.is_none_or(|high| number <= high + slack));
    }
    Ok(())
}

fn metadata(from: &mut Unstructured<'_>) -> Result<()> {
    let metadata = Metadata {
        name: from.arbitrary()?,
        version: from.arbitrary()?,
        licence: from.arbitrary()?,
        config_schema: from.arbitrary()?,
    };
    if let Ok(metadata) = checks::metadata(metadata) {
        let Metadata { name, version, licence, .. } = metadata;
        assert!([name, version, licence].iter().all(|text| !text.contains(char::is_control)));
    }
    Ok(())
}

fn batch(from: &mut Unstructured<'_>) -> Result<()> {
    let labels = from.int_in_range(0..=200_usize)?;
    let rows = MetricBatch {
        gold: from.arbitrary()?,
        predicted: from.arbitrary()?,
        scores: from.arbitrary()?,
        weights: from.arbitrary()?,
        groups: from.arbitrary()?,
        texts: Texts::lacking(),
    };
    let wants =
        Wants { scores: from.arbitrary()?, weights: from.arbitrary()?, groups: from.arbitrary()?, texts: false };
    if checks::metric_batch(&rows, labels, wants).is_ok() {
        assert_eq!(rows.gold.len(), rows.predicted.len());
        assert!(rows.gold.iter().all(|id| usize::from(*id) < labels));
        assert!(rows.predicted.iter().all(|id| usize::from(*id) < labels || *id == INVALID));
        assert!(!wants.scores || rows.scores.len() == labels * rows.gold.len());
        assert!(!wants.scores || rows.scores.iter().all(|score| score.is_finite()));
    }
    Ok(())
}
