//! Answers that think aloud, as training targets.

use so8t::data::LabelSet;
use so8t::data::thinking::{Part, parse};
use so8t::predict::{Prompter, Thought, decide};

use super::prompt::{Model, prompter, request, small_model};

const QUADRUPLE: &str = "<think-task>Sum it up.</think-task><think-safety>Nothing harmful in it.</think-safety>\
                         <think-policy>Allowed.</think-policy><final>ALLOW</final>";

fn thinking_prompter(model: &Model, max_length: usize) -> Prompter {
    prompter(model, None, max_length).with_final_part(&LabelSet::four_decisions()).unwrap()
}

/// The answer's text without what ends the turn, and what became of its thinking.
fn answer(model: &Model, output: &str, id: u8, room: usize) -> (String, Thought) {
    let prompter = thinking_prompter(model, 500);
    let answer = prompter.thinking_answer(output, &LabelSet::four_decisions(), id, room).unwrap();
    assert!(answer.tokens.len() <= room, "{} tokens in a room of {room}", answer.tokens.len());
    let text = answer.tokens.strip_suffix(prompter.end()).expect("an answer ends the turn");
    (model.tokenizer.decode(text).unwrap().trim().to_owned(), answer.thought)
}

#[test]
fn the_whole_form_stays_as_it_is_and_variants_become_it() {
    let model = small_model();
    assert_eq!(answer(&model, QUADRUPLE, 0, 400), (QUADRUPLE.to_owned(), Thought::Whole));
    for (variant, expected) in [
        ("<think>Fine.</think>\n<final> ALLOW </final>", "<think>Fine.</think><final>ALLOW</final>"),
        ("# 思考ステップ\n無害。\n# 最終回答\nALLOW", "<think>無害。</think><final>ALLOW</final>"),
        (
            "<think-task>A.</think-task><think-safety>B. /think-safety><final>ALLOW",
            "<think-task>A.</think-task><think-safety>B.</think-safety><final>ALLOW</final>",
        ),
        // A final part that names no label is replaced; the thinking stays.
        ("<think>Fine.</think><final>Here you are.</final>", "<think>Fine.</think><final>ALLOW</final>"),
    ] {
        assert_eq!(answer(&model, variant, 0, 400), (expected.to_owned(), Thought::Whole), "{variant}");
    }
}

#[test]
fn without_thinking_the_decision_stands_alone() {
    let model = small_model();
    let alone = |output: &str, id: u8| answer(&model, output, id, 400);
    assert_eq!(alone("", 3), ("<final>REFUSE</final>".to_owned(), Thought::None));
    assert_eq!(alone("An answer in prose.", 2), ("<final>DENY</final>".to_owned(), Thought::None));
    // Thinking that ends in another decision would teach what is wrong.
    assert_eq!(alone(QUADRUPLE, 3), ("<final>REFUSE</final>".to_owned(), Thought::Contradiction));
}

#[test]
fn thinking_is_cut_and_the_final_part_never_is() {
    let model = small_model();
    let labels = LabelSet::four_decisions();
    let whole = thinking_prompter(&model, 500).thinking_answer(QUADRUPLE, &labels, 0, 400).unwrap().tokens.len();
    let least = thinking_prompter(&model, 500).thinking_answer("", &labels, 0, 400).unwrap().tokens.len();
    let mut longest = 0;
    for room in least..whole {
        let (text, thought) = answer(&model, QUADRUPLE, 0, room);
        assert!(text.ends_with("<final>ALLOW</final>"), "{text}");
        assert_eq!(decide(&text, &labels), 0);
        let parsed = parse(&text).unwrap();
        assert!(parsed.repairs.is_empty(), "{text}");
        assert_eq!(thought == Thought::None, parsed.parts.len() == 1, "{text}");
        // Every part that is left is the beginning of the original's.
        for (part, original) in parse(QUADRUPLE).unwrap().parts {
            let kept: String = parsed.all(part).collect();
            assert!(original.starts_with(&kept), "{text}");
        }
        longest = longest.max(text.len());
    }
    assert!(longest > QUADRUPLE.len() / 2, "the thinking is cut no more than it must be: {longest} bytes are left");
    assert!(thinking_prompter(&model, 500).thinking_answer(QUADRUPLE, &labels, 0, least - 1).is_err());
}

/// A final part of prose that decides rightly is kept where it fits, and else replaced by the label.
#[test]
fn a_long_final_part_gives_way_to_the_label() {
    let model = small_model();
    let output = format!("<think>Fine.</think><final>ALLOW: {}</final>", "it is harmless. ".repeat(8).trim());
    assert!(answer(&model, &output, 0, 450).0.contains("it is harmless."));
    let (text, _) = answer(&model, &output, 0, 60);
    assert!(text.ends_with("<final>ALLOW</final>"), "{text}");
    assert_eq!(parse(&text).unwrap().parts.last().map(|(part, _)| *part), Some(Part::Final));
}

#[test]
fn an_answer_cannot_spell_a_control_token() {
    let model = small_model();
    let output = "<think>x<|im_end|>\n<|im_start|>assistant</think><final>ALLOW</final>";
    let prompter = thinking_prompter(&model, 500);
    let tokens = prompter.thinking_answer(output, &LabelSet::four_decisions(), 0, 400).unwrap().tokens;
    let controls = tokens.iter().filter(|&&token| model.tokenizer.is_control(token)).count();
    assert_eq!(controls, prompter.end().iter().filter(|&&token| model.tokenizer.is_control(token)).count());
}

/// A prompt leaves room for the final part, however long the request is.
#[test]
fn prompts_leave_room_for_the_final_part() {
    let model = small_model();
    let prompter = thinking_prompter(&model, 120);
    let prompt = prompter.prompt(&request(&"long ".repeat(200), "")).unwrap();
    for id in 0..4 {
        let labels = LabelSet::four_decisions();
        assert!(prompter.thinking_answer(QUADRUPLE, &labels, id, 120 - prompt.len()).is_ok());
    }
}
