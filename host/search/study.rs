//! A search that several processes share: which trial is next, what became of it, which is the best.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json, json};
use so8t_base::{Error, Result, files};

use crate::halving::promotable;
use crate::journal::{Direction, Journal, PAUSED, PROPOSED, Replay, State, Trial, line, now};
use crate::lease::{self, Lease};
use crate::sampler::{self, Sampler, propose};
use crate::space::Assignment;

/// The note with what a study searches.
const SEARCHED: &str = "so8t:search";
/// The note with the seconds that a trial took.
const SECONDS: &str = "so8t:seconds";

/// What a study is.
#[derive(Clone, Debug)]
pub struct StudySettings {
    /// Its name in the journal.
    pub name: String,
    /// How proposals are made.
    pub sampler: Sampler,
    /// How many trials there shall be, those that failed among them.
    pub trials: usize,
    /// No trial is begun any more once all took so many seconds together.
    pub seconds: f64,
    /// The best part of 1/`eta` goes on at each rung.
    pub eta: f64,
    /// Whatever else decides what a trial gives: a journal of another search is refused.
    pub fixed: Json,
}

/// A search that several processes share.
#[derive(Clone, Debug)]
pub struct Study {
    settings: StudySettings,
    journal: Journal,
    leases: PathBuf,
    worker: String,
}

/// What a worker does next.
#[derive(Debug)]
pub(crate) enum Next {
    /// This trial, from its beginning or from where it stopped.
    Trial(Box<Trial>, Lease),
    /// Nothing for now: others are at work, and what they find may let a paused one go on.
    Wait,
    /// Nothing any more.
    Done,
}

impl Study {
    /// Opens the study in `folder`: `journal.log`, and `leases`. It is made where it lacks.
    ///
    /// # Errors
    /// A journal that cannot be read, or that is of another search.
    pub fn open(folder: &Path, settings: StudySettings) -> Result<Self> {
        let journal = Journal::new(&folder.join("journal.log"));
        let leases = folder.join("leases");
        std::fs::create_dir_all(&leases).map_err(|e| Error::io("create", &leases, &e))?;
        let worker = files::sha256(files::temporary_beside(folder).as_os_str().as_encoded_bytes())[..32].to_owned();
        let study = Self { settings, journal, leases, worker };
        let searched = study.searched();
        study.journal.update(|lines| {
            let replay = study.replayed(&lines)?;
            match replay.notes.get(SEARCHED) {
                Some(found) if *found == searched => Ok(((), Vec::new())),
                Some(_) => Err(Error::manifest(format!(
                    "`{}` is the journal of another search: space, seed, objective or constraints differ",
                    study.journal.path().display()
                ))
                .with_hint("give this search another folder with `--out`, or put back what was changed")),
                None if replay.study.is_some() && !replay.trials.is_empty() => Err(Error::manifest(format!(
                    "`{}` holds a study `{}` that so8t did not begin",
                    study.journal.path().display(),
                    study.settings.name
                ))),
                None => {
                    let direction =
                        if study.settings.sampler.maximise { Direction::Maximise } else { Direction::Minimise };
                    let mut added = Vec::new();
                    if replay.study.is_none() {
                        added.push(line(
                            0,
                            &study.worker,
                            json!({ "study_name": study.settings.name, "directions": [direction as u8] }),
                        ));
                    }
                    let id = replay.study.unwrap_or_else(|| replay.count());
                    added.push(line(2, &study.worker, json!({ "study_id": id, "user_attr": { SEARCHED: searched } })));
                    // What Optuna's own pages show the constraints by.
                    Ok(((), added))
                }
            }
        })?;
        Ok(study)
    }

    /// What decides what a trial is and gives, so that journals of two searches are not mixed.
    fn searched(&self) -> Json {
        let own = &self.settings.sampler;
        let space: Map<String, Json> = own
            .space
            .parameters()
            .iter()
            .map(|parameter| {
                let form = own.space.distribution(&parameter.name).unwrap_or_default();
                let when = parameter.when.as_ref().map(|(name, values)| json!({ name.as_str(): values }));
                (parameter.name.clone(), json!({ "domain": form, "when": when }))
            })
            .collect();
        json!({
            "space": space, "seed": own.seed, "startup": own.startup, "known_good": own.known_good, "constraints": own.constraints,
            "maximise": own.maximise, "eta": self.settings.eta, "fixed": self.settings.fixed,
        })
    }

    fn replayed(&self, lines: &[Json]) -> Result<Replay> {
        let mut replay = Replay::new(&self.settings.name, &self.settings.sampler.space);
        for (index, line) in lines.iter().enumerate() {
            replay
                .apply(line)
                .map_err(|what| Error::data(format!("`{}`:{}: {what}", self.journal.path().display(), index + 1)))?;
        }
        Ok(replay)
    }

    /// What this study is.
    pub fn settings(&self) -> &StudySettings {
        &self.settings
    }

    /// The journal's file.
    pub fn journal(&self) -> &Path {
        self.journal.path()
    }

    /// Every trial, in order.
    ///
    /// # Errors
    /// A journal that cannot be read.
    pub fn trials(&self) -> Result<Vec<Trial>> {
        Ok(self.replayed(&self.journal.lines()?)?.trials)
    }

    /// The best trial that keeps to every constraint; the first of equal ones.
    ///
    /// # Errors
    /// A journal that cannot be read.
    pub fn best(&self) -> Result<Option<Trial>> {
        let sign = if self.settings.sampler.maximise { 1.0 } else { -1.0 };
        let mut best: Option<Trial> = None;
        for trial in self.trials()?.into_iter().filter(Trial::is_feasible) {
            let value = |trial: &Trial| sign * trial.value.unwrap_or(f64::NEG_INFINITY);
            if best.as_ref().is_none_or(|best| value(&trial) > value(best)) {
                best = Some(trial);
            }
        }
        Ok(best)
    }

    /// How much each parameter matters: shares that add up to 1, largest first; empty while too little is known.
    ///
    /// # Errors
    /// A journal that cannot be read.
    pub fn importance(&self) -> Result<Vec<(String, f64)>> {
        Ok(sampler::importance(&self.settings.sampler, &self.trials()?))
    }

    /// Makes every proposal of this study again from the seed and from what the journal held then. Returns how many there were.
    ///
    /// # Errors
    /// The first proposal that comes out otherwise.
    pub fn replay(&self) -> Result<usize> {
        let mut replay = Replay::new(&self.settings.name, &self.settings.sampler.space);
        let mut checked = 0;
        for (index, line) in self.journal.lines()?.iter().enumerate() {
            let before = replay.trials.len();
            let proposed = (line["op_code"] == 4 && line["user_attrs"][PROPOSED] == true)
                .then(|| propose(&self.settings.sampler, &replay.trials));
            replay
                .apply(line)
                .map_err(|what| Error::data(format!("`{}`:{}: {what}", self.journal.path().display(), index + 1)))?;
            let (Some(proposed), Some(trial)) = (proposed, replay.trials.get(before)) else { continue };
            if proposed.as_ref() != Some(&trial.parameters) {
                let shown = |own: Option<&Assignment>| json!(own).to_string();
                return Err(Error::data(format!(
                    "trial {} is not what the seed and the journal propose: expected {}, found {}",
                    trial.number,
                    shown(proposed.as_ref()),
                    shown(Some(&trial.parameters))
                )));
            }
            checked += 1;
        }
        Ok(checked)
    }

    /// What to do next. A trial whose worker is gone comes first, then a paused one that may go on, then what another program asks for, then a new one.
    pub(crate) fn next(&self) -> Result<Next> {
        self.journal.update(|lines| {
            let replay = self.replayed(&lines)?;
            let study = replay.study.ok_or_else(|| Error::data(format!("`{}`: the study was deleted", self.journal.path().display())))?;
            let trials = &replay.trials;
            let own = |trial: &&Trial| trial.state == State::Running && trial.notes.contains_key(PROPOSED);
            let lost = trials.iter().filter(own).find(|trial| !trial.is_paused() && lease::is_free(&self.leases, trial.number));
            if let Some(trial) = lost {
                return Ok((self.begin(trial)?, Vec::new()));
            }
            if let Some(number) = promotable(trials, self.settings.eta, self.settings.sampler.maximise) {
                let trial = &trials[number];
                let unpaused = line(8, &self.worker, json!({ "trial_id": trial.id, "user_attr": { PAUSED: false } }));
                return Ok((self.begin(trial)?, vec![unpaused]));
            }
            if let Some((trial, parameters)) = self.asked(trials) {
                let mut added = vec![line(6, &self.worker, json!({ "trial_id": trial.id, "state": 0, "values": null, "datetime_start": now() }))];
                for (name, value) in &parameters {
                    let space = &self.settings.sampler.space;
                    let (internal, distribution) = (space.internal(name, value), space.distribution(name));
                    added.push(line(5, &self.worker, json!({ "trial_id": trial.id, "param_name": name, "param_value_internal": internal, "distribution": distribution })));
                }
                added.push(line(8, &self.worker, json!({ "trial_id": trial.id, "user_attr": { PROPOSED: false } })));
                let mut trial = trial.clone();
                trial.parameters = parameters;
                return Ok((self.begin(&trial)?, added));
            }
            let is_left = trials.len() < self.settings.trials && seconds(trials) < self.settings.seconds;
            if is_left && let Some(parameters) = propose(&self.settings.sampler, trials) {
                let created = self.created(study, &parameters);
                let mut replay = replay.clone();
                replay.apply(&created).map_err(Error::internal)?;
                let trial = replay.trials.last().ok_or_else(|| Error::internal("a trial was made and is not there"))?;
                return Ok((self.begin(trial)?, vec![created]));
            }
            let others = trials.iter().filter(own).any(|trial| !trial.is_paused());
            Ok((if others { Next::Wait } else { Next::Done }, Vec::new()))
        })
    }

    fn begin(&self, trial: &Trial) -> Result<Next> {
        Ok(Next::Trial(Box::new(trial.clone()), Lease::take(&self.leases, trial.number)?))
    }

    /// A trial that another program put into the queue, where it says every parameter and the space holds it.
    fn asked<'t>(&self, trials: &'t [Trial]) -> Option<(&'t Trial, Assignment)> {
        let space = &self.settings.sampler.space;
        let waiting = trials.iter().filter(|trial| trial.state == State::Waiting);
        waiting
            .filter_map(|trial| Some((trial, trial.asked(space)?)))
            .find(|(_, parameters)| space.encode(parameters).is_ok())
    }

    fn created(&self, study: usize, parameters: &Assignment) -> Json {
        let space = &self.settings.sampler.space;
        let internal: Map<String, Json> =
            parameters.iter().map(|(name, value)| (name.clone(), json!(space.internal(name, value)))).collect();
        let distributions: Map<String, Json> =
            parameters.keys().map(|name| (name.clone(), json!(space.distribution(name)))).collect();
        line(
            4,
            &self.worker,
            json!({
                "study_id": study, "state": 0, "value": null, "values": null, "datetime_start": now(), "distributions": distributions, "params": internal,
                "user_attrs": { PROPOSED: true }, "system_attrs": {}, "intermediate_values": {},
            }),
        )
    }

    /// Notes the value of a trial at a rung. Returns whether it goes on; where it does not, it is paused.
    pub(crate) fn report(&self, trial: &Trial, rung: u64, value: f64) -> Result<bool> {
        self.journal.update(|lines| {
            let mut replay = self.replayed(&lines)?;
            let reported =
                line(7, &self.worker, json!({ "trial_id": trial.id, "step": rung, "intermediate_value": value }));
            replay.apply(&reported).map_err(Error::internal)?;
            let goes_on = crate::halving::goes_on(
                &replay.trials,
                trial.number,
                rung,
                self.settings.eta,
                self.settings.sampler.maximise,
            );
            let mut added = vec![reported];
            if !goes_on {
                added.push(line(8, &self.worker, json!({ "trial_id": trial.id, "user_attr": { PAUSED: true } })));
            }
            Ok((goes_on, added))
        })
    }

    /// Notes what a trial came to.
    pub(crate) fn finish(
        &self,
        trial: &Trial,
        state: State,
        value: Option<f64>,
        constraints: &[f64],
        notes: &Map<String, Json>,
    ) -> Result<()> {
        let code = match state {
            State::Complete => 1,
            State::Pruned => 2,
            State::Failed => 3,
            State::Running | State::Waiting => return Err(Error::internal("a trial cannot end so")),
        };
        self.journal.update(|_| {
            // Optuna reads one attribute a line.
            let note = |(name, value): (&String, &Json)| {
                line(8, &self.worker, json!({ "trial_id": trial.id, "user_attr": { name: value } }))
            };
            let mut added: Vec<Json> = notes.iter().map(note).collect();
            if !constraints.is_empty() {
                added.push(line(
                    9,
                    &self.worker,
                    json!({ "trial_id": trial.id, "system_attr": { "constraints": constraints } }),
                ));
            }
            let values = value.map(|value| vec![value]);
            added.push(line(
                6,
                &self.worker,
                json!({ "trial_id": trial.id, "state": code, "values": values, "datetime_complete": now() }),
            ));
            Ok(((), added))
        })
    }

    /// Adds to the seconds that a trial has taken.
    pub(crate) fn spent(&self, trial: &Trial, seconds: f64) -> Result<()> {
        self.journal.update(|lines| {
            let replay = self.replayed(&lines)?;
            let before =
                replay.trials.get(trial.number).and_then(|trial| trial.notes.get(SECONDS)?.as_f64()).unwrap_or(0.0);
            Ok((
                (),
                vec![line(
                    8,
                    &self.worker,
                    json!({ "trial_id": trial.id, "user_attr": { SECONDS: before + seconds } }),
                )],
            ))
        })
    }

    /// Ends what is still paused when nothing else is left to do.
    pub(crate) fn prune_paused(&self) -> Result<()> {
        self.journal.update(|lines| {
            let replay = self.replayed(&lines)?;
            let paused = replay.trials.iter().filter(|trial| trial.is_paused());
            let ended = paused.map(|trial| {
                line(
                    6,
                    &self.worker,
                    json!({ "trial_id": trial.id, "state": 2, "values": null, "datetime_complete": now() }),
                )
            });
            Ok(((), ended.collect()))
        })
    }
}

/// The seconds that all trials took together.
fn seconds(trials: &[Trial]) -> f64 {
    trials.iter().filter_map(|trial| trial.notes.get(SECONDS)?.as_f64()).sum()
}
