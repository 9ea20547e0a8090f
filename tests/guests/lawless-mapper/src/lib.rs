//! A label mapper that breaks one law at a time. Lawful, it reads the four decisions, spelled exactly.
//!
//! | behaviour | law that it breaks |
//! |---|---|
//! | those of `behaviour.rs` | |
//! | `remembers-instance` | `mapper.deterministic`: a second mapping of one instance knows no label |
//! | `skips-unknown` | `mapper.every-row`: a row whose label is unknown gets no answer |
//! | `no-reason` | `mapper.reasons`: a rejection says nothing |
//! | `refuses-first` | `mapper.splitting`: the first row of a batch is rejected |
//! | `previous-label` | `mapper.row-order`: a row without a label gets that of the row before |
//! | `labels-by-rows` | `mapper.labels-constant`: it declares another label once it has mapped |
//! | `default` | `mapper.no-default`: a row without a label is ALLOW |
//! | `cuts-labels` | `mapper.odd-labels`: takes it for granted that eight bytes end a character |
//! | `traps-on-nothing` | `mapper.empty-batch`: takes it for granted that there is a row |
//! | `needs-two` | `mapper.one-row`: takes it for granted that there are two rows, if any |
//! | `counts-in-u16` | `mapper.many-rows`: 65,536 rows are too many |
//! | `slow` | `limits.fuel` and `limits.seconds`: work that grows with the square of the rows |
//! | `keeps-rows` | `limits.memory`: keeps `size` bytes of each row |
//! | `large-reasons` | `limits.lifted`: 200 reasons of `size` bytes |
#![cfg(target_arch = "wasm32")]
#![allow(unsafe_code, reason = "wit-bindgen exports the component's functions")]

#[path = "../../lawless-metric/src/behaviour.rs"]
mod behaviour;

use std::cell::{Cell, RefCell};

use behaviour::{Behaviour, SCHEMA};
use so8t_plugin_sdk::bindings::mapping::{self, LabelSet, Mapped};
use so8t_plugin_sdk::bindings::types::{Examples, Metadata};
use so8t_plugin_sdk::{Column, Failure, config, log};

struct Guest {
    behaviour: Behaviour,
    mapped: Cell<bool>,
    kept: RefCell<Vec<Vec<u8>>>,
}
so8t_plugin_sdk::bindings::mapper::export!(Guest with_types_in so8t_plugin_sdk::bindings::mapper);

const NAMES: [&str; 4] = ["ALLOW", "ESCALATION", "DENY", "REFUSE"];
const REJECTED: u8 = 255;

impl mapping::Guest for Guest {
    type Mapper = Self;

    fn describe() -> Metadata {
        Metadata {
            name: "lawless-mapper".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            licence: env!("CARGO_PKG_LICENSE").to_owned(),
            config_schema: SCHEMA.to_owned(),
        }
    }
}

impl mapping::GuestMapper for Guest {
    fn open(config: String) -> Result<mapping::Mapper, Failure> {
        log::report_panics();
        let config: serde_json::Value = config::read(&config)?;
        let behaviour = Behaviour::read(&config)?;
        Ok(mapping::Mapper::new(Self { behaviour, mapped: Cell::new(false), kept: RefCell::default() }))
    }

    fn labels(&self) -> LabelSet {
        let mut names: Vec<String> = NAMES.map(String::from).to_vec();
        if self.behaviour.is("labels-by-rows") && self.mapped.get() {
            names.swap(0, 1);
        }
        LabelSet { names, severity: vec![0, 1, 2, 3] }
    }

    fn assign(&self, rows: Examples) -> Result<Mapped, Failure> {
        let behaviour = &self.behaviour;
        let count = rows.instruction.offsets.len().saturating_sub(1);
        let label = Column::check(&rows.label, "label", count)?;
        assert!(!behaviour.is("traps-on-nothing") || count > 0, "expected a row");
        assert!(!behaviour.is("needs-two") || count != 1, "expected two rows");
        behaviour.count(count);
        behaviour.work(count);
        self.mapped.set(true);
        let mut mapped = Mapped { ids: Vec::new(), code: Vec::new(), reasons: Vec::new() };
        let says_nothing = behaviour.is("no-reason");
        mapped.reasons.push(if says_nothing { String::new() } else { "expected a label".to_owned() });
        if behaviour.is("large-reasons") {
            mapped.reasons.extend((0..200).map(|_| "x".repeat(behaviour.size)));
        }
        let mut previous = REJECTED;
        for row in 0..count {
            let text = label.row(row);
            if behaviour.is("keeps-rows") {
                self.kept.borrow_mut().push(vec![1; behaviour.size]);
            }
            let text = if behaviour.is("cuts-labels") && text.len() > 8 { &text[..8] } else { text };
            let known = NAMES.iter().position(|name| *name == text).map_or(REJECTED, |id| id as u8);
            let id = match known {
                _ if behaviour.is("remembers-instance") && behaviour.opened_before > 0 => REJECTED,
                _ if behaviour.is("refuses-first") && row == 0 => REJECTED,
                REJECTED if behaviour.is("previous-label") && text.is_empty() => previous,
                REJECTED if behaviour.is("default") && text.is_empty() => 0,
                REJECTED if behaviour.is("skips-unknown") => continue,
                id => id,
            };
            previous = known;
            mapped.ids.push(id);
            mapped.code.push(0);
        }
        Ok(mapped)
    }
}
