//! Workers: several at once, killed, paused, resumed.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::Map;
use so8t_base::{Error, Result};
use so8t_search::{Decision, Objective, Outcome, Reporter, State, Study, Trial, work};

use crate::proposals::{floats, settings};

/// A curve that rises to `x`; it reports at three rungs, and goes on from the rung where it was paused.
struct Curve {
    /// Where each trial stands: the checkpoints.
    reached: BTreeMap<usize, u64>,
    begun: Vec<usize>,
}

impl Objective for Curve {
    fn run(&mut self, trial: &Trial, reporter: &Reporter<'_>) -> Result<Outcome> {
        self.begun.push(trial.number);
        let x = trial.parameters["x"].as_f64().expect("x");
        let from = self.reached.get(&trial.number).copied().unwrap_or(0);
        for rung in from + 1..=3 {
            self.reached.insert(trial.number, rung);
            if reporter.report(rung, -x * rung as f64)? == Decision::Pause {
                return Ok(Outcome::Paused);
            }
        }
        Ok(Outcome::Done { value: Some(-4.0 * x), constraints: vec![], notes: Map::new() })
    }
}

#[test]
fn a_trial_pauses_at_a_rung_and_goes_on_where_it_stood() {
    let folder = tempfile::tempdir().expect("a folder");
    // Drawn at random: where each proposal is better than all before it, each is right to go on.
    let mut settings = settings(floats(&[("x", 0.0, 1.0)]), 1, 20, 0);
    settings.sampler.startup = 20;
    let study = Study::open(folder.path(), settings).expect("a study");
    let mut curve = Curve { reached: BTreeMap::new(), begun: Vec::new() };
    assert!(work(&study, &mut curve, &AtomicBool::new(false)).expect("works").done);
    let trials = study.trials().expect("read");
    assert_eq!(trials.len(), 20);
    assert!(trials.iter().all(|trial| matches!(trial.state, State::Complete | State::Pruned)));
    let complete = trials.iter().filter(|trial| trial.state == State::Complete).count();
    assert!((1..=10).contains(&complete), "{complete} of 20 came to their end");
    let most = |trials: &[Trial], state: State| {
        trials
            .iter()
            .filter(|trial| trial.state == state)
            .filter_map(|trial| trial.parameters["x"].as_f64())
            .fold(0.0, f64::max)
    };
    assert!(most(&trials, State::Complete) >= most(&trials, State::Pruned), "the best one was not ended early");
    // Whoever was begun twice went on: no rung was reported twice.
    for trial in &trials {
        let rungs: Vec<u64> = trial.intermediate.keys().copied().collect();
        assert_eq!(rungs, (1..=curve.reached[&trial.number]).collect::<Vec<_>>());
    }
    assert_eq!(study.replay().expect("as proposed"), 20);
}

/// Fails with an interruption at its third trial.
struct Interrupted(usize);

impl Objective for Interrupted {
    fn run(&mut self, trial: &Trial, _: &Reporter<'_>) -> Result<Outcome> {
        self.0 += 1;
        match self.0 {
            3 => Err(Error::interrupted("stopped")),
            _ => Ok(Outcome::Done { value: trial.parameters["x"].as_f64(), constraints: vec![], notes: Map::new() }),
        }
    }
}

#[test]
fn an_interrupted_trial_is_taken_up_again_and_none_runs_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let study = Study::open(folder.path(), settings(floats(&[("x", 0.0, 1.0)]), 1, 6, 0)).expect("a study");
    let ended = work(&study, &mut Interrupted(0), &AtomicBool::new(false)).expect("interrupted");
    assert!(!ended.done && ended.worked == 3);
    let again = Study::open(folder.path(), settings(floats(&[("x", 0.0, 1.0)]), 1, 6, 0)).expect("the study");
    let ended = work(&again, &mut Interrupted(10), &AtomicBool::new(false)).expect("works");
    assert!(ended.done);
    assert_eq!(ended.worked, 4, "the third again, and three new ones");
    assert!(again.trials().expect("read").iter().all(|trial| trial.state == State::Complete));
}

#[test]
fn a_trial_that_fails_is_noted_and_is_not_tried_again() {
    struct Failing;
    impl Objective for Failing {
        fn run(&mut self, trial: &Trial, _: &Reporter<'_>) -> Result<Outcome> {
            Ok(match trial.number {
                0 => Outcome::Failed("no memory".to_owned()),
                1 => Outcome::Done { value: None, constraints: vec![], notes: Map::new() },
                2 => Outcome::Done { value: Some(f64::NAN), constraints: vec![], notes: Map::new() },
                _ => Outcome::Done { value: Some(1.0), constraints: vec![], notes: Map::new() },
            })
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let study = Study::open(folder.path(), settings(floats(&[("x", 0.0, 1.0)]), 1, 12, 0)).expect("a study");
    assert_eq!(work(&study, &mut Failing, &AtomicBool::new(false)).expect("works").worked, 12);
    let trials = study.trials().expect("read");
    assert!(trials[..3].iter().all(|trial| trial.state == State::Failed && trial.value.is_none()));
    assert_eq!(trials[0].notes["so8t:error"], "no memory");
    assert_eq!(study.best().expect("read").expect("a trial").number, 3);
}

/// Appends what it does to a file of its own, so that it can be seen after it was killed.
struct Slow<'a> {
    log: &'a std::path::Path,
    pause: Duration,
}

impl Objective for Slow<'_> {
    fn run(&mut self, trial: &Trial, _: &Reporter<'_>) -> Result<Outcome> {
        use std::io::Write as _;
        let mut file = fs::OpenOptions::new().append(true).create(true).open(self.log).expect("a log");
        writeln!(file, "begin {}", trial.number).expect("written");
        std::thread::sleep(self.pause);
        writeln!(file, "end {}", trial.number).expect("written");
        Ok(Outcome::Done { value: trial.parameters["x"].as_f64(), constraints: vec![], notes: Map::new() })
    }
}

const FOLDER: &str = "SO8T_SEARCH_TEST_FOLDER";

/// The worker that the next test starts and kills; nothing where it is run by hand.
#[test]
#[ignore = "a part of the next test"]
fn worker() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = std::path::PathBuf::from(folder);
    let study = Study::open(&folder, settings(floats(&[("x", 0.0, 1.0)]), 4, 24, 0)).expect("a study");
    let log = folder.join(format!("log-{}", std::process::id()));
    work(&study, &mut Slow { log: &log, pause: Duration::from_millis(30) }, &AtomicBool::new(false)).expect("works");
}

#[test]
fn two_workers_share_a_search_and_a_killed_one_loses_its_trial_to_the_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = || {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--ignored", "--exact", "working::worker", "--nocapture"]).env(FOLDER, folder.path());
        command.stdout(std::process::Stdio::null()).spawn().expect("a worker")
    };
    let (mut first, mut second) = (start(), start());
    // Killed while it works on a trial: after it has begun its second one.
    let log = folder.path().join(format!("log-{}", first.id()));
    while fs::read_to_string(&log).unwrap_or_default().matches("begin").count() < 2 {
        assert!(first.try_wait().expect("a state").is_none() || log.exists(), "the worker ended without a trial");
        std::thread::sleep(Duration::from_millis(2));
    }
    first.kill().expect("killed");
    first.wait().expect("ended");
    assert!(second.wait().expect("ended").success());
    let study = Study::open(folder.path(), settings(floats(&[("x", 0.0, 1.0)]), 4, 24, 0)).expect("the study");
    let trials = study.trials().expect("read");
    assert_eq!(trials.len(), 24);
    assert!(trials.iter().all(|trial| trial.state == State::Complete), "{trials:?}");
    let mut ended = BTreeMap::<String, usize>::new();
    for entry in fs::read_dir(folder.path()).expect("a folder").flatten() {
        if entry.file_name().to_string_lossy().starts_with("log-") {
            for line in fs::read_to_string(entry.path()).expect("a log").lines().filter(|line| line.starts_with("end"))
            {
                *ended.entry(line.to_owned()).or_default() += 1;
            }
        }
    }
    // The killed one may have ended its trial without having noted it: that one alone may have been run to its end twice.
    assert!(ended.values().filter(|count| **count > 1).count() <= 1, "{ended:?}");
    assert_eq!(ended.len(), 24);
    assert_eq!(study.replay().expect("as proposed"), 24);
}
