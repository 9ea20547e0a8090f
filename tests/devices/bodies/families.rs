//! The elementwise families, at sizes that fill vectors, warps and blocks, and at sizes that do not.

use so8t::kernels::backend::{Backend, Block, Operand, RowNorms, Storage};
use so8t::kernels::cpu::Cpu;
use so8t::kernels::dropout::Mask;
use so8t::kernels::geglu::{self, Gelu};
use so8t::kernels::moments::{self, MomentStorage, Moments};
use so8t::kernels::optimiser::AdamW;
use so8t::kernels::part_norm::Parts;
use so8t::kernels::rope::{Heads, Turn};
use so8t::kernels::{columns as twins, dropout as twin, loss, norm, optimiser as adam, rope, swiglu, table};

use super::{close, held, numbers};

const SHAPES: [(usize, usize); 5] = [(1, 1), (3, 17), (5, 64), (7, 576), (2, 3001)];

pub fn memory<B: Backend>(backend: &B) {
    let x = numbers(600, "x");
    let (source, mut out) = (held(backend, &x), backend.allocate(1000).unwrap());
    assert!(backend.capacity(&out) >= 1000);
    assert!(backend.read(&out, 1000).unwrap().iter().all(|&x| x == 0.0), "a fresh buffer holds zeros");
    backend.copy(&source, &mut out, 500).unwrap();
    backend.scale(&mut out, 400, 2.0).unwrap();
    backend.zero(&mut out, 3).unwrap();
    backend.zero_block(&mut out, 50, &Block { rows: 2..4, columns: 7..49 }).unwrap();
    let expected: Vec<f32> = (0..1000)
        .map(|i| match i {
            _ if !(3..500).contains(&i) || ((2..4).contains(&(i / 50)) && (7..49).contains(&(i % 50))) => 0.0,
            _ if i < 400 => 2.0 * x[i],
            _ => x[i],
        })
        .collect();
    close("memory", &backend.read(&out, 1000).unwrap(), &expected, 0.0);
    let long = held(backend, &numbers(70_001, "y"));
    let sums = backend.sums_of_squares(&[(&source, 600), (&long, 70_001), (&source, 1)]).unwrap();
    let expected = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
    for (found, expected) in sums.iter().zip([expected(&x), expected(&numbers(70_001, "y")), expected(&x[..1])]) {
        assert!((found - expected).abs() < 1e-9 * expected, "{found}, not {expected}");
    }
    let odd = held(backend, &[1.0, f32::NAN, 2.0]);
    assert!(backend.sums_of_squares(&[(&odd, 3)]).unwrap()[0].is_nan());
}

pub fn norms<B: Backend>(backend: &B) {
    for (rows, width) in SHAPES {
        let [x, gradient] = ["x", "g"].map(|name| numbers(rows * width, name));
        let weight = numbers(width, "w");
        let (mut plain, mut plain_inverse) = (vec![0.0; rows * width], vec![0.0; rows]);
        norm::forward_plain(&x, &weight, 1e-5, &mut plain, &mut plain_inverse);
        let [x_, w_, g_] = [&x, &weight, &gradient].map(|values| held(backend, values));
        let (mut out, mut inverse) = (backend.allocate(rows * width).unwrap(), backend.allocate(rows).unwrap());
        backend.rms_norm(&x_, &w_, rows, width, 1e-5, &mut out, &mut inverse).unwrap();
        close("norm", &backend.read(&out, rows * width).unwrap(), &plain, 1e-5);
        close("inverse", &backend.read(&inverse, rows).unwrap(), &plain_inverse, 1e-5);

        let mut plain_dx = x.clone();
        norm::backward_plain(&gradient, &x, &weight, &plain_inverse, &mut plain_dx);
        let (mut dx, mut dw) = (held(backend, &x), held(backend, &vec![1.0; width]));
        backend.rms_norm_backward(&g_, &x_, &w_, &inverse, rows, width, &mut dx, Some(&mut dw)).unwrap();
        close("gradient", &backend.read(&dx, rows * width).unwrap(), &plain_dx, 1e-4);
        let mut plain_dw = vec![1.0; width];
        norm::backward_weight(&gradient, &x, &plain_inverse, &mut plain_dw);
        close("weight", &backend.read(&dw, width).unwrap(), &plain_dw, 1e-4);
    }
}

pub fn rotations<B: Backend>(backend: &B) {
    for (shape, rows) in [
        (Heads { heads: 3, head_dim: 64, rotary: 64, stride: 3 * 64 + 40 }, 19),
        (Heads { heads: 5, head_dim: 6, rotary: 6, stride: 31 }, 3),
        (Heads { heads: 3, head_dim: 8, rotary: 6, stride: 31 }, 5),
    ] {
        let half = shape.head_dim / 2;
        let (x, angles) = (numbers(rows * shape.stride, "x"), numbers(50 * half, "angles"));
        let (cos, sin): (Vec<f32>, Vec<f32>) = angles.iter().map(|a| (a.cos(), a.sin())).unzip();
        let positions: Vec<u32> = (0..rows as u32).map(|row| row * 7 % 50).collect();
        let mut plain = x.clone();
        rope::turn_plain(&mut plain, &positions, &cos, &sin, shape, Turn::Forward);
        let (mut values, positions) = (held(backend, &x), backend.indices(&positions).unwrap());
        let [cos, sin] = [&cos, &sin].map(|table| held(backend, table));
        backend.rope(&mut values, &positions, &cos, &sin, rows, shape, Turn::Forward).unwrap();
        close("turned", &backend.read(&values, x.len()).unwrap(), &plain, 1e-6);
        backend.rope(&mut values, &positions, &cos, &sin, rows, shape, Turn::Backward).unwrap();
        close("turned back", &backend.read(&values, x.len()).unwrap(), &x, 1e-5);
    }
}

pub fn gated_activations<B: Backend>(backend: &B) {
    for (rows, width) in SHAPES {
        let gate_up: Vec<f32> = numbers(rows * width * 2, "x").iter().map(|x| 4.0 * x).collect();
        let gradient = numbers(rows * width, "g");
        let (mut plain, mut plain_back) = (vec![0.0; rows * width], gate_up.clone());
        swiglu::forward_plain(&gate_up, width, &mut plain);
        swiglu::backward_plain(&gradient, width, &mut plain_back);
        let (mut values, mut out) = (held(backend, &gate_up), backend.allocate(rows * width).unwrap());
        backend.swiglu(&values, rows, width, &mut out).unwrap();
        close("forward", &backend.read(&out, rows * width).unwrap(), &plain, 1e-6);
        backend.swiglu_backward(&held(backend, &gradient), rows, width, &mut values).unwrap();
        close("backward", &backend.read(&values, 2 * rows * width).unwrap(), &plain_back, 1e-5);
    }
    let (gates, mut out) = (held(backend, &[-1000.0, 1000.0, 0.0, f32::NAN, 2.0, 2.0, 2.0, 2.0]), [0.0; 4]);
    let mut found = held(backend, &out);
    backend.swiglu(&gates, 1, 4, &mut found).unwrap();
    out.copy_from_slice(&backend.read(&found, 4).unwrap());
    assert!(out[0].abs() < 1e-30 && out[1] == 2000.0 && out[2] == 0.0 && out[3].is_nan(), "{out:?}");
}

pub fn gated_gelus<B: Backend>(backend: &B) {
    for (rows, width) in SHAPES {
        let gate_up: Vec<f32> = numbers(rows * width * 2, "x").iter().map(|x| 3.0 * x).collect();
        let gradient = numbers(rows * width, "g");
        for gelu in [Gelu::Tanh, Gelu::Exact] {
            let (mut plain, mut plain_back) = (vec![0.0; rows * width], gate_up.clone());
            geglu::forward_plain(&gate_up, width, gelu, &mut plain);
            geglu::backward_plain(&gradient, width, gelu, &mut plain_back);
            let (mut values, mut out) = (held(backend, &gate_up), backend.allocate(rows * width).unwrap());
            backend.geglu(&values, rows, width, gelu, &mut out).unwrap();
            close("forward", &backend.read(&out, rows * width).unwrap(), &plain, 2e-6);
            backend.geglu_backward(&held(backend, &gradient), rows, width, gelu, &mut values).unwrap();
            close("backward", &backend.read(&values, 2 * rows * width).unwrap(), &plain_back, 1e-5);
        }
    }
}

/// The norm of each part is that of a row as wide; what is no part stays as it was.
pub fn part_norms<B: Backend>(backend: &B) {
    for (rows, parts) in [
        (5, Parts { first: 0, count: 3, width: 16, stride: 64 }),
        (37, Parts { first: 10, count: 2, width: 5, stride: 23 }),
        (4, Parts { first: 96, count: 1, width: 96, stride: 200 }),
    ] {
        let Parts { first, count, width, stride } = parts;
        let weight: Vec<f32> = numbers(width, "w").iter().map(|x| 1.0 + 0.3 * x).collect();
        let (x, gradient) = (numbers(rows * stride, "x"), numbers(rows * stride, "g"));
        let pick = |values: &[f32]| -> Vec<f32> {
            let row = |row: usize| values[row * stride + first..][..count * width].to_vec();
            (0..rows).flat_map(row).collect()
        };
        let put = |parts: &[f32], into: &mut [f32]| {
            for row in 0..rows {
                into[row * stride + first..][..count * width]
                    .copy_from_slice(&parts[row * count * width..][..count * width]);
            }
        };
        let (mut plain, mut plain_inverse) = (vec![0.0; rows * count * width], vec![0.0; rows * count]);
        norm::forward_plain(&pick(&x), &weight, 1e-5, &mut plain, &mut plain_inverse);
        let mut expected = x.clone();
        put(&plain, &mut expected);
        let [x_, w_, mut out] = [&x, &weight, &x].map(|values| held(backend, values));
        let mut inverse = backend.allocate(rows * count).unwrap();
        backend.part_norm(&x_, &w_, rows, parts, 1e-5, &mut out, &mut inverse).unwrap();
        close("norm", &backend.read(&out, rows * stride).unwrap(), &expected, 1e-5);
        close("inverse", &backend.read(&inverse, rows * count).unwrap(), &plain_inverse, 1e-5);

        let mut plain_dx = vec![0.0; rows * count * width];
        norm::backward_plain(&pick(&gradient), &pick(&x), &weight, &plain_inverse, &mut plain_dx);
        let mut expected = gradient.clone();
        put(&plain_dx, &mut expected);
        let (mut dx, mut dw) = (held(backend, &gradient), held(backend, &vec![1.0; width]));
        backend.part_norm_backward(&x_, &w_, &inverse, rows, parts, &mut dx, Some(&mut dw)).unwrap();
        close("gradient", &backend.read(&dx, rows * stride).unwrap(), &expected, 1e-4);
        let mut plain_dw = vec![1.0; width];
        norm::backward_weight(&pick(&gradient), &pick(&x), &plain_inverse, &mut plain_dw);
        close("weight", &backend.read(&dw, width).unwrap(), &plain_dw, 1e-4);
    }
}

pub fn soft_caps<B: Backend>(backend: &B) {
    let (cap, len) = (3.0, 20_011);
    let values: Vec<f32> = numbers(len, "x").iter().map(|x| 8.0 * x).collect();
    let gradient = numbers(len, "g");
    let capped: Vec<f32> = values.iter().map(|x| cap * (x / cap).tanh()).collect();
    let mut found = held(backend, &values);
    backend.soft_cap(&mut found, len, cap).unwrap();
    close("capped", &backend.read(&found, len).unwrap(), &capped, 1e-6);
    let back: Vec<f32> = values.iter().zip(&gradient).map(|(x, g)| g * (1.0 - (x / cap).tanh().powi(2))).collect();
    let mut found_back = held(backend, &gradient);
    backend.soft_cap_backward(&found, len, cap, &mut found_back).unwrap();
    close("gradient", &backend.read(&found_back, len).unwrap(), &back, 2e-6);
}

/// The same bits as on the processor.
pub fn dropout<B: Backend>(backend: &B) {
    for (rows, width) in SHAPES {
        let (x, mask) = (numbers(rows * width, "x"), Mask::new(99, 0.3));
        let mut plain = vec![0.0; x.len()];
        twin::apply_plain(&x, mask, &mut plain);
        let (values, mut out) = (held(backend, &x), backend.allocate(x.len()).unwrap());
        backend.dropout(&values, mask, rows, width, &mut out, false).unwrap();
        close("kept", &backend.read(&out, x.len()).unwrap(), &plain, 0.0);
        backend.dropout(&values, mask, rows, width, &mut out, true).unwrap();
        let twice: Vec<f32> = plain.iter().map(|x| x + x).collect();
        close("added", &backend.read(&out, x.len()).unwrap(), &twice, 0.0);
    }
}

pub fn losses<B: Backend>(backend: &B) {
    for (rows, vocabulary, smoothing) in [(1, 2, 0.0), (5, 33, 0.0), (4, 1000, 0.1), (2, 32_064, 0.0), (1, 40_001, 0.3)]
    {
        let logits: Vec<f32> = numbers(rows * vocabulary, "logits").iter().map(|x| 5.0 * x).collect();
        let targets: Vec<u32> = (0..rows).map(|row| (row * 7919 % vocabulary) as u32).collect();
        let weights: Vec<f32> = (0..rows).map(|row| 0.25 * row as f32).collect();
        let (mut plain, mut plain_losses) = (logits.clone(), vec![0.0; rows]);
        loss::cross_entropy_plain(&mut plain, vocabulary, &targets, &weights, smoothing, &mut plain_losses);
        let (mut values, mut losses) = (held(backend, &logits), held(backend, &vec![7.0; rows + 3]));
        backend.cross_entropy(&mut values, vocabulary, &targets, &weights, smoothing, &mut losses, 2).unwrap();
        let found = backend.read(&losses, rows + 3).unwrap();
        close("losses", &found[2..rows + 2], &plain_losses, 1e-5);
        assert_eq!([found[0], found[1], found[rows + 2]], [7.0; 3], "other losses are left alone");
        close("gradient", &backend.read(&values, logits.len()).unwrap(), &plain, 1e-6);
    }
}

pub fn optimiser<B: Backend>(backend: &B) {
    let count = 1001;
    let step = AdamW {
        learning_rate: 1e-2,
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-8,
        weight_decay: 0.1,
        gradient_scale: 0.5,
        step: 3,
    };
    let [start, gradient, mut first] = ["values", "gradient", "first"].map(|name| numbers(count, name));
    let mut second: Vec<f32> = first.iter().map(|x| x * x).collect();
    let (mut values, mut plain) = (held(backend, &start), start.clone());
    let gradient_ = held(backend, &gradient);
    let mut moments = backend.moments(count, MomentStorage::F32).unwrap();
    backend.write_moments(&Moments::F32 { first: first.clone(), second: second.clone() }, &mut moments).unwrap();
    adam::adamw_plain(&step, &mut plain, &gradient, &mut first, &mut second);
    backend.adamw(&step, &mut values, &gradient_, &mut moments, count).unwrap();
    close("values", &backend.read(&values, count).unwrap(), &plain, 1e-5);
    let Moments::F32 { first: found_first, second: found_second } = backend.read_moments(&moments).unwrap() else {
        panic!("expected moments in f32")
    };
    close("first", &found_first, &first, 1e-5);
    close("second", &found_second, &second, 1e-5);

    // In 8 bits: the same codes after three steps from zeros, but where a quotient lies between two entries.
    let (mut twin, mut plain) = (Moments::zeros(count, MomentStorage::Eight), start.clone());
    let mut moments = backend.moments(count, MomentStorage::Eight).unwrap();
    backend.write(&start, &mut values).unwrap();
    for number in 1..=3 {
        let step = AdamW { step: number, ..step };
        moments::adamw(&step, &mut plain, &gradient, &mut twin);
        backend.adamw(&step, &mut values, &gradient_, &mut moments, count).unwrap();
    }
    close("values with moments in 8 bits", &backend.read(&values, count).unwrap(), &plain, 2e-3);
    let (Moments::Eight { first, second }, Moments::Eight { first: f, second: s }) =
        (backend.read_moments(&moments).unwrap(), twin)
    else {
        panic!("expected moments in 8 bits")
    };
    for (found, expected) in [(first, f), (second, s)] {
        close("scales", &found.scales, &expected.scales, 1e-5);
        let far = found.codes.iter().zip(&expected.codes).filter(|(a, b)| a.abs_diff(**b) > 1).count();
        let other = found.codes.iter().zip(&expected.codes).filter(|(a, b)| a != b).count();
        assert!(far == 0 && other * 50 < count, "{other} codes of {count} differ, {far} by more than one");
    }
}

pub fn columns<B: Backend>(backend: &B) {
    for (rows, width) in SHAPES {
        let [x, y, start] = ["x", "y", "start"].map(|name| numbers(rows * width, name));
        let factors: Vec<f32> = numbers(width, "f").iter().map(|&f| if f < -1.0 { 0.0 } else { f }).collect();
        let [x_, y_, f_] = [&x, &y, &factors].map(|values| held(backend, values));
        let (mut out, mut plain) = (held(backend, &start), start.clone());
        backend.add(&x_, &mut out, rows * width).unwrap();
        twins::add(&x, &mut plain);
        backend.scale_columns(&mut out, &f_, rows, width).unwrap();
        twins::scale(&mut plain, &factors);
        close("columns", &backend.read(&out, plain.len()).unwrap(), &plain, 1e-6);
        let (mut dots, mut plain) = (held(backend, &start[..width]), start[..width].to_vec());
        backend.add_column_dots(&x_, &y_, &f_, rows, width, &mut dots).unwrap();
        twins::add_dots(&x, &y, &factors, &mut plain);
        close("dots", &backend.read(&dots, width).unwrap(), &plain, 1e-5);
    }
}

pub fn row_norms<B: Backend>(backend: &B) {
    let (n, k, width) = (37, 70, 5);
    let (w, up) = (numbers(n * k, "w"), numbers(n * width, "up"));
    for storage in [Storage::F32, Storage::Int8, Storage::Nf4] {
        let (there, here) =
            (backend.matrix(w.clone(), n, k, storage).unwrap(), Cpu.matrix(w.clone(), n, k, storage).unwrap());
        let (mut found, mut expected) = (held(backend, &vec![1.0; n]), vec![1.0; n]);
        backend.add_row_squares(Operand::Matrix(&there), n, k, &mut found).unwrap();
        Cpu.add_row_squares(Operand::Matrix(&here), n, k, &mut expected).unwrap();
        close("squares", &backend.read(&found, n).unwrap(), &expected, 1e-5);
    }
    let mut squares: Vec<f32> = numbers(n, "squares").iter().map(|x| 200.0 + x).collect();
    squares[7] = f32::INFINITY;
    let parts = [
        squares,
        numbers(width * n, "projected"),
        numbers(width * width, "gram"),
        up,
        numbers(width, "scales"),
        numbers(n, "magnitude"),
    ];
    let held = parts.each_ref().map(|part| held(backend, part));
    let mut plain = [vec![0.0; n], vec![0.0; n]];
    let [squares, projected, gram, up, scales, magnitude] = parts.each_ref();
    let norms = RowNorms { squares, projected, gram, up, scales, magnitude };
    let [scale, inverse] = &mut plain;
    Cpu.row_scales(norms, n, width, scale, inverse).unwrap();
    let [squares, projected, gram, up, scales, magnitude] = held.each_ref();
    let norms = RowNorms { squares, projected, gram, up, scales, magnitude };
    let (mut scale, mut inverse) = (backend.allocate(n).unwrap(), backend.allocate(n).unwrap());
    backend.row_scales(norms, n, width, &mut scale, &mut inverse).unwrap();
    close("scale", &backend.read(&scale, n).unwrap(), &plain[0], 1e-5);
    close("inverse", &backend.read(&inverse, n).unwrap(), &plain[1], 1e-5);
}

pub fn tables<B: Backend>(backend: &B) {
    for width in [1, 31, 64, 576] {
        let rows = 9;
        let values = numbers(rows * width, "table");
        let chosen = [3u32, 8, 0, 3, 3, 7];
        let indices = backend.indices(&chosen).unwrap();
        let buffer = held(backend, &values);
        let mut out = backend.allocate(chosen.len() * width).unwrap();
        let mut check = |name: &str, table: Operand<'_, B>, twin: Operand<'_, Cpu>| {
            let mut plain = vec![0.0; chosen.len() * width];
            Cpu.gather(twin, &chosen.to_vec(), chosen.len(), width, &mut plain).unwrap();
            backend.gather(table, &indices, chosen.len(), width, &mut out).unwrap();
            close(name, &backend.read(&out, plain.len()).unwrap(), &plain, 1e-7);
        };
        check("buffer", Operand::Buffer(&buffer), Operand::Buffer(&values));
        for storage in [Storage::F32, Storage::Bf16, Storage::F16, Storage::Int8, Storage::Nf4] {
            let there = backend.matrix(values.clone(), rows, width, storage).unwrap();
            let here = Cpu.matrix(values.clone(), rows, width, storage).unwrap();
            check(&format!("{storage:?}"), Operand::Matrix(&there), Operand::Matrix(&here));
        }

        let added = numbers(chosen.len() * width, "added");
        let mut plain = values.clone();
        table::scatter_add(&added, &chosen, width, &mut plain);
        let mut found = held(backend, &values);
        backend.scatter_add(&held(backend, &added), &indices, chosen.len(), width, &mut found).unwrap();
        close("added", &backend.read(&found, plain.len()).unwrap(), &plain, 1e-6);
    }
}
