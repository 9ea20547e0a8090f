//! GFLOP/s per CPU second of the matrix products, beside the `gemm` crate in f32:
//!
//!     cargo run --release --example bench_kernels [threads] ["m n k name" or a part of it]
//!
//! CPU time, not wall time, is counted, so that other load on the machine matters little.

use so8t::kernels::attention::{Gradients, Heads, Inputs, backward, forward};
use so8t::kernels::gemm::{Compute, Weight, matmul_nn, matmul_nt, matmul_tn};
use so8t::kernels::quantise::quantise;

fn main() {
    let threads = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1);
    let filter = std::env::args().nth(2).unwrap_or_default();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
    let narrow = [(576, 576), (192, 576), (1536, 576), (576, 1536)];
    let adapters = [(16, 576), (576, 16), (1536, 16), (16, 1536)];
    let wide = [(9216, 3072), (3072, 8192)];
    println!("GFLOP/s per CPU second, {threads} threads (in brackets: per wall second)");
    for (heads, lengths) in [
        (Heads::new(9, 3, 64), vec![60; 16]),
        (Heads::new(9, 3, 64), vec![300; 4]),
        (Heads::new(32, 32, 96), vec![512; 2]),
        (Heads::new(9, 3, 64), vec![4096]),
    ] {
        for compute in [Compute::F32, Compute::Bf16] {
            pool.install(|| attention(Heads { compute, ..heads }, &lengths, &filter));
        }
    }
    for m in [200, 500, 2000] {
        for (n, k) in narrow.into_iter().chain(adapters) {
            pool.install(|| shape(m, n, k, &filter));
        }
    }
    for (n, k) in wide {
        pool.install(|| shape(512, n, k, &filter));
    }
    for m in [1, 4, 8, 32] {
        pool.install(|| shape(m, 49152, 576, &filter));
    }
}

/// Measures the layouts and precisions of one shape.
fn shape(m: usize, n: usize, k: usize, filter: &str) {
    let names = [
        "gemm-nt",
        "gemm-nn",
        "nt-f32",
        "nt-int8-f32",
        "nt-f32-bf16",
        "nt-int8-bf16",
        "nn-int8-f32",
        "nn-int8-bf16",
        "tn-f32",
        "tn-bf16",
    ];
    let wanted = |name: &str| format!("{m} {n} {k} {name}").contains(filter);
    if !names.into_iter().any(wanted) {
        return;
    }
    let (x, dy, w) = (numbers(m * k), numbers(m * n), numbers(n * k));
    let quantised = quantise(&w, k);
    let int8 = Weight::Int8 { values: &quantised.values, steps: &quantised.steps };
    let (mut out, mut dx, mut dw) = (vec![0.0; m * n], vec![0.0; m * k], vec![0.0; n * k]);
    let flops = 2.0 * (m * n * k) as f64;
    let mut line = String::new();
    let mut report = |name: &str, run: &mut dyn FnMut()| {
        if wanted(name) {
            let (cpu, wall) = measure(flops, run);
            line += &format!("  {name} {:.0} ({:.0})", flops / cpu / 1e9, flops / wall / 1e9);
        }
    };
    report("gemm-nt", &mut || peer(m, n, k, &mut out, (&x, k, 1), (&w, 1, k)));
    report("gemm-nn", &mut || peer(m, k, n, &mut dx, (&dy, n, 1), (&w, k, 1)));
    report("nt-f32", &mut || matmul_nt(&x, Weight::F32(&w), &mut out, m, k, n, false, Compute::F32));
    report("nt-int8-f32", &mut || matmul_nt(&x, int8, &mut out, m, k, n, false, Compute::F32));
    report("nt-f32-bf16", &mut || matmul_nt(&x, Weight::F32(&w), &mut out, m, k, n, false, Compute::Bf16));
    report("nt-int8-bf16", &mut || matmul_nt(&x, int8, &mut out, m, k, n, false, Compute::Bf16));
    report("nn-int8-f32", &mut || matmul_nn(&dy, int8, &mut dx, m, n, k, false, Compute::F32));
    report("nn-int8-bf16", &mut || matmul_nn(&dy, int8, &mut dx, m, n, k, false, Compute::Bf16));
    report("tn-f32", &mut || matmul_tn(&dy, &x, &mut dw, m, n, k, false, Compute::F32));
    report("tn-bf16", &mut || matmul_tn(&dy, &x, &mut dw, m, n, k, false, Compute::Bf16));
    println!("m {m:4} n {n:5} k {k:4} {line}");
}

/// Measures attention; only the products below the diagonal count as useful work.
fn attention(heads: Heads, lengths: &[usize], filter: &str) {
    let label = format!("attention {} × {} {:?}", lengths.len(), lengths[0], heads.compute);
    if !label.contains(filter) {
        return;
    }
    let mut starts = vec![0];
    starts.extend(lengths.iter().scan(0, |sum, length| {
        *sum += length;
        Some(*sum)
    }));
    let tokens = starts[lengths.len()];
    let rows = numbers(tokens * (heads.query_width() + 2 * heads.key_width()));
    let dout = numbers(tokens * heads.query_width());
    let (mut out, mut lse) = (vec![0.0; dout.len()], vec![0.0; tokens * heads.heads]);
    let mut gradients = vec![0.0; rows.len()];
    let pairs: f64 = lengths.iter().map(|&length| (length * (length + 1) / 2) as f64).sum();
    let product = 2.0 * pairs * heads.query_width() as f64;
    let inputs = Inputs::fused(&rows, &heads);
    let forward_time = measure(2.0 * product, &mut || forward(inputs, &starts, &heads, &mut out, &mut lse));
    let backward_time = measure(5.0 * product, &mut || {
        backward(inputs, &starts, &heads, &out, &lse, &dout, Gradients::Fused(&mut gradients));
    });
    let speed = |products: f64, (cpu, wall): (f64, f64)| {
        format!("{:.0} ({:.0})", products * product / cpu / 1e9, products * product / wall / 1e9)
    };
    println!(
        "{label}: heads {}/{} × {}  forward {}  backward {}  µs a token {:.2} + {:.2}",
        heads.heads,
        heads.kv_heads,
        heads.head_dim,
        speed(2.0, forward_time),
        speed(5.0, backward_time),
        forward_time.0 * 1e6 / tokens as f64,
        backward_time.0 * 1e6 / tokens as f64
    );
}

/// The product of the `gemm` crate; each factor with its row and column stride.
fn peer(
    rows: usize,
    columns: usize,
    terms: usize,
    out: &mut [f32],
    left: (&[f32], usize, usize),
    right: (&[f32], usize, usize),
) {
    assert!(out.len() >= rows * columns && left.0.len() >= rows * terms && right.0.len() >= terms * columns);
    let threads = rayon::current_num_threads();
    let parallelism = if threads == 1 { gemm::Parallelism::None } else { gemm::Parallelism::Rayon(threads) };
    #[allow(unsafe_code, reason = "the peer's interface is unsafe")]
    // SAFETY: the slices have the lengths of their shapes, as asserted.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            terms,
            out.as_mut_ptr(),
            1,
            columns as isize,
            false,
            left.0.as_ptr(),
            left.2 as isize,
            left.1 as isize,
            right.0.as_ptr(),
            right.2 as isize,
            right.1 as isize,
            0.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// CPU and wall seconds of one call: the best of several batches of about 60 ms.
fn measure(flops: f64, run: &mut dyn FnMut()) -> (f64, f64) {
    run();
    let calls = (60e-3 * 100e9 / flops).ceil().max(1.0);
    let (mut cpu, mut wall) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..5 {
        let (cpu_before, wall_before) = (cpu_seconds(), std::time::Instant::now());
        for _ in 0..calls as usize {
            run();
        }
        cpu = cpu.min((cpu_seconds() - cpu_before) / calls);
        wall = wall.min(wall_before.elapsed().as_secs_f64() / calls);
    }
    (cpu, wall)
}

/// Seconds that all threads of this process have run, from the scheduler's counts.
fn cpu_seconds() -> f64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return f64::NAN };
    let nanoseconds: u64 = tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .sum();
    nanoseconds as f64 / 1e9
}

fn numbers(length: usize) -> Vec<f32> {
    (0..length).map(|i| ((i * 7919) % 1009) as f32 / 504.5 - 1.0).collect()
}
