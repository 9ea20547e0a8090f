//! The commands that give the same numbers again, and the digests of what they were computed from.

use std::fmt::Write as _;

use super::super::Report;
use super::super::dictionary as words;
use super::super::format::escape;
use super::language::html;
use super::{Section, values};

/// Nothing where neither is known.
pub(super) fn section(report: &Report) -> Option<Section> {
    let digests = values::list(&report.digests);
    let commands = &report.run.repeat;
    if digests.is_empty() && commands.is_empty() {
        return None;
    }
    let note = if commands.is_empty() { words::DIGESTS_ONLY } else { words::REPEAT_NOTE };
    let mut content = format!("<p class=\"soft\">{}</p>\n", html(&note));
    for command in commands {
        let _ = writeln!(content, "<pre><code>{}</code></pre>", escape(command));
    }
    if !digests.is_empty() {
        let _ = writeln!(content, "<h3>{}</h3>\n<div class=\"digests\">\n{digests}</div>", html(&words::DIGESTS));
    }
    Some(Section { id: "repeat", title: words::REPEAT, content })
}
