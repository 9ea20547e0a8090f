//! Checkpoints: how many are kept, and what happens where one is damaged.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use so8t::kernels::cpu::Cpu;
use so8t::train::{Progress, TrainConfig, TrainFiles, TrainingSummary, Watcher, peft, train_watched};
use so8t::{Kind, Result};

use super::running::{base, config, files, losses, samples};

/// Stops after a number of steps, and remembers warnings.
struct Stopping<'a> {
    stop: &'a AtomicBool,
    after: usize,
    warnings: Vec<String>,
}

impl Watcher<Cpu> for Stopping<'_> {
    fn progress(&mut self, progress: &Progress) {
        if progress.step == self.after {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    fn warn(&mut self, text: &str) {
        self.warnings.push(text.to_owned());
    }
}

fn run(config: &TrainConfig, files: &TrainFiles, after: usize) -> (Result<TrainingSummary>, Vec<String>) {
    let stop = AtomicBool::new(false);
    let mut watcher = Stopping { stop: &stop, after, warnings: Vec::new() };
    let result = train_watched(&mut base(), &samples(), config, 1, files, &stop, &mut watcher);
    (result, watcher.warnings)
}

fn steps(files: &TrainFiles) -> Vec<usize> {
    files.states().into_iter().map(|(step, _)| step).collect()
}

fn adapter(files: &TrainFiles) -> Vec<u8> {
    std::fs::read(files.checkpoint().join(peft::TENSORS)).unwrap()
}

/// Puts another byte into a file.
fn damage(path: &Path, at: impl Fn(usize) -> usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn the_newest_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let places = files(folder.path(), false);
    let every = TrainConfig { checkpoint_steps: 3, keep_checkpoints: 3, ..config() };
    let (result, _) = run(&every, &places, 14);
    assert_eq!(result.unwrap_err().kind(), Kind::Interrupted);
    assert_eq!(steps(&places), [14, 12, 9]);
    // By time alone: here after every step.
    let folder = tempfile::tempdir().unwrap();
    let places = files(folder.path(), false);
    let timed = TrainConfig { checkpoint_steps: 0, checkpoint_minutes: 1e-9, keep_checkpoints: 2, ..config() };
    run(&timed, &places, 5).0.unwrap_err();
    assert_eq!(steps(&places), [5, 4]);
    let folder = tempfile::tempdir().unwrap();
    let places = files(folder.path(), false);
    let never = TrainConfig { checkpoint_steps: 0, checkpoint_minutes: 0.0, ..config() };
    run(&never, &places, 5).0.unwrap_err();
    assert_eq!(steps(&places), [5], "only where it stopped");
}

#[test]
fn a_damaged_one_falls_back_to_the_one_before() {
    let whole = tempfile::tempdir().unwrap();
    run(&config(), &files(whole.path(), false), 0).0.unwrap();
    let middle: fn(usize) -> usize = |len| len / 2;
    let head: fn(usize) -> usize = |_| 40;
    let last: fn(usize) -> usize = |len| len - 1;
    for at in [middle, head, last] {
        let folder = tempfile::tempdir().unwrap();
        let places = files(folder.path(), true);
        let every = TrainConfig { checkpoint_steps: 3, keep_checkpoints: 3, ..config() };
        run(&every, &places, 11).0.unwrap_err();
        assert_eq!(steps(&places), [11, 9, 6]);
        damage(&places.state(11), at);
        let (result, warnings) = run(&every, &places, 0);
        result.unwrap();
        let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
        assert!(warning.contains("state-00000011.safetensors`: not a whole checkpoint"), "{warning}");
        assert_eq!(losses(folder.path()), losses(whole.path()));
        assert_eq!(adapter(&places), adapter(&files(whole.path(), false)));
    }
}

#[test]
fn where_all_are_damaged_the_run_does_not_silently_begin_anew() {
    let folder = tempfile::tempdir().unwrap();
    let places = files(folder.path(), true);
    run(&config(), &places, 6).0.unwrap_err();
    let all = places.states();
    assert_eq!(all.len(), 2);
    all.iter().for_each(|(_, path)| damage(path, |len| len / 2));
    let (result, warnings) = run(&config(), &places, 0);
    assert!(result.unwrap_err().to_string().contains("not a whole checkpoint"));
    assert_eq!(warnings.len(), 2);
}

#[test]
fn the_log_holds_every_step_once() {
    let whole = tempfile::tempdir().unwrap();
    run(&config(), &files(whole.path(), false), 0).0.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let places = files(folder.path(), true);
    run(&config(), &places, 10).0.unwrap_err();
    let text = std::fs::read_to_string(places.log()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    // The last lines did not reach the disk, and one is torn: the checkpoint of step 10 cannot be used.
    std::fs::write(places.log(), format!("{}\n{}", lines[..9].join("\n"), &lines[9][..12])).unwrap();
    let (result, warnings) = run(&config(), &places, 0);
    result.unwrap();
    assert!(warnings.len() == 1 && warnings[0].contains("lacks steps after 9"), "{warnings:?}");
    assert_eq!(losses(folder.path()), losses(whole.path()));
    assert_eq!(adapter(&places), adapter(&files(whole.path(), false)));
}

#[test]
fn what_a_killed_process_left_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let places = files(folder.path(), true);
    run(&config(), &places, 5).0.unwrap_err();
    let left = [
        places.checkpoint().join("state-00000008.safetensors.0123456789abcdef.tmp"),
        folder.path().join("training.jsonl.fedcba9876543210.tmp"),
    ];
    left.iter().for_each(|path| std::fs::write(path, "half").unwrap());
    run(&config(), &places, 7).0.unwrap_err();
    assert!(left.iter().all(|path| !path.exists()));
}
