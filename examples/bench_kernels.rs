//! GFLOP/s per CPU second of the matrix products and of attention, beside the `gemm` crate and, where its library is named, Intel MKL:
//!
//!     cargo run --release --example bench_kernels [threads] ["m n k name" or a part of it]
//!     SO8T_INSTRUCTIONS=avx2 BENCH_MKL=…/libmkl_rt.so.3 cargo run --release --example bench_kernels
//!
//! CPU time, not wall time, is counted, so that other load on the machine matters little. All that is compared runs in turn, several rounds; medians are
//! printed, and in brackets the median ratio to the faster peer of the same round. MKL, by which PyTorch multiplies f32, is held to the level of
//! `SO8T_INSTRUCTIONS`; the `gemm` crate always has AVX2.
//!
//!     cargo run --release --example bench_kernels check
//!
//! fails if products in f32 at AVX2 fall below 0.8 of the `gemm` crate.
#![allow(unsafe_code, reason = "the peers' interfaces are unsafe")]

use so8t::kernels::attention::{Gradients, Heads, Inputs, backward, forward};
use so8t::kernels::gemm::instructions::{Instructions, VARIABLE, with_at_most};
use so8t::kernels::gemm::{Compute, Weight, matmul_nn, matmul_nt, matmul_tn};
use so8t::kernels::nf4;
use so8t::kernels::quantise::quantise;

/// Rounds, and seconds of a candidate's turn in each.
const ROUNDS: usize = 7;
const TURN: f64 = 12e-3;

fn main() {
    if let Ok(level) = std::env::var(VARIABLE)
        && let Err(message) = Instructions::choose(&level)
    {
        eprintln!("error: {message}");
        std::process::exit(1);
    }
    let first = std::env::args().nth(1).unwrap_or_default();
    if first == "check" {
        std::process::exit(check());
    }
    let threads = first.parse().unwrap_or(1);
    let filter = std::env::args().nth(2).unwrap_or_default();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
    let mkl = Mkl::load();
    let narrow = [(576, 576), (192, 576), (1536, 576), (576, 1536)];
    let adapters = [(16, 576), (576, 16), (1536, 16), (16, 1536)];
    let wide = [(9216, 3072), (3072, 8192)];
    let level = Instructions::current();
    println!("GFLOP/s per CPU second, {level:?}, {threads} threads (in brackets: ratio to the faster peer)");
    for (heads, lengths) in [
        (Heads::new(9, 3, 64), vec![60; 16]),
        (Heads::new(9, 3, 64), vec![300; 4]),
        (Heads::new(32, 32, 96), vec![512; 2]),
        (Heads::new(9, 3, 64), vec![4096]),
    ] {
        for compute in computes(level) {
            pool.install(|| attention(Heads { compute, ..heads }, &lengths, &filter));
        }
    }
    for m in [200, 500, 2000] {
        for (n, k) in narrow.into_iter().chain(adapters) {
            pool.install(|| shape(m, n, k, &filter, mkl.as_ref()));
        }
    }
    for (n, k) in wide {
        pool.install(|| shape(512, n, k, &filter, mkl.as_ref()));
    }
    for m in [1, 4, 8, 32] {
        pool.install(|| shape(m, 49152, 576, &filter, mkl.as_ref()));
    }
}

/// The precisions that a level has.
fn computes(level: Instructions) -> impl Iterator<Item = Compute> {
    let half = (level >= Instructions::Avx512Bf16).then_some(Compute::Bf16);
    std::iter::once(Compute::F32).chain(half)
}

/// The ratio of products at AVX2 to the `gemm` crate on shapes of a transformer; the exit status.
fn check() -> i32 {
    if Instructions::detected() < Instructions::Avx2 {
        println!("skipped: this processor has no AVX2");
        return 0;
    }
    let mut worst = f64::INFINITY;
    for (m, n, k) in [(500, 576, 576), (500, 1536, 576), (500, 576, 1536), (512, 3072, 3072)] {
        let (x, w) = (numbers(m * k), numbers(n * k));
        let (mut out, mut peers) = (vec![0.0; m * n], vec![0.0; m * n]);
        let mut ours = || {
            with_at_most(Instructions::Avx2, || {
                matmul_nt(&x, Weight::F32(&w), &mut out, m, k, n, false, Compute::F32);
            });
        };
        let mut theirs = || peer(m, n, k, &mut peers, (&x, k, 1), (&w, 1, k));
        let rounds = measure(2.0 * (m * n * k) as f64, &mut [&mut theirs, &mut ours]);
        let ratio = median(rounds.iter().map(|round| round[0] / round[1]).collect());
        println!("{m} × {n} × {k}: {ratio:.2} of the `gemm` crate");
        worst = worst.min(ratio);
    }
    if worst < 0.8 {
        eprintln!("error: expected at least 0.8 of the `gemm` crate at AVX2, found {worst:.2}");
        return 1;
    }
    0
}

/// Measures the layouts and precisions of one shape.
fn shape(m: usize, n: usize, k: usize, filter: &str, mkl: Option<&Mkl>) {
    let level = Instructions::current();
    let names = ["nt-f32", "nt-int8", "nt-nf4", "nn-f32", "nn-int8", "nn-nf4", "tn-f32"];
    let wanted = |name: &str| format!("{m} {n} {k} {name}-bf16").contains(filter);
    if !names.iter().any(|name| wanted(name)) {
        return;
    }
    let (x, dy, w) = (numbers(m * k), numbers(m * n), numbers(n * k));
    let quantised = quantise(&w, k);
    let int8 = Weight::Int8 { values: &quantised.values, steps: &quantised.steps };
    let nf4 = nf4::quantise(&w);
    let weights = [("f32", Weight::F32(&w)), ("int8", int8), ("nf4", Weight::Nf4(&nf4))];
    let flops = 2.0 * (m * n * k) as f64;
    let mut line = String::new();
    for layout in ["nt", "nn", "tn"] {
        let size = match layout {
            "nt" => m * n,
            "nn" => m * k,
            _ => n * k,
        };
        let out = std::cell::RefCell::new(vec![0f32; size]);
        let (x, dy, w, out) = (&x, &dy, &w, &out);
        let shape = match layout {
            "nt" => (m, n, k, (&x[..], k, 1), (&w[..], 1, k)),
            "nn" => (m, k, n, (&dy[..], n, 1), (&w[..], k, 1)),
            _ => (n, k, m, (&dy[..], 1, n), (&x[..], k, 1)),
        };
        let (rows, columns, terms, left, right) = shape;
        let mut names: Vec<String> = Vec::new();
        let mut runs: Vec<Box<dyn FnMut() + '_>> = Vec::new();
        let mut add = |name: String, run| {
            if format!("{m} {n} {k} {name}").contains(filter) || name.starts_with("gemm") || name.starts_with("mkl") {
                names.push(name);
                runs.push(run);
            }
        };
        add(format!("gemm-{layout}"), Box::new(move || peer(rows, columns, terms, &mut out.borrow_mut(), left, right)));
        if let Some(mkl) = mkl {
            let run = move || mkl.product(rows, columns, terms, &mut out.borrow_mut(), left, right);
            add(format!("mkl-{layout}"), Box::new(run));
        }
        let peers = if mkl.is_some() { 2 } else { 1 };
        for compute in computes(level) {
            let half = if compute == Compute::Bf16 { "-bf16" } else { "" };
            for (form, weight) in weights {
                let out = move || out.borrow_mut();
                match layout {
                    "nt" => add(
                        format!("nt-{form}{half}"),
                        Box::new(move || matmul_nt(x, weight, &mut out(), m, k, n, false, compute)),
                    ),
                    "nn" => add(
                        format!("nn-{form}{half}"),
                        Box::new(move || matmul_nn(dy, weight, &mut out(), m, n, k, false, compute)),
                    ),
                    _ if form == "f32" => add(
                        format!("tn-{form}{half}"),
                        Box::new(move || matmul_tn(dy, x, &mut out(), m, n, k, false, compute)),
                    ),
                    _ => {}
                }
            }
        }
        if runs.len() == peers {
            continue;
        }
        let mut borrowed: Vec<&mut dyn FnMut()> = runs.iter_mut().map(|run| &mut **run as &mut dyn FnMut()).collect();
        let rounds = measure(flops, &mut borrowed);
        for (index, name) in names.iter().enumerate() {
            let speed = flops / median(rounds.iter().map(|round| round[index]).collect()) / 1e9;
            line += &format!("  {name} {speed:.0}");
            if index >= peers {
                let best = |round: &[f64]| round[..peers].iter().copied().fold(f64::INFINITY, f64::min);
                line += &format!(" ({:.2})", median(rounds.iter().map(|round| best(round) / round[index]).collect()));
            }
        }
    }
    if !line.is_empty() {
        println!("m {m:4} n {n:5} k {k:4} {line}");
    }
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
    let time = |products: f64, run: &mut dyn FnMut()| {
        median(measure(products * product, &mut [run]).iter().map(|round| round[0]).collect())
    };
    let forward_time = time(2.0, &mut || forward(inputs, &starts, &heads, &mut out, &mut lse));
    let backward_time = time(5.0, &mut || {
        backward(inputs, &starts, &heads, &out, &lse, &dout, Gradients::Fused(&mut gradients));
    });
    println!(
        "{label}: heads {}/{} × {}  forward {:.0}  backward {:.0}  µs a token {:.2} + {:.2}",
        heads.heads,
        heads.kv_heads,
        heads.head_dim,
        2.0 * product / forward_time / 1e9,
        5.0 * product / backward_time / 1e9,
        forward_time * 1e6 / tokens as f64,
        backward_time * 1e6 / tokens as f64
    );
}

/// The numbers of a factor, and the distance between its rows and between its columns.
type Factor<'a> = (&'a [f32], usize, usize);

/// The product of the `gemm` crate.
fn peer(rows: usize, columns: usize, terms: usize, out: &mut [f32], left: Factor<'_>, right: Factor<'_>) {
    assert!(out.len() >= rows * columns && left.0.len() >= rows * terms && right.0.len() >= terms * columns);
    let threads = rayon::current_num_threads();
    let parallelism = if threads == 1 { gemm::Parallelism::None } else { gemm::Parallelism::Rayon(threads) };
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

/// `cblas_sgemm`: order, whether left and right are turned, shape, factor, left, right, factor, out.
type Sgemm =
    unsafe extern "C" fn(i32, i32, i32, i32, i32, i32, f32, *const f32, i32, *const f32, i32, f32, *mut f32, i32);

/// Intel MKL, from the library that `BENCH_MKL` names.
struct Mkl {
    sgemm: Sgemm,
    _library: libloading::Library,
}

impl Mkl {
    /// On one thread, with at most the level that the kernels have.
    fn load() -> Option<Self> {
        let path = std::env::var_os("BENCH_MKL")?;
        let level = match Instructions::current() {
            Instructions::Portable => 0,
            Instructions::Avx2 => 2,
            _ => 4,
        };
        // SAFETY: the library's functions have these types; they are called before any product.
        unsafe {
            let library = libloading::Library::new(path).expect("BENCH_MKL must name libmkl_rt");
            let set: libloading::Symbol<'_, unsafe extern "C" fn(i32) -> i32> =
                library.get(b"MKL_Set_Threading_Layer").expect("a function of MKL");
            set(1);
            let enable: libloading::Symbol<'_, unsafe extern "C" fn(i32) -> i32> =
                library.get(b"MKL_Enable_Instructions").expect("a function of MKL");
            enable(level);
            let sgemm = *library.get::<Sgemm>(b"cblas_sgemm").expect("a function of MKL");
            Some(Self { sgemm, _library: library })
        }
    }

    fn product(&self, rows: usize, columns: usize, terms: usize, out: &mut [f32], left: Factor<'_>, right: Factor<'_>) {
        assert!(out.len() >= rows * columns && left.0.len() >= rows * terms && right.0.len() >= terms * columns);
        let turned = |factor: Factor<'_>| if factor.2 == 1 { 111 } else { 112 };
        let stride = |factor: Factor<'_>| factor.1.max(factor.2) as i32;
        let (m, n, k) = (rows as i32, columns as i32, terms as i32);
        // SAFETY: the slices have the lengths of their shapes, as asserted.
        unsafe {
            (self.sgemm)(
                101,
                turned(left),
                turned(right),
                m,
                n,
                k,
                1.0,
                left.0.as_ptr(),
                stride(left),
                right.0.as_ptr(),
                stride(right),
                0.0,
                out.as_mut_ptr(),
                n,
            );
        }
    }
}

/// CPU seconds of one call of each candidate, round by round.
fn measure(flops: f64, candidates: &mut [&mut dyn FnMut()]) -> Vec<Vec<f64>> {
    let calls = (TURN * 100e9 / flops).ceil().max(1.0);
    let turn = |run: &mut dyn FnMut()| {
        run();
        let before = cpu_seconds();
        for _ in 0..calls as usize {
            run();
        }
        (cpu_seconds() - before) / calls
    };
    (0..ROUNDS).map(|_| candidates.iter_mut().map(|run| turn(*run)).collect()).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// CPU seconds of all threads of this process.
fn cpu_seconds() -> f64 {
    #[repr(C)]
    struct Time {
        seconds: i64,
        nanoseconds: i64,
    }
    unsafe extern "C" {
        fn clock_gettime(clock: i32, time: *mut Time) -> i32;
    }
    /// `CLOCK_PROCESS_CPUTIME_ID`.
    const PROCESS: i32 = if cfg!(target_os = "macos") { 12 } else { 2 };
    let mut time = Time { seconds: 0, nanoseconds: 0 };
    // SAFETY: the function of the C library, which the standard library links, writes one such structure.
    let status = unsafe { clock_gettime(PROCESS, &mut time) };
    assert_eq!(status, 0, "the process has a clock");
    time.seconds as f64 + time.nanoseconds as f64 / 1e9
}

fn numbers(length: usize) -> Vec<f32> {
    (0..length).map(|i| ((i * 7919) % 1009) as f32 / 504.5 - 1.0).collect()
}
