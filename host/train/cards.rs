//! Devices that a training can be planned for, and how fast they are.

use so8t_base::{Error, Result};

/// A device.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// What it is called.
    pub name: String,
    /// Its memory in bytes; `None` for the processor, whose memory is that of the machine.
    pub memory: Option<u64>,
    /// How fast it is.
    pub speed: CardSpeed,
}

/// How fast a device multiplies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CardSpeed {
    /// By its maker: TFLOP/s of dense products with f32 sums, of f32 and of bf16 numbers, and GB/s of its memory. A share of it is reached.
    Stated {
        /// f32 numbers.
        f32: f64,
        /// bf16 numbers.
        bf16: f64,
        /// Memory.
        memory: f64,
    },
    /// TFLOP/s that it sustains, as the user says.
    Sustained(f64),
    /// Measured when it is asked for.
    Processor,
}

/// The share of the stated speed that products are assumed to reach.
pub const REACHED: f64 = 0.4;

/// The cards that are known by name: GB of 2³⁰ bytes, TFLOP/s in f32 and bf16 (dense), GB/s.
const CARDS: [(&str, u64, f64, f64, f64); 7] = [
    ("rtx-3060", 12, 12.7, 25.3, 360.0),
    ("rtx-4090", 24, 82.6, 165.2, 1008.0),
    ("a100-40", 40, 19.5, 312.0, 1555.0),
    ("a100-80", 80, 19.5, 312.0, 2039.0),
    ("h100", 80, 66.9, 989.4, 3350.0),
    ("h200", 141, 66.9, 989.4, 4800.0),
    ("cpu", 0, 0.0, 0.0, 0.0),
];

impl Card {
    /// The names of all cards, in order.
    pub fn names() -> Vec<&'static str> {
        CARDS.iter().map(|card| card.0).collect()
    }

    /// The card of a name; case and what is not a letter or digit do not count.
    ///
    /// Errors: no such card, with those that there are.
    pub fn named(name: &str) -> Result<Self> {
        let plain = |text: &str| {
            text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect::<String>()
        };
        let Some(&(name, gb, f32, bf16, memory)) = CARDS.iter().find(|card| plain(card.0) == plain(name)) else {
            let known = Self::names().join("`, `");
            return Err(Error::manifest(format!("`--card {name}`: expected one of `{known}`"))
                .with_hint("`--memory-gb N --tflops X` describes any other"));
        };
        let (memory, speed) = match name {
            "cpu" => (None, CardSpeed::Processor),
            _ => (Some(gb << 30), CardSpeed::Stated { f32, bf16, memory }),
        };
        Ok(Self { name: name.to_owned(), memory, speed })
    }
}
