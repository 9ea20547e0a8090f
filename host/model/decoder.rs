//! What one decoder has and another has not: the features of which every network here is made.

/// The function of the gate in the feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x / (1 + e^−x)`.
    Silu,
    /// The Gaussian error linear unit, approximated by a tanh.
    GeluTanh,
    /// The same by the error function.
    Gelu,
}

/// Where a layer's two branches, attention and feed-forward, are normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norms {
    /// What goes into them.
    Before,
    /// What comes out of them, before it is added to the residual stream.
    After,
    /// Both.
    Around,
}

/// Whether queries and keys are normalised before positions turn them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadNorms {
    /// They are not.
    None,
    /// Each head by itself, all with one weight as wide as a head.
    PerHead,
    /// All heads together.
    Whole,
}

/// Which linears add a bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Biases {
    /// The projections to queries, keys and values.
    pub queries: bool,
    /// The projection out of attention.
    pub output: bool,
    /// The linears of the feed-forward layer.
    pub feed_forward: bool,
}

/// Some of a model's layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layers {
    /// Every one.
    All,
    /// Those where this holds, from the first layer on.
    Where(Vec<bool>),
}

impl Layers {
    /// Those of the layers 0 to `count` where `is` holds.
    pub fn those(count: usize, is: impl Fn(usize) -> bool) -> Self {
        let list: Vec<bool> = (0..count).map(is).collect();
        if list.iter().all(|&is| is) { Self::All } else { Self::Where(list) }
    }

    /// Whether a layer is one of them.
    pub fn contains(&self, layer: usize) -> bool {
        match self {
            Self::All => true,
            Self::Where(list) => list.get(layer).copied().unwrap_or(false),
        }
    }
}

/// What makes a decoder of a layout of tensors. [`Features::default`] is Llama's: each feature that a model has is one
/// field that says something else.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// Of the gate.
    pub activation: Activation,
    /// Where branches are normalised.
    pub norms: Norms,
    /// What norms add to their stored weights.
    pub norm_offset: f32,
    /// Of queries and keys.
    pub head_norms: HeadNorms,
    /// Of linears.
    pub biases: Biases,
    /// What scores are multiplied by; `1 / √head_dim` where absent.
    pub score_scale: Option<f64>,
    /// The soft cap of scores.
    pub score_cap: Option<f32>,
    /// The soft cap of logits.
    pub logit_cap: Option<f32>,
    /// What the embedding is multiplied by.
    pub embedding_scale: f32,
    /// What a branch is multiplied by before it is added to the residual stream.
    pub residual_scale: f32,
    /// What logits are divided by.
    pub logit_divisor: f32,
    /// The layers whose tokens see no further than the sliding window, where the model has one.
    pub windowed: Layers,
    /// The layers whose queries and keys are turned by their positions.
    pub positioned: Layers,
    /// The base of the rotary frequencies of windowed layers, where they have their own; those are never stretched.
    pub local_theta: Option<f64>,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            activation: Activation::Silu,
            norms: Norms::Before,
            norm_offset: 0.0,
            head_norms: HeadNorms::None,
            biases: Biases::default(),
            score_scale: None,
            score_cap: None,
            logit_cap: None,
            embedding_scale: 1.0,
            residual_scale: 1.0,
            logit_divisor: 1.0,
            windowed: Layers::All,
            positioned: Layers::All,
            local_theta: None,
        }
    }
}

/// The names of a layer's norms, as Transformers' classes have them: before attention, after it, before the feed-forward layer,
/// after it.
pub fn norm_names(norms: Norms) -> [Option<&'static str>; 4] {
    match norms {
        Norms::Before => [Some("input_layernorm"), None, Some("post_attention_layernorm"), None],
        Norms::After => [None, Some("post_attention_layernorm"), None, Some("post_feedforward_layernorm")],
        Norms::Around => [
            Some("input_layernorm"),
            Some("post_attention_layernorm"),
            Some("pre_feedforward_layernorm"),
            Some("post_feedforward_layernorm"),
        ],
    }
}
