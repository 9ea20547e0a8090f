use std::collections::BTreeMap;

use so8t::data::{
    Contamination, ContaminationCounts, ContaminationKind, ContaminationPolicy, ContaminationSettings, Example, Parts,
    Usage, similarity,
};

use super::candidate;
use super::minhash::{Numbers, edited, text};

fn example(id: &str, source: &str, instruction: &str) -> Example {
    let example = candidate(instruction, 0, "", Usage::Both).example;
    Example { id: id.into(), source: source.into(), ..example }
}

fn find(train: &[Example], eval: &[Example], policy: ContaminationPolicy) -> Contamination {
    let parts = Parts { train: train.to_vec(), eval: eval.to_vec(), ..Parts::default() };
    Contamination::find(&parts, ContaminationSettings { policy, similarity: 0.8 }, 1)
}

const LONG: &str = "please explain how the old bridge over the river was built and who paid for it";

#[test]
fn each_kind_is_found_and_counted_by_source() {
    let train = [
        example("t:0", "t", LONG),
        example("t:1", "t", "パスワードを忘れたので再設定する方法を教えてください"),
        example("t:2", "t", "something else altogether"),
    ];
    let eval = [
        example("a:0", "a", LONG),
        example("a:1", "a", &format!("{}!", LONG.to_uppercase())),
        example("b:0", "b", &LONG.replace("river", "rivers")),
        example("b:1", "b", "パスワードを忘れたので再設定する方法を教えて下さい"),
        example("b:2", "b", "nobody trains on this one here"),
    ];
    let found = find(&train, &eval, ContaminationPolicy::Warn);
    assert_eq!((found.exact, found.normalised, found.near, found.rows()), (1, 1, 1, 3));
    let counts = |exact, normalised, near| ContaminationCounts { exact, normalised, near };
    assert_eq!(found.sources, BTreeMap::from([("a".to_owned(), counts(1, 1, 0)), ("b".to_owned(), counts(0, 0, 1))]));
    let pairs: Vec<_> = found.pairs.iter().map(|p| (p.eval.as_str(), p.train.as_str(), p.kind)).collect();
    use ContaminationKind::{Exact, Near, Normalised};
    assert_eq!(pairs, [("a:0", "t:0", Exact), ("a:1", "t:0", Normalised), ("b:0", "t:0", Near)]);
    assert_eq!(found.pairs[0].similarity, 1.0);
    let own = |text: &str| similarity(&format!("{text} "), LONG);
    assert_eq!(found.pairs[2].similarity, own(&LONG.replace("river", "rivers")));
    // Four of 21 and 22 5-grams differ: below the threshold.
    assert!(similarity(&eval[3].request.instruction, &train[1].request.instruction) < 0.8);
}

#[test]
fn planted_pairs_are_found_and_no_others() {
    let mut numbers = Numbers(99);
    let train: Vec<Example> = (0..1500).map(|i| example(&format!("t:{i}"), "t", &text(&mut numbers))).collect();
    let eval: Vec<Example> = (0..500)
        .map(|i| {
            let planted = edited(&train[i].request.instruction, 1, &mut numbers);
            let text = if i % 5 == 0 { planted } else { text(&mut numbers) };
            example(&format!("e:{i}"), "e", &text)
        })
        .collect();
    let found = find(&train, &eval, ContaminationPolicy::Warn);
    let near = |e: &Example, t: &Example| similarity(&e.request.instruction, &t.request.instruction) >= 0.8;
    let expected = eval.iter().filter(|e| train.iter().any(|t| near(e, t))).count();
    assert!(expected > 60, "{expected}");
    let by_id: BTreeMap<&str, &Example> = train.iter().chain(&eval).map(|e| (e.id.as_str(), e)).collect();
    assert!(found.pairs.iter().all(|p| near(by_id[p.eval.as_str()], by_id[p.train.as_str()])), "precision 1");
    assert!(found.rows() * 100 >= expected * 99, "recall: {} of {expected}", found.rows());
    assert_eq!(find(&train, &eval, ContaminationPolicy::Warn), found);
    let shown = found.shortened();
    assert_eq!((shown.pairs.len(), shown.near), (found.pairs.len().min(100), found.near));
}

#[test]
fn a_row_lists_its_nearest_and_dropped_rows_are_kept_apart() {
    let train: Vec<Example> = (0..30).map(|i| example(&format!("t:{i}"), "t", &format!("{LONG} {i}"))).collect();
    let eval = [example("e:0", "e", &format!("{LONG} 7")), example("e:1", "e", "quite another question")];
    let found = find(&train, &eval, ContaminationPolicy::Drop);
    assert_eq!((found.exact, found.near, found.pairs.len()), (1, 0, Contamination::PAIRS_A_ROW));
    assert_eq!((found.pairs[0].train.as_str(), found.pairs[0].kind), ("t:7", ContaminationKind::Exact));
    assert!(found.pairs[1..].windows(2).all(|pair| pair[0].similarity >= pair[1].similarity));

    let mut parts = Parts { train, eval: eval.to_vec(), ..Parts::default() };
    parts.drop_contaminated(&found.pairs.iter().map(|pair| pair.eval.as_str()).collect());
    assert_eq!(parts.eval, eval[1..]);
    assert_eq!(parts.contaminated, eval[..1]);
}
