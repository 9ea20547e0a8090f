//! Validation: which adapter is kept, when training ends early, and that stopping changes neither.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use so8t::kernels::cpu::Cpu;
use so8t::model::network::{NamedTensor, Network};
use so8t::train::{
    Fallback, GuardOutcome, Judgement, Progress, TrainConfig, TrainingSummary, Validated, ValidationConfig, Watcher,
    peft, train_watched,
};
use so8t::{Error, Kind, Result};

use super::running::{base, config, files, losses, samples};

/// Gives the values of a list in turn, and remembers the adapters that it was shown.
struct Judge<'a> {
    values: &'a [f64],
    higher_is_better: bool,
    /// Whether the guard holds, by the number of the validation.
    holds: &'a dyn Fn(usize) -> bool,
    /// The number of the next validation: set by what went before it.
    seen: Vec<(usize, Vec<NamedTensor>)>,
    stop: &'a AtomicBool,
    stop_at: Option<usize>,
    step: usize,
}

impl Watcher<Cpu> for Judge<'_> {
    fn progress(&mut self, progress: &Progress) {
        self.step = progress.step;
    }

    fn validate(&mut self, network: &Network, base: Option<&Validated>) -> Result<Judgement> {
        if self.stop_at == Some(self.step) {
            self.stop.store(true, Ordering::Relaxed);
            return Err(Error::interrupted("stopped while measuring"));
        }
        assert_eq!(base.is_none(), self.step == 0);
        // Every sixth step is validated: the number follows from the step, also in a resumed run.
        let number = self.step / 6;
        self.seen.push((self.step, network.read_pieces()?));
        let holds = self.step == 0 || (self.holds)(number);
        let guard = GuardOutcome { guard: "`g` is small".into(), holds, value: Some(0.5), reason: "it is 0.5".into() };
        let (value, higher_is_better) = (self.values.get(number).copied(), self.higher_is_better);
        Ok(Judgement { value, higher_is_better, guards: vec![guard] })
    }
}

fn validated(patience: usize, fallback: Fallback) -> TrainConfig {
    let validation =
        ValidationConfig { every: 6, patience, fallback, metric: "m.v".into(), ..ValidationConfig::default() };
    TrainConfig { validation: Some(validation), ..config() }
}

struct Ran {
    result: Result<TrainingSummary>,
    seen: Vec<(usize, Vec<NamedTensor>)>,
    /// What the network carries at the end.
    adapter: Vec<NamedTensor>,
}

fn run(
    config: &TrainConfig,
    folder: &Path,
    values: &[f64],
    higher_is_better: bool,
    holds: &dyn Fn(usize) -> bool,
    stop_at: Option<usize>,
) -> Ran {
    let (stop, mut network) = (AtomicBool::new(false), base());
    let mut judge = Judge { values, higher_is_better, holds, seen: Vec::new(), stop: &stop, stop_at, step: 0 };
    if let Some((step, _)) = files(folder, true).states().first() {
        judge.step = *step;
    }
    let result = train_watched(&mut network, &samples(), config, 1, &files(folder, true), &stop, &mut judge);
    Ran { result, seen: judge.seen, adapter: network.read_pieces().unwrap() }
}

fn history(folder: &Path) -> Vec<Validated> {
    let text = std::fs::read_to_string(files(folder, false).validation()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Values, whether larger is better, whether the guard holds, and the step whose adapter is kept.
type Case<'a> = (&'a [f64], bool, &'a dyn Fn(usize) -> bool, usize);

/// Thirty steps, validated at 0, 6, 12, 18, 24 and 30.
#[test]
fn the_best_that_keeps_to_the_guards_is_kept() {
    let always = |_: usize| true;
    let not_second = |number: usize| number != 2;
    let cases: [Case<'_>; 5] = [
        (&[0.9, 0.2, 0.7, 0.5, 0.7, 0.1], true, &always, 12),
        (&[0.1, 0.2, 0.7, 0.5, 0.7, 0.1], false, &always, 30),
        // The highest value breaks the guard, and is never kept.
        (&[0.1, 0.2, 0.9, 0.5, 0.4, 0.3], true, &not_second, 18),
        // A value that is not defined is never the best.
        (&[0.1, 0.2], true, &always, 6),
        (&[0.1, 0.3, 0.3, 0.3, 0.3, 0.3], true, &always, 6),
    ];
    for (values, higher, holds, kept) in cases {
        let folder = tempfile::tempdir().unwrap();
        let Ran { result, seen, adapter } =
            run(&validated(0, Fallback::Fail), folder.path(), values, higher, holds, None);
        let summary = result.unwrap();
        let validation = summary.validation.unwrap();
        assert_eq!((summary.steps, validation.kept_step, validation.validations), (30, kept, 6), "{values:?}");
        assert_eq!((validation.base, validation.kept), (Some(values[0]), values.get(kept / 6).copied()));
        let (_, expected) = seen.iter().find(|(step, _)| *step == kept).unwrap();
        assert!(*expected == adapter, "{values:?}: the network carries another adapter");
        // So does the folder.
        let mut again = base();
        peft::load(&mut again, &files(folder.path(), false).checkpoint()).unwrap();
        assert!(again.read_pieces().unwrap() == adapter);
        let steps: Vec<usize> = history(folder.path()).iter().map(|own| own.step).collect();
        assert_eq!(steps, [0, 6, 12, 18, 24, 30]);
    }
}

#[test]
fn where_none_can_be_kept_the_configuration_decides() {
    let never = |_: usize| false;
    let values = [0.1, 0.9, 0.9, 0.9, 0.9, 0.9];
    let folder = tempfile::tempdir().unwrap();
    let ran = run(&validated(0, Fallback::Fail), folder.path(), &values, true, &never, None);
    let error = ran.result.unwrap_err();
    let text = error.to_string();
    assert_eq!(error.kind(), Kind::Train);
    assert!(text.contains("none of the 5 validated adapters can be kept") && text.contains("`g` is small"), "{text}");
    assert!(error.hint().unwrap().contains("fallback"), "{error:?}");

    let folder = tempfile::tempdir().unwrap();
    let ran = run(&validated(0, Fallback::Base), folder.path(), &values, true, &never, None);
    let validation = ran.result.unwrap().validation.unwrap();
    assert_eq!((validation.kept_step, validation.kept, validation.refused), (0, Some(0.1), 5));
    let (_, fresh) = &ran.seen[0];
    assert!(*fresh == ran.adapter);
    assert!(
        fresh.iter().filter(|(name, ..)| name.ends_with("lora_B.weight")).all(|(.., b)| b.iter().all(|x| *x == 0.0))
    );
}

#[test]
fn patience_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let values = [0.1, 0.5, 0.4, 0.3, 0.9, 0.9];
    let ran = run(&validated(2, Fallback::Fail), folder.path(), &values, true, &|_| true, None);
    let summary = ran.result.unwrap();
    let validation = summary.validation.unwrap();
    assert_eq!((summary.steps, validation.kept_step, validation.ended_early), (18, 6, true));
    // Resumed, it has nothing left to do and says the same.
    let again = run(&validated(2, Fallback::Fail), folder.path(), &values, true, &|_| true, None);
    assert_eq!(again.result.unwrap().validation.unwrap(), validation);
    assert!(again.seen.is_empty() && again.adapter == ran.adapter);
}

#[test]
fn the_history_is_part_of_the_checkpoint() {
    let values = [0.1, 0.2, 0.8, 0.5, 0.7, 0.1];
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = validated(0, Fallback::Fail);
    let expected = run(&config, whole.path(), &values, true, &|_| true, None);
    // Stopped in the middle of validations: before the best one, and after it.
    for stop_at in [6, 18, 30] {
        let error = run(&config, parts.path(), &values, true, &|_| true, Some(stop_at)).result.unwrap_err();
        assert_eq!(error.kind(), Kind::Interrupted);
    }
    let resumed = run(&config, parts.path(), &values, true, &|_| true, None);
    assert_eq!(resumed.seen.len(), 1, "only the validation that was stopped is left");
    let summaries = [expected.result.unwrap(), resumed.result.unwrap()];
    assert_eq!(summaries[0].validation, summaries[1].validation);
    assert_eq!(summaries[0].validation.as_ref().unwrap().kept_step, 12);
    assert!(expected.adapter == resumed.adapter);
    assert_eq!(history(whole.path()), history(parts.path()));
    assert_eq!(losses(whole.path()), losses(parts.path()));
}

#[test]
fn without_anyone_who_measures_it_fails() {
    let folder = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    let config = validated(0, Fallback::Fail);
    let places = files(folder.path(), false);
    let error = so8t::train::train(&mut base(), &samples(), &config, 1, &places, &stop, &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("nobody measures"), "{error}");
}
