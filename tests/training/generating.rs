//! Generation with kept keys and values against the definition: the whole sequence read anew for every token.

use so8t::model::network::{Network, Quantization, Workspace};
use so8t::predict::{Generation, generate};
use so8t::train::random::Random;

use super::small;

fn prompts() -> Vec<Vec<u32>> {
    let mut random = Random::new(9, "prompts");
    // The first tokens are shared, as by a policy.
    (0..9).map(|i| [vec![7, 7, 1], (0..1 + (i * 5) % 8).map(|_| random.below(50) as u32).collect()].concat()).collect()
}

fn by_definition(network: &Network, prompt: &[u32], end: &[u32], most: usize) -> Vec<u32> {
    let mut sequence = prompt.to_vec();
    while sequence.len() < prompt.len() + most {
        let batch = network.pack([sequence.as_slice()]).unwrap();
        let row = [sequence.len() as u32 - 1];
        let logits = network.logits(&batch, &row, None, &mut Workspace::default()).unwrap();
        let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        sequence.push(logits.iter().position(|logit| *logit == best).unwrap() as u32);
        if !end.is_empty() && sequence[prompt.len()..].ends_with(end) {
            sequence.truncate(sequence.len() - end.len());
            break;
        }
    }
    sequence[prompt.len()..].to_vec()
}

#[test]
fn kept_keys_and_values_change_no_token() {
    for (architecture, quantization) in
        [("llama", Quantization::None), ("llama", Quantization::Int8), ("phi3", Quantization::None)]
    {
        let network = small::network(architecture, quantization, false);
        let expected: Vec<_> = prompts().iter().map(|prompt| by_definition(&network, prompt, &[], 12)).collect();
        let different: std::collections::BTreeSet<_> = expected.iter().collect();
        assert!(different.len() > 4, "prompts that are all answered alike show little: {expected:?}");
        for batch_tokens in [1, 60, 4096] {
            let generation = Generation { max_new_tokens: 12, batch_tokens };
            let found = generate(&network, &prompts(), &[], &[], &[], generation, |_| Ok(())).unwrap();
            assert_eq!(found, expected, "{architecture} {quantization:?}, batches of {batch_tokens}");
        }
        // An answer ends where the end of a turn is generated, each in its own time.
        let end = [expected[0][4]];
        let expected: Vec<_> = prompts().iter().map(|prompt| by_definition(&network, prompt, &end, 12)).collect();
        let generation = Generation { max_new_tokens: 12, batch_tokens: 4096 };
        let found = generate(&network, &prompts(), &[], &end, &[], generation, |_| Ok(())).unwrap();
        assert_eq!(found, expected, "{architecture} {quantization:?}");
        assert!(found[0].len() <= 4 && found.iter().any(|answer| answer.len() != found[0].len()), "{found:?}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let network = small::network("llama", Quantization::None, false);
    let generation = Generation { max_new_tokens: small::POSITIONS, batch_tokens: 64 };
    let error = generate(&network, &[vec![1, 2]], &[], &[], &[], generation, |_| Ok(())).unwrap_err().to_string();
    assert!(error.contains("expected at most 32 tokens in all"), "{error}");
    let none = Generation { max_new_tokens: 0, batch_tokens: 64 };
    assert_eq!(generate(&network, &[vec![1, 2]], &[], &[], &[], none, |_| Ok(())).unwrap(), [Vec::<u32>::new()]);
    let mut calls = 0;
    let stopped =
        generate(&network, &prompts(), &[], &[], &[], Generation { max_new_tokens: 1, batch_tokens: 1 }, |_| {
            calls += 1;
            if calls == 2 { Err(so8t::Error::interrupted("stopped")) } else { Ok(()) }
        });
    assert!(stopped.is_err() && calls == 2);
}
