//! The file that holds what the accumulators of one part held.
//!
//! It is a line of magic, a header as JSON, the hashes of ids and groups, the states of every metric and source (first over
//! the rows as they are, then resample by resample), and the SHA-256 of all that. Numbers are 64 bits, little-endian; whatever has a
//! length begins with it. A metric that failed has no states: its error stands in the header.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::shard_index::Shard;
use super::survey::Survey;
use super::table::Table;
use so8t_base::{Error, Result, files};

/// The number changes with the form.
const MAGIC: &[u8] = b"so8t evaluation state 2\n";
/// How states of every form begin.
const KIND: [u8; 21] = *b"so8t evaluation state";
/// The length of the digest at the end.
const SEAL: u64 = 32;
/// The most labels of an evaluation: ids are bytes, some of which mean something else.
const MOST_LABELS: usize = 200;

/// A metric as a state file names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricIdentity {
    /// Its name in the manifest.
    pub name: String,
    /// `builtin:NAME`, or a path.
    pub component: String,
    /// The component's SHA-256.
    pub sha256: String,
    /// Its configuration.
    pub config: serde_json::Value,
}

/// What must be the same in all parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Common {
    /// The version of so8t.
    pub so8t: String,
    /// The name of the predictions file.
    pub predictions: String,
    /// Its SHA-256.
    pub sha256: String,
    /// The labels' names, by id.
    pub labels: Vec<String>,
    /// The metrics, in order.
    pub metrics: Vec<MetricIdentity>,
    /// See [`Options::seed`].
    pub seed: u64,
    /// See [`Options::resamples`].
    pub resamples: u32,
    /// See [`Options::min_support`].
    pub min_support: u32,
}

/// What a state file says of its states.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) common: Common,
    pub(super) shard: Shard,
    pub(super) survey: Survey,
    /// The metrics that have states, in their order, as places in [`Common::metrics`].
    pub(super) measured: Vec<usize>,
    /// Those of them that have states of resamples too.
    pub(super) resampled: Vec<usize>,
    /// The error of each other metric, by its name.
    pub(super) failed: Table<String>,
}

/// What writes one state.
pub(super) type WriteState<'w> = dyn FnMut(&[u8]) -> Result<()> + 'w;

/// Writes a state file, all or nothing: `states` writes one after another.
pub(super) fn write_state(
    path: &Path,
    header: Header,
    states: &mut dyn FnMut(&mut WriteState<'_>) -> Result<()>,
) -> Result<()> {
    check_free(path)?;
    let mut failure = None;
    let written = files::write_with(path, |file| {
        let mut out = Sealing { inner: file, hash: Sha256::new() };
        out.write_all(MAGIC)?;
        write_block(&mut out, &serde_json::to_vec(&header)?)?;
        for hashes in [&header.survey.ids, &header.survey.groups] {
            out.write_all(&(hashes.len() as u64).to_le_bytes())?;
            hashes.iter().try_for_each(|hash| out.write_all(&hash.to_le_bytes()))?;
        }
        drop(header);
        let mut write = |state: &[u8]| write_block(&mut out, state).map_err(|e| Error::io("write", path, &e));
        if let Err(error) = states(&mut write) {
            failure = Some(error);
            return Err(io::Error::other("what is measured failed"));
        }
        let seal = out.hash.finalize();
        out.inner.write_all(&seal)
    });
    failure.map_or(written, Err)
}

/// Refuses a path at which something lies that is no state.
fn check_free(path: &Path) -> Result<()> {
    let Ok(found) = std::fs::symlink_metadata(path) else { return Ok(()) };
    let mut first = [0; KIND.len()];
    let mut begins = || File::open(path).and_then(|mut file| file.read_exact(&mut first)).is_ok();
    match found.is_file() && begins() && first == KIND {
        true => Ok(()),
        false => Err(Error::manifest(format!("`{}` is no state of so8t, and would be replaced", path.display()))
            .with_hint("give `--out` another folder, or move it away")),
    }
}

/// A state file that is being read.
pub struct StateFile {
    pub(super) path: PathBuf,
    pub(super) header: Header,
    reader: BufReader<File>,
    /// Where the first state is.
    states_at: u64,
    /// How many bytes of states are not read yet, and how many there are.
    left: u64,
    bytes: u64,
}

/// The most bytes of a header: it holds names, configurations and the rows of each source.
const MOST_HEADER: u64 = 64 << 20;

impl Header {
    /// Holds every number of a header against the others, and against the bytes of states that follow.
    ///
    /// # Errors
    /// What does not fit.
    fn check(&self, bytes: u64) -> Result<(), String> {
        let Self { common, shard, survey, measured, resampled, failed } = self;
        if !Shard::is_sound(shard.index, shard.count) {
            return Err(format!("part {} of {}", shard.index, shard.count));
        }
        let labels = common.labels.len();
        if labels == 0 || labels > MOST_LABELS {
            return Err(format!("{labels} labels: expected 1 to {MOST_LABELS}"));
        }
        let twice = |names: Vec<&String>| {
            let mut seen = BTreeSet::new();
            names.into_iter().find(|name| !seen.insert(*name)).cloned()
        };
        if let Some(name) = twice(common.labels.iter().collect()) {
            return Err(format!("the label `{name}` twice"));
        }
        if let Some(name) = twice(common.metrics.iter().map(|metric| &metric.name).collect()) {
            return Err(format!("the metric `{name}` twice"));
        }
        let rising = |list: &[usize]| list.windows(2).all(|pair| pair[0] < pair[1]);
        let is_metric = |place: &usize| *place < common.metrics.len();
        let of_measured = resampled.iter().all(|place| measured.contains(place));
        if !rising(measured) || !rising(resampled) || !measured.iter().all(is_metric) || !of_measured {
            return Err("states of metrics that it does not name".to_owned());
        }
        for (place, metric) in common.metrics.iter().enumerate() {
            if failed.get(&metric.name).is_some() == measured.contains(&place) {
                return Err(format!("metric `{}`: expected either its states or its error", metric.name));
            }
        }
        if failed.len() != common.metrics.len() - measured.len() {
            return Err("errors of metrics that it does not name".to_owned());
        }
        survey.check_whole(labels)?;
        let passes = measured.len() as u128 + u128::from(common.resamples) * resampled.len() as u128;
        let states = passes * survey.sources.len() as u128;
        // Each state begins with its length.
        match states * 8 > u128::from(bytes) {
            true => Err(format!("{states} states in {bytes} bytes")),
            false => Ok(()),
        }
    }
}

impl StateFile {
    /// Opens a state file and checks that no byte of it has changed.
    ///
    /// # Errors
    /// A file that cannot be read, is no state file, or was cut or changed.
    pub fn open(path: &Path) -> Result<Self> {
        let io = |e: io::Error| Error::io("read", path, &e);
        let fault = |what: &str| {
            Error::data(format!("`{}`: expected a state of `so8t evaluate --shard`, {what}", path.display()))
        };
        let mut file = files::open_plain(path)?;
        let length = file.metadata().map_err(io)?.len();
        let mut magic = vec![0; MAGIC.len()];
        if length < SEAL + MAGIC.len() as u64 || file.read_exact(&mut magic).is_err() || magic != MAGIC {
            return Err(fault("found another file"));
        }
        let mut hash = Sha256::new().chain_update(MAGIC);
        let mut left = length - SEAL - MAGIC.len() as u64;
        let mut buffer = vec![0; 1 << 16];
        while left > 0 {
            let part = &mut buffer[..usize::try_from(left.min(1 << 16)).unwrap_or(1 << 16)];
            file.read_exact(part).map_err(io)?;
            hash.update(&*part);
            left -= part.len() as u64;
        }
        let mut seal = [0; SEAL as usize];
        file.read_exact(&mut seal).map_err(io)?;
        if seal[..] != hash.finalize()[..] {
            return Err(fault("found one that was cut or changed"));
        }
        // The bytes that were hashed are those that are read.
        file.seek(SeekFrom::Start(MAGIC.len() as u64)).map_err(io)?;
        let mut reader = BufReader::new(file);
        let mut left = length - SEAL - MAGIC.len() as u64;
        let short = || fault("found one that ends within its lists");
        let head = read_block(&mut reader, &mut left, MOST_HEADER).map_err(io)?.ok_or_else(short)?;
        let mut header: Header =
            serde_json::from_slice(&head).map_err(|e| fault(&format!("found a header that cannot be read: {e}")))?;
        header.survey.ids = read_hashes(&mut reader, &mut left).map_err(io)?.ok_or_else(short)?;
        header.survey.groups = read_hashes(&mut reader, &mut left).map_err(io)?.ok_or_else(short)?;
        header.check(left).map_err(|what| fault(&format!("found a header that does not fit: {what}")))?;
        let states_at = reader.stream_position().map_err(io)?;
        Ok(Self { path: path.to_owned(), header, reader, states_at, left, bytes: left })
    }

    /// What all parts have in common.
    pub fn common(&self) -> &Common {
        &self.header.common
    }

    /// Which part it is.
    pub fn shard(&self) -> Shard {
        self.header.shard
    }

    /// Checks that it has the states of some metrics, and states of resamples of just those that have any.
    pub(super) fn check_states(&self, metrics: &[usize], resampled: &[usize]) -> Result<()> {
        let Header { common, measured, resampled: own, .. } = &self.header;
        for metric in metrics {
            if !measured.contains(metric) || own.contains(metric) != resampled.contains(metric) {
                return Err(Error::data(format!(
                    "`{}`: the states of metric `{}` are not those that its component writes",
                    self.path.display(),
                    common.metrics.get(*metric).map_or("?", |identity| &identity.name)
                )));
            }
        }
        Ok(())
    }

    /// Goes back to the first state.
    pub(super) fn rewind(&mut self) -> Result<()> {
        let place = SeekFrom::Start(self.states_at);
        self.left = self.bytes;
        self.reader.seek(place).map(|_| ()).map_err(|e| Error::io("read", &self.path, &e))
    }

    /// The next state.
    pub(super) fn state(&mut self) -> Result<Vec<u8>> {
        let block = read_block(&mut self.reader, &mut self.left, u64::MAX);
        block.map_err(|e| Error::io("read", &self.path, &e))?.ok_or_else(|| {
            Error::data(format!(
                "`{}`: expected a state of `so8t evaluate --shard`, found one that ends within its states",
                self.path.display()
            ))
        })
    }
}

/// Hashes what is written.
struct Sealing<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn write_block(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(&(bytes.len() as u64).to_le_bytes())?;
    out.write_all(bytes)
}

fn read_length(reader: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    reader.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// A length, and how many bytes are `left` after it; `None` where it promises more of so many bytes each than there are, or than `most`.
fn read_count(reader: &mut impl Read, left: &mut u64, each: u64, most: u64) -> io::Result<Option<u64>> {
    let Some(rest) = left.checked_sub(8) else { return Ok(None) };
    let count = read_length(reader)?;
    let Some(bytes) = count.checked_mul(each).filter(|bytes| *bytes <= rest.min(most)) else { return Ok(None) };
    *left = rest - bytes;
    Ok(Some(count))
}

/// A block of at most `most` bytes; `None` where its length is beyond that, or beyond the bytes that are `left`.
fn read_block(reader: &mut impl Read, left: &mut u64, most: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(length) = read_count(reader, left, 1, most)? else { return Ok(None) };
    let mut bytes = Vec::new();
    match reader.take(length).read_to_end(&mut bytes)? as u64 == length {
        true => Ok(Some(bytes)),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn read_hashes(reader: &mut impl Read, left: &mut u64) -> io::Result<Option<Vec<u64>>> {
    let Some(count) = read_count(reader, left, 8, u64::MAX)? else { return Ok(None) };
    (0..count).map(|_| read_length(reader)).collect::<io::Result<_>>().map(Some)
}
