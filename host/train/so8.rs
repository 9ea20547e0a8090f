//! What a manifest's `[train.so8]` says: rotation gates, and the regularisation that goes with them.

use serde::{Deserialize, Serialize};

use so8t_base::{Error, Result};
use so8t_kernels::so8::Map;
use so8t_model::ModelConfig;
use so8t_model::network::{GateSettings, Placement};

/// The rotation gates that are trained beside the low-rank adapters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct So8Config {
    /// The layers that get a gate.
    pub layers: Layers,
    /// On which side of `o_proj` it stands.
    pub placement: Placement,
    /// How its parameters become rotations.
    pub map: Map,
    /// The gates' learning rate, as a multiple of the adapters'.
    pub learning_rate_factor: f64,
    /// The regularisation of the last hidden states; none where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pet: Option<Pet>,
}

impl Default for So8Config {
    fn default() -> Self {
        let (placement, map) = (Placement::default(), Map::default());
        Self { layers: Layers::default(), placement, map, learning_rate_factor: 1.0, pet: None }
    }
}

/// Some of a model's layers: `"all"`, or a list of numbers from 0 and of ranges such as `"4-7"`, ends included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Layers {
    /// `"all"`.
    Word(String),
    /// Numbers and ranges.
    List(Vec<LayerRange>),
}

/// A number, or a range such as `"4-7"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum LayerRange {
    /// One layer.
    One(usize),
    /// From one to another, both included.
    Range(String),
}

impl Default for Layers {
    fn default() -> Self {
        Self::Word("all".to_string())
    }
}

impl Layers {
    /// The numbers, ascending, for a model of `count` layers.
    ///
    /// Errors: another word than `all`; a list that is empty or names a layer twice; a range that is none; a layer that the model
    /// has not.
    pub fn resolve(&self, count: usize) -> Result<Vec<usize>> {
        let wrong = |found: &dyn std::fmt::Display| {
            Err(Error::manifest(format!(
                "`train.so8.layers`: expected `\"all\"` or a list of numbers and ranges such as `\"4-7\"` below {count}, found `{found}`"
            )))
        };
        let list = match self {
            Self::Word(word) if word == "all" => return Ok((0..count).collect()),
            Self::Word(word) => return wrong(word),
            Self::List(list) => list,
        };
        let mut out = Vec::new();
        for part in list {
            let (first, last) = match part {
                LayerRange::One(layer) => (*layer, *layer),
                LayerRange::Range(text) => {
                    let ends = text.split_once('-').map(|(a, b)| (a.trim().parse(), b.trim().parse()));
                    let Some((Ok(first), Ok(last))) = ends else { return wrong(text) };
                    (first, last)
                }
            };
            if first > last || last >= count {
                return wrong(&format!("{first}-{last}"));
            }
            out.extend(first..=last);
        }
        out.sort_unstable();
        if let Some(twice) = out.windows(2).find(|pair| pair[0] == pair[1]) {
            return wrong(&format!("{} twice", twice[0]));
        }
        if out.is_empty() { wrong(&"[]") } else { Ok(out) }
    }
}

/// λ · mean((h[t+2] − 2·h[t+1] + h[t])²) over the last hidden states of all sequences of a step, with a λ that grows in stages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pet {
    /// λ of each stage.
    pub weights: Vec<f32>,
    /// The shares of training after which the next stage begins, one fewer than there are stages.
    pub bounds: Vec<f64>,
}

impl Default for Pet {
    fn default() -> Self {
        Self { weights: vec![0.01, 0.05, 0.1], bounds: vec![0.2, 0.6] }
    }
}

impl Pet {
    /// λ where a share of training, 0 to below 1, is done.
    ///
    /// ```
    /// let pet = so8t_train::Pet::default();
    /// assert_eq!([0.0, 0.19, 0.2, 0.59, 0.6, 0.99].map(|share| pet.weight(share)), [0.01, 0.01, 0.05, 0.05, 0.1, 0.1]);
    /// ```
    pub fn weight(&self, share: f64) -> f32 {
        let stage = self.bounds.iter().filter(|&&bound| share >= bound).count();
        self.weights.get(stage).copied().unwrap_or(0.0)
    }
}

impl So8Config {
    /// Checks every number's range. The error names the key and what was found.
    pub fn check(&self) -> Result<()> {
        let bad = |key: &str, expected: &str, found: &dyn std::fmt::Debug| {
            Err(Error::manifest(format!("`train.so8.{key}`: expected {expected}, found `{found:?}`")))
        };
        if !(self.learning_rate_factor.is_finite() && self.learning_rate_factor > 0.0) {
            return bad("learning_rate_factor", "a number above 0", &self.learning_rate_factor);
        }
        let Some(pet) = &self.pet else { return Ok(()) };
        if pet.weights.is_empty() || !pet.weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0) {
            return bad("pet.weights", "numbers of at least 0", &pet.weights);
        }
        let within = pet.bounds.iter().all(|bound| *bound > 0.0 && *bound < 1.0);
        if !within || !pet.bounds.is_sorted_by(|a, b| a < b) || pet.bounds.len() + 1 != pet.weights.len() {
            return bad("pet.bounds", "ascending shares between 0 and 1, one fewer than `weights`", &pet.bounds);
        }
        Ok(())
    }

    /// The gates that this configuration asks for, of a model.
    ///
    /// Errors: layers that the model has not, a width that is no multiple of 8.
    pub fn gates(&self, config: &ModelConfig) -> Result<GateSettings> {
        let layers = self.layers.resolve(config.layers)?;
        let gates = GateSettings { layers, placement: self.placement, map: self.map };
        gates.check(config).map_err(|e| e.context("`train.so8`"))?;
        Ok(gates)
    }
}
