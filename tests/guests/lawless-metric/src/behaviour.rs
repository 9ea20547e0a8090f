//! Which law a lawless guest breaks: `behaviour` of its configuration. These concern the configuration itself, in every kind:
//!
//! | behaviour | law that it breaks |
//! |---|---|
//! | `lawful` | none |
//! | `config-refused` | `config.accepted`: refuses any configuration |
//! | `config-undeclared` | `config.accepted`: reads a key that the schema does not know |
//! | `config-unknown` | `config.refused`: takes any key |
//! | `config-input` | `config.refused`: says that the input is at fault |
//! | `config-traps` | `config.hostile`: takes it for granted that `size` is a number |

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use so8t_plugin_sdk::Failure;

/// The schema of every lawless guest.
pub const SCHEMA: &str = r#"{
    "type": "object",
    "additionalProperties": false,
    "required": ["behaviour"],
    "properties": { "behaviour": { "type": "string" }, "size": { "type": "integer", "minimum": 0 } }
}"#;

/// What a guest does, and how much of it.
#[derive(Clone, Debug)]
pub struct Behaviour {
    name: String,
    /// How large what it makes is.
    pub size: usize,
    /// How many resources were opened in this instance before this one, which is none of a resource's business.
    pub opened_before: u32,
}

static OPENED: AtomicU32 = AtomicU32::new(0);

impl Behaviour {
    /// Reads the configuration.
    pub fn read(config: &Value) -> Result<Self, Failure> {
        let name = config.get("behaviour").and_then(Value::as_str).unwrap_or_default();
        let wrong = |text: String| match name {
            "config-input" => Failure::Input(text),
            _ => Failure::Config(text),
        };
        if name == "config-refused" {
            return Err(Failure::Config("it refuses everything".into()));
        }
        for (key, value) in config.as_object().into_iter().flatten() {
            match key.as_str() {
                "behaviour" if value.is_string() => {}
                "size" if value.as_u64().is_some() => {}
                "size" if name == "config-traps" => panic!("size {value}"),
                "undeclared" if name == "config-undeclared" => {}
                "behaviour" | "size" => return Err(wrong(format!("`{key}`: found `{value}`"))),
                _ if name == "config-unknown" => {}
                _ => return Err(wrong(format!("unknown key `{key}`"))),
            }
        }
        if config.get("behaviour").is_none() {
            return Err(wrong("expected `behaviour`".into()));
        }
        let size = config.get("size").and_then(Value::as_u64).unwrap_or_default() as usize;
        Ok(Self { name: name.to_owned(), size, opened_before: OPENED.fetch_add(1, Ordering::Relaxed) })
    }

    /// Whether this is what it does.
    pub fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// Work that grows with the square of `rows`, where it does that.
    pub fn work(&self, rows: usize) {
        if self.is("slow") {
            let rows = rows as u64;
            (0..rows * rows / 10).for_each(|i| drop(std::hint::black_box(i)));
        }
    }

    /// Traps where 65,535 rows are the most that it can count.
    pub fn count(&self, rows: usize) {
        assert!(!self.is("counts-in-u16") || rows <= usize::from(u16::MAX), "the count overflows");
    }
}
