//! Converters at work ahead of the mapper: files are read and converted in threads of their own, and what comes of them is given in
//! the order of the files and their lines, as one thread would give it.

use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use crate::Result;
use crate::data::{ConvertedBatch, Texts, input};
use crate::manifest::SourcePlan;
use crate::pipeline::plugins::{Saying, holding_back};
use crate::plugin::{Converter, Plugin};

/// How many pieces of a file may wait for the mapper: they bound the memory.
const AHEAD: usize = 4;

/// What a converter made of some bytes of a file.
pub(in crate::pipeline) struct Piece {
    /// How many bytes.
    pub(in crate::pipeline) bytes: u64,
    /// The examples, each with the name of its file, or why there are none; then nothing follows.
    pub(in crate::pipeline) batch: Result<ConvertedBatch>,
    /// What the converter said meanwhile.
    pub(in crate::pipeline) said: Vec<Saying>,
    /// The columns of the file in which there were bytes that are no text, at its end.
    pub(in crate::pipeline) binary: Vec<String>,
}

/// Converts the files of a source, several at a time, and hands the pieces over in order, each with the index of its file.
///
/// # Errors
/// What `take` says.
pub(in crate::pipeline) fn convert(
    source: &SourcePlan,
    converter: &Plugin,
    mut take: impl FnMut(usize, Piece) -> Result<()>,
) -> Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(source.files.len());
    let (senders, receivers): (Vec<_>, Vec<_>) = source.files.iter().map(|_| sync_channel(AHEAD)).unzip();
    let waiting = Mutex::new(source.files.iter().zip(senders));
    // Files are taken in order, so that the one which is waited for is always in work.
    let work = || {
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
        while let Some((path, sender)) = next() {
            if send_file(path, source, converter, &sender).is_err() {
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        (0..threads).for_each(|_| drop(scope.spawn(work)));
        // Where `take` fails, the receivers end, and with them the threads.
        let mut files = receivers.into_iter().enumerate();
        files.try_for_each(|(file, pieces)| pieces.into_iter().try_for_each(|piece| take(file, piece)))
    })
}

/// The pieces of one file, sent; an error where nobody takes them any more.
fn send_file(path: &Path, source: &SourcePlan, plugin: &Plugin, sender: &SyncSender<Piece>) -> Result<(), ()> {
    let mut converter = None;
    let mut input = None;
    let mut chunk = vec![0; Converter::CHUNK_BYTES];
    loop {
        let (mut bytes, mut binary) = (0, Vec::new());
        let (batch, said) = holding_back(|| {
            let (mut guest, mut file) = match (converter.take(), input.take()) {
                (Some(guest), Some(file)) => (guest, file),
                _ => (plugin.open_converter()?, input::open_described(path, &source.input)?),
            };
            bytes = fill(&mut file.reader, &mut chunk).map_err(|e| input::failed(path, e))?;
            let batch = match bytes {
                0 => {
                    binary = file.binary.names();
                    guest.finish()
                }
                _ => {
                    let batch = guest.push(&chunk[..bytes]);
                    (converter, input) = (Some(guest), Some(file));
                    batch
                }
            };
            let mut batch = batch.map_err(|e| e.context(path.display()))?;
            batch.examples.extra_json = with_file(&batch.examples.extra_json, batch.lines.len(), path);
            Ok(batch)
        });
        let ends = bytes == 0 || batch.is_err();
        sender.send(Piece { bytes: bytes as u64, batch, said, binary }).map_err(drop)?;
        if ends {
            return Ok(());
        }
    }
}

/// Reads until `chunk` is full or the file ends: what is unpacked comes in small pieces.
fn fill(file: &mut impl Read, chunk: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < chunk.len() {
        match file.read(&mut chunk[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The field `file`, the name (its stem) of the file, before the other fields of every record, so that mappers can tell the files
/// of a source apart; a record's own `file` overrides it.
fn with_file(records: &Texts, rows: usize, path: &Path) -> Texts {
    let file = serde_json::Value::from(path.file_stem().unwrap_or_default().to_string_lossy());
    let start = format!("{{\"file\":{file}");
    let mut out = Texts {
        bytes: Vec::with_capacity(records.bytes.len() + rows * (start.len() + 1)),
        offsets: Vec::with_capacity(rows + 1),
    };
    out.offsets.push(0);
    let records = records.rows_of_text();
    for row in 0..rows {
        out.bytes.extend_from_slice(start.as_bytes());
        match records.get(row).map(str::trim) {
            Some(record) if record.len() > 2 => {
                out.bytes.push(b',');
                out.bytes.extend_from_slice(&record.as_bytes()[1..]);
            }
            _ => out.bytes.push(b'}'),
        }
        out.offsets.push(out.bytes.len() as u32);
    }
    out
}
