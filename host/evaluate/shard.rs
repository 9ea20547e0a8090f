//! Evaluation in parts: each process measures some of the rows and writes what its accumulators hold; the states join into the
//! values that one process over all rows would have given, to the last bit.
//!
//! A state file is a line of magic, a header as JSON, the hashes of ids and groups, the states of every metric and source (first over
//! the rows as they are, then resample by resample), and the SHA-256 of all that. Numbers are 64 bits, little-endian; whatever has a
//! length begins with it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::drive::{Driver, Options};
use super::measure::Metric;
use super::measured::Measured;
use super::pass::BySource;
use super::source::RowSource;
use super::survey::Survey;
use crate::data::LabelSet;
use crate::{Error, Result, files};

const MAGIC: &[u8] = b"so8t evaluation state 1\n";
/// The length of the digest at the end.
const SEAL: u64 = 32;

/// One of several equal parts of the rows, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shard {
    /// From 1 to `count`.
    pub index: u64,
    /// How many parts there are.
    pub count: u64,
}

impl Shard {
    /// Which of so many rows are in this part. The parts of all indices are all rows, each once.
    ///
    /// ```
    /// use so8t::evaluate::Shard;
    /// let of_seven = (1..=7).map(|index| Shard { index, count: 7 }.range(10));
    /// assert_eq!(of_seven.collect::<Vec<_>>(), [0..1, 1..2, 2..4, 4..5, 5..7, 7..8, 8..10]);
    /// ```
    pub fn range(self, rows: u64) -> Range<u64> {
        let border = |index: u64| (u128::from(rows) * u128::from(index) / u128::from(self.count)) as u64;
        border(self.index - 1)..border(self.index)
    }
}

impl FromStr for Shard {
    type Err = String;

    /// `3/7`, counted from 1.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match parsed {
            Some((index, count)) if 1 <= index && index <= count => Ok(Self { index, count }),
            _ => Err("expected I/N with I from 1 to N, for example `3/7`".to_owned()),
        }
    }
}

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

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Header {
    common: Common,
    shard: Shard,
    survey: Survey,
}

/// Measures one part of the rows and writes its state file, all or nothing. `common` says what it is part of; it agrees with
/// the other arguments.
///
/// # Errors
/// As [`super::measure`], but that a part may have any number of rows; a metric that wants groups, whose numbers would not be
/// the same in all parts.
pub fn measure_shard(
    metrics: &[&dyn Metric],
    labels: &LabelSet,
    source: &dyn RowSource,
    options: &Options,
    common: &Common,
    shard: Shard,
    path: &Path,
) -> Result<()> {
    let driver = Driver::new(metrics, labels, options)?;
    if let Some(place) = driver.feed.wants.iter().position(|wants| wants.groups) {
        let text = format!("metric `{}` wants groups: it cannot be measured in shards", metrics[place].name());
        return Err(Error::manifest(text).with_hint("leave `--shard` out"));
    }
    let range = shard.range(source.rows()?);
    let states = |_: usize, accumulators: BySource<'_>| -> Result<Vec<Vec<u8>>> {
        accumulators.into_values().map(|mut accumulator| accumulator.state()).collect()
    };
    let (survey, bases, bytes) = driver.base(source, range.clone(), &states)?;
    let mut failure = None;
    let written = files::write_with(path, |file| {
        let mut out = Sealing { inner: file, hash: Sha256::new() };
        out.write_all(MAGIC)?;
        let header = Header { common: common.clone(), shard, survey };
        write_block(&mut out, &serde_json::to_vec(&header)?)?;
        for hashes in [&header.survey.ids, &header.survey.groups] {
            out.write_all(&(hashes.len() as u64).to_le_bytes())?;
            hashes.iter().try_for_each(|hash| out.write_all(&hash.to_le_bytes()))?;
        }
        drop(header);
        bases.iter().flatten().try_for_each(|state| write_block(&mut out, state))?;
        let mut take = |resample: Vec<Vec<Vec<u8>>>| {
            let write = |state: &Vec<u8>| write_block(&mut out, state).map_err(|e| Error::io("write", path, &e));
            resample.iter().flatten().try_for_each(write)
        };
        if let Err(error) = driver.resamples(source, range, bytes, &states, &mut take) {
            failure = Some(error);
            return Err(io::Error::other("a resample failed"));
        }
        let seal = out.hash.finalize();
        out.inner.write_all(&seal)
    });
    failure.map_or(written, Err)
}

/// A state file that is being read.
pub struct StateFile {
    path: PathBuf,
    header: Header,
    reader: BufReader<File>,
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
        let mut file = File::open(path).map_err(io)?;
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
        let mut reader = BufReader::new(File::open(path).map_err(io)?);
        reader.read_exact(&mut magic).map_err(io)?;
        let mut header: Header = serde_json::from_slice(&read_block(&mut reader).map_err(io)?)
            .map_err(|e| fault(&format!("found a header that cannot be read: {e}")))?;
        header.survey.ids = read_hashes(&mut reader).map_err(io)?;
        header.survey.groups = read_hashes(&mut reader).map_err(io)?;
        Ok(Self { path: path.to_owned(), header, reader })
    }

    /// What all parts have in common.
    pub fn common(&self) -> &Common {
        &self.header.common
    }

    /// Which part it is.
    pub fn shard(&self) -> Shard {
        self.header.shard
    }

    fn state(&mut self) -> Result<Vec<u8>> {
        read_block(&mut self.reader).map_err(|e| Error::io("read", &self.path, &e))
    }
}

/// Checks that the files are the parts of one evaluation, each once, and puts them in order.
pub fn order_states(mut states: Vec<StateFile>) -> Result<Vec<StateFile>> {
    states.sort_by_key(StateFile::shard);
    let Some(first) = states.first() else {
        return Err(Error::manifest("expected at least one state file"));
    };
    for other in &states[1..] {
        let (ours, theirs) = (serde_json::to_value(first.common()), serde_json::to_value(other.common()));
        let (Ok(ours), Ok(theirs)) = (ours, theirs) else { continue };
        if let Some(key) = ours.as_object().and_then(|ours| ours.keys().find(|key| ours[*key] != theirs[*key])) {
            return Err(Error::data(format!(
                "`{}` and `{}` are not parts of one evaluation: `{key}` is `{}` in one and `{}` in the other",
                first.path.display(),
                other.path.display(),
                ours[key],
                theirs[key]
            )));
        }
    }
    let count = first.shard().count;
    let found: Vec<String> =
        states.iter().map(|state| format!("{}/{}", state.shard().index, state.shard().count)).collect();
    let expected: Vec<String> = (1..=count).map(|index| format!("{index}/{count}")).collect();
    if found != expected {
        let text = format!("expected every shard of {count} once, found `{}`", found.join("`, `"));
        return Err(Error::data(text));
    }
    Ok(states)
}

/// Joins the parts of one evaluation, as [`order_states`] gives them, into what [`super::measure`] gives over all rows.
/// The metrics must be those that the states name.
///
/// # Errors
/// As [`super::measure`]; ids that are not distinct. Ids are compared by their 64-bit hashes here.
pub fn merge_states(metrics: &[&dyn Metric], labels: &LabelSet, states: &mut [StateFile]) -> Result<Measured> {
    let Some(Common { seed, resamples, min_support, .. }) = states.first().map(|state| state.common().clone()) else {
        return Err(Error::manifest("expected at least one state file"));
    };
    let options = Options { seed, resamples, min_support, ..Options::default() };
    let driver = Driver::new(metrics, labels, &options)?;
    let mut survey = Survey::default();
    for state in states.iter_mut() {
        let own = &mut state.header.survey;
        let (ids, groups) = (std::mem::take(&mut own.ids), std::mem::take(&mut own.groups));
        let mut joined = own.clone();
        (joined.ids, joined.groups) = (ids, groups);
        survey.join(joined);
    }
    survey.settle();
    let doubtful = survey.doubtful_ids().len();
    if doubtful > 0 {
        return Err(Error::data(format!(
            "expected distinct row ids, found {doubtful} that stand twice, in different shards"
        ))
        .with_hint("`so8t evaluate` without `--shard` names the first of them"));
    }
    survey.forget_hashes();
    survey.check()?;

    let mut pass = |metric: usize| {
        let mut accumulators: BySource<'_> = BTreeMap::new();
        for file in states.iter_mut() {
            let sources: Vec<String> = file.header.survey.sources.keys().cloned().collect();
            for source in sources {
                let state = file.state()?;
                if !accumulators.contains_key(&source) {
                    accumulators.insert(source.clone(), metrics[metric].open()?);
                }
                let Some(accumulator) = accumulators.get_mut(&source) else { continue };
                accumulator.merge(&state).map_err(|e| e.context(format!("`{}`", file.path.display())))?;
            }
        }
        driver.values(metric, accumulators)
    };
    let bases = (0..metrics.len()).map(&mut pass).collect::<Result<Vec<_>>>()?;
    let mut replicates = Vec::new();
    if survey.several_clusters {
        for _ in 0..resamples {
            replicates.push(driver.resampled().into_iter().map(&mut pass).collect::<Result<Vec<_>>>()?);
        }
    }
    Ok(driver.assemble(&survey, &bases, &replicates))
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

/// A block whose length is in the file: no more is set aside for it than the file holds.
fn read_block(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let length = read_length(reader)?;
    let mut bytes = Vec::new();
    match reader.take(length).read_to_end(&mut bytes)? as u64 == length {
        true => Ok(bytes),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn read_hashes(reader: &mut impl Read) -> io::Result<Vec<u64>> {
    let count = read_length(reader)?;
    (0..count).map(|_| read_length(reader)).collect()
}
