//! Rotary positions: the frequencies, how they are stretched for long texts, and the tables of cosines and sines.
//!
//! A head's element `i` of the first half turns with element `i` of the second half ("rotate half"), by the angle
//! `position · frequency[i]`, as in Transformers' `modeling_rope_utils.py`.

use serde_json::{Map, Value, json};

use super::config::ModelConfig;
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
    /// Not at all up to the model's own positions; longer sequences are not run, whose base would depend on their length.
    Dynamic {
        /// How much longer sequences are to become.
        factor: f64,
    },
    /// YaRN (Peng et al. 2023): low frequencies divided by a factor, high ones kept, a ramp between.
    Yarn {
        /// The divisor of low frequencies.
        factor: f64,
        /// The positions of the model before it was stretched.
        original: usize,
        /// What cosines and sines are multiplied by.
        attention_factor: f64,
        /// Frequencies that turn more often than this within `original` positions are kept.
        beta_fast: f64,
        /// Those that turn less often than this are divided.
        beta_slow: f64,
        /// Whether the ramp begins and ends at whole frequencies.
        truncate: bool,
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
    /// Writes the fields of a `config.json`.
    pub(super) fn write(&self, out: &mut Map<String, Value>) {
        let value = match self {
            Self::None => Value::Null,
            Self::Linear { factor } => json!({ "rope_type": "linear", "factor": factor }),
            Self::Dynamic { factor } => json!({ "rope_type": "dynamic", "factor": factor }),
            Self::Yarn { factor, original, attention_factor, beta_fast, beta_slow, truncate } => json!({
                "rope_type": "yarn", "factor": factor, "original_max_position_embeddings": original,
                "attention_factor": attention_factor, "beta_fast": beta_fast, "beta_slow": beta_slow, "truncate": truncate,
            }),
            Self::Llama3 { factor, low, high, original } => json!({
                "rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
                "original_max_position_embeddings": original,
            }),
            Self::LongRope { short, long, original, attention_factor } => {
                out.insert("original_max_position_embeddings".into(), json!(original));
                // Some versions of Transformers accept exactly these three fields.
                let mut fields = json!({ "type": "longrope", "short_factor": short, "long_factor": long });
                let max_position = out.get("max_position_embeddings").and_then(Value::as_u64).unwrap_or(0) as usize;
                let factor = max_position as f64 / *original as f64;
                if *attention_factor != longrope_attention_factor(factor, *original) {
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
            Self::Dynamic { factor } if *factor >= 1.0 => positive("factor", *factor),
            Self::Dynamic { factor } => {
                Err(Error::model(format!("field `rope_scaling.factor`: expected at least 1, found `{factor}`")))
            }
            Self::Yarn { factor, attention_factor, beta_fast, beta_slow, .. } => {
                positive("factor", *factor)?;
                positive("attention_factor", *attention_factor)?;
                positive("beta_fast", *beta_fast)?;
                positive("beta_slow", *beta_slow)
            }
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
                            "field `rope_scaling.{name}`: expected {half} numbers (half of what turns of a head), found {found}"
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
pub(super) fn longrope_attention_factor(factor: f64, original: usize) -> f64 {
    if factor <= 1.0 || original < 2 { 1.0 } else { (1.0 + factor.ln() / (original as f64).ln()).sqrt() }
}

/// 0.1 · m · ln s + 1, or with two `m` (`mscale`, `mscale_all_dim`) the ratio of theirs: the YaRN section of Transformers'
/// `modeling_rope_utils.py`.
pub(super) fn yarn_attention_factor(factor: f64, scales: Option<(f64, f64)>) -> f64 {
    let scale = |m: f64| if factor <= 1.0 { 1.0 } else { 0.1 * m * factor.ln() + 1.0 };
    scales.map_or_else(|| scale(1.0), |(one, all)| scale(one) / scale(all))
}

/// The `partial_rotary_factor` of which a head's width, rounded down, makes `rotary_dim` again.
pub(super) fn partial_factor(rotary_dim: usize, head_dim: usize) -> f64 {
    let factor = rotary_dim as f64 / head_dim as f64;
    if (head_dim as f64 * factor) as usize == rotary_dim { factor } else { factor.next_up() }
}

/// Cosines and sines of a network's positions.
pub struct RopeTables {
    /// [rows, rotary_dim / 2], row-major.
    pub cos: Vec<f32>,
    /// As `cos`.
    pub sin: Vec<f32>,
    /// Sequences of more tokens than this take the rows behind so many: a second table, of other frequencies.
    pub long_from: Option<usize>,
}

impl ModelConfig {
    /// The angle that each pair of a head's elements turns by from one position to the next: rotary_dim / 2 numbers.
    /// `positions` is the length of the sequence, which decides between LongRoPE's two lists.
    pub fn rope_frequencies(&self, positions: usize) -> Vec<f32> {
        let (half, width) = (self.rotary_dim / 2, self.rotary_dim as f64);
        let plain = (0..half).map(|i| self.rope_theta.powf(-(2.0 * i as f64) / width));
        let stretched: Vec<f64> = match &self.rope_scaling {
            RopeScaling::None | RopeScaling::Dynamic { .. } => plain.collect(),
            RopeScaling::Linear { factor } => plain.map(|f| f / factor).collect(),
            RopeScaling::Llama3 { factor, low, high, original } => plain
                .map(|f| {
                    let turns = *original as f64 * f / std::f64::consts::TAU;
                    let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                    (1.0 - kept) * f / factor + kept * f
                })
                .collect(),
            RopeScaling::Yarn { factor, original, beta_fast, beta_slow, truncate, .. } => {
                // The frequency, counted from the fastest, that turns so often within the original positions.
                let at = |turns: f64| {
                    width * (*original as f64 / (turns * std::f64::consts::TAU)).ln() / (2.0 * self.rope_theta.ln())
                };
                let (low, high) = (at(*beta_fast), at(*beta_slow));
                let (low, high) = if *truncate { (low.floor(), high.ceil()) } else { (low, high) };
                let (low, high) = (low.max(0.0), high.min(width - 1.0));
                let high = if low == high { high + 0.001 } else { high };
                let divided = |i: usize| ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
                plain.enumerate().map(|(i, f)| f / factor * divided(i) + f * (1.0 - divided(i))).collect()
            }
            RopeScaling::LongRope { short, long, original, .. } => {
                let factors = if positions > *original { long } else { short };
                plain.zip(factors).map(|(f, factor)| f / factor).collect()
            }
        };
        stretched.into_iter().map(|f| f as f32).collect()
    }

    /// Cosines and sines of a sequence of `positions` tokens, each `[positions, rotary_dim / 2]` row-major, multiplied by
    /// an attention factor where there is one. The angle is an f32 product, as in the reference.
    pub fn rope_tables(&self, positions: usize) -> (Vec<f32>, Vec<f32>) {
        self.tables(positions, positions)
    }

    /// The first `rows` rows of the tables of a sequence of `positions` tokens.
    fn tables(&self, positions: usize, rows: usize) -> (Vec<f32>, Vec<f32>) {
        let frequencies = self.rope_frequencies(positions);
        let scale = match &self.rope_scaling {
            RopeScaling::LongRope { attention_factor, .. } | RopeScaling::Yarn { attention_factor, .. } => {
                *attention_factor
            }
            _ => 1.0,
        };
        let angles = (0..rows).flat_map(|p| frequencies.iter().map(move |f| f64::from(p as f32 * f)));
        angles.map(|angle| ((angle.cos() * scale) as f32, (angle.sin() * scale) as f32)).unzip()
    }

    /// The tables for sequences of up to `positions` tokens of every length: where LongRoPE has another list for long ones, the rows of short
    /// sequences, and behind them those of long ones. So what a sequence gets hangs on its own length alone.
    pub fn network_tables(&self, positions: usize) -> RopeTables {
        match &self.rope_scaling {
            RopeScaling::LongRope { short, long, original, .. } if short != long && positions > *original => {
                let (mut cos, mut sin) = self.tables(*original, *original);
                let (long_cos, long_sin) = self.tables(positions, positions);
                cos.extend(long_cos);
                sin.extend(long_sin);
                RopeTables { cos, sin, long_from: Some(*original) }
            }
            _ => {
                let (cos, sin) = self.tables(positions, positions);
                RopeTables { cos, sin, long_from: None }
            }
        }
    }

    /// The tables of windowed layers, where those have a base of their own.
    pub fn local_tables(&self, positions: usize) -> Option<(Vec<f32>, Vec<f32>)> {
        let rope_theta = self.features.local_theta?;
        Some(Self { rope_theta, rope_scaling: RopeScaling::None, ..self.clone() }.rope_tables(positions))
    }

    /// The longest sequence that can be run at all, where there is one.
    pub fn longest_sequence(&self) -> Option<usize> {
        matches!(self.rope_scaling, RopeScaling::Dynamic { .. }).then_some(self.max_position)
    }
}
