//! What the base model was pretrained on holds no request of the set, and no label.

#[path = "../../examples/quickstart/base/corpus.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};

use super::requests::{folder, rows};
use source::{Corpus, DECISIONS, Dice, SPECIAL_TOKENS};

fn corpus() -> Corpus {
    Corpus::read(&folder().join("pretraining")).unwrap()
}

/// Letters and digits alone, in lower case.
fn folded(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[test]
fn no_request_is_in_the_corpus() {
    let corpus = corpus();
    let mut dice = Dice::new(1);
    let drawn: Vec<String> = (0..20_000).map(|_| folded(&corpus.document(&mut dice))).collect();
    let phrases: BTreeSet<String> = corpus.phrases().map(folded).collect();
    let text = drawn.join("\n");
    for row in rows() {
        let request = folded(&row.request);
        assert!(!phrases.contains(&request), "a phrase of the corpus is the request {}", row.request);
        assert!(!text.contains(&request), "a document of the corpus holds the request {}", row.request);
    }
}

#[test]
fn no_scenario_of_a_request_is_spelled_out_in_the_corpus() {
    // A term such as "a password manager" may stand in both; what somebody does, in the same words, may not.
    let requests: Vec<(String, String)> =
        rows().iter().map(|row| (row.request.clone(), folded(&row.request))).collect();
    for phrase in corpus().phrases().filter(|phrase| !phrase.contains('{')) {
        let long = if phrase.is_ascii() { phrase.split(' ').count() >= 4 } else { phrase.chars().count() >= 11 };
        let same = requests.iter().find(|(_, request)| long && request.contains(&folded(phrase)));
        assert!(same.is_none(), "`{phrase}` of the corpus stands in {same:?}");
    }
}

#[test]
fn no_label_is_in_the_corpus() {
    let corpus = corpus();
    for phrase in corpus.phrases() {
        assert!(DECISIONS.iter().all(|word| !phrase.contains(word)), "{phrase}");
    }
    // Where a decision's name stands before a subject, it is as often any other name.
    let mut dice = Dice::new(2);
    let mut counts: BTreeMap<String, [u32; 4]> = BTreeMap::new();
    for _ in 0..40_000 {
        let document = corpus.document(&mut dice);
        for (index, word) in DECISIONS.iter().enumerate() {
            if let Some((_, subject)) = document.split_once(&format!("<|assistant|>\n{word} ")) {
                let heading = subject.lines().next().unwrap_or_default();
                counts.entry(heading.to_owned()).or_default()[index] += 1;
            }
        }
    }
    assert!(counts.len() > 50, "{}", counts.len());
    for (subject, counts) in counts {
        let total: u32 = counts.iter().sum();
        let expected = f64::from(total) / 4.0;
        // Chi-square with three degrees of freedom: beyond 30 once in 700,000 subjects.
        let deviation: f64 = counts.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
        assert!(deviation < 30.0, "{subject}: {counts:?}");
    }
}

#[test]
fn documents_depend_on_the_seed_alone_and_come_in_all_kinds() {
    let corpus = corpus();
    let draw = |seed| {
        let mut dice = Dice::new(seed);
        (0..200).map(|_| corpus.document(&mut dice)).collect::<Vec<_>>()
    };
    assert_eq!(draw(3), draw(3));
    assert_ne!(draw(3), draw(4));
    let documents = draw(3);
    for special in &SPECIAL_TOKENS[1..] {
        assert!(documents.iter().any(|text| text.contains(special)), "{special}");
    }
    assert!(documents.iter().any(|text| text.contains(" = ")), "a word list");
    assert!(documents.iter().all(|text| !text.contains(['{', '}'])), "a slot was left unfilled");
}

#[test]
fn a_broken_corpus_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("patterns.txt"), "= en person\nshe\n").unwrap();
    std::fs::write(folder.path().join("utterances.txt"), "= tea\nIt is hot. = 熱いです。\n").unwrap();
    std::fs::write(folder.path().join("topics_a.txt"), "@ food = 食べ物\n= tea = お茶\nboil water\n").unwrap();
    let problem = Corpus::read(folder.path()).err().unwrap();
    assert!(problem.contains("topics_a.txt`, line 3: expected `English = Japanese`, found `boil water`"), "{problem}");
    std::fs::write(
        folder.path().join("topics_a.txt"),
        "@ food = 食べ物\n= tea = お茶\nboil water = 湯を沸かす\n* a cup = 茶碗\n",
    )
    .unwrap();
    let problem = Corpus::read(folder.path()).err().unwrap();
    assert!(problem.contains("expected a section `= ja person`"), "{problem}");
}
