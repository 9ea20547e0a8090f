//! The readable twins of attention: one query at a time, in single precision, on one thread.
//!
//! Shapes and meaning are those of the functions of the same name in [`attention`](super).

use super::{Gradients, Heads, Inputs, Rows};

fn head<'a>(rows: Rows<'a>, row: usize, head: usize, heads: &Heads) -> &'a [f32] {
    let from = row * rows.stride + head * heads.head_dim;
    &rows.values[from..from + heads.head_dim]
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A score as the softmax sees it, and the derivative.
fn capped(score: f32, heads: &Heads) -> (f32, f32) {
    let tanh = heads.cap.map(|cap| (cap, (score / cap).tanh()));
    tanh.map_or((score, 1.0), |(cap, tanh)| (cap * tanh, 1.0 - tanh * tanh))
}

/// `out[t, h] = Σ softmax(scale · q·k)·v`.
pub fn forward(inputs: Inputs<'_>, starts: &[usize], heads: &Heads, out: &mut [f32], lse: &mut [f32]) {
    let group = heads.heads / heads.kv_heads;
    for sequence in starts.windows(2) {
        for t in sequence[0]..sequence[1] {
            for h in 0..heads.heads {
                let query = head(inputs.queries, t, h, heads);
                let keys = heads.first_key(t, sequence[0])..t + 1;
                let scores: Vec<f32> = keys
                    .clone()
                    .map(|key| capped(heads.scale * dot(query, head(inputs.keys, key, h / group, heads)), heads).0)
                    .collect();
                let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let sum: f32 = scores.iter().map(|score| (score - largest).exp()).sum();
                lse[t * heads.heads + h] = largest + sum.ln();
                let from = t * heads.query_width() + h * heads.head_dim;
                let out = &mut out[from..from + heads.head_dim];
                out.fill(0.0);
                for (key, score) in keys.zip(&scores) {
                    let probability = (score - largest).exp() / sum;
                    for (out, value) in out.iter_mut().zip(head(inputs.values, key, h / group, heads)) {
                        *out += probability * value;
                    }
                }
            }
        }
    }
}

/// With `p = exp(score − lse)` and `dp = dout·v`: `dv = Σ p·dout`, `ds = p·(dp − dout·out)·scale`, `dq = Σ ds·k`, `dk = Σ ds·q`.
pub fn backward(
    inputs: Inputs<'_>,
    starts: &[usize],
    heads: &Heads,
    out: &[f32],
    lse: &[f32],
    dout: &[f32],
    gradients: Gradients<'_>,
) {
    let (q_width, k_width) = (heads.query_width(), heads.key_width());
    let group = heads.heads / heads.kv_heads;
    let rows = starts[starts.len() - 1];
    let (out, dout) = (Rows::packed(out, q_width), Rows::packed(dout, q_width));
    let mut dq = vec![0f32; rows * q_width];
    let mut dk = vec![0f32; rows * k_width];
    let mut dv = vec![0f32; rows * k_width];
    for sequence in starts.windows(2) {
        for t in sequence[0]..sequence[1] {
            for h in 0..heads.heads {
                let query = head(inputs.queries, t, h, heads);
                let dout = head(dout, t, h, heads);
                let delta = dot(dout, head(out, t, h, heads));
                for j in heads.first_key(t, sequence[0])..t + 1 {
                    let key = head(inputs.keys, j, h / group, heads);
                    let value = head(inputs.values, j, h / group, heads);
                    let (score, slope) = capped(heads.scale * dot(query, key), heads);
                    let p = (score - lse[t * heads.heads + h]).exp();
                    let ds = p * (dot(dout, value) - delta) * heads.scale * slope;
                    for d in 0..heads.head_dim {
                        dq[t * q_width + h * heads.head_dim + d] += ds * key[d];
                        dk[j * k_width + h / group * heads.head_dim + d] += ds * query[d];
                        dv[j * k_width + h / group * heads.head_dim + d] += p * dout[d];
                    }
                }
            }
        }
    }
    match gradients {
        Gradients::Separate { queries, keys, values } => {
            queries.copy_from_slice(&dq);
            keys.copy_from_slice(&dk);
            values.copy_from_slice(&dv);
        }
        Gradients::Fused(fused) => {
            for (t, row) in fused.chunks_exact_mut(q_width + 2 * k_width).enumerate() {
                let (q, kv) = row.split_at_mut(q_width);
                let (k, v) = kv.split_at_mut(k_width);
                q.copy_from_slice(&dq[t * q_width..(t + 1) * q_width]);
                k.copy_from_slice(&dk[t * k_width..(t + 1) * k_width]);
                v.copy_from_slice(&dv[t * k_width..(t + 1) * k_width]);
            }
        }
    }
}
