//! Names as MLflow takes them: letters, digits, `_`, `-`, `.`, spaces and `/`, and no part that a path would lose.

use so8t_base::files;

/// The longest name of a parameter, a metric or a tag.
const LONGEST: usize = 250;

/// `parts` joined by `/`, each made fit. A part that had to be changed ends in a piece of its digest, so that two of them stay two.
pub(crate) fn joined(parts: &[&str]) -> String {
    let name = parts.iter().map(|part| fit(part)).collect::<Vec<_>>().join("/");
    match name.len() > LONGEST {
        true => {
            let mut end = LONGEST - 9;
            while !name.is_char_boundary(end) {
                end -= 1;
            }
            format!("{}-{}", &name[..end], &files::sha256(name.as_bytes())[..8])
        }
        false => name,
    }
}

fn fit(part: &str) -> String {
    let is_fit = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
    let made: String = part.chars().map(|c| if is_fit(c) { c } else { '_' }).collect();
    let is_lost = made.is_empty() || made.chars().all(|c| c == '.') || made.trim() != made;
    match made == part && !is_lost {
        true => made,
        false => {
            let kept = made.trim().trim_matches('.');
            format!("{}-{}", if kept.is_empty() { "_" } else { kept }, &files::sha256(part.as_bytes())[..8])
        }
    }
}
