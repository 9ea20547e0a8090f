//! Causal attention of packed sequences of any length, with grouped heads and an optional sliding window.
//!
//! The tokens of all sequences lie end to end: sequence `s` holds the rows `starts[s]..starts[s + 1]`. Query head `h` reads key
//! and value head `h / (heads / kv_heads)`. A token attends to itself and to the tokens before it in its sequence; with a window
//! `w`, only to the last `w` of them, itself included. The readable twins are in [`plain`].

pub mod next;
pub mod plain;
pub mod softmax;

mod blocks;

use super::gemm::Compute;

/// The heads of an attention layer, and what a token may look at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heads {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; they divide `heads`.
    pub kv_heads: usize,
    /// Values a head.
    pub head_dim: usize,
    /// What the scores are multiplied by, usually `1 / √head_dim`.
    pub scale: f32,
    /// How many tokens one token looks at, itself included; `None`: all before it.
    pub window: Option<usize>,
    /// Scores are capped softly by this; see [`soft_cap`](super::soft_cap).
    pub cap: Option<f32>,
    /// How products are formed; softmax and sums are always f32.
    pub compute: Compute,
}

impl Heads {
    /// Heads with the usual scale `1 / √head_dim`, neither window nor cap, and products in f32.
    pub fn new(heads: usize, kv_heads: usize, head_dim: usize) -> Self {
        let scale = 1.0 / (head_dim as f32).sqrt();
        Self { heads, kv_heads, head_dim, scale, window: None, cap: None, compute: Compute::F32 }
    }

    /// Width of a row of queries.
    pub fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of a row of keys, or of values.
    pub fn key_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// The first row that row `row` of a sequence beginning at row `start` looks at.
    fn first_key(&self, row: usize, start: usize) -> usize {
        self.window.map_or(start, |window| start.max((row + 1).saturating_sub(window)))
    }

    fn check(&self, starts: &[usize]) -> usize {
        assert!(self.kv_heads > 0 && self.heads.is_multiple_of(self.kv_heads), "kv_heads must divide heads");
        assert!(self.window != Some(0), "a window holds at least the token itself");
        assert!(!starts.is_empty() && starts.is_sorted(), "starts must begin at 0 and never fall");
        assert_eq!(starts[0], 0, "starts must begin at 0");
        starts[starts.len() - 1]
    }
}

/// Rows inside a larger buffer: row `t` begins at `values[t · stride]`.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The buffer from the first row's first value on.
    pub values: &'a [f32],
    /// Distance between rows, in values.
    pub stride: usize,
}

impl<'a> Rows<'a> {
    /// Rows of `width` values without gaps.
    pub fn packed(values: &'a [f32], width: usize) -> Self {
        Self { values, stride: width }
    }

    fn check(&self, rows: usize, width: usize, name: &str) {
        assert!(self.stride >= width, "{name} needs a stride of at least {width}, not {}", self.stride);
        let needed = if rows == 0 { 0 } else { (rows - 1) * self.stride + width };
        assert!(self.values.len() >= needed, "{name} needs {needed} values, not {}", self.values.len());
    }
}

/// Queries, keys and values.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// `[T, heads · head_dim]`.
    pub queries: Rows<'a>,
    /// `[T, kv_heads · head_dim]`.
    pub keys: Rows<'a>,
    /// `[T, kv_heads · head_dim]`.
    pub values: Rows<'a>,
}

impl<'a> Inputs<'a> {
    /// Three separate buffers without gaps.
    pub fn separate(queries: &'a [f32], keys: &'a [f32], values: &'a [f32], heads: &Heads) -> Self {
        Self {
            queries: Rows::packed(queries, heads.query_width()),
            keys: Rows::packed(keys, heads.key_width()),
            values: Rows::packed(values, heads.key_width()),
        }
    }

    /// One buffer whose rows are `[queries | keys | values]`.
    pub fn fused(rows: &'a [f32], heads: &Heads) -> Self {
        let (q, k) = (heads.query_width(), heads.key_width());
        let stride = q + 2 * k;
        let from = |offset: usize| Rows { values: rows.get(offset..).unwrap_or(&[]), stride };
        Self { queries: from(0), keys: from(q), values: from(q + k) }
    }

    fn check(&self, rows: usize, heads: &Heads) {
        self.queries.check(rows, heads.query_width(), "queries");
        self.keys.check(rows, heads.key_width(), "keys");
        self.values.check(rows, heads.key_width(), "values");
    }
}

/// Where the gradients go; they are overwritten.
#[derive(Debug)]
pub enum Gradients<'a> {
    /// Three buffers without gaps.
    Separate {
        /// `[T, heads · head_dim]`.
        queries: &'a mut [f32],
        /// `[T, kv_heads · head_dim]`.
        keys: &'a mut [f32],
        /// `[T, kv_heads · head_dim]`.
        values: &'a mut [f32],
    },
    /// One buffer whose rows are `[queries | keys | values]`.
    Fused(&'a mut [f32]),
}

impl Gradients<'_> {
    fn check(&self, rows: usize, heads: &Heads) {
        let (q, k) = (rows * heads.query_width(), rows * heads.key_width());
        match self {
            Self::Separate { queries, keys, values } => {
                assert_eq!(queries.len(), q, "the queries' gradient has the queries' size");
                assert_eq!(keys.len(), k, "the keys' gradient has the keys' size");
                assert_eq!(values.len(), k, "the values' gradient has the values' size");
            }
            Self::Fused(rows) => assert_eq!(rows.len(), q + 2 * k, "the gradient has the size of the fused rows"),
        }
    }
}

/// `out[t, h] = Σ softmax(scale · q·k)·v` `[T, heads · head_dim]`, and the logarithm of each softmax's denominator in `lse`
/// `[T, heads]`, which [`backward`] needs.
///
/// # Panics
/// When `starts` does not rise from 0 to T, or a slice has not the length of its shape.
pub fn forward(inputs: Inputs<'_>, starts: &[usize], heads: &Heads, out: &mut [f32], lse: &mut [f32]) {
    let rows = heads.check(starts);
    inputs.check(rows, heads);
    assert_eq!(out.len(), rows * heads.query_width(), "out has the queries' size");
    assert_eq!(lse.len(), rows * heads.heads, "lse has one value a token and head");
    blocks::forward(inputs, starts, heads, out, lse);
}

/// The gradients of queries, keys and values from `out` and `lse` of [`forward`] and the gradient `dout`
/// `[T, heads · head_dim]` of `out`. Probabilities are computed again block by block.
///
/// # Panics
/// When `starts` does not rise from 0 to T, or a slice has not the length of its shape.
pub fn backward(
    inputs: Inputs<'_>,
    starts: &[usize],
    heads: &Heads,
    out: &[f32],
    lse: &[f32],
    dout: &[f32],
    gradients: Gradients<'_>,
) {
    let rows = heads.check(starts);
    inputs.check(rows, heads);
    assert_eq!(out.len(), rows * heads.query_width(), "out has the queries' size");
    assert_eq!(dout.len(), out.len(), "dout has the size of out");
    assert_eq!(lse.len(), rows * heads.heads, "lse has one value a token and head");
    gradients.check(rows, heads);
    blocks::backward(inputs, starts, heads, out, lse, dout, gradients);
}
