//! Attention: packed sequences, grouped heads, windows; in single precision for any width of heads, in bf16 for those of the
//! tensor cores.

use so8t::kernels::attention::{Gradients, Heads, Inputs, plain};
use so8t::kernels::backend::Backend;
use so8t::kernels::gemm::Compute;

use super::{close, distance, held, numbers};

/// (heads, key heads, head width, window)
type Case = (usize, usize, usize, Option<usize>);

fn heads((heads, kv_heads, head_dim, window): Case, compute: Compute) -> Heads {
    Heads { window, compute, ..Heads::new(heads, kv_heads, head_dim) }
}

struct Output {
    out: Vec<f32>,
    lse: Vec<f32>,
    gradients: Vec<f32>,
}

fn run<B: Backend>(backend: &B, heads: Heads, rows: &[f32], starts: &[usize], dout: &[f32]) -> Output {
    let tokens = starts[starts.len() - 1];
    let fused = held(backend, rows);
    let mut out = held(backend, &vec![f32::NAN; tokens * heads.query_width()]);
    let mut lse = held(backend, &vec![f32::NAN; tokens * heads.heads]);
    let mut gradients = held(backend, &vec![f32::NAN; rows.len()]);
    backend.attention(&fused, starts, heads, &mut out, &mut lse).unwrap();
    backend.attention_backward(&fused, &out, &lse, &held(backend, dout), starts, heads, &mut gradients).unwrap();
    Output {
        out: backend.read(&out, dout.len()).unwrap(),
        lse: backend.read(&lse, tokens * heads.heads).unwrap(),
        gradients: backend.read(&gradients, rows.len()).unwrap(),
    }
}

fn twin(heads: Heads, rows: &[f32], starts: &[usize], dout: &[f32]) -> Output {
    let tokens = starts[starts.len() - 1];
    let inputs = Inputs::fused(rows, &heads);
    let (mut out, mut lse) = (vec![f32::NAN; dout.len()], vec![f32::NAN; tokens * heads.heads]);
    let mut gradients = vec![f32::NAN; rows.len()];
    plain::forward(inputs, starts, &heads, &mut out, &mut lse);
    plain::backward(inputs, starts, &heads, &out, &lse, dout, Gradients::Fused(&mut gradients));
    Output { out, lse, gradients }
}

fn inputs(heads: &Heads, tokens: usize, factor: f32) -> (Vec<f32>, Vec<f32>) {
    let width = heads.query_width() + 2 * heads.key_width();
    let rows = numbers(tokens * width, "fused").iter().map(|x| x * factor).collect();
    (rows, numbers(tokens * heads.query_width(), "dout"))
}

pub fn both_passes<B: Backend>(backend: &B) {
    let starts = [0, 1, 1, 35, 71];
    for case in [
        (1, 1, 16, None),
        (3, 1, 64, None),
        (4, 2, 24, None),
        (2, 2, 96, None),
        (3, 3, 64, Some(1)),
        (2, 1, 128, Some(7)),
        (6, 2, 33, Some(20)),
    ] {
        let heads = heads(case, Compute::F32);
        let (rows, dout) = inputs(&heads, 71, 1.0);
        let (found, expected) = (run(backend, heads, &rows, &starts, &dout), twin(heads, &rows, &starts, &dout));
        close(&format!("{case:?} out"), &found.out, &expected.out, 5e-6);
        close(&format!("{case:?} lse"), &found.lse, &expected.lse, 5e-6);
        close(&format!("{case:?} gradients"), &found.gradients, &expected.gradients, 5e-5);
    }
}

/// Caps that are at work: scores are up to several times as large.
pub fn capped<B: Backend>(backend: &B) {
    let starts = [0, 1, 1, 35, 71];
    for case in [(1, 1, 16, None), (4, 2, 24, Some(9)), (2, 1, 64, None)] {
        for compute in [Compute::F32, Compute::Bf16] {
            let heads = Heads { cap: Some(1.5), scale: 0.7, ..heads(case, compute) };
            let (rows, dout) = inputs(&heads, 71, 1.0);
            let (found, expected) = (run(backend, heads, &rows, &starts, &dout), twin(heads, &rows, &starts, &dout));
            if compute == Compute::F32 {
                close(&format!("{case:?} out"), &found.out, &expected.out, 5e-6);
                close(&format!("{case:?} lse"), &found.lse, &expected.lse, 5e-6);
                close(&format!("{case:?} gradients"), &found.gradients, &expected.gradients, 5e-5);
            }
            for (found, expected) in [(&found.out, &expected.out), (&found.gradients, &expected.gradients)] {
                assert!(distance(found, expected) < 0.02, "{case:?}, {compute:?}");
            }
        }
    }
}

/// Rounded factors differ by 2⁻⁹ each; the bounds leave room for their sums and nothing else: a row or column in the wrong place is
/// off by its whole size.
pub fn both_passes_in_bf16<B: Backend>(backend: &B) {
    let starts = [0, 1, 1, 30, 147];
    for case in [
        (2, 1, 64, None),
        (1, 1, 96, None),
        (1, 1, 128, None),
        (1, 1, 64, Some(1)),
        (2, 1, 96, Some(40)),
        (2, 1, 128, Some(100)),
        (2, 1, 48, None),
    ] {
        let heads = heads(case, Compute::Bf16);
        let (rows, dout) = inputs(&heads, 147, 0.7);
        let (found, expected) = (run(backend, heads, &rows, &starts, &dout), twin(heads, &rows, &starts, &dout));
        close(&format!("{case:?} out"), &found.out, &expected.out, 0.02);
        close(&format!("{case:?} lse"), &found.lse, &expected.lse, 0.01);
        for (name, found, expected) in
            [("out", &found.out, &expected.out), ("gradients", &found.gradients, &expected.gradients)]
        {
            let distance = distance(found, expected);
            assert!(distance < 0.01, "{case:?} {name}: {distance} from what is expected");
        }
    }
}

pub fn new_tokens<B: Backend>(backend: &B) {
    let starts = [0, 1, 40, 93];
    for case in [(1, 1, 16, None), (4, 2, 64, None), (2, 1, 96, Some(7)), (3, 1, 33, Some(40))] {
        for cap in [None, Some(2.0)] {
            let heads = Heads { cap, ..heads(case, Compute::F32) };
            let (width, key_width) = (heads.query_width(), 2 * heads.key_width());
            let (rows, dout) = inputs(&heads, 93, 1.0);
            let expected = twin(heads, &rows, &starts, &dout).out;
            let sequences: Vec<_> = starts.windows(2).map(|s| s[0]..s[1]).collect();
            let mut kept = held(backend, &vec![f32::NAN; 93 * key_width]);
            let places = backend.indices(&(0..93).collect::<Vec<u32>>()).unwrap();
            backend.keep(&held(backend, &rows), &places, 93, heads, &mut kept).unwrap();
            let last = |values: &[f32], width: usize| -> Vec<f32> {
                sequences.iter().flat_map(|s| values[(s.end - 1) * width..s.end * width].to_vec()).collect()
            };
            let new = held(backend, &last(&rows, width + key_width));
            let mut out = backend.allocate(sequences.len() * width).unwrap();
            backend.attention_next(&new, &kept, &sequences, heads, &mut out).unwrap();
            let found = backend.read(&out, sequences.len() * width).unwrap();
            close(&format!("{case:?}"), &found, &last(&expected, width), 5e-6);
        }
    }
}
