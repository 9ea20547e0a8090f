//! Asynchronous successive halving (L. Li et al., "A System for Massively Parallel Hyperparameter Tuning", 2020): a trial that reaches a rung goes on only where it is
//! among the best that have reached it.

use crate::journal::Trial;

/// Whether the trial `number` goes on from the rung `rung`, given all that have reached it, itself among them: it is in the best part of 1/`eta`, rounded
/// up, of them. Of equals the earlier is the better, so that a plateau is not followed by all.
pub fn goes_on(trials: &[Trial], number: usize, rung: u64, eta: f64, maximise: bool) -> bool {
    let at = |trial: &Trial| trial.intermediate.get(&rung).copied();
    let Some(own) = trials.iter().find(|trial| trial.number == number).and_then(at) else { return true };
    let reached: Vec<(usize, f64)> = trials.iter().filter_map(|trial| Some((trial.number, at(trial)?))).collect();
    let is_better = |&&(other, value): &&(usize, f64)| match maximise {
        _ if value == own => other < number,
        true => value > own,
        false => value < own,
    };
    let better = reached.iter().filter(is_better).count();
    (better as f64) < (reached.len() as f64 / eta).ceil()
}

/// The paused trial that may go on now, the one at the highest rung and there the best: `None` where all must wait.
pub fn promotable(trials: &[Trial], eta: f64, maximise: bool) -> Option<usize> {
    let mut waiting: Vec<(&Trial, u64, f64)> = trials
        .iter()
        .filter(|trial| trial.is_paused())
        .filter_map(|trial| trial.intermediate.last_key_value().map(|(rung, value)| (trial, *rung, *value)))
        .filter(|(trial, rung, _)| goes_on(trials, trial.number, *rung, eta, maximise))
        .collect();
    let sign = if maximise { 1.0 } else { -1.0 };
    waiting.sort_by(|a, b| b.1.cmp(&a.1).then((sign * b.2).total_cmp(&(sign * a.2))).then(a.0.number.cmp(&b.0.number)));
    waiting.first().map(|(trial, _, _)| trial.number)
}
