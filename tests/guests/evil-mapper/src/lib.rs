//! A hostile label mapper. Honest, it maps every row to `ALLOW` of `ALLOW`, `ESCALATION`, `DENY`, `REFUSE`.
//!
//! | behaviour | what it does |
//! |---|---|
//! | those of `common.rs`, with `in` | in `open`, `labels` or `assign` |
//! | `too-few-ids`, `too-many-ids`, `no-ids` | another number of ids than rows |
//! | `id-out-of-range`, `id-invalid` | id 9 of 4 labels, id 254 |
//! | `code-missing`, `code-out-of-range`, `no-reasons` | rejected rows without a reason |
//! | `huge-reasons`, `huge-reason` | millions of reasons, one reason of 256 MiB |
//! | `labels-empty`, `labels-many`, `labels-duplicate`, `label-unnamed`, `severity-short` | a wrong label set |
//! | `labels-change` | another label set at every call |
#![cfg(target_arch = "wasm32")]
#![allow(unsafe_code, reason = "wit-bindgen exports the component's functions under their canonical names")]

#[path = "../../common.rs"]
mod common;

use std::cell::Cell;

use common::Evil;
use so8t_plugin_sdk::Failure;
use so8t_plugin_sdk::bindings::mapping::{self, LabelSet, Mapped, Mapper};
use so8t_plugin_sdk::bindings::types::{Examples, Metadata};

struct Guest {
    evil: Evil,
    calls: Cell<u32>,
}
so8t_plugin_sdk::bindings::mapper::export!(Guest with_types_in so8t_plugin_sdk::bindings::mapper);

impl mapping::Guest for Guest {
    type Mapper = Self;

    fn describe() -> Metadata {
        Metadata {
            name: "evil-mapper".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            licence: env!("CARGO_PKG_LICENSE").to_owned(),
            config_schema: r#"{"type":"object"}"#.to_owned(),
        }
    }
}

impl mapping::GuestMapper for Guest {
    fn open(config: String) -> Result<Mapper, Failure> {
        let evil = Evil::read(&config)?;
        evil.act("open")?;
        Ok(Mapper::new(Self { evil, calls: Cell::new(0) }))
    }

    fn labels(&self) -> LabelSet {
        let _ = self.evil.act("labels");
        self.calls.set(self.calls.get() + 1);
        let mut names = ["ALLOW", "ESCALATION", "DENY", "REFUSE"].map(String::from).to_vec();
        match self.evil.behaviour.as_str() {
            "labels-empty" => names.clear(),
            "labels-many" => names = (0..201).map(|i| format!("LABEL_{i}")).collect(),
            "labels-duplicate" => names[1] = names[0].clone(),
            "label-unnamed" => names[2].clear(),
            "labels-change" => names[3] = format!("REFUSE_{}", self.calls.get()),
            _ => {}
        }
        let mut severity: Vec<u8> = (0..names.len()).map(|i| i as u8).collect();
        if self.evil.behaviour == "severity-short" {
            severity.pop();
        }
        LabelSet { names, severity }
    }

    fn assign(&self, rows: Examples) -> Result<Mapped, Failure> {
        self.evil.act("assign")?;
        let count = rows.instruction.offsets.len().saturating_sub(1);
        let all =
            |id: u8, code: u8, reasons: Vec<String>| Mapped { ids: vec![id; count], code: vec![code; count], reasons };
        Ok(match self.evil.behaviour.as_str() {
            "too-few-ids" => Mapped { ids: vec![0; count.saturating_sub(1)], ..all(0, 0, vec![]) },
            "too-many-ids" => Mapped { ids: vec![0; count + 1], ..all(0, 0, vec![]) },
            "no-ids" => Mapped { ids: vec![], code: vec![], reasons: vec![] },
            "id-out-of-range" => all(9, 0, vec![]),
            "id-invalid" => all(254, 0, vec![]),
            "code-missing" => Mapped { code: vec![], ..all(255, 0, vec!["a reason".to_owned()]) },
            "code-out-of-range" => all(255, 7, vec!["a reason".to_owned()]),
            "no-reasons" => all(255, 0, vec![]),
            "huge-reasons" => all(255, 0, vec![String::new(); 20_000_000]),
            "huge-reason" => all(255, 0, vec!["x".repeat(256 << 20)]),
            _ => all(0, 0, vec![]),
        })
    }
}
