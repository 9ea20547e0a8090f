//! A hostile metric. Honest, it counts rows (`rows`) and the share of right answers (`share`).
//!
//! | behaviour | what it does |
//! |---|---|
//! | those of `common.rs`, with `in` | in `open`, `metrics`, `wants`, `update`, `state`, `merge` or `finalize` |
//! | `duplicate-names` | two metrics of one name |
//! | `empty-name` | a metric without a name |
//! | `odd-name` | a metric whose name holds a line break and a terminal escape |
//! | `many-metrics` | a million metrics |
//! | `no-metrics` | none |
//! | `bounds-nan` | a bound that is no number |
//! | `bounds-reversed` | a least value above the greatest |
//! | `metrics-change` | other metrics at every call |
//! | `nan`, `infinite`, `above-bound` | a value that is none, or out of the bounds |
//! | `wrong-name`, `missing-value`, `extra-value`, `reordered` | values that are not those of `metrics` |
//! | `huge-list`, `huge-string` | tens of millions of values, a name of 256 MiB |
//! | `bad-utf8-string` | a name that is not UTF-8 |
//! | `support-lies` | more rows than there were |
//! | `huge-state` | a state of 512 MiB |
//! | `state-grows` | a state that grows by a mebibyte at every `update` |
//! | `state-lies` | a state that says nothing of what was taken in |
//! | `merge-order` | a merge that keeps the state merged last |
//! | `values-drift` | other values at every `finalize` |
#![cfg(target_arch = "wasm32")]
#![allow(unsafe_code, reason = "wit-bindgen exports the component's functions; one name is made invalid on purpose")]

#[path = "../../common.rs"]
mod common;

use std::cell::{Cell, RefCell};

use common::Evil;
use so8t_plugin_sdk::Failure;
use so8t_plugin_sdk::bindings::measurement::{self, Accumulator, Batch, Direction, Metric, Value, Wants};
use so8t_plugin_sdk::bindings::types::Metadata;

struct Guest {
    evil: Evil,
    rows: Cell<u32>,
    right: Cell<u32>,
    calls: Cell<u32>,
    kept: RefCell<Vec<Vec<u8>>>,
}
so8t_plugin_sdk::bindings::metric::export!(Guest with_types_in so8t_plugin_sdk::bindings::metric);

impl measurement::Guest for Guest {
    type Accumulator = Self;

    fn describe() -> Metadata {
        Metadata {
            name: "evil-metric".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            licence: env!("CARGO_PKG_LICENSE").to_owned(),
            config_schema: r#"{"type":"object"}"#.to_owned(),
        }
    }
}

fn metric(name: &str, low: f64, high: f64) -> Metric {
    Metric { name: name.to_owned(), direction: Direction::Higher, low: Some(low), high: Some(high) }
}

fn value(name: &str, value: f64, support: u32) -> Value {
    Value { name: name.to_owned(), value: Some(value), support }
}

impl measurement::GuestAccumulator for Guest {
    fn open(config: String, _: Vec<String>) -> Result<Accumulator, Failure> {
        let evil = Evil::read(&config)?;
        evil.act("open")?;
        Ok(Accumulator::new(Self {
            evil,
            rows: Cell::new(0),
            right: Cell::new(0),
            calls: Cell::new(0),
            kept: RefCell::default(),
        }))
    }

    fn metrics(&self) -> Vec<Metric> {
        let _ = self.evil.act("metrics");
        self.calls.set(self.calls.get() + 1);
        let rows = metric("rows", 0.0, 1e9);
        match self.evil.behaviour.as_str() {
            "duplicate-names" => vec![rows.clone(), rows],
            "empty-name" => vec![rows, metric("", 0.0, 1.0)],
            "odd-name" => vec![rows, metric("share\n\u{1b}[31m", 0.0, 1.0)],
            "many-metrics" => (0..1_000_000).map(|i| metric(&format!("metric_{i}"), 0.0, 1.0)).collect(),
            "no-metrics" => vec![],
            "bounds-nan" => vec![rows, metric("share", f64::NAN, 1.0)],
            "bounds-reversed" => vec![rows, metric("share", 1.0, 0.0)],
            "metrics-change" => vec![rows, metric(&format!("share_{}", self.calls.get()), 0.0, 1.0)],
            _ => vec![rows, metric("share", 0.0, 1.0)],
        }
    }

    fn wants(&self) -> Wants {
        let _ = self.evil.act("wants");
        Wants::empty()
    }

    fn update(&self, rows: Batch) -> Result<(), Failure> {
        self.evil.act("update")?;
        if self.evil.behaviour == "state-grows" {
            self.kept.borrow_mut().push(vec![7; 1 << 20]);
        }
        let right = rows.gold.iter().zip(&rows.predicted).filter(|(gold, predicted)| gold == predicted).count();
        self.rows.set(self.rows.get() + rows.gold.len() as u32);
        self.right.set(self.right.get() + right as u32);
        Ok(())
    }

    fn state(&self) -> Vec<u8> {
        let _ = self.evil.act("state");
        match self.evil.behaviour.as_str() {
            "huge-state" => vec![7; 512 << 20],
            "state-grows" => self.kept.borrow().concat(),
            "state-lies" => [1_u32, 1].iter().flat_map(|number| number.to_le_bytes()).collect(),
            _ => [self.rows.get(), self.right.get()].iter().flat_map(|number| number.to_le_bytes()).collect(),
        }
    }

    fn merge(&self, state: Vec<u8>) -> Result<(), Failure> {
        self.evil.act("merge")?;
        let number = |at: usize| state.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
        let (Some(rows), Some(right), 8) = (number(0), number(4), state.len()) else {
            return Err(Failure::Input(format!("state: expected 8 bytes, found {}", state.len())));
        };
        if self.evil.behaviour == "merge-order" {
            self.rows.set(rows);
            self.right.set(right);
        } else {
            self.rows.set(self.rows.get().wrapping_add(rows));
            self.right.set(self.right.get().wrapping_add(right));
        }
        Ok(())
    }

    fn finalize(&self) -> Result<Vec<Value>, Failure> {
        self.evil.act("finalize")?;
        self.calls.set(self.calls.get() + 1);
        let count = self.rows.get();
        let rows = value("rows", f64::from(count), count);
        let share = f64::from(self.right.get()) / f64::from(count.max(1));
        Ok(match self.evil.behaviour.as_str() {
            "nan" => vec![rows, value("share", f64::NAN, count)],
            "infinite" => vec![rows, value("share", f64::INFINITY, count)],
            "above-bound" => vec![rows, value("share", 1.5, count)],
            "wrong-name" => vec![rows, value("shore", share, count)],
            "missing-value" => vec![rows],
            "extra-value" => vec![rows, value("share", share, count), value("more", 0.0, count)],
            "reordered" => vec![value("share", share, count), rows],
            "huge-list" => vec![Value { name: String::new(), value: None, support: 0 }; 20_000_000],
            "huge-string" => vec![rows, value(&"x".repeat(256 << 20), share, count)],
            "bad-utf8-string" => {
                // SAFETY: none: this string is not UTF-8, which is the point. It is only handed to the host, as bytes.
                let name = unsafe { String::from_utf8_unchecked(vec![b's', 0xff, 0xfe, b'e']) };
                vec![rows, Value { name, value: Some(share), support: count }]
            }
            "support-lies" => vec![rows, value("share", share, u32::MAX)],
            "values-drift" => vec![rows, value("share", 1.0 / f64::from(self.calls.get() + 1), count)],
            _ => vec![rows, value("share", share, count)],
        })
    }
}
