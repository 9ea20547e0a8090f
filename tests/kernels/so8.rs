//! Rotations of blocks of eight: they are rotations, they are those of the readable twins, and their gradients are those of
//! finite differences.

use so8t::kernels::curvature::{curvature, curvature_plain};
use so8t::kernels::rope::Turn;
use so8t::kernels::so8::{
    BLOCK, Map, SIDE, fold_after, fold_before, plain, rotate, rotate_gradient, rotation, rotation_gradient, rotations,
    rotations_backward,
};
use so8t::train::random::Random;

const MAPS: [Map; 2] = [Map::Exponential, Map::Cayley];

fn numbers(count: usize, size: f32, name: &str) -> Vec<f32> {
    let mut random = Random::new(1, name);
    (0..count).map(|_| size * random.normal()).collect()
}

fn block(size: f32, name: &str) -> [f32; BLOCK] {
    numbers(BLOCK, size, name).try_into().unwrap()
}

fn double(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

fn worst(found: impl IntoIterator<Item = f64>, expected: impl IntoIterator<Item = f64>) -> f64 {
    let (found, expected): (Vec<f64>, Vec<f64>) = (found.into_iter().collect(), expected.into_iter().collect());
    assert_eq!(found.len(), expected.len());
    found.iter().zip(&expected).fold(0.0, |worst, (a, b)| f64::max(worst, (a - b).abs()))
}

#[test]
fn every_theta_gives_a_rotation() {
    for map in MAPS {
        let identity = rotation(&[0.0; BLOCK], map);
        assert!((0..BLOCK).all(|at| identity[at / SIDE][at % SIDE] == f64::from(u8::from(at / SIDE == at % SIDE))));
        for size in [1e-4, 0.1, 1.0, 30.0] {
            let r = rotation(&block(size, "theta"), map);
            for i in 0..SIDE {
                for j in 0..SIDE {
                    let product: f64 = (0..SIDE).map(|k| r[i][k] * r[j][k]).sum();
                    let off = (product - f64::from(u8::from(i == j))).abs();
                    assert!(off < 1e-12, "{map:?}, {size}: R·Rᵀ is off by {off}");
                }
            }
            assert!((determinant(r) - 1.0).abs() < 1e-12, "{map:?}, {size}");
        }
    }
}

fn determinant(mut a: [[f64; SIDE]; SIDE]) -> f64 {
    let mut out = 1.0;
    for column in 0..SIDE {
        let pivot = (column..SIDE).max_by(|&i, &j| a[i][column].abs().total_cmp(&a[j][column].abs())).unwrap();
        if pivot != column {
            a.swap(pivot, column);
            out = -out;
        }
        out *= a[column][column];
        for row in column + 1..SIDE {
            let factor = a[row][column] / a[column][column];
            let pivot = a[column];
            for (x, pivot) in a[row].iter_mut().zip(pivot) {
                *x -= factor * pivot;
            }
        }
    }
    out
}

#[test]
fn rotations_are_those_of_the_plain_series() {
    for (map, sizes) in [(Map::Exponential, &[1e-3, 0.2, 0.4][..]), (Map::Cayley, &[1e-3, 0.1, 0.15])] {
        for &size in sizes {
            let theta = block(size, "theta");
            let expected = plain::rotation(&double(&theta), map).concat();
            let off = worst(rotation(&theta, map).concat(), expected);
            assert!(off < 1e-13, "{map:?}, {size}: {off}");
        }
    }
    // A turn of a plane is known in closed form.
    let mut theta = [0.0; BLOCK];
    theta[2 * SIDE + 5] = 1.25;
    let r = rotation(&theta, Map::Exponential);
    let (sin, cos) = 1.25f64.sin_cos();
    assert!((r[2][2] - cos).abs() < 1e-14 && (r[2][5] - sin).abs() < 1e-14 && (r[5][2] + sin).abs() < 1e-14);
}

#[test]
fn gradients_are_those_of_finite_differences() {
    for (map, size) in [(Map::Exponential, 0.3), (Map::Exponential, 0.01), (Map::Cayley, 0.1)] {
        let (theta, weights) = (block(size, "theta"), block(1.0, "weights"));
        let gradient = rotation_gradient(&theta, &weights, map);
        let at = |theta: &[f64]| -> f64 {
            plain::rotation(theta, map).concat().iter().zip(&weights).map(|(r, w)| r * f64::from(*w)).sum()
        };
        for element in 0..BLOCK {
            let moved = |by: f64| {
                let mut theta = double(&theta);
                theta[element] += by;
                at(&theta)
            };
            let step = 1e-3;
            let slope = (8.0 * (moved(step) - moved(-step)) - (moved(2.0 * step) - moved(-2.0 * step))) / (12.0 * step);
            let found = gradient[element / SIDE][element % SIDE];
            assert!((found - slope).abs() < 1e-9, "{map:?}, element {element}: {found}, by differences {slope}");
        }
    }
}

/// exp of [[A, E], [0, A]] has the derivative of exp at A in direction E in its corner.
#[test]
fn the_gradient_of_exp_is_that_of_the_block_matrix() {
    let (theta, weights) = (block(0.2, "theta"), block(1.0, "weights"));
    let a = plain::skew(&double(&theta));
    let mut large = vec![vec![0.0; 2 * SIDE]; 2 * SIDE];
    for i in 0..SIDE {
        for j in 0..SIDE {
            (large[i][j], large[SIDE + i][SIDE + j]) = (a[j][i], a[j][i]);
            large[i][SIDE + j] = f64::from(weights[i * SIDE + j]);
        }
    }
    let large = plain::exponential(&large);
    let corner = |i: usize, j: usize| large[i][SIDE + j];
    let expected = (0..BLOCK).map(|at| corner(at / SIDE, at % SIDE) - corner(at % SIDE, at / SIDE));
    let off = worst(rotation_gradient(&theta, &weights, Map::Exponential).concat(), expected);
    assert!(off < 1e-12, "{off}");
}

/// Rows and widths that fill vectors, blocks of a task and threads, and that do not.
const SHAPES: [(usize, usize); 5] = [(1, 8), (3, 24), (70, 576), (9, 136), (700, 96)];

#[test]
fn rows_are_turned_as_by_the_plain_twin_and_back() {
    for map in MAPS {
        for (rows, width) in SHAPES {
            let (x, theta) = (numbers(rows * width, 1.0, "x"), numbers(width * SIDE, 0.1, "theta"));
            let mut turns = vec![f32::NAN; width * SIDE];
            rotations(&theta, map, &mut turns);
            let mut out = vec![f32::NAN; rows * width];
            rotate(&x, &turns, width, Turn::Forward, false, &mut out);
            let off = worst(double(&out), plain::gate(&double(&x), &double(&theta), width, map));
            assert!(off < 2e-6, "{rows} × {width}: {off}");
            let mut back = x.clone();
            rotate(&out, &turns, width, Turn::Backward, true, &mut back);
            let off = worst(double(&back), x.iter().map(|&x| 2.0 * f64::from(x)));
            assert!(off < 5e-6, "{rows} × {width}: {off}");
        }
    }
}

#[test]
fn gradients_of_rotations_are_sums_over_rows() {
    for (rows, width) in SHAPES {
        let (x, gradient) = (numbers(rows * width, 1.0, "x"), numbers(rows * width, 1.0, "g"));
        let mut out = vec![f32::NAN; width * SIDE];
        rotate_gradient(&x, &gradient, width, &mut out);
        let expected = (0..width * SIDE).map(|at| {
            let (block, i, j) = (at / BLOCK, at % BLOCK / SIDE, at % SIDE);
            let row = |row: usize| {
                f64::from(x[row * width + block * SIDE + i]) * f64::from(gradient[row * width + block * SIDE + j])
            };
            (0..rows).map(row).sum::<f64>()
        });
        let off = worst(double(&out), expected);
        assert!(off < 1e-5 * (rows as f64).sqrt(), "{rows} × {width}: {off}");
        // Of θ, it is added to what is there.
        let theta = numbers(width * SIDE, 0.1, "theta");
        let mut sum = vec![1.0; width * SIDE];
        rotations_backward(&theta, &out, Map::Cayley, &mut sum);
        let first =
            rotation_gradient(theta[..BLOCK].try_into().unwrap(), out[..BLOCK].try_into().unwrap(), Map::Cayley);
        assert_eq!(sum[..BLOCK].to_vec(), first.concat().iter().map(|&x| 1.0 + x as f32).collect::<Vec<f32>>());
    }
}

#[test]
fn gates_fold_into_the_weight_beside_them() {
    let (inputs, outputs) = (24, 16);
    let (x, w) = (double(&numbers(inputs, 1.0, "x")), numbers(outputs * inputs, 1.0, "w"));
    let apply = |w: &[f32], x: &[f64]| -> Vec<f64> {
        w.chunks_exact(inputs).map(|row| row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum()).collect()
    };
    for map in MAPS {
        let theta = numbers(inputs * SIDE, 0.1, "before");
        let mut folded = w.clone();
        fold_before(&mut folded, &theta, map);
        let expected = apply(&w, &plain::gate(&x, &double(&theta), inputs, map));
        assert!(worst(apply(&folded, &x), expected) < 2e-6);
        let theta = numbers(outputs * SIDE, 0.1, "after");
        let mut folded = w.clone();
        fold_after(&mut folded, &theta, inputs, map);
        let expected = plain::gate(&apply(&w, &x), &double(&theta), outputs, map);
        assert!(worst(apply(&folded, &x), expected) < 2e-6);
    }
}

#[test]
fn curvatures_and_their_gradients() {
    let (width, starts) = (19, [0, 7, 8, 10, 13, 40]);
    let h = numbers(40 * width, 1.0, "h");
    let mut gradient = vec![f32::NAN; h.len()];
    let sum = curvature(&h, &starts, width, 0.5, &mut gradient);
    let whole = |h: &[f64]| -> f64 {
        starts.windows(2).map(|range| curvature_plain(&h[range[0] * width..range[1] * width], width)).sum()
    };
    let expected = whole(&double(&h));
    assert!((sum - expected).abs() < 1e-5 * expected, "{sum}, not {expected}");
    for element in (0..h.len()).step_by(11) {
        let moved = |by: f64| {
            let mut h = double(&h);
            h[element] += by;
            whole(&h)
        };
        let slope = 0.5 * (moved(1e-3) - moved(-1e-3)) / 2e-3;
        let found = f64::from(gradient[element]);
        assert!((found - slope).abs() < 1e-4 * (1.0 + slope.abs()), "element {element}: {found}, not {slope}");
    }
    // A straight line has none, and neither have two rows.
    let line: Vec<f32> = (0..5 * width).map(|at| (at / width) as f32 * 2.0 + 1.0).collect();
    assert_eq!(curvature(&line, &[0, 5], width, 1.0, &mut gradient[..line.len()]), 0.0);
    assert_eq!(curvature(&h[..2 * width], &[0, 2], width, 1.0, &mut gradient[..2 * width]), 0.0);
    assert!(gradient[..2 * width].iter().all(|&x| x == 0.0));
}
