//! A run that is under way, in MLflow while it works.
//!
//! The run itself knows nothing of it: it writes its log, which is the spool, and another process reads that and sends it. A server that is dead costs the run
//! nothing, and what was not sent is read again from the log when the server is back.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};
use so8t_base::{Result, files};

use crate::finished::{SEAL, Step};
use crate::mlflow::{BATCH, DIGEST_TAG, FOLLOWED_TAG, Mlflow, step_metrics, tag, validation_metrics};

/// How far a run has been sent.
#[derive(Debug, Default)]
pub struct Following {
    folder: PathBuf,
    name: String,
    run_id: Option<String>,
    experiment: Option<String>,
    /// The last step and the last validation that the server has.
    steps: u64,
    validations: usize,
}

impl Following {
    /// A run's folder; nothing of it is sent yet.
    pub fn new(folder: &Path, name: &str) -> Self {
        Self { folder: folder.to_owned(), name: name.to_owned(), ..Self::default() }
    }

    /// Sends what the logs hold and the server does not have. Returns how many values were sent.
    ///
    /// # Errors
    /// A server that cannot be reached or refuses; the same is sent again the next time.
    pub fn send(&mut self, mlflow: &Mlflow) -> Result<usize> {
        let now = now();
        let steps = whole_lines::<Step>(&self.folder.join("training.jsonl"));
        let validations = whole_lines::<Json>(&self.folder.join("validation.jsonl"));
        // A log that became shorter is that of a run which began anew: steps that were sent have been taken back.
        let last = steps.last().map_or(0, |step| step.step);
        let begun_anew = last < self.steps || validations.len() < self.validations;
        if begun_anew {
            self.end(mlflow, "KILLED")?;
        }
        let fresh: Vec<&Step> = steps.iter().filter(|step| step.step > self.steps).collect();
        let unseen = validations.get(self.validations..).unwrap_or_default();
        if fresh.is_empty() && unseen.is_empty() {
            return Ok(0);
        }
        let id = self.begin(mlflow)?;
        let mut values: Vec<Json> = fresh.iter().flat_map(|step| step_metrics(step, now)).collect();
        values.extend(unseen.iter().flat_map(|validated| validation_metrics(validated, now)));
        for chunk in values.chunks(BATCH) {
            mlflow.call("runs/log-batch", &json!({ "run_id": id, "metrics": chunk }))?;
        }
        self.steps = last;
        self.validations = validations.len();
        Ok(values.len())
    }

    /// The run's id on the server; the run is made there where it lacks.
    fn begin(&mut self, mlflow: &Mlflow) -> Result<String> {
        if let Some(id) = &self.run_id {
            return Ok(id.clone());
        }
        let experiment = match &self.experiment {
            Some(experiment) => experiment.clone(),
            None => mlflow.experiment_id()?,
        };
        self.experiment = Some(experiment.clone());
        let created = mlflow.call(
            "runs/create",
            &json!({
                "experiment_id": experiment, "run_name": self.name, "start_time": now(),
                "tags": [tag(FOLLOWED_TAG, &key(&self.folder)), tag("mlflow.source.name", "so8t")],
            }),
        )?;
        let id = created["run"]["info"]["run_id"].as_str().unwrap_or_default().to_owned();
        self.run_id = Some(id.clone());
        Ok(id)
    }

    /// Ends what is followed: the finished run, sent whole, stands in its place.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn end(&mut self, mlflow: &Mlflow, status: &str) -> Result<()> {
        if let Some(id) = self.run_id.clone() {
            match status {
                // Its values are those of the run that was sent whole.
                "REPLACED" => mlflow.call("runs/delete", &json!({ "run_id": id }))?,
                _ => mlflow.call("runs/update", &json!({ "run_id": id, "status": status, "end_time": now() }))?,
            };
        }
        *self = Self::new(&self.folder, &self.name);
        Ok(())
    }
}

/// Follows a run until its folder is sealed, or until `is_alive` says that nobody writes there any more. Failures are not told: they are made good at the next
/// turn. Returns whether the run was sealed.
pub fn follow(following: &mut Following, mlflow: &Mlflow, pause: Duration, is_alive: impl Fn() -> bool) -> bool {
    loop {
        // Asked first, so that what a run wrote in its last moment is still read.
        let alive = is_alive();
        let _ = following.send(mlflow);
        if following.folder.join(SEAL).is_file() && !alive {
            return true;
        }
        if !alive {
            return false;
        }
        std::thread::sleep(pause);
    }
}

/// What a folder is known by while it is followed.
fn key(folder: &Path) -> String {
    let path = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    files::sha256(path.as_os_str().as_encoded_bytes())
}

impl Mlflow {
    /// Takes away what followers of this folder left behind, where the finished run is there. Returns how many.
    ///
    /// # Errors
    /// A server that cannot be reached or refuses.
    pub fn clear_followed(&self, folder: &Path) -> Result<usize> {
        let experiment = self.experiment_id()?;
        let mut cleared = 0;
        for found in self.search(&experiment, FOLLOWED_TAG, &key(folder))? {
            let has_digest = found["data"]["tags"].as_array().into_iter().flatten().any(|tag| tag["key"] == DIGEST_TAG);
            if let (Some(id), false) = (found["info"]["run_id"].as_str(), has_digest) {
                self.call("runs/delete", &json!({ "run_id": id }))?;
                cleared += 1;
            }
        }
        Ok(cleared)
    }
}

/// The lines of a log that is being written: what comes after the last line break is not there yet.
fn whole_lines<T: for<'de> serde::Deserialize<'de>>(path: &Path) -> Vec<T> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map_while(|line| serde_json::from_str(line).ok()).collect()
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
