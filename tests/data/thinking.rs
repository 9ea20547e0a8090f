//! Quadruple thinking: every form that is met, and whatever else a model may write.

use so8t::data::thinking::{Part, Repair, parse};
use so8t::data::{INVALID, LabelSet};
use so8t::plugin::{ComponentSource, Host, Limits, PluginSpec};
use so8t::predict::decide;

/// An answer, the parts that it has, and what was repaired.
type Case = (&'static str, &'static [(Part, &'static str)], &'static [Repair]);

fn parts(text: &str) -> (Vec<(Part, &str)>, Vec<Repair>) {
    let thinking = parse(text).expect("thinking");
    (thinking.parts, thinking.repairs)
}

#[test]
fn all_forms_are_taken_apart() {
    use Part::{Creative, Ethics, Final, Logic, Policy, Practical, Safety, Task, Think};
    use Repair::{Bracket, Mismatched, Stray, Unclosed, Unopened};
    let whole = "<think-task>課題</think-task><think-safety>安全</think-safety><think-policy>方針</think-policy>\
                 <final>DENY</final>";
    let cases: &[Case] = &[
        (whole, &[(Task, "課題"), (Safety, "安全"), (Policy, "方針"), (Final, "DENY")], &[]),
        ("<think> a > b\n</think>\n\n<final> ALLOW </final>", &[(Think, "a > b"), (Final, "ALLOW")], &[]),
        (
            "<think-task>1</think-task><think-safety>2</think-safety><think-logic>3</think-logic><think-ethics>4</think-ethics>\
             <think-practical>5</think-practical><think-creative>6</think-creative><final>REFUSE</final>",
            &[
                (Task, "1"),
                (Safety, "2"),
                (Logic, "3"),
                (Ethics, "4"),
                (Practical, "5"),
                (Creative, "6"),
                (Final, "REFUSE"),
            ],
            &[],
        ),
        ("# 思考ステップ\n一つ目\n二つ目\n## 最終回答：\nALLOW", &[(Think, "一つ目\n二つ目"), (Final, "ALLOW")], &[]),
        ("<think-safety>risky/think-safety><final>DENY</final>", &[(Safety, "risky"), (Final, "DENY")], &[Bracket]),
        ("harmless</think>ALLOW</final>", &[(Think, "harmless"), (Final, "ALLOW")], &[Unopened, Unopened]),
        ("<think-task>a<final>ALLOW", &[(Task, "a"), (Final, "ALLOW")], &[Unclosed, Unclosed]),
        ("<think-task>a</think-policy><final>b</final>", &[(Task, "a"), (Final, "b")], &[Mismatched]),
        ("<THINK>a</Think><Final>b</FINAL>", &[(Think, "a"), (Final, "b")], &[]),
        ("<final></final>", &[(Final, "")], &[]),
        ("Well: <think>a</think> so <final>b</final>!", &[(Think, "a"), (Final, "b")], &[Stray, Stray, Stray]),
    ];
    for (text, expected, repairs) in cases {
        let (found, repaired) = parts(text);
        assert_eq!(found, *expected, "{text}");
        assert_eq!(repaired, *repairs, "{text}");
    }
    assert!(parse(whole).unwrap().is_quadruple());
    assert!(!parse(&whole.replace("</think-task>", "/think-task>")).unwrap().is_quadruple());
    for text in
        ["", "ALLOW", "a < b and c > d", "final>", "think-task>", "<finale>", "<b>x</b>", "# 最終回答は次の通り"]
    {
        assert_eq!(parse(text), None, "{text}");
    }
}

#[test]
fn the_whole_form_is_written_and_read_back() {
    let whole = "<think-task>a</think-task><think>b</think><final>DENY</final>";
    for text in
        [whole, "<final>DENY</final> <think-task>a</think-task><think>b", "x <think-task> a <think>b/think><final>DENY"]
    {
        assert_eq!(parse(text).unwrap().whole().unwrap(), whole, "{text}");
    }
    for (text, expected) in [
        ("<think>a</think>", "there is no final part"),
        ("<final>a</final><final>b</final><final>c", "there are 3 final parts"),
        ("<think>a</think><final> </final>", "the final part is empty"),
        ("<think>a</think><think>b</think><final>c</final>", "the part `think` occurs twice"),
    ] {
        assert_eq!(parse(text).unwrap().whole().unwrap_err(), expected, "{text}");
    }
    for seed in 0..5_000 {
        let text = hostile(seed);
        let Some(Ok(whole)) = parse(&text).map(|thinking| thinking.whole()) else { continue };
        let again = parse(&whole).unwrap();
        assert_eq!(again.whole().as_ref(), Ok(&whole), "{text}");
    }
}

#[test]
fn an_answer_decides_or_is_invalid() {
    let labels = LabelSet::four_decisions();
    let id = |name: &str| labels.id(name).unwrap_or(INVALID);
    for (text, expected) in [
        ("ALLOW", "ALLOW"),
        ("deny.", "DENY"),
        (" **Refuse**\nbecause", "REFUSE"),
        ("「ESCALATION」です。", "ESCALATION"),
        ("判定はDENYです", "DENY"),
        ("The decision is REFUSE.", "REFUSE"),
        ("<|allow|>", "ALLOW"),
        ("<think>REFUSE? No.</think><final>ALLOW</final>", "ALLOW"),
        ("<think-policy>x/think-policy><final>label: DENY", "DENY"),
        // What follows must not become a decision.
        ("", "INVALID"),
        ("ALLOWED", "INVALID"),
        ("allowing it", "INVALID"),
        ("I allow it", "INVALID"),
        ("NOT_ALLOW", "INVALID"),
        ("ALLOW or DENY", "INVALID"),
        ("<think>ALLOW</think>", "INVALID"),
        ("<think>ALLOW", "INVALID"),
        ("<final>ALLOW</final><final>DENY</final>", "INVALID"),
        ("<final></final>ALLOW", "INVALID"),
        ("ÉALLOW", "INVALID"),
    ] {
        assert_eq!(decide(text, &labels), id(expected), "{text}");
    }
}

/// A text of pieces that matter to the parser, drawn by a small generator.
fn hostile(seed: u64) -> String {
    const PIECES: &[&str] = &[
        "<",
        ">",
        "/",
        "</",
        "think",
        "think-",
        "task",
        "final",
        "-",
        "<think-task>",
        "</think-task>",
        "<final>",
        "</final>",
        "/final>",
        "\n",
        "# 思考ステップ",
        "# 最終回答",
        "#",
        "判定",
        "ALLOW",
        "é",
        "\u{0}",
        " ",
        "<<",
        ">>",
        "<think><think>",
    ];
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut text = String::new();
    for _ in 0..60 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push_str(PIECES[(state >> 33) as usize % PIECES.len()]);
    }
    text
}

#[test]
fn any_text_is_taken() {
    let labels = LabelSet::four_decisions();
    for seed in 0..20_000 {
        let text = hostile(seed);
        let Some(thinking) = parse(&text) else {
            assert!(!text.contains("<final>"), "{text}");
            continue;
        };
        // Parts are pieces of the text, in order, that do not overlap.
        let mut end = 0;
        for (_, part) in &thinking.parts {
            let start = part.as_ptr() as usize - text.as_ptr() as usize;
            assert!(start >= end && start + part.len() <= text.len(), "{text}");
            end = start + part.len();
        }
        assert_eq!(parse(&text), Some(thinking), "the same text, the same parts");
        assert!(decide(&text, &labels) == INVALID || usize::from(decide(&text, &labels)) < labels.len());
        // What is written in the whole form is read back.
        let whole = format!("<think>{}</think><final>DENY</final>", text.replace(['<', '>', '/', '#'], " "));
        assert_eq!(decide(&whole, &labels), 2, "{whole}");
    }
}

#[test]
fn work_is_linear() {
    // The parser of the component, whose instructions are counted: a square of the length would be a thousand times as many.
    let host = Host::new(None).unwrap();
    for piece in ["<think>", "<", ">", "</final>", "-", "think->", "#", "# 最終回答\n", "/think-task>"] {
        let row = serde_json::json!({ "instruction": "x", "output": piece.repeat(100_000) }).to_string();
        let mut spec = PluginSpec::new("thinking", ComponentSource::Builtin("quadruple-thinking".into()));
        spec.limits = Limits { fuel: 1_500 * row.len() as u64, seconds: 86_400.0, ..Limits::default() };
        let mut converter = host.load(&spec).unwrap().open_converter().unwrap();
        converter.push(row.as_bytes()).unwrap_or_else(|e| panic!("{piece}: {e}"));
        converter.finish().unwrap_or_else(|e| panic!("{piece}: {e}"));
    }
}
