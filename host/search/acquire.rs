//! What is worth trying next: the point with the largest expected improvement that is likely to keep to the constraints, both as logarithms.

use crate::design::{self, uniform};
use crate::gaussian::Process;
use crate::normal::{ln_cdf, ln_improvement};
use crate::space::Space;

/// Points that are looked at before the best of them are improved.
const SPREAD: usize = 600;
/// How many of them are improved.
const CLIMBERS: usize = 5;

/// By how many standard deviations a constraint must be kept to be as likely as not: a search for something safe does not walk along the edge.
const CAUTION: f64 = 1.0;

/// What is known: processes of the objective (larger is better) and of each constraint (at most 0 is kept), in their own units.
pub(crate) struct Known {
    /// The process, and the best value so far in its units; absent where nothing that keeps to the constraints is known.
    pub(crate) objective: Option<(Process, f64)>,
    /// Each process, and the bound in its units.
    pub(crate) constraints: Vec<(Process, f64)>,
}

impl Known {
    /// The logarithm of (expected improvement × probability that every constraint is kept).
    fn worth(&self, point: &[f64]) -> f64 {
        let mut out = 0.0;
        if let Some((process, best)) = &self.objective {
            let (mean, deviation) = process.predict(point);
            out += libm::log(deviation) + ln_improvement((mean - best) / deviation);
        }
        for (process, bound) in &self.constraints {
            let (mean, deviation) = process.predict(point);
            out += ln_cdf((bound - mean) / deviation - CAUTION);
        }
        out
    }
}

/// The best points, best first; `around` are points near which it is likely to be good.
pub(crate) fn best(space: &Space, known: &Known, around: &[Vec<f64>], seed: u64) -> Vec<Vec<f64>> {
    let d = space.len();
    let mut state = seed;
    let offset = (uniform(&mut state) * 1e6) as usize;
    let mut candidates: Vec<Vec<f64>> =
        (0..SPREAD).map(|index| space.snapped(&design::point(seed, offset + index, d))).collect();
    for centre in around {
        for index in 0..40 {
            // From steps of a quarter of the range down to a thousandth.
            let width = libm::pow(10.0, -0.6 - 2.4 * f64::from(index) / 40.0);
            let moved: Vec<f64> = (0..d)
                .map(|k| {
                    let (own, other) = (uniform(&mut state), uniform(&mut state));
                    match () {
                        () if centre[k].is_nan() || (space.is_choice(k) && other < 0.2) => own,
                        () if space.is_choice(k) || other < 0.2 => centre[k],
                        () => (centre[k] + width * (own * 2.0 - 1.0)).clamp(0.0, 1.0),
                    }
                })
                .collect();
            candidates.push(space.snapped(&moved));
        }
    }
    let mut ranked: Vec<(f64, Vec<f64>)> = candidates.into_iter().map(|point| (known.worth(&point), point)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let climbed: Vec<(f64, Vec<f64>)> =
        ranked.iter().take(CLIMBERS).map(|(worth, point)| climb(space, known, point.clone(), *worth)).collect();
    ranked.extend(climbed);
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    ranked.into_iter().map(|(_, point)| point).collect()
}

/// Improves a point one parameter at a time, with steps that become smaller.
fn climb(space: &Space, known: &Known, mut point: Vec<f64>, mut worth: f64) -> (f64, Vec<f64>) {
    let d = space.len();
    let mut step = 0.1;
    while step > 1e-5 {
        let mut moved = false;
        for k in 0..d {
            if point[k].is_nan() {
                continue;
            }
            let tries: Vec<f64> = match space.values(k) {
                Some(count) if space.is_choice(k) => match step > 0.02 {
                    true => (0..count).map(|index| (index as f64 + 0.5) / count as f64).collect(),
                    false => continue,
                },
                Some(count) => {
                    let step = f64::max(step, 1.0 / count as f64);
                    vec![point[k] - step, point[k] + step]
                }
                None => vec![point[k] - step, point[k] + step],
            };
            for place in tries {
                let mut other = point.clone();
                other[k] = place.clamp(0.0, 1.0);
                let other = space.snapped(&other);
                let own = known.worth(&other);
                if own > worth {
                    (worth, point, moved) = (own, other, true);
                }
            }
        }
        if !moved {
            step *= 0.4;
        }
    }
    (worth, point)
}
