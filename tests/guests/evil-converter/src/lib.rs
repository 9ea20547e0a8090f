//! A hostile converter. Honest, every push is one example whose instruction is `instruction` and whose input is `input`.
//!
//! | behaviour | what a push returns |
//! |---|---|
//! | those of `common.rs`, with `in` | in `open`, `push` or `finish` |
//! | `no-instruction` | a row whose instruction column is lacking |
//! | `offsets-decreasing`, `offsets-out-of-range`, `offsets-start`, `offsets-short`, `offsets-few`, `offsets-none` | an instruction column with wrong offsets |
//! | `columns-disagree` | an input column with more rows than instructions |
//! | `lines-disagree` | more lines than rows |
//! | `line-zero` | line 0 |
//! | `bad-utf8`, `split-character` | bytes that are not UTF-8; an offset within a character |
//! | `extra-not-json`, `extra-not-object` | an `extra-json` that is none |
//! | `empty-instruction` | an instruction without a character |
//! | `too-many-rows` | four million rows |
//! | `huge-column` | an instruction of 512 MiB |
//! | `rejection-flood` | a million rejections |
//! | `duplicate-ids` | two rows of one id |
#![cfg(target_arch = "wasm32")]
#![allow(unsafe_code, reason = "wit-bindgen exports the component's functions under their canonical names")]

#[path = "../../common.rs"]
mod common;

use common::Evil;
use so8t_plugin_sdk::Failure;
use so8t_plugin_sdk::bindings::conversion::{self, Batch, Converter, Rejection};
use so8t_plugin_sdk::bindings::types::{Examples, Metadata, Texts};

struct Guest(Evil);
so8t_plugin_sdk::bindings::converter::export!(Guest with_types_in so8t_plugin_sdk::bindings::converter);

impl conversion::Guest for Guest {
    type Converter = Self;

    fn describe() -> Metadata {
        Metadata {
            name: "evil-converter".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            licence: env!("CARGO_PKG_LICENSE").to_owned(),
            config_schema: r#"{"type":"object"}"#.to_owned(),
        }
    }
}

fn column(rows: &[&str]) -> Texts {
    let mut offsets = vec![0];
    offsets.extend(rows.iter().scan(0, |end, row| {
        *end += row.len() as u32;
        Some(*end)
    }));
    Texts { bytes: rows.concat().into_bytes(), offsets }
}

fn lacking() -> Texts {
    Texts { bytes: Vec::new(), offsets: Vec::new() }
}

fn batch(instruction: Texts, input: Texts, lines: Vec<u32>) -> Batch {
    let examples = Examples {
        id: lacking(),
        instruction,
        input,
        output: lacking(),
        label: lacking(),
        group: lacking(),
        extra_json: lacking(),
    };
    Batch { examples, lines, rejected: Vec::new() }
}

impl conversion::GuestConverter for Guest {
    fn open(config: String) -> Result<Converter, Failure> {
        let evil = Evil::read(&config)?;
        evil.act("open")?;
        Ok(Converter::new(Self(evil)))
    }

    fn push(&self, _: Vec<u8>) -> Result<Batch, Failure> {
        self.0.act("push")?;
        let word = b"instruction".to_vec();
        let offsets = |offsets: &[u32]| {
            batch(Texts { bytes: word.clone(), offsets: offsets.to_vec() }, column(&["a", "b"]), vec![1, 2])
        };
        let mut honest = batch(column(&["instruction"]), column(&["input"]), vec![1]);
        Ok(match self.0.behaviour.as_str() {
            "no-instruction" => batch(lacking(), column(&["input"]), vec![1]),
            "offsets-decreasing" => offsets(&[0, 11, 5]),
            "offsets-out-of-range" => offsets(&[0, 5, 4_000_000_000]),
            "offsets-start" => offsets(&[3, 5, 11]),
            "offsets-short" => offsets(&[0, 5, 8]),
            "offsets-few" => offsets(&[0, 11]),
            "offsets-none" => offsets(&[]),
            "columns-disagree" => batch(column(&["instruction"]), column(&["input", "more"]), vec![1]),
            "lines-disagree" => batch(column(&["instruction"]), lacking(), vec![1, 2, 3]),
            "line-zero" => batch(column(&["instruction"]), lacking(), vec![0]),
            "bad-utf8" => batch(Texts { bytes: vec![b'a', 0xff, b'b'], offsets: vec![0, 3] }, lacking(), vec![1]),
            "split-character" => {
                batch(Texts { bytes: "あい".as_bytes().to_vec(), offsets: vec![0, 4, 6] }, lacking(), vec![1, 1])
            }
            "extra-not-json" => {
                honest.examples.extra_json = column(&["{not json"]);
                honest
            }
            "extra-not-object" => {
                honest.examples.extra_json = column(&["[1, 2]"]);
                honest
            }
            "empty-instruction" => batch(column(&[""]), lacking(), vec![1]),
            "too-many-rows" => {
                let rows = 4_000_000_u32;
                let text = Texts { bytes: vec![b'x'; rows as usize], offsets: (0..=rows).collect() };
                batch(text, lacking(), vec![1; rows as usize])
            }
            "huge-column" => {
                let bytes = 512 << 20;
                batch(Texts { bytes: vec![b'x'; bytes], offsets: vec![0, bytes as u32] }, lacking(), vec![1])
            }
            "rejection-flood" => {
                let reason = "a reason that is repeated a million times".to_owned();
                honest.rejected = vec![Rejection { line: 1, reason }; 1_000_000];
                honest
            }
            "duplicate-ids" => {
                let mut two = batch(column(&["one", "two"]), lacking(), vec![1, 2]);
                two.examples.id = column(&["same", "same"]);
                two
            }
            _ => honest,
        })
    }

    fn finish(&self) -> Result<Batch, Failure> {
        self.0.act("finish")?;
        Ok(batch(Texts { bytes: Vec::new(), offsets: vec![0] }, lacking(), Vec::new()))
    }
}
