//! Answers that think aloud before they decide: quadruple thinking and its variants.
//!
//! The whole form is `<think-task>…</think-task><think-safety>…</think-safety><think-policy>…</think-policy><final>…</final>`.
//! Other forms that are met: `<think>…</think><final>…</final>`; more parts (`logic`, `ethics`, `practical`, `creative`); the
//! headings `# 思考ステップ` and `# 最終回答`; tags that lost their first bracket (`/think-safety>`), and parts that are never
//! closed. One function reads all of them ([`parse`]); it takes any text, in one pass.

use std::ops::Range;

/// A part of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// `think`, without a subject, or the heading `思考ステップ`.
    Think,
    /// `think-task`.
    Task,
    /// `think-safety`.
    Safety,
    /// `think-policy`.
    Policy,
    /// `think-logic`.
    Logic,
    /// `think-ethics`.
    Ethics,
    /// `think-practical`.
    Practical,
    /// `think-creative`.
    Creative,
    /// `final`, or the heading `最終回答`: the decision.
    Final,
}

impl Part {
    /// The name of the part's tag.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, part)| *part == self).map_or("think", |(name, _)| name)
    }
}

const NAMES: [(&str, Part); 9] = [
    ("think", Part::Think),
    ("think-task", Part::Task),
    ("think-safety", Part::Safety),
    ("think-policy", Part::Policy),
    ("think-logic", Part::Logic),
    ("think-ethics", Part::Ethics),
    ("think-practical", Part::Practical),
    ("think-creative", Part::Creative),
    ("final", Part::Final),
];

/// The longest name of [`NAMES`].
const LONGEST: usize = 15;

/// What was out of order in an answer, and how it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Repair {
    /// A tag lacks its first bracket.
    Bracket,
    /// A part is closed that was never opened: it is the text since the tag before.
    Unopened,
    /// A part is never closed: it reaches to the next tag, or to the end.
    Unclosed,
    /// A part is closed under another part's name.
    Mismatched,
    /// Text stands outside of all parts, and belongs to none.
    Stray,
}

/// An answer, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thinking<'a> {
    /// The parts in their order, without the white space around them. A part may occur more than once.
    pub parts: Vec<(Part, &'a str)>,
    /// What had to be repaired, in order.
    pub repairs: Vec<Repair>,
}

impl<'a> Thinking<'a> {
    /// The texts of a part, in order.
    pub fn all(&self, part: Part) -> impl Iterator<Item = &'a str> {
        self.parts.iter().filter(move |(own, _)| *own == part).map(|(_, text)| *text)
    }

    /// The text of the final part, where there is exactly one.
    pub fn final_part(&self) -> Option<&'a str> {
        let mut all = self.all(Part::Final);
        all.next().filter(|_| all.next().is_none())
    }

    /// Whether all four parts of quadruple thinking are there, each once, in their order, and nothing was repaired.
    pub fn is_quadruple(&self) -> bool {
        let parts: Vec<Part> = self.parts.iter().map(|part| part.0).collect();
        self.repairs.is_empty() && parts == [Part::Task, Part::Safety, Part::Policy, Part::Final]
    }
}

impl Thinking<'_> {
    /// The answer in the whole form: every part in its tags, the final part last, nothing between them. Parts keep their order.
    ///
    /// # Errors
    /// What cannot be repaired: no final part, several, or an empty one; a part that occurs twice.
    pub fn whole(&self) -> Result<String, String> {
        let decision = match (self.final_part(), self.all(Part::Final).count()) {
            (Some(""), _) => return Err("the final part is empty".to_owned()),
            (Some(text), _) => text,
            (None, 0) => return Err("there is no final part".to_owned()),
            (None, count) => return Err(format!("there are {count} final parts")),
        };
        let mut out = String::new();
        for (index, (part, text)) in self.parts.iter().enumerate() {
            let name = part.name();
            if self.parts[..index].iter().any(|(earlier, _)| earlier == part) {
                return Err(format!("the part `{name}` occurs twice"));
            }
            if *part != Part::Final {
                out.push_str(&format!("<{name}>{text}</{name}>"));
            }
        }
        out.push_str(&format!("<final>{decision}</final>"));
        Ok(out)
    }
}

/// Takes an answer apart; `None` where no tag and no heading of thinking is in it, so that the whole text is the answer. Any
/// text is taken; time is linear in its length.
pub fn parse(text: &str) -> Option<Thinking<'_>> {
    let mut out = Thinking::default();
    let mut open: Option<(Part, bool)> = None;
    let (mut from, mut found) = (0, false);
    for mark in marks(text) {
        found = true;
        let body = text[from..mark.at.start].trim();
        if mark.repaired {
            out.repairs.push(Repair::Bracket);
        }
        match (open, mark.closes) {
            (Some((part, _)), true) => {
                if part != mark.part {
                    out.repairs.push(Repair::Mismatched);
                }
                out.parts.push((part, body));
                open = None;
            }
            (None, true) => {
                out.repairs.push(Repair::Unopened);
                out.parts.push((mark.part, body));
            }
            (previous, false) => {
                match previous {
                    Some((part, heading)) => {
                        if !heading {
                            out.repairs.push(Repair::Unclosed);
                        }
                        out.parts.push((part, body));
                    }
                    None if !body.is_empty() => out.repairs.push(Repair::Stray),
                    None => {}
                }
                open = Some((mark.part, mark.heading));
            }
        }
        from = mark.at.end;
    }
    if let Some((part, heading)) = open {
        if !heading {
            out.repairs.push(Repair::Unclosed);
        }
        out.parts.push((part, text[from..].trim()));
    } else if found && !text[from..].trim().is_empty() {
        out.repairs.push(Repair::Stray);
    }
    found.then_some(out)
}

/// Where a part begins or ends.
struct Mark {
    at: Range<usize>,
    part: Part,
    closes: bool,
    heading: bool,
    repaired: bool,
}

/// All tags and headings, in order.
fn marks(text: &str) -> Vec<Mark> {
    let bytes = text.as_bytes();
    let mut marks = Vec::new();
    let mut line = 0;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'>' => marks.extend(tag(text, at)),
            b'\n' => {
                marks.extend(heading(&text[line..at], line));
                line = at + 1;
            }
            _ => {}
        }
    }
    marks.extend(heading(&text[line..], line));
    // A heading is seen at the end of its line, behind tags within it.
    marks.sort_by_key(|mark| mark.at.start);
    marks.dedup_by(|later, earlier| later.at.start < earlier.at.end);
    marks
}

/// The tag that ends with the bracket at `end`.
fn tag(text: &str, end: usize) -> Option<Mark> {
    let bytes = text.as_bytes();
    let is_name = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'-';
    let length = bytes[..end].iter().rev().take(LONGEST + 1).take_while(|byte| is_name(byte)).count();
    let name = &text[end - length..end];
    let part = NAMES.iter().find(|(own, _)| own.eq_ignore_ascii_case(name))?.1;
    let before = &bytes[..end - length];
    let closes = before.last() == Some(&b'/');
    let slash = usize::from(closes);
    let bracket = before[..before.len() - slash].last() == Some(&b'<');
    if !closes && !bracket {
        return None;
    }
    let start = end - length - slash - usize::from(bracket);
    Some(Mark { at: start..end + 1, part, closes, heading: false, repaired: !bracket })
}

/// The heading that a line beginning at `start` is.
fn heading(line: &str, start: usize) -> Option<Mark> {
    let title = line.strip_prefix('#')?.trim_start_matches('#').trim();
    let part = match title.trim_end_matches([':', '：']) {
        "思考ステップ" => Part::Think,
        "最終回答" => Part::Final,
        _ => return None,
    };
    Some(Mark { at: start..start + line.len(), part, closes: false, heading: true, repaired: false })
}
