//! What a parser says of a value of another type, in the words of people who write manifests.

/// `invalid type: string "ten", expected usize` as «expected a whole number from 0 on, found the text `ten`»; other texts as they are.
pub(super) fn in_words(text: &str) -> String {
    let starts = ["invalid type: ", "invalid value: "];
    let Some((at, start)) = starts.iter().find_map(|start| Some((text.find(start)?, start))) else {
        return text.to_owned();
    };
    let Some((found, expected)) = text[at + start.len()..].split_once(", expected ") else { return text.to_owned() };
    let expected = match expected.split([',', ';', '\n']).next().unwrap_or_default().trim() {
        "usize" | "u64" | "u32" | "u16" | "u8" => "a whole number from 0 on",
        "i64" | "i32" => "a whole number",
        "f64" | "f32" => "a number",
        "a string" => "a text in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list in brackets",
        "a map" => "a table",
        _ => return text.to_owned(),
    };
    let found = match found.split_once(' ') {
        Some(("string", quoted)) => format!("the text `{}`", quoted.trim_matches('"')),
        Some(("integer" | "boolean", value)) => value.to_owned(),
        Some(("floating", value)) => value.trim_start_matches("point ").to_owned(),
        _ => match found {
            "map" => "a table".to_owned(),
            "sequence" => "a list".to_owned(),
            other => other.to_owned(),
        },
    };
    format!("{}expected {expected}, found {found}", &text[..at])
}
