//! Spaces: values there and back, conditions, what is refused.

use serde_json::json;
use so8t_search::{Assignment, Domain, Parameter, Space};

fn parameter(name: &str, domain: Domain) -> Parameter {
    Parameter { name: name.to_owned(), domain, when: None }
}

pub fn mixed() -> Space {
    let rate = parameter("rate", Domain::Float { low: 1e-5, high: 1e-1, log: true });
    let rank = parameter("rank", Domain::Integer { low: 1, high: 64, log: true });
    let kind = parameter("kind", Domain::Choice(vec![json!("lora"), json!("dora"), json!("full")]));
    let mut dropout = parameter("dropout", Domain::Float { low: 0.0, high: 0.5, log: false });
    dropout.when = Some(("kind".to_owned(), vec![json!("lora"), json!("dora")]));
    Space::new(vec![rate, rank, kind, dropout]).expect("a space")
}

#[test]
fn what_is_decoded_encodes_to_the_same_values() {
    let space = mixed();
    for index in 0..200 {
        let place = |k: usize| ((index * (2 * k + 3) + 7 * k) % 101) as f64 / 100.0;
        let genes: Vec<f64> = (0..4).map(place).collect();
        let values = space.decode(&genes);
        let again = space.decode(&space.encode(&values).expect("inside"));
        for (name, value) in &values {
            let (a, b) = (value, &again[name]);
            let near = a.as_f64().zip(b.as_f64()).is_none_or(|(a, b)| (a - b).abs() <= 1e-12 * a.abs().max(1.0));
            assert!(near && (a.is_f64() || a == b), "{name}: {a} became {b}");
        }
        assert_eq!(values.contains_key("dropout"), values["kind"] != json!("full"));
    }
}

#[test]
fn the_ends_of_every_domain_can_be_reached() {
    let space = mixed();
    let low = space.decode(&[0.0, 0.0, 0.0, 0.0]);
    assert_eq!((low["rate"].as_f64(), low["rank"].as_i64(), low["kind"].as_str()), (Some(1e-5), Some(1), Some("lora")));
    let high = space.decode(&[1.0, 1.0, 1.0, 1.0]);
    assert_eq!(
        (high["rate"].as_f64(), high["rank"].as_i64(), high["kind"].as_str()),
        (Some(1e-1), Some(64), Some("full"))
    );
}

#[test]
fn what_lies_outside_is_refused_by_name() {
    let space = mixed();
    let good: Assignment =
        serde_json::from_value(json!({ "rate": 1e-3, "rank": 8, "kind": "lora", "dropout": 0.1 })).expect("values");
    assert!(space.encode(&good).is_ok());
    for (name, value, expected) in [
        ("rate", json!(1.0), "outside"),
        ("rank", json!(8.5), "outside"),
        ("kind", json!("qlora"), "outside"),
        ("kind", json!("full"), "is not active"),
        ("other", json!(1), "is no parameter"),
    ] {
        let mut bad = good.clone();
        bad.insert(name.to_owned(), value);
        let error = space.encode(&bad).expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    }
    let mut lacking = good;
    lacking.remove("dropout");
    assert!(space.encode(&lacking).expect_err("refused").to_string().contains("`dropout` lacks"));
}

#[test]
fn a_space_that_makes_no_sense_is_refused() {
    let float = |low: f64, high: f64, log: bool| parameter("x", Domain::Float { low, high, log });
    let mut waiting = float(0.0, 1.0, false);
    waiting.when = Some(("later".to_owned(), vec![json!(1)]));
    for parameters in [
        vec![],
        vec![float(1.0, 1.0, false)],
        vec![float(0.0, 1.0, true)],
        vec![float(f64::NAN, 1.0, false)],
        vec![parameter("x", Domain::Integer { low: 3, high: 2, log: false })],
        vec![parameter("x", Domain::Choice(vec![]))],
        vec![parameter("x", Domain::Choice(vec![json!(1), json!(1)]))],
        vec![float(0.0, 1.0, false), float(0.0, 1.0, false)],
        vec![waiting],
    ] {
        assert!(Space::new(parameters.clone()).is_err(), "{parameters:?}");
    }
}
