//! Rotary tables.

use serde_json::json;
use so8t::model::ModelConfig;

use super::small;

fn config(head_dim: usize, scaling: serde_json::Value, max_position: usize) -> ModelConfig {
    let mut config = small::config();
    config["head_dim"] = json!(head_dim);
    config["rope_scaling"] = scaling;
    config["max_position_embeddings"] = json!(max_position);
    ModelConfig::from_json(&config.to_string()).unwrap()
}

fn close(found: f32, expected: f64) {
    assert!((f64::from(found) - expected).abs() < 2e-6, "expected {expected}, found {found}");
}

#[test]
fn plain_frequencies() {
    let config = config(4, json!(null), 64);
    let (cosines, sines) = config.rope_tables(3);
    assert_eq!((cosines.len(), sines.len()), (6, 6));
    // Position 2: angles 2 · 10000^0 and 2 · 10000^(-1/2).
    close(cosines[4], 2f64.cos());
    close(sines[4], 2f64.sin());
    close(cosines[5], 0.02f64.cos());
    close(sines[5], 0.02f64.sin());
    assert_eq!((cosines[0], sines[0]), (1.0, 0.0));
}

#[test]
fn linear_divides_positions() {
    let config = config(4, json!({"type": "linear", "factor": 2.0}), 64);
    close(config.rope_tables(3).0[4], 1f64.cos());
}

/// Frequencies of Llama 3.1's scaling (factor 8, low 1, high 4, original 8192, theta 10000 here), one of each kind: its
/// definition by wave lengths, worked out apart.
#[test]
fn llama3_keeps_high_frequencies() {
    let scaling = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192});
    let frequencies = config(64, scaling, 131_072).rope_frequencies(16);
    for (i, &found) in frequencies.iter().enumerate() {
        let plain = 10_000f64.powf(-(i as f64) / 32.0);
        let wave = std::f64::consts::TAU / plain;
        let expected = if wave < 8192.0 / 4.0 {
            plain
        } else if wave > 8192.0 {
            plain / 8.0
        } else {
            let smooth = (8192.0 / wave - 1.0) / 3.0;
            (1.0 - smooth) * plain / 8.0 + smooth * plain
        };
        assert!((f64::from(found) / expected - 1.0).abs() < 1e-6, "frequency {i}: expected {expected}, found {found}");
    }
    assert_eq!(frequencies[0], 1.0);
    assert!(frequencies[31] < 10_000f32.powf(-31.0 / 32.0) / 7.9);
}

#[test]
fn longrope_takes_the_list_by_length_and_scales() {
    let scaling = json!({"type": "longrope", "short_factor": [1.0, 2.0], "long_factor": [4.0, 8.0],
        "original_max_position_embeddings": 16});
    let config = config(4, scaling, 256);
    // √(1 + ln(256 / 16) / ln 16) = √2.
    let scale = std::f64::consts::SQRT_2;
    let (cosines, sines) = config.rope_tables(16);
    close(cosines[0], scale);
    close(cosines[2], 1f64.cos() * scale);
    close(sines[3], (0.01f64 / 2.0).sin() * scale);
    let (cosines, sines) = config.rope_tables(17);
    close(cosines[2], 0.25f64.cos() * scale);
    close(sines[3], (0.01f64 / 8.0).sin() * scale);
}
