//! The journal: one file of JSON lines that several processes append to, in the format of Optuna's `JournalStorage` with its lock file.
//!
//! Whoever appends holds the lock, a link named `JOURNAL.lock`. A process that was killed while it wrote leaves half a line: the next one takes it away.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value as Json, json};
use so8t_base::{Error, Result, files};

use crate::space::{Assignment, Space};

/// A lock whose journal has not changed for so long is that of a process that is gone; as Optuna has it.
const GRACE: Duration = Duration::from_secs(30);

/// What became of a trial; the numbers are Optuna's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs, or is paused.
    Running,
    /// It came to its end.
    Complete,
    /// It was ended early, for others were better.
    Pruned,
    /// It failed.
    Failed,
    /// Somebody asks for it, and nobody has begun.
    Waiting,
}

impl State {
    fn of(number: u64) -> Option<Self> {
        [Self::Running, Self::Complete, Self::Pruned, Self::Failed, Self::Waiting]
            .get(usize::try_from(number).ok()?)
            .copied()
    }

    fn is_finished(self) -> bool {
        matches!(self, Self::Complete | Self::Pruned | Self::Failed)
    }
}

/// Whether the objective is to be small or large; the numbers are Optuna's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Smaller is better.
    Minimise = 1,
    /// Larger is better.
    Maximise = 2,
}

/// One trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Its id in the journal, over all studies.
    pub(crate) id: usize,
    /// Its number in the study, from 0.
    pub number: usize,
    /// What became of it.
    pub state: State,
    /// Its parameters.
    pub parameters: Assignment,
    /// Its value, where it came to its end.
    pub value: Option<f64>,
    /// By how much each constraint is broken; at most 0 where it is kept.
    pub constraints: Vec<f64>,
    /// Values on the way, by rung.
    pub intermediate: BTreeMap<u64, f64>,
    /// What is noted of it.
    pub notes: Map<String, Json>,
    system: Map<String, Json>,
}

/// The note by which a paused trial is known.
pub(crate) const PAUSED: &str = "so8t:paused";
/// The note of who proposed a trial: it can be replayed where this is `so8t`.
pub(crate) const PROPOSED: &str = "so8t:proposed";

impl Trial {
    /// The last value that is known of it.
    pub fn latest(&self) -> Option<f64> {
        self.value.or_else(|| self.intermediate.last_key_value().map(|(_, value)| *value))
    }

    /// Whether it is paused: it has reached a rung, and others were better.
    pub fn is_paused(&self) -> bool {
        self.state == State::Running && self.notes.get(PAUSED) == Some(&Json::Bool(true))
    }

    /// Whether its value and all of `constraints` constraints are known.
    pub(crate) fn is_judged(&self, constraints: usize) -> bool {
        self.state == State::Complete && self.value.is_some() && self.constraints.len() == constraints
    }

    /// Whether every constraint is kept.
    pub fn is_feasible(&self) -> bool {
        self.state == State::Complete
            && self.value.is_some()
            && self.constraints.iter().all(|constraint| *constraint <= 0.0)
    }

    /// The parameters that somebody asked for who put the trial into the queue.
    pub(crate) fn asked(&self, space: &Space) -> Option<Assignment> {
        let fixed = self.system.get("fixed_params")?.as_object()?;
        Some(fixed.iter().map(|(name, value)| (name.clone(), space.spelled(name, value))).collect())
    }
}

/// A study as the journal's lines make it, one after another.
#[derive(Clone, Debug)]
pub(crate) struct Replay {
    name: String,
    space: Space,
    studies: Vec<Option<String>>,
    /// The study of each trial, by the trial's id.
    owners: Vec<usize>,
    pub(crate) study: Option<usize>,
    pub(crate) trials: Vec<Trial>,
    pub(crate) notes: Map<String, Json>,
}

impl Replay {
    pub(crate) fn new(name: &str, space: &Space) -> Self {
        Self {
            name: name.to_owned(),
            space: space.clone(),
            studies: Vec::new(),
            owners: Vec::new(),
            study: None,
            trials: Vec::new(),
            notes: Map::new(),
        }
    }

    /// How many studies the journal knows, deleted ones among them.
    pub(crate) fn count(&self) -> usize {
        self.studies.len()
    }

    /// Takes one line in.
    pub(crate) fn apply(&mut self, line: &Json) -> std::result::Result<(), String> {
        let op = line["op_code"].as_u64().ok_or("it has no `op_code`")?;
        let object = |key: &str| line[key].as_object().cloned().unwrap_or_default();
        match op {
            0 => {
                let name = line["study_name"].as_str().ok_or("it has no `study_name`")?;
                if !self.studies.iter().flatten().any(|known| known == name) {
                    self.studies.push(Some(name.to_owned()));
                    if name == self.name {
                        self.study = Some(self.studies.len() - 1);
                    }
                }
                return Ok(());
            }
            1 => {
                let id = index(line, "study_id")?;
                if let Some(study) = self.studies.get_mut(id) {
                    *study = None;
                }
                if self.study == Some(id) {
                    (self.study, self.notes) = (None, Map::new());
                    self.trials.clear();
                }
                return Ok(());
            }
            2 | 3 => {
                if self.study == Some(index(line, "study_id")?) && op == 2 {
                    self.notes.extend(object("user_attr"));
                }
                return Ok(());
            }
            4 => return self.create(line),
            5..=9 => {}
            10 => return Ok(()),
            other => return Err(format!("it has the unknown `op_code` {other}")),
        }
        let id = index(line, "trial_id")?;
        let Some(trial) = self.trials.iter_mut().find(|trial| trial.id == id) else { return Ok(()) };
        // What has ended is not changed any more.
        if trial.state.is_finished() {
            return Ok(());
        }
        match op {
            5 => {
                let name = line["param_name"].as_str().ok_or("it has no `param_name`")?;
                let internal = line["param_value_internal"].as_f64().ok_or("it has no `param_value_internal`")?;
                if let Some(value) = self.space.external(name, internal) {
                    trial.parameters.insert(name.to_owned(), value);
                }
            }
            6 => {
                let state = line["state"].as_u64().and_then(State::of).ok_or("it has an unknown `state`")?;
                if state == State::Running && trial.state == State::Running {
                    return Ok(());
                }
                trial.state = state;
                if let Some(values) = line["values"].as_array() {
                    trial.value = values.first().and_then(Json::as_f64);
                }
            }
            7 => {
                let step = line["step"].as_u64().ok_or("it has no `step`")?;
                if let Some(value) = line["intermediate_value"].as_f64() {
                    trial.intermediate.insert(step, value);
                }
            }
            8 => trial.notes.extend(object("user_attr")),
            _ => {
                trial.system.extend(object("system_attr"));
                trial.constraints = constraints(&trial.system);
            }
        }
        Ok(())
    }

    fn create(&mut self, line: &Json) -> std::result::Result<(), String> {
        let study = index(line, "study_id")?;
        if self.studies.get(study).is_none_or(Option::is_none) {
            return Ok(());
        }
        let id = self.owners.len();
        self.owners.push(study);
        if self.study != Some(study) {
            return Ok(());
        }
        let state = match line.get("state") {
            None => State::Running,
            Some(state) => state.as_u64().and_then(State::of).ok_or("it has an unknown `state`")?,
        };
        let parameters = line["params"].as_object().into_iter().flatten();
        let parameters = parameters
            .filter_map(|(name, value)| Some((name.clone(), self.space.external(name, value.as_f64()?)?)))
            .collect();
        let intermediate = line["intermediate_values"].as_object().into_iter().flatten();
        let system = line["system_attrs"].as_object().cloned().unwrap_or_default();
        self.trials.push(Trial {
            id,
            number: self.trials.len(),
            state,
            parameters,
            value: line["value"].as_f64().or_else(|| line["values"][0].as_f64()),
            constraints: constraints(&system),
            intermediate: intermediate
                .filter_map(|(step, value)| Some((step.parse().ok()?, value.as_f64()?)))
                .collect(),
            notes: line["user_attrs"].as_object().cloned().unwrap_or_default(),
            system,
        });
        Ok(())
    }
}

fn index(line: &Json, key: &str) -> std::result::Result<usize, String> {
    line[key].as_u64().and_then(|value| usize::try_from(value).ok()).ok_or_else(|| format!("it has no `{key}`"))
}

fn constraints(system: &Map<String, Json>) -> Vec<f64> {
    system.get("constraints").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_f64).collect()
}

/// The file.
#[derive(Clone, Debug)]
pub struct Journal {
    path: PathBuf,
}

impl Journal {
    /// The journal at `path`; it need not exist.
    pub fn new(path: &Path) -> Self {
        Self { path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()) }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its lines. What stands after the last line break is being written, or was left by a process that was killed: it is not there.
    ///
    /// # Errors
    /// A file that cannot be read; a line that is no JSON.
    pub fn lines(&self) -> Result<Vec<Json>> {
        if !self.path.exists() {
            return Ok(Vec::new());
        }
        let bytes = files::read_at_most(&self.path, files::MOST_TEXT)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let text = std::str::from_utf8(&bytes[..whole])
            .map_err(|_| Error::data(format!("`{}`: expected UTF-8", self.path.display())))?;
        let parse = |(index, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|e| {
                Error::data(format!(
                    "`{}`:{}: expected a line of Optuna's journal: {e}",
                    self.path.display(),
                    index + 1
                ))
            })
        };
        text.lines().enumerate().map(parse).collect()
    }

    /// Does something while no other process appends: `work` gets the lines, and returns those to add.
    ///
    /// # Errors
    /// Those of `work`, with which nothing is added; a file that cannot be read or written.
    pub(crate) fn update<T>(&self, work: impl FnOnce(Vec<Json>) -> Result<(T, Vec<Json>)>) -> Result<T> {
        let _lock = Lock::take(&self.path)?;
        let (out, added) = work(self.lines()?)?;
        if added.is_empty() {
            return Ok(out);
        }
        let io = |e: std::io::Error| Error::io("write", &self.path, &e);
        let mut text = String::new();
        for line in &added {
            text.push_str(&line.to_string());
            text.push('\n');
        }
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.path).map_err(io)?;
        let bytes = files::read_at_most(&self.path, files::MOST_TEXT)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if whole < bytes.len() {
            file.set_len(whole as u64).map_err(io)?;
        }
        file.seek(SeekFrom::Start(whole as u64)).map_err(io)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_data()).map_err(io)?;
        Ok(out)
    }
}

/// The lock, for as long as this lives.
struct Lock {
    path: PathBuf,
}

impl Lock {
    fn take(journal: &Path) -> Result<Self> {
        if let Some(folder) = journal.parent() {
            fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, &e))?;
        }
        let mut name = journal.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        // The link must lead somewhere: others look at when that changed.
        OpenOptions::new().append(true).create(true).open(journal).map_err(|e| Error::io("write", journal, &e))?;
        let (mut changed, mut since) = (None, Instant::now());
        let mut pause = Duration::from_millis(1);
        loop {
            match link(journal, &path) {
                Ok(()) => return Ok(Self { path }),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::io("lock", journal, &e)),
            }
            let found = fs::metadata(journal).and_then(|found| found.modified()).ok();
            if found != changed {
                (changed, since) = (found, Instant::now());
            }
            if since.elapsed() > GRACE {
                release(&path);
                since = Instant::now();
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        release(&self.path);
    }
}

/// Removes a lock under another name, so that two who do so do not take away a third one's.
fn release(path: &Path) {
    let aside = files::temporary_beside(path);
    if fs::rename(path, &aside).is_ok() {
        let _ = fs::remove_file(aside);
    }
}

#[cfg(unix)]
fn link(target: &Path, path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn link(_: &Path, path: &Path) -> std::io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path).map(drop)
}

/// Now, as `2025-01-31T08:09:10.123456+00:00`.
pub(crate) fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = ((since.as_secs() / 86_400) as i64, since.as_secs() % 86_400);
    // From days to the civil calendar, counted from March so that a leap day is the last of its year.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}+00:00",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        since.subsec_micros()
    )
}

/// A line.
pub(crate) fn line(op: u8, worker: &str, body: Json) -> Json {
    let mut out = json!({ "op_code": op, "worker_id": worker });
    if let (Some(out), Json::Object(body)) = (out.as_object_mut(), body) {
        out.extend(body);
    }
    out
}
