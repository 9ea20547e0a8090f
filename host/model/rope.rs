//! Rotary positions: the frequencies, how they are stretched for long texts, and the tables of cosines and sines.
//!
//! A head's element `i` of the first half turns with element `i` of the second half ("rotate half"), by the angle
//! `position · frequency[i]`, as in Transformers' `modeling_rope_utils.py`.

use serde_json::{Map, Value, json};

use super::config::{Fields, ModelConfig};
use so8t_base::{Error, Result};

/// How the rotary frequencies `theta^(-2i / head_dim)` are stretched.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// All frequencies divided by one factor.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Llama 3.1: low frequencies divided by a factor, high ones kept, those between blended.
    Llama3 {
        /// The divisor of low frequencies.
        factor: f64,
        /// Wave lengths above `original / low` are low frequencies.
        low: f64,
        /// Wave lengths below `original / high` are high frequencies.
        high: f64,
        /// The positions of the model before it was stretched.
        original: usize,
    },
    /// LongRoPE (Phi-3): each frequency divided by its own factor, from one of two lists.
    LongRope {
        /// For sequences of at most `original` tokens: head_dim / 2 divisors.
        short: Vec<f64>,
        /// For longer sequences: head_dim / 2 divisors.
        long: Vec<f64>,
        /// The positions of the model before it was stretched.
        original: usize,
        /// What cosines and sines are multiplied by.
        attention_factor: f64,
    },
}

impl RopeScaling {
    /// From `rope_scaling` of a `config.json`; `original` is the file's own `original_max_position_embeddings`.
    pub(super) fn from_fields(
        scaling: Option<&Fields<'_>>,
        original: Option<usize>,
        max_position: usize,
    ) -> Result<Self> {
        let Some(fields) = scaling else { return Ok(Self::None) };
        let name = match fields.optional_text("rope_type")? {
            Some(name) => name,
            None => fields.optional_text("type")?.unwrap_or("default"),
        };
        let original = || fields.optional_size("original_max_position_embeddings").map(|found| found.or(original));
        match name {
            "default" => Ok(Self::None),
            "linear" => Ok(Self::Linear { factor: fields.number("factor")? }),
            "llama3" => Ok(Self::Llama3 {
                factor: fields.number("factor")?,
                low: fields.number("low_freq_factor")?,
                high: fields.number("high_freq_factor")?,
                original: original()?.ok_or_else(|| fields.missing("original_max_position_embeddings"))?,
            }),
            // `su` is the name in Phi-3's first files.
            "longrope" | "su" => {
                let original = original()?.unwrap_or(max_position);
                let attention_factor = match fields.optional_number("attention_factor")? {
                    Some(factor) => factor,
                    None => longrope_attention_factor(max_position, original),
                };
                Ok(Self::LongRope {
                    short: fields.numbers("short_factor")?,
                    long: fields.numbers("long_factor")?,
                    original,
                    attention_factor,
                })
            }
            other => Err(Error::model(format!(
                "field `rope_scaling`: expected the type `default`, `linear`, `llama3` or `longrope`, found `{other}`"
            ))),
        }
    }

    /// Writes the fields of a `config.json`.
    pub(super) fn write(&self, out: &mut Map<String, Value>) {
        let value = match self {
            Self::None => Value::Null,
            Self::Linear { factor } => json!({ "rope_type": "linear", "factor": factor }),
            Self::Llama3 { factor, low, high, original } => json!({
                "rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
                "original_max_position_embeddings": original,
            }),
            Self::LongRope { short, long, original, attention_factor } => {
                out.insert("original_max_position_embeddings".into(), json!(original));
                // Some versions of Transformers accept exactly these three fields.
                let mut fields = json!({ "type": "longrope", "short_factor": short, "long_factor": long });
                let max_position = out.get("max_position_embeddings").and_then(Value::as_u64).unwrap_or(0) as usize;
                if *attention_factor != longrope_attention_factor(max_position, *original) {
                    fields["attention_factor"] = json!(attention_factor);
                }
                fields
            }
        };
        out.insert("rope_scaling".into(), value);
    }

    /// Checks the factors for a model with `half` frequencies.
    pub(super) fn check(&self, half: usize) -> Result<()> {
        let positive = |name: &str, number: f64| {
            if number > 0.0 && number.is_finite() {
                return Ok(());
            }
            Err(Error::model(format!("field `rope_scaling.{name}`: expected a positive number, found `{number}`")))
        };
        match self {
            Self::None => Ok(()),
            Self::Linear { factor } => positive("factor", *factor),
            Self::Llama3 { factor, low, high, .. } => {
                positive("factor", *factor)?;
                positive("low_freq_factor", *low)?;
                positive("high_freq_factor", *high)?;
                if high > low {
                    return Ok(());
                }
                Err(Error::model(format!(
                    "field `rope_scaling.high_freq_factor`: expected more than `low_freq_factor` ({low}), found `{high}`"
                )))
            }
            Self::LongRope { short, long, attention_factor, .. } => {
                positive("attention_factor", *attention_factor)?;
                for (name, factors) in [("short_factor", short), ("long_factor", long)] {
                    if factors.len() != half {
                        let found = factors.len();
                        return Err(Error::model(format!(
                            "field `rope_scaling.{name}`: expected {half} numbers (half of a head), found {found}"
                        )));
                    }
                    factors.iter().try_for_each(|factor| positive(name, *factor))?;
                }
                Ok(())
            }
        }
    }
}

/// √(1 + ln s / ln original) with s = positions after ÷ positions before stretching; 1 where nothing is stretched.
/// From the LongRoPE section of Transformers' `modeling_rope_utils.py`.
fn longrope_attention_factor(max_position: usize, original: usize) -> f64 {
    let scale = max_position as f64 / original as f64;
    if scale <= 1.0 || original < 2 { 1.0 } else { (1.0 + scale.ln() / (original as f64).ln()).sqrt() }
}

impl ModelConfig {
    /// The angle that each pair of a head's elements turns by from one position to the next: head_dim / 2 numbers.
    /// `positions` is the longest sequence, which decides between LongRoPE's two lists.
    pub fn rope_frequencies(&self, positions: usize) -> Vec<f32> {
        let half = self.head_dim / 2;
        let plain = (0..half).map(|i| self.rope_theta.powf(-(2.0 * i as f64) / self.head_dim as f64));
        let stretched: Vec<f64> = match &self.rope_scaling {
            RopeScaling::None => plain.collect(),
            RopeScaling::Linear { factor } => plain.map(|f| f / factor).collect(),
            RopeScaling::Llama3 { factor, low, high, original } => plain
                .map(|f| {
                    let turns = *original as f64 * f / std::f64::consts::TAU;
                    let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                    (1.0 - kept) * f / factor + kept * f
                })
                .collect(),
            RopeScaling::LongRope { short, long, original, .. } => {
                let factors = if positions > *original { long } else { short };
                plain.zip(factors).map(|(f, factor)| f / factor).collect()
            }
        };
        stretched.into_iter().map(|f| f as f32).collect()
    }

    /// Cosines and sines for positions `0..positions`, each `[positions, head_dim / 2]` row-major, multiplied by
    /// LongRoPE's attention factor where there is one. The angle is an f32 product, as in the reference.
    ///
    /// `positions` is the longest *sequence* that is to be run: with LongRoPE, a table longer than
    /// `original_max_position_embeddings` holds the long factors for every position.
    pub fn rope_tables(&self, positions: usize) -> (Vec<f32>, Vec<f32>) {
        let frequencies = self.rope_frequencies(positions);
        let scale = match &self.rope_scaling {
            RopeScaling::LongRope { attention_factor, .. } => *attention_factor,
            _ => 1.0,
        };
        let angles = (0..positions).flat_map(|p| frequencies.iter().map(move |f| f64::from(p as f32 * f)));
        angles.map(|angle| ((angle.cos() * scale) as f32, (angle.sin() * scale) as f32)).unzip()
    }
}
