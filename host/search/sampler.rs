//! Which trial comes next: known-good points, then points that fill the space, then what a Gaussian process expects most of.
//!
//! A proposal is a function of the seed, of the number of the trial, and of what the journal held when it was made: it can be replayed.

use so8t_base::split_mix::mix;

use crate::acquire::{self, Known};
use crate::design;
use crate::gaussian::Process;
use crate::journal::{State, Trial};
use crate::space::{Assignment, Space};

/// How proposals are made.
#[derive(Clone, Debug)]
pub struct Sampler {
    /// What is searched.
    pub space: Space,
    /// The seed of everything that is drawn.
    pub seed: u64,
    /// Points that are tried first.
    pub known_good: Vec<Assignment>,
    /// How many trials there are, known-good ones among them, before a process is asked.
    pub startup: usize,
    /// How many constraints there are.
    pub constraints: usize,
    /// Whether a larger value is better.
    pub maximise: bool,
}

/// The most trials that a process is fitted to: the best and the newest of more.
const MOST: usize = 200;
/// How many points are drawn before it is believed that the space holds no other.
const DRAWS: usize = 200;

/// The next assignment, after these trials; `None` where the space holds no other.
pub fn propose(sampler: &Sampler, trials: &[Trial]) -> Option<Assignment> {
    let space = &sampler.space;
    let taken: Vec<Vec<f64>> = trials.iter().filter_map(|trial| space.encode(&trial.parameters).ok()).collect();
    let is_new = |point: &[f64]| !taken.iter().any(|other| same(other, point));
    if let Some(start) = sampler.known_good.iter().find(|start| space.encode(start).is_ok_and(|point| is_new(&point))) {
        return Some(start.clone());
    }
    let filling = |from: usize| {
        let mut points =
            (from..from + DRAWS).map(|index| space.snapped(&design::point(sampler.seed, index, space.len())));
        points.find(|point| is_new(point)).map(|point| space.decode(&point))
    };
    let judged: Vec<&Trial> = trials.iter().filter(|trial| trial.is_judged(sampler.constraints)).collect();
    if trials.len() < sampler.startup || judged.len() < 3 {
        return filling(trials.len());
    }
    let seed = mix(sampler.seed ^ mix(trials.len() as u64 + 1));
    match believed(sampler, trials).map(|(known, around)| acquire::best(space, &known, &around, seed)) {
        Some(points) => points
            .into_iter()
            .find(|point| is_new(point))
            .map(|point| space.decode(&point))
            .or_else(|| filling(trials.len())),
        None => filling(trials.len()),
    }
}

/// How much each parameter matters by the lengths over which the objective changes: shares that add up to 1, largest first.
pub(crate) fn importance(sampler: &Sampler, trials: &[Trial]) -> Vec<(String, f64)> {
    let Some((Known { objective: Some((process, _)), .. }, _)) = believed(sampler, trials) else { return Vec::new() };
    let names = sampler.space.parameters().iter().map(|own| own.name.clone());
    let mut all: Vec<(String, f64)> = names.zip(process.shares()).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all
}

fn same(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(x, y)| (x.is_nan() && y.is_nan()) || (x - y).abs() < 1e-9)
}

/// What is known of a trial: its point, its value, what became of the constraints; a paused one has a value alone, one that still runs neither.
struct Seen {
    point: Vec<f64>,
    value: Option<f64>,
    constraints: Option<Vec<f64>>,
}

impl Seen {
    fn is_feasible(&self) -> bool {
        self.value.is_some()
            && self.constraints.as_ref().is_some_and(|all| all.iter().all(|constraint| *constraint <= 0.0))
    }
}

/// The processes of what was seen, and the points around which to look.
fn believed(sampler: &Sampler, trials: &[Trial]) -> Option<(Known, Vec<Vec<f64>>)> {
    let sign = if sampler.maximise { 1.0 } else { -1.0 };
    let space = &sampler.space;
    let mut seen: Vec<Seen> = trials
        .iter()
        .filter(|trial| trial.state != State::Failed)
        .filter_map(|trial| {
            let constraints = (trial.constraints.len() == sampler.constraints).then(|| trial.constraints.clone());
            Some(Seen {
                point: space.encode(&trial.parameters).ok()?,
                value: trial.latest().map(|value| sign * value),
                constraints,
            })
        })
        .collect();
    if seen.len() > MOST {
        seen.sort_by(|a, b| {
            b.is_feasible()
                .cmp(&a.is_feasible())
                .then(b.value.partial_cmp(&a.value).unwrap_or(std::cmp::Ordering::Equal))
        });
        seen.truncate(MOST);
    }
    let points: Vec<Vec<f64>> = seen.iter().map(|own| own.point.clone()).collect();
    let (mut values, _, _) = completed(space, &points, &seen.iter().map(|own| own.value).collect::<Vec<_>>())?;
    // What is hopeless shall not stretch the scale on which the good differ.
    values.iter_mut().for_each(|value| *value = if *value < -2.0 { -2.0 - libm::log1p(-2.0 - *value) } else { *value });
    let constraints = (0..sampler.constraints)
        .map(|index| {
            let raw: Vec<Option<f64>> = seen.iter().map(|own| own.constraints.as_ref().map(|all| all[index])).collect();
            let (scaled, mean, deviation) = completed(space, &points, &raw)?;
            Some((Process::fit(space, &points, &scaled)?, -mean / deviation))
        })
        .collect::<Option<Vec<_>>>()?;
    let mut order: Vec<usize> = (0..seen.len()).filter(|index| seen[*index].value.is_some()).collect();
    order.sort_by(|a, b| seen[*b].is_feasible().cmp(&seen[*a].is_feasible()).then(values[*b].total_cmp(&values[*a])));
    let around: Vec<Vec<f64>> = order.iter().take(3).map(|index| points[*index].clone()).collect();
    let best = order.first().filter(|index| seen[**index].is_feasible()).map(|index| values[*index]);
    let objective = match best {
        Some(best) => Some((Process::fit(space, &points, &values)?, best)),
        None => None,
    };
    Some((Known { objective, constraints }, around))
}

/// Values as [`standardised`] makes them. One that lacks is taken to come out as it is expected to, so that two workers do not try the same.
fn completed(space: &Space, points: &[Vec<f64>], values: &[Option<f64>]) -> Option<(Vec<f64>, f64, f64)> {
    let known: Vec<f64> = values.iter().copied().flatten().collect();
    let (mut scaled, mean, deviation) = standardised(&known);
    if known.len() < values.len() {
        let with: Vec<Vec<f64>> =
            points.iter().zip(values).filter(|(_, value)| value.is_some()).map(|(point, _)| point.clone()).collect();
        let process = Process::fit(space, &with, &scaled)?;
        let mut known = scaled.into_iter();
        let fill = |(point, value): (&Vec<f64>, &Option<f64>)| match value {
            Some(_) => known.next(),
            None => Some(process.predict(point).0),
        };
        scaled = points.iter().zip(values).map(fill).collect::<Option<_>>()?;
    }
    Some((scaled, mean, deviation))
}

/// Values with mean 0 and variance 1, and what they were.
fn standardised(values: &[f64]) -> (Vec<f64>, f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / n;
    let deviation = libm::sqrt(variance).max(1e-12);
    (values.iter().map(|value| (value - mean) / deviation).collect(), mean, deviation)
}
