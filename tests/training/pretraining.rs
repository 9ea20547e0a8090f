//! A small network trained from scratch.

use so8t::model::Precision;
use so8t::model::network::{Network, NetworkOptions, Quantization, Workspace};
use so8t::train::pretrain::{PretrainSettings, pretrain};

use super::small;

/// Counting upwards in rows of twelve: easily learnt.
fn sequences() -> Vec<Vec<u32>> {
    (0..30).map(|start| (start..start + 12).collect()).collect()
}

#[test]
fn learns_saves_and_reads_back() {
    let settings = PretrainSettings { epochs: 40, batch_tokens: 120, learning_rate: 1e-2, ..Default::default() };
    let mut losses = Vec::new();
    let trained = pretrain(&small::config("phi3"), &sequences(), &settings, 1, |now| {
        losses.push((now.step, now.steps, now.loss))
    })
    .unwrap();
    assert_eq!(losses.len(), 120);
    assert_eq!((losses[0].0, losses[119].0, losses[0].1), (1, 120, 120));
    assert!((losses[0].2 - 50f32.ln()).abs() < 0.3, "random weights are near the uniform loss: {}", losses[0].2);
    assert!(losses[119].2 < 0.5, "the loss stays at {}", losses[119].2);

    let mut again = Vec::new();
    pretrain(&small::config("phi3"), &sequences(), &settings, 1, |now| again.push((now.step, now.steps, now.loss)))
        .unwrap();
    assert_eq!(losses, again);

    let folder = tempfile::tempdir().unwrap();
    trained.save(folder.path(), Precision::F32).unwrap();
    let config = so8t::model::ModelConfig::from_file(&folder.path().join("config.json")).unwrap();
    assert_eq!(&config, trained.network.config());
    let weights = so8t::model::open_weights(folder.path()).unwrap();
    weights.check(&config).unwrap();
    let options = NetworkOptions { quantization: Quantization::None, positions: 12, ..Default::default() };
    let read = Network::new(&config, &weights, options).unwrap();
    let logits = |network: &Network| {
        let batch = network.pack([[5u32, 6, 7, 8].as_slice()]).unwrap();
        network.logits(&batch, &[3], None, &mut Workspace::default()).unwrap()
    };
    assert_eq!(logits(&read), logits(&trained.network));
}

#[test]
fn refuses_what_cannot_be_learnt() {
    let settings = PretrainSettings::default();
    for sequences in [vec![], vec![vec![1]], vec![vec![1; 65]], vec![vec![1, 50]]] {
        assert!(pretrain(&small::config("llama"), &sequences, &settings, 1, |_| ()).is_err());
    }
}
