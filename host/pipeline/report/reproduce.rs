//! The commands that give a report's numbers again.

use std::path::Path;

/// `so8t COMMAND …` as a shell takes it, with the arguments that have a value.
pub(in crate::pipeline) fn command(
    command: &str,
    paths: &[&Path],
    options: &[(&str, Option<&Path>)],
    flags: &[&str],
) -> String {
    let mut out = format!("so8t {command}");
    for path in paths {
        out.push(' ');
        out.push_str(&quoted(path));
    }
    for (name, path) in options {
        if let Some(path) = path {
            out.push_str(&format!(" {name} {}", quoted(path)));
        }
    }
    for flag in flags {
        out.push(' ');
        out.push_str(flag);
    }
    out
}

/// A path as one word of a POSIX shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=:,@".contains(c);
    match !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) {
        true => text,
        false if text.starts_with('-') => format!("'./{}'", text.replace('\'', r"'\''")),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}
