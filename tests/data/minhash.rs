//! Near duplicates against brute force.

use std::collections::HashSet;
use std::time::Instant;

use so8t::data::{MinHash, similarity};

/// Seeded numbers (xorshift64*), for the texts alone.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }
}

const ENGLISH: &str = "how do I reset my password please tell me about the weather in a city and explain what happens when \
                       someone asks for help with a bank account or a strange machine that makes noise at night";
const JAPANESE: &str =
    "パスワードを忘れたので再設定する方法を教えてください今日の東京の天気と明日の予定について説明してほしい銀行口座";

/// A made-up text of some 40 to 80 characters in either language.
pub fn text(numbers: &mut Numbers) -> String {
    if numbers.below(2) == 0 {
        let words: Vec<&str> = ENGLISH.split(' ').collect();
        (0..8 + numbers.below(7)).map(|_| words[numbers.below(words.len())]).collect::<Vec<_>>().join(" ")
    } else {
        let letters: Vec<char> = JAPANESE.chars().collect();
        let start = |numbers: &mut Numbers| numbers.below(letters.len() - 6);
        (0..8 + numbers.below(6))
            .flat_map(|_| letters[start(numbers)..].iter().take(6).copied().collect::<Vec<_>>())
            .collect()
    }
}

/// The text with `edits` characters replaced.
pub fn edited(text: &str, edits: usize, numbers: &mut Numbers) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..edits {
        let place = numbers.below(letters.len());
        letters[place] = ['x', 'q', '語', 'z', '7'][numbers.below(5)];
    }
    letters.into_iter().collect()
}

#[test]
fn similarity_is_the_share_of_common_five_grams() {
    assert_eq!(similarity("abcdefgh", "abcdefgh"), 1.0);
    // abcde bcdef cdefg defgh | abcde bcdef cdefg defgx: 3 of 5.
    assert_eq!(similarity("abcdefgh", "abcdefgx"), 0.6);
    assert_eq!(similarity("ＡＢＣ　de\t\nF", " abc de f "), 1.0);
    assert_eq!(similarity("abc", "ABC"), 1.0);
    assert_eq!(similarity("abc", "abd"), 0.0);
    assert_eq!(similarity("", ""), 0.0);
    assert_eq!(similarity("ガギグゲゴ", "ｶﾞｷﾞｸﾞｹﾞｺﾞ"), 1.0);
}

#[test]
fn bands_suit_the_similarity() {
    let found = |similarity: f64| {
        let (bands, rows) = MinHash::new(similarity, 0).banding();
        assert!(bands * rows <= 128, "{similarity}: {bands} x {rows}");
        1.0 - (1.0 - similarity.powi(rows as i32)).powi(bands as i32)
    };
    for similarity in [0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0] {
        assert!(found(similarity) >= 0.995, "{similarity}: {}", found(similarity));
    }
    assert_eq!(MinHash::new(0.8, 0).banding(), (21, 6));
}

#[test]
fn near_pairs_are_those_of_brute_force() {
    let mut numbers = Numbers(7);
    let indexed: Vec<String> = (0..1200).map(|_| text(&mut numbers)).collect();
    let queries: Vec<String> = (0..600)
        .map(|i| if i % 2 == 0 { text(&mut numbers) } else { edited(&indexed[i], numbers.below(4), &mut numbers) })
        .collect();
    for wanted in [0.5, 0.8] {
        let all: HashSet<(usize, usize)> = (0..queries.len())
            .flat_map(|q| (0..indexed.len()).map(move |i| (q, i)))
            .filter(|&(q, i)| similarity(&queries[q], &indexed[i]) >= wanted)
            .collect();
        assert!(all.len() > 100, "{}", all.len());
        let found = MinHash::new(wanted, 3).across(&indexed, &queries, usize::MAX);
        let pairs: HashSet<(usize, usize)> = found.iter().map(|near| (near.query, near.indexed)).collect();
        assert_eq!(pairs.len(), found.len());
        // Precision is 1: every pair was checked. Recall at the threshold is at least 0.995, and higher above it.
        assert!(pairs.is_subset(&all));
        let recall = pairs.len() as f64 / all.len() as f64;
        assert!(recall >= 0.99, "recall {recall} of {} at {wanted}", all.len());
        assert!(found.iter().all(|n| n.similarity == similarity(&queries[n.query], &indexed[n.indexed])));
        let first: Vec<_> = MinHash::new(wanted, 3).across(&indexed, &queries, 1);
        assert!(first.iter().all(|n| found.iter().all(|o| o.query != n.query || o.similarity <= n.similarity)));
    }
}

#[test]
fn what_is_kept_holds_no_near_pair() {
    let mut numbers = Numbers(11);
    let mut texts: Vec<String> = (0..700).map(|_| text(&mut numbers)).collect();
    for index in 0..300 {
        texts.push(edited(&texts[index].clone(), numbers.below(3), &mut numbers));
    }
    texts.extend([String::new(), String::new(), "ok".to_owned(), "OK".to_owned()]);
    let found = MinHash::new(0.8, 5).duplicates(&texts);
    let kept: Vec<usize> = (0..texts.len()).filter(|&i| found[i].is_none()).collect();
    for (index, earlier) in found.iter().enumerate() {
        if let Some(earlier) = *earlier {
            assert!(earlier < index && found[earlier].is_none(), "{index}: {earlier}");
            assert!(similarity(&texts[index], &texts[earlier]) >= 0.8);
        }
    }
    let pairs = |a: usize| kept.iter().filter(move |&&b| b < a);
    let missed: usize =
        kept.iter().map(|&a| pairs(a).filter(|&&b| similarity(&texts[a], &texts[b]) >= 0.8).count()).sum();
    let removed = texts.len() - kept.len();
    assert!(removed > 150, "{removed}");
    assert!(missed * 100 <= removed, "{missed} near pairs were missed, {removed} found");
    assert!(found[700 + 300].is_none() && found[700 + 301].is_none(), "empty texts resemble nothing");
    assert_eq!(found[700 + 303], Some(700 + 302));
}

#[test]
fn threads_and_the_seed_do_not_change_what_is_near() {
    let mut numbers = Numbers(23);
    let mut texts: Vec<String> = (0..9000).map(|_| text(&mut numbers)).collect();
    for index in 0..1000 {
        texts.push(edited(&texts[index].clone(), 1, &mut numbers));
    }
    let one = MinHash::new(0.8, 9).with_threads(1).duplicates(&texts);
    for threads in [2, 3, 7] {
        assert_eq!(MinHash::new(0.8, 9).with_threads(threads).duplicates(&texts), one, "{threads} threads");
    }
    let other = MinHash::new(0.8, 10).duplicates(&texts);
    let differ = one.iter().zip(&other).filter(|(a, b)| a.is_some() != b.is_some()).count();
    assert!(differ * 50 <= one.iter().flatten().count(), "{differ} texts differ between two seeds");
}

/// The figures of BENCHMARKS.md: `cargo test --release --test main -- --ignored --nocapture a_million_short_texts`.
#[test]
#[ignore = "takes most of a minute"]
fn a_million_short_texts() {
    let mut numbers = Numbers(1);
    let mut texts: Vec<String> = (0..900_000).map(|_| text(&mut numbers)).collect();
    for index in 0..100_000 {
        texts.push(format!("{}?", texts[index * 9]));
    }
    let characters = texts.iter().map(|text| text.chars().count()).sum::<usize>();
    let bytes = texts.iter().map(String::len).sum::<usize>();
    let started = Instant::now();
    let found = MinHash::new(0.8, 1).with_threads(2).duplicates(&texts);
    let seconds = started.elapsed().as_secs_f64();
    let removed = found.iter().flatten().count();
    let planted = found[900_000..].iter().flatten().count();
    let peak = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = peak.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("VmHWM unknown").to_owned();
    println!(
        "{} texts, {characters} characters, {bytes} bytes: {removed} near duplicates ({planted} of 100000 planted) in {seconds:.1} s \
         on 2 threads; {peak} with the texts",
        texts.len()
    );
    assert!(removed >= planted && planted == 100_000, "{planted}");
}
