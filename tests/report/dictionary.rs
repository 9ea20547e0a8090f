//! The texts: whole in both languages.

use so8t::report::{Language, dictionary};

/// The names between braces, sorted.
fn names(text: &str) -> Vec<&str> {
    let mut names: Vec<&str> = text.split('{').skip(1).map(|rest| rest.split_once('}').expect(text).0).collect();
    names.sort_unstable();
    names
}

#[test]
fn every_text_is_in_both_languages_with_the_same_values() {
    let texts = dictionary();
    assert!(texts.len() > 150);
    for (name, text) in texts {
        let [english, japanese] = [Language::English, Language::Japanese].map(|language| text.of(language));
        assert!(!english.is_empty() && !japanese.is_empty(), "{name}");
        assert_eq!(names(english), names(japanese), "{name}");
        let is_japanese =
            |c: char| matches!(c, '\u{3000}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}' | '\u{ff00}'..='\u{ffef}');
        assert!(!english.contains(is_japanese), "{name}: {english}");
        assert!(japanese.contains(is_japanese) || japanese == english, "{name}: {japanese}");
    }
}

#[test]
fn what_is_put_in_is_not_looked_at_again() {
    let texts = dictionary();
    let (_, text) = texts.iter().find(|(name, _)| *name == "SHOWN_OF").unwrap();
    let filled = text.with(&[("n", "{shown}"), ("shown", "3")]);
    assert_eq!(filled.of(Language::English), "3 of {shown} shown");
    assert_eq!(filled.of(Language::Japanese), "{shown} 件中 3 件を表示");
}
