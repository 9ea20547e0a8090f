//! Laws of converters.

mod converted;
mod hostile;
mod sources;

use serde_json::{Value, json};

use super::kit::Kit;
use super::law::{CHUNKING, CONVERTER_DETERMINISTIC, LINES, MALFORMED, MANY_RECORDS, NO_SOURCE, ONE_RECORD};
use super::shrink::{Broke, Kept, Parts};
use super::{bytes, is_tolerable};
use crate::{Converter, Plugin};
use converted::{Converted, agree, convert, run};
use so8t_base::Result;
use so8t_evaluate::Random;
use sources::{FORMATS, Format};

/// The seed of everything that is made up.
const SEED: u64 = 1;
/// A source of at most so many bytes is cut at every place.
const CUT_EVERYWHERE: usize = 400;
/// So much of a sample is tried: the laws read it dozens of times.
const SAMPLE_BYTES: usize = 4 << 20;

/// A converter and what it is tried on.
pub(super) struct Subject<'a> {
    pub(super) plugin: &'a Plugin,
    /// A file that it is said to read.
    sample: Option<&'a [u8]>,
    /// The formats of which it makes an example of each record.
    formats: Vec<&'static Format>,
    pub(super) many: usize,
}

impl<'a> Subject<'a> {
    pub(super) fn new(plugin: &'a Plugin, sample: Option<&'a [u8]>, many: usize) -> Self {
        let sample = sample.map(|bytes| &bytes[..bytes.len().min(SAMPLE_BYTES)]);
        let reads = |format: &&Format| {
            let made = convert(plugin, [&(format.make)(3)[..]]);
            made.failure.is_none() && made.examples.len() == 3
        };
        Self { plugin, sample, formats: FORMATS.iter().filter(reads).collect(), many }
    }

    /// A source of a format that it reads.
    pub(super) fn made_up(&self, records: usize) -> Option<Vec<u8>> {
        self.formats.first().map(|format| (format.make)(records))
    }

    /// Good sources, small ones first.
    fn sources(&self) -> Vec<Vec<u8>> {
        let made = [1, 2, 20].into_iter().flat_map(|rows| self.formats.iter().map(move |format| (format.make)(rows)));
        made.chain(self.sample.map(<[u8]>::to_vec)).collect()
    }

    /// What the limits are tried with: a source of so many records, or so many bytes of the sample where no format is known.
    pub(super) fn work(&self, plugin: &Plugin, size: usize) -> Result<Vec<u8>> {
        let made = match (self.formats.first(), self.sample) {
            (Some(format), _) => (format.make)(size),
            (None, Some(sample)) => sample[..size.min(sample.len())].to_vec(),
            (None, None) => Vec::new(),
        };
        let converted = run(&mut plugin.open_converter()?, made.chunks(Converter::CHUNK_BYTES));
        match converted.failure {
            Some(error) => Err(error),
            None => Ok(format!("{:?}{:?}", converted.examples, converted.rejected).into_bytes()),
        }
    }

    /// How much [`Subject::work`] is tried with.
    pub(super) fn work_size(&self) -> usize {
        match (self.formats.first(), self.sample) {
            (None, Some(sample)) => sample.len(),
            _ => self.many,
        }
    }

    /// What the limits are counted in.
    pub(super) fn work_unit(&self) -> &'static str {
        if self.formats.is_empty() { "bytes" } else { "records" }
    }
}

fn show(source: &Parts<u8>) -> (String, Value) {
    let chunks: Vec<String> = source.parts().map(bytes::escaped).collect();
    let (count, parts) = (source.items.len(), chunks.len());
    let mut text = format!("{count} {}", if count == 1 { "byte" } else { "bytes" });
    if parts > 1 {
        text.push_str(&format!(" in {parts} chunks"));
    }
    if parts <= 12 {
        for chunk in &chunks {
            let cut = chunk.char_indices().nth(200).map_or(chunk.len(), |(at, _)| at);
            let more = if cut < chunk.len() { "…" } else { "" };
            text.push_str(&format!("\n\"{}{more}\"", &chunk[..cut]));
        }
    }
    (text, json!({ "bytes": count, "chunks": chunks }))
}

/// Tries all laws of converters.
pub(super) fn laws(kit: &mut Kit<'_>, subject: &Subject<'_>) {
    let sources = subject.sources();
    let unread = "none of the made-up sources gives an example of each record: a source of its own comes with `--data`";
    let mut random = Random::new(SEED, 0);
    let whole = |source: &Vec<u8>| Parts::new(source.clone(), Vec::new());
    let plugin = subject.plugin;
    if sources.is_empty() {
        kit.skip(CONVERTER_DETERMINISTIC, unread);
        kit.skip(CHUNKING, unread);
    } else {
        kit.hold(CONVERTER_DETERMINISTIC, sources.iter().map(whole), show, |source| deterministic(plugin, source));
        let cut: Vec<Parts<u8>> = sources.iter().flat_map(|source| cuts(source, &mut random)).collect();
        // One source is cut many ways: what it gives whole is remembered.
        let mut last: Option<(Vec<u8>, Converted)> = None;
        kit.hold(CHUNKING, cut, show, |source| {
            if last.as_ref().is_none_or(|(bytes, _)| *bytes != source.items) {
                last = Some((source.items.clone(), convert(plugin, [source.items.as_slice()])));
            }
            let made = last.as_ref().map(|(_, made)| made).ok_or_else(|| Broke(String::new()))?;
            agree(("in one chunk", made), ("in chunks", &convert(plugin, source.parts())))
        });
    }
    let nothing = [Parts::new(Vec::new(), Vec::new()), Parts::new(Vec::new(), vec![0])];
    kit.hold(NO_SOURCE, nothing, show, |source| {
        // No chunk at all, and chunks without bytes.
        let chunks: Vec<&[u8]> = if source.cuts.is_empty() { Vec::new() } else { source.parts().collect() };
        let made = convert(plugin, chunks);
        match (made.failure, made.examples.len()) {
            (Some(error), _) if !is_tolerable(&error) => Err(error.into()),
            (_, 0) => Ok(()),
            (_, count) => Err(Broke(format!("{count} examples of nothing"))),
        }
    });
    records(kit, subject);
    kit.hold(LINES, sources.iter().map(whole), show, |source| lines(plugin, source));
    let good = subject.sample.map(<[u8]>::to_vec).unwrap_or_else(|| match subject.formats.first() {
        Some(format) => (format.make)(2),
        None => (FORMATS[0].make)(2),
    });
    let mut malformed = hostile::sources(&good, &mut random);
    malformed.sort_by_key(Vec::len);
    kit.hold(MALFORMED, malformed.iter().map(whole), show, |source| {
        let made = convert(plugin, source.items.chunks(Converter::CHUNK_BYTES));
        match made.failure {
            Some(error) if !is_tolerable(&error) => Err(error.into()),
            _ => Ok(()),
        }
    });
}

fn deterministic(plugin: &Plugin, source: &Parts<u8>) -> Kept {
    let chunks = || source.items.chunks(Converter::CHUNK_BYTES);
    let mut converter = plugin.open_converter()?;
    let first = run(&mut converter, chunks());
    agree(("in one instance", &first), ("in another", &convert(plugin, chunks())))?;
    // An instance whose conversion failed is not called again.
    if first.failure.is_none() {
        converter.reopen(plugin)?;
        agree(("at first", &first), ("in a second conversion of one instance", &run(&mut converter, chunks())))?;
    }
    Ok(())
}

/// A source cut in two at every place where it is small, byte by byte, and at random places.
fn cuts(source: &[u8], random: &mut Random) -> Vec<Parts<u8>> {
    let parts = |cuts: Vec<usize>| Parts::new(source.to_vec(), cuts);
    let mut all = Vec::new();
    if source.len() <= CUT_EVERYWHERE {
        all.extend((0..=source.len()).map(|at| parts(vec![at])));
        all.push(parts((0..=source.len()).collect()));
    } else {
        // The head of it, record by record cut or not: any bytes must do.
        let head = &source[..CUT_EVERYWHERE];
        all.extend((0..=head.len()).map(|at| Parts::new(head.to_vec(), vec![at])));
    }
    for count in [1, 2, 5, 30] {
        let cuts = (0..count).map(|_| random.below(source.len() as u64 + 1) as usize).collect();
        all.push(parts(cuts));
    }
    all
}

fn records(kit: &mut Kit<'_>, subject: &Subject<'_>) {
    let [one, many] = [ONE_RECORD, MANY_RECORDS];
    if subject.formats.is_empty() {
        let reason = "none of the made-up sources gives an example of each record";
        kit.skip(one, reason);
        return kit.skip(many, reason);
    }
    let counted = |format: &Format, rows: usize| -> Kept {
        let made = convert(subject.plugin, (format.make)(rows).chunks(Converter::CHUNK_BYTES));
        match (made.failure, made.examples.len()) {
            (Some(error), _) => Err(error.into()),
            (None, found) if found == rows => Ok(()),
            (None, found) => Err(Broke(format!("{found} examples of {rows} records"))),
        }
    };
    let show = |format: &'static str| {
        move |size: usize| {
            let text = format!("{size} records of {format}");
            (text, json!({ "records": size, "format": format }))
        }
    };
    let format = subject.formats[0];
    kit.hold_size(one, 1, show(format.name), |size| counted(format, size));
    kit.hold_size(many, subject.many, show(format.name), |size| counted(format, size));
}

fn lines(plugin: &Plugin, source: &Parts<u8>) -> Kept {
    let made = convert(plugin, [source.items.as_slice()]);
    let ends = |byte: u8| source.items.iter().filter(|&&found| found == byte).count();
    let last = ends(b'\n').max(ends(b'\r')) + 1;
    let mut all = made.examples.iter().map(|example| example.0).chain(made.rejected.iter().map(|rejected| rejected.0));
    match all.find(|&line| line as usize > last) {
        Some(line) => Err(Broke(format!("line {line} of a source of {last}"))),
        None => Ok(()),
    }
}
