//! The sampler on functions whose best value is known: a line of JSON for each function and seed, with the regret after every trial.
//!
//!     cargo run --release -p so8t-search --example bench -- SEEDS TRIALS

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde_json::{Map, json};
use so8t_base::Result;
use so8t_search::{
    Assignment, Domain, Objective, Outcome, Parameter, Reporter, Sampler, Space, Study, StudySettings, Trial, propose,
    work,
};

type Function = fn(&Assignment) -> (f64, Vec<f64>);

struct Problem {
    name: &'static str,
    space: Space,
    function: Function,
    constraints: usize,
    best: f64,
}

fn x(own: &Assignment, name: &str) -> f64 {
    own[name].as_f64().expect("a number")
}

fn branin_of(x: f64, y: f64) -> f64 {
    let pi = std::f64::consts::PI;
    let inner = y - 5.1 / (4.0 * pi * pi) * x * x + 5.0 / pi * x - 6.0;
    inner * inner + 10.0 * (1.0 - 1.0 / (8.0 * pi)) * x.cos() + 10.0
}

fn hartmann_of(x: &[f64]) -> f64 {
    const ALPHA: [f64; 4] = [1.0, 1.2, 3.0, 3.2];
    const A: [[f64; 6]; 4] = [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ];
    const P: [[f64; 6]; 4] = [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ];
    -(0..4).map(|i| ALPHA[i] * (-(0..6).map(|j| A[i][j] * (x[j] - P[i][j]).powi(2)).sum::<f64>()).exp()).sum::<f64>()
}

fn problems() -> Vec<Problem> {
    let float = |name: &str, low: f64, high: f64, log: bool| Parameter {
        name: name.to_owned(),
        domain: Domain::Float { low, high, log },
        when: None,
    };
    let plane = || vec![float("x", -5.0, 10.0, false), float("y", 0.0, 15.0, false)];
    let cube: Vec<Parameter> = (0..6).map(|index| float(&format!("x{index}"), 0.0, 1.0, false)).collect();
    // The shape of a fine-tuning: a learning rate by its logarithm, a rank, a kind, and a dropout that one kind alone has.
    let mut dropout = float("dropout", 0.0, 0.5, false);
    dropout.when = Some(("kind".to_owned(), vec![json!("b"), json!("c")]));
    let tuning = vec![
        float("rate", 1e-5, 1e-1, true),
        Parameter { name: "rank".to_owned(), domain: Domain::Integer { low: 1, high: 64, log: true }, when: None },
        Parameter {
            name: "kind".to_owned(),
            domain: Domain::Choice(vec![json!("a"), json!("b"), json!("c")]),
            when: None,
        },
        dropout,
    ];
    let space = |parameters: Vec<Parameter>| Space::new(parameters).expect("a space");
    vec![
        Problem {
            name: "branin",
            space: space(plane()),
            function: |own| (branin_of(x(own, "x"), x(own, "y")), vec![]),
            constraints: 0,
            best: 0.397_887_357_729_738_1,
        },
        Problem {
            name: "hartmann6",
            space: space(cube),
            function: |own| {
                (hartmann_of(&(0..6).map(|index| x(own, &format!("x{index}"))).collect::<Vec<_>>()), vec![])
            },
            constraints: 0,
            best: -3.322_368_011_415_515,
        },
        Problem {
            name: "tuning",
            space: space(tuning),
            function: |own| (tuning_of(own), vec![]),
            constraints: 0,
            best: 0.0,
        },
        Problem {
            // The disc around (2.5, 7.5) holds one of Branin's three least points, (π, 2.275), and not the others.
            name: "branin in a disc",
            space: space(plane()),
            function: |own| {
                let (x, y) = (x(own, "x"), x(own, "y"));
                (branin_of(x, y), vec![(x - 2.5).powi(2) + (y - 7.5).powi(2) - 30.0])
            },
            constraints: 1,
            best: 0.397_887_357_729_738_1,
        },
    ]
}

/// Least, 0, for kind `b` at rate 1e-3, rank 16 (which is on the grid) and dropout 0.1.
fn tuning_of(own: &Assignment) -> f64 {
    let rate = (x(own, "rate").log10() + 3.0).powi(2);
    let rank = 0.1 * (x(own, "rank").log2() - 4.0).powi(2);
    match own["kind"].as_str().expect("a kind") {
        "a" => 0.5 + rate + rank,
        "b" => rate + rank + 10.0 * (x(own, "dropout") - 0.1).powi(2),
        _ => 0.2 + 1.5 * rate + rank + 5.0 * (x(own, "dropout") - 0.4).powi(2),
    }
}

struct Running<'a>(&'a Problem);

impl Objective for Running<'_> {
    fn run(&mut self, trial: &Trial, _: &Reporter<'_>) -> Result<Outcome> {
        let (value, constraints) = (self.0.function)(&trial.parameters);
        Ok(Outcome::Done { value: Some(value), constraints, notes: Map::new() })
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (seeds, trials) = (number(10), number(40));
    for problem in problems() {
        for seed in 0..seeds as u64 {
            let folder = std::env::temp_dir().join(format!("so8t-search-bench-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&folder);
            let sampler = Sampler {
                space: problem.space.clone(),
                seed,
                known_good: Vec::new(),
                startup: 10,
                constraints: problem.constraints,
                maximise: false,
            };
            let settings = StudySettings {
                name: problem.name.to_owned(),
                sampler,
                trials,
                seconds: f64::INFINITY,
                eta: 3.0,
                fixed: json!(null),
            };
            let study = Study::open(&folder, settings)?;
            work(&study, &mut Running(&problem), &AtomicBool::new(false))?;
            let all = study.trials()?;
            let mut best = f64::INFINITY;
            let mut regrets = Vec::new();
            for trial in &all {
                if trial.is_feasible() {
                    best = best.min(trial.value.unwrap_or(f64::INFINITY));
                }
                regrets.push(if best.is_finite() { json!(best - problem.best) } else { json!(null) });
            }
            let started = Instant::now();
            let proposed = propose(&study.settings().sampler, &all);
            let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
            assert!(proposed.is_some(), "there is always another point");
            let infeasible = all.iter().filter(|trial| !trial.is_feasible()).count();
            println!(
                "{}",
                json!({ "function": problem.name, "sampler": "so8t", "seed": seed, "regrets": regrets, "infeasible": infeasible, "proposal_ms": milliseconds })
            );
            let _ = std::fs::remove_dir_all(&folder);
        }
    }
    Ok(())
}
