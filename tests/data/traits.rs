use so8t::data::{LENGTH_SPANS, Language, Text, Traits, Usage, length_span};

use super::candidate;

#[test]
fn scripts_tell_the_language() {
    for (text, expected) in [
        ("パスワードを忘れました", Language::Ja),
        ("ﾊﾟｽﾜｰﾄﾞ reset", Language::Ja),
        ("Please translate こんにちは", Language::Ja),
        ("東京都庁", Language::Ja),
        ("explain 漢字 etc", Language::Other),
        ("plan 漢字", Language::Ja),
        ("How do I reset my password? 😀 123", Language::En),
        ("café naïve résumé façade", Language::Other),
        ("a naïve question about something", Language::En),
        ("Как сбросить пароль?", Language::Other),
        ("비밀번호를 잊었어요", Language::Other),
        ("12345 ?!", Language::Other),
        ("ー・", Language::Other),
        ("", Language::Other),
    ] {
        assert_eq!(Language::of(text), expected, "{text}");
    }
}

#[test]
fn lengths_are_counted_in_characters_over_instruction_and_input() {
    let mut example = candidate("漢字かな", 0, "", Usage::Both).example;
    example.request.input = "abc 😀".into();
    example.category = "self-harm".into();
    let traits = Traits::of(&example);
    assert_eq!((traits.language, traits.length, traits.category.as_deref()), (Language::Ja, 9, Some("self-harm")));
    example.category = Text::EMPTY;
    assert_eq!(Traits::of(&example).category, None);
    let spans = [0, 49, 50, 199, 200, 999, 1000, 100_000].map(length_span);
    let [a, b, c, d] = LENGTH_SPANS;
    assert_eq!(spans, [a, a, b, b, c, c, d, d]);
}
