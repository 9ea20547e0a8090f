//! Matrix products against sums in double precision.

use half::bf16;
use so8t::kernels::backend::{Backend, Operand, Product, Storage};
use so8t::kernels::cpu::Cpu;
use so8t::kernels::gemm::Compute;

use super::{distance, held, numbers};

const STORAGES: [Option<Storage>; 6] =
    [None, Some(Storage::F32), Some(Storage::Bf16), Some(Storage::F16), Some(Storage::Int8), Some(Storage::Nf4)];
const SHAPES: [(usize, usize, usize); 6] =
    [(1, 1, 1), (3, 70, 33), (5, 16, 576), (9, 47, 31), (33, 40, 64), (20, 97, 8)];

/// A factor as the device multiplies it, or as it lies in memory: rounding is a part of `Compute::Bf16`, but a device without
/// bf16 may leave it out.
fn rounded(values: &[f32], compute: Compute) -> Vec<f32> {
    let round = |&x: &f32| if compute == Compute::Bf16 { bf16::from_f32(x).to_f32() } else { x };
    values.iter().map(round).collect()
}

/// `left · right` for element functions, in double precision.
fn sums(rows: usize, columns: usize, terms: usize, term: impl Fn(usize, usize, usize) -> f64) -> Vec<f32> {
    let sum = |i, j| (0..terms).map(|t| term(i, j, t)).sum::<f64>() as f32;
    (0..rows * columns).map(|at| sum(at / columns, at % columns)).collect()
}

fn check(name: &str, found: &[f32], expected: &[f32], compute: Compute) {
    // Sums in single precision; rounded factors differ by 2⁻⁹ each where the device does not round.
    let bound = if compute == Compute::Bf16 { 6e-3 } else { 2e-6 };
    let found = distance(found, expected);
    assert!(found < bound, "{name}: {found} from what is expected");
}

/// What the weights of a storage are once they are stored.
fn stored(values: &[f32], k: usize, storage: Storage) -> Vec<f32> {
    let (rows, matrix) = (values.len() / k, Cpu.matrix(values.to_vec(), values.len() / k, k, storage).unwrap());
    let mut out = vec![0.0; values.len()];
    let all = (0..rows as u32).collect();
    Cpu.gather(Operand::Matrix(&matrix), &all, rows, k, &mut out).unwrap();
    out
}

pub fn products<B: Backend>(backend: &B) {
    for (m, n, k) in SHAPES {
        let shape = Product { m, n, k };
        let (x, dy, w) = (numbers(m * k, "x"), numbers(m * n, "dy"), numbers(n * k, "w"));
        let (x_, dy_, w_) = (held(backend, &x), held(backend, &dy), held(backend, &w));
        for compute in [Compute::F32, Compute::Bf16] {
            let (rx, rdy) = (rounded(&x, compute), rounded(&dy, compute));
            for storage in STORAGES {
                let name = |layout: &str| format!("{layout} {m} {n} {k} {storage:?} {compute:?}");
                let matrix = storage.map(|storage| backend.matrix(w.clone(), n, k, storage).unwrap());
                let operand = matrix.as_ref().map_or(Operand::Buffer(&w_), Operand::Matrix);
                let rw = rounded(&stored(&w, k, storage.unwrap_or(Storage::F32)), compute);
                let nt = sums(m, n, k, |i, j, t| f64::from(rx[i * k + t]) * f64::from(rw[j * k + t]));
                let mut out = held(backend, &vec![f32::NAN; m * n]);
                backend.product_nt(&x_, operand, &mut out, shape, false, compute).unwrap();
                check(&name("nt"), &backend.read(&out, m * n).unwrap(), &nt, compute);
                backend.product_nt(&x_, operand, &mut out, shape, true, compute).unwrap();
                let twice: Vec<f32> = nt.iter().map(|x| 2.0 * x).collect();
                check(&name("nt added"), &backend.read(&out, m * n).unwrap(), &twice, compute);

                let nn = sums(m, k, n, |i, j, t| f64::from(rdy[i * n + t]) * f64::from(rw[t * k + j]));
                let mut dx = held(backend, &vec![f32::NAN; m * k]);
                backend.product_nn(&dy_, operand, &mut dx, shape, false, compute).unwrap();
                check(&name("nn"), &backend.read(&dx, m * k).unwrap(), &nn, compute);
            }
            let tn = sums(n, k, m, |i, j, t| f64::from(rdy[t * n + i]) * f64::from(rx[t * k + j]));
            let mut dw = held(backend, &tn);
            backend.product_tn(&dy_, &x_, &mut dw, shape, compute).unwrap();
            let twice: Vec<f32> = tn.iter().map(|x| 2.0 * x).collect();
            check(&format!("tn {m} {n} {k} {compute:?}"), &backend.read(&dw, n * k).unwrap(), &twice, compute);
        }
    }
}

/// A weight with an adapter beside it gives what two products give.
pub fn adapted_products<B: Backend>(backend: &B) {
    for (m, n, k) in [(5, 48, 32), (9, 47, 31), (17, 64, 96)] {
        for (width, storage, compute) in [
            (4, Storage::Int8, Compute::F32),
            (3, Storage::Int8, Compute::Bf16),
            (16, Storage::Int8, Compute::Bf16),
            (16, Storage::Nf4, Compute::Bf16),
            (8, Storage::Bf16, Compute::Bf16),
            (8, Storage::F16, Compute::Bf16),
            (8, Storage::F32, Compute::Bf16),
        ] {
            let shape = Product { m, n, k };
            let matrix = backend.matrix(numbers(n * k, "w"), n, k, storage).unwrap();
            let operand = Operand::Matrix(&matrix);
            let hold = |count: usize, name: &str| held(backend, &numbers(count, name));
            let (x, dy) = (hold(m * k, "x"), hold(m * n, "dy"));
            let (reduced, b, a) = (hold(m * width, "reduced"), hold(n * width, "b"), hold(width * k, "a"));
            let name = format!("{m} {n} {k} {width} {storage:?} {compute:?}");

            let (mut two, mut one) = (hold(m * n, "out"), hold(m * n, "out"));
            backend.product_nt(&x, operand, &mut two, shape, true, compute).unwrap();
            let up = Product { k: width, ..shape };
            backend.product_nt(&reduced, Operand::Buffer(&b), &mut two, up, true, compute).unwrap();
            backend.adapted_nt(&x, operand, &reduced, &b, width, &mut one, shape, true, compute).unwrap();
            let read = |buffer: &B::Buffer, count: usize| backend.read(buffer, count).unwrap();
            let found = distance(&read(&one, m * n), &read(&two, m * n));
            assert!(found < 1e-6, "nt {name}: {found} from two products");
            backend.adapted_nt(&x, operand, &reduced, &b, width, &mut one, shape, false, compute).unwrap();
            backend.product_nt(&x, operand, &mut two, shape, false, compute).unwrap();
            backend.product_nt(&reduced, Operand::Buffer(&b), &mut two, up, true, compute).unwrap();
            let found = distance(&read(&one, m * n), &read(&two, m * n));
            assert!(found < 1e-6, "nt, overwritten, {name}: {found} from two products");

            let (mut two, mut one) = (hold(m * k, "dx"), hold(m * k, "dx"));
            backend.product_nn(&dy, operand, &mut two, shape, false, compute).unwrap();
            let down = Product { n: width, ..shape };
            backend.product_nn(&reduced, Operand::Buffer(&a), &mut two, down, true, compute).unwrap();
            backend.adapted_nn(&dy, operand, &reduced, &a, width, &mut one, shape, compute).unwrap();
            let found = distance(&read(&one, m * k), &read(&two, m * k));
            assert!(found < 1e-6, "nn {name}: {found} from two products");
        }
    }
}

/// A device may keep what it rounded; it must notice every change.
pub fn changes<B: Backend>(backend: &B) {
    let (rows, width) = (4, 16);
    let shape = Product { m: rows, n: 1, k: width };
    let ones = held(backend, &vec![1.0; width]);
    let mut x = held(backend, &vec![1.0; rows * width]);
    let mut out = backend.allocate(rows).unwrap();
    let mut sum = |x: &B::Buffer| {
        backend.product_nt(x, Operand::Buffer(&ones), &mut out, shape, false, Compute::Bf16).unwrap();
        backend.read(&out, rows).unwrap()
    };
    let all = |value: f32| vec![value; rows];
    assert_eq!(sum(&x), all(16.0));
    backend.write(&vec![2.0; rows * width], &mut x).unwrap();
    assert_eq!(sum(&x), all(32.0), "written");
    backend.scale(&mut x, rows * width, 2.0).unwrap();
    assert_eq!(sum(&x), all(64.0), "scaled");
    backend.zero(&mut x, width).unwrap();
    assert_eq!(sum(&x), [0.0, 64.0, 64.0, 64.0], "cleared");
    let other = held(backend, &vec![3.0; rows * width]);
    backend.copy(&other, &mut x, rows * width).unwrap();
    assert_eq!(sum(&x), all(48.0), "copied");
    let table = held(backend, &vec![5.0; width]);
    let first = backend.indices(&vec![0; rows]).unwrap();
    backend.gather(Operand::Buffer(&table), &first, rows, width, &mut x).unwrap();
    assert_eq!(sum(&x), all(80.0), "gathered");
    backend
        .product_nt(
            &held(backend, &all(1.0)),
            Operand::Buffer(&ones),
            &mut x,
            Product { m: rows, n: width, k: 1 },
            false,
            Compute::F32,
        )
        .unwrap();
    assert_eq!(sum(&x), all(16.0), "the result of a product");
}
