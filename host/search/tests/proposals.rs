//! Proposals: the same from the same, none twice, and good ones.

use serde_json::json;
use so8t_base::Result;
use so8t_search::{
    Assignment, Domain, Objective, Outcome, Parameter, Reporter, Sampler, Space, Study, StudySettings, Trial, propose,
    work,
};
use std::sync::atomic::AtomicBool;

use crate::spaces::mixed;

pub fn floats(names: &[(&str, f64, f64)]) -> Space {
    let one = |(name, low, high): &(&str, f64, f64)| Parameter {
        name: (*name).to_owned(),
        domain: Domain::Float { low: *low, high: *high, log: false },
        when: None,
    };
    Space::new(names.iter().map(one).collect()).expect("a space")
}

pub fn settings(space: Space, seed: u64, trials: usize, constraints: usize) -> StudySettings {
    let sampler = Sampler { space, seed, known_good: Vec::new(), startup: 8, constraints, maximise: false };
    StudySettings { name: "test".to_owned(), sampler, trials, seconds: f64::INFINITY, eta: 3.0, fixed: json!(null) }
}

/// A function of the parameters: its value, and its constraints.
pub struct Function<F>(pub F);

impl<F: FnMut(&Assignment) -> (f64, Vec<f64>)> Objective for Function<F> {
    fn run(&mut self, trial: &Trial, _: &Reporter<'_>) -> Result<Outcome> {
        let (value, constraints) = (self.0)(&trial.parameters);
        Ok(Outcome::Done { value: Some(value), constraints, notes: serde_json::Map::new() })
    }
}

fn branin(own: &Assignment) -> f64 {
    let (x, y) = (own["x"].as_f64().expect("x"), own["y"].as_f64().expect("y"));
    let pi = std::f64::consts::PI;
    let inner = y - 5.1 / (4.0 * pi * pi) * x * x + 5.0 / pi * x - 6.0;
    inner * inner + 10.0 * (1.0 - 1.0 / (8.0 * pi)) * x.cos() + 10.0
}

const BRANIN: [(&str, f64, f64); 2] = [("x", -5.0, 10.0), ("y", 0.0, 15.0)];

#[test]
fn the_least_value_of_branin_is_found() {
    for seed in 0..3 {
        let folder = tempfile::tempdir().expect("a folder");
        let study = Study::open(folder.path(), settings(floats(&BRANIN), seed, 35, 0)).expect("a study");
        let ended = work(&study, &mut Function(|own: &Assignment| (branin(own), vec![])), &AtomicBool::new(false))
            .expect("works");
        assert!(ended.done && ended.worked == 35);
        let best = study.best().expect("read").expect("a trial").value.expect("a value");
        assert!(best < 0.397_887 + 0.01, "seed {seed}: {best}");
        assert_eq!(study.replay().expect("as proposed"), 35);
    }
}

#[test]
fn what_breaks_a_constraint_is_never_the_best_and_becomes_rare() {
    let folder = tempfile::tempdir().expect("a folder");
    let study =
        Study::open(folder.path(), settings(floats(&[("x", 0.0, 1.0), ("y", 0.0, 1.0)]), 5, 30, 1)).expect("a study");
    // The least value without the constraint is at (0.2, 0.2), which breaks it; with it on the line x + y = 1.
    let f = |own: &Assignment| {
        let (x, y) = (own["x"].as_f64().expect("x"), own["y"].as_f64().expect("y"));
        ((x - 0.2).powi(2) + (y - 0.2).powi(2), vec![1.0 - x - y])
    };
    work(&study, &mut Function(f), &AtomicBool::new(false)).expect("works");
    let best = study.best().expect("read").expect("one that keeps to it");
    assert!(best.constraints[0] <= 0.0);
    assert!(best.value.expect("a value") < 0.18 + 0.01, "{:?}", best.value);
    let late = study.trials().expect("read").iter().skip(15).filter(|trial| !trial.is_feasible()).count();
    assert!(late <= 7, "{late} of the last 15 break the constraint");
}

#[test]
fn the_same_seed_and_trials_give_the_same_proposal_and_no_assignment_comes_twice() {
    let run = |seed: u64| {
        let folder = tempfile::tempdir().expect("a folder");
        let study = Study::open(folder.path(), settings(mixed(), seed, 20, 0)).expect("a study");
        let f = |own: &Assignment| {
            (
                (own["rate"].as_f64().expect("rate").ln() + 5.0).powi(2) + own["rank"].as_f64().expect("rank") / 64.0,
                vec![],
            )
        };
        work(&study, &mut Function(f), &AtomicBool::new(false)).expect("works");
        study.trials().expect("read").into_iter().map(|trial| trial.parameters).collect::<Vec<_>>()
    };
    let (first, second, other) = (run(1), run(1), run(2));
    assert_eq!(first, second);
    assert_ne!(first, other);
    for (index, own) in first.iter().enumerate() {
        assert!(!first[..index].contains(own), "{own:?} came twice");
    }
}

#[test]
fn a_space_that_holds_no_other_assignment_ends_the_search() {
    let choice =
        Parameter { name: "kind".to_owned(), domain: Domain::Choice(vec![json!(1), json!(2), json!(3)]), when: None };
    let whole =
        Parameter { name: "size".to_owned(), domain: Domain::Integer { low: 1, high: 4, log: false }, when: None };
    let folder = tempfile::tempdir().expect("a folder");
    let study = Study::open(folder.path(), settings(Space::new(vec![choice, whole]).expect("a space"), 3, 100, 0))
        .expect("a study");
    let f = |own: &Assignment| (own["kind"].as_f64().expect("kind") * own["size"].as_f64().expect("size"), vec![]);
    let ended = work(&study, &mut Function(f), &AtomicBool::new(false)).expect("works");
    assert!(ended.done);
    assert_eq!(ended.worked, 12);
}

#[test]
fn known_good_points_come_first_and_those_outside_are_not_proposed() {
    let space = mixed();
    let good: Assignment =
        serde_json::from_value(json!({ "rate": 1e-3, "rank": 8, "kind": "lora", "dropout": 0.1 })).expect("values");
    let mut sampler = settings(space, 1, 9, 0).sampler;
    sampler.known_good = vec![good.clone()];
    assert_eq!(propose(&sampler, &[]), Some(good));
    sampler.known_good[0].insert("rank".to_owned(), json!(1000));
    let proposed = propose(&sampler, &[]).expect("a point");
    assert_ne!(proposed["rank"], json!(1000));
}
