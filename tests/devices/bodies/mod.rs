//! What must hold of every device: each operation agrees with its readable twin. The bodies are generic over the backend; the tests run
//! them on the processor and on the emulated GPU, and `examples/bench_gpu.rs` on a real one.

mod attention;
mod families;
mod network;
mod products;

use so8t::kernels::backend::Backend;
use so8t::train::random::Random;

/// A body: its name, and what panics where a device is wrong.
pub type Body<B> = (&'static str, fn(&B));

/// All bodies.
pub fn all<B: Backend + Clone>() -> Vec<Body<B>> {
    vec![
        ("memory", families::memory),
        ("norms", families::norms),
        ("rotations", families::rotations),
        ("gated activations", families::gated_activations),
        ("gated activations with a GELU", families::gated_gelus),
        ("norms of parts", families::part_norms),
        ("soft caps", families::soft_caps),
        ("dropout", families::dropout),
        ("losses", families::losses),
        ("optimiser", families::optimiser),
        ("tables", families::tables),
        ("columns", families::columns),
        ("norms of rows", families::row_norms),
        ("products", products::products),
        ("adapted products", products::adapted_products),
        ("values that change between products", products::changes),
        ("attention", attention::both_passes),
        ("attention with capped scores", attention::capped),
        ("attention in bf16", attention::both_passes_in_bf16),
        ("new tokens", attention::new_tokens),
        ("training", network::training),
        ("training in bf16", network::training_in_bf16),
        ("scores", network::scores),
    ]
}

fn numbers(count: usize, name: &str) -> Vec<f32> {
    let mut random = Random::new(1, name);
    (0..count).map(|_| random.normal()).collect()
}

/// A buffer of the backend that holds `values`.
fn held<B: Backend>(backend: &B, values: &[f32]) -> B::Buffer {
    let mut buffer = backend.allocate(values.len()).unwrap();
    backend.write(values, &mut buffer).unwrap();
    buffer
}

fn close(name: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{name}: element {i} is {a}, not {b}");
    }
}

/// The size of the difference beside that of what is expected, as root mean squares.
fn distance(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    let difference = norm(&mut found.iter().zip(expected).map(|(a, b)| a - b));
    difference / norm(&mut expected.iter().copied()).max(1e-30)
}
