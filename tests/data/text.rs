use so8t::data::Text;

#[test]
fn texts_that_lie_together_read_as_they_were() {
    let long = "長い".repeat(1000);
    let rows = [["a", "", "日本"], ["", "", ""], [&long, "b", "a"]];
    let together = Text::together(&rows);
    for (row, texts) in rows.iter().zip(&together) {
        assert_eq!(texts.each_ref().map(Text::as_str), *row);
    }
    assert_eq!(together.len(), rows.len());
    assert!(Text::together::<2>(&[]).is_empty());
}

#[test]
fn a_text_is_equal_and_ordered_as_its_letters_are() {
    let [first, second, third] = Text::together(&[["b", "a", "b"]]).remove(0);
    assert_eq!(first, third);
    assert_eq!(first, Text::from("b"));
    assert!(second < first && Text::EMPTY < second);
    assert!(Text::from("").is_empty() && Text::EMPTY.is_empty() && !second.is_empty());
    let set: std::collections::HashSet<Text> = [first, second, third, "b".into()].into();
    assert!(set.len() == 2 && set.contains("a") && !set.contains("c"));
    assert_eq!(serde_json::to_string(&Text::from("\"")).unwrap(), r#""\"""#);
    assert_eq!(serde_json::from_str::<Text>(r#""\u3042""#).unwrap(), "あ");
}
