//! Chat templates against Jinja2 as Transformers sets it up: `golden/templates.json`, which `tests/golden/templates.py` makes.

use serde_json::Value;
use so8t::model::{ChatTemplate, Message};

use super::small::{failure, says};

/// What Jinja2 allows, and templates here refuse rather than guess: private attributes, attributes of numbers, `self`, slices of ranges.
const REFUSED: [&str; 4] = ["range(5)[1:3] | list", "s.__class__", "(1).real is defined", "self is defined"];

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/templates.json")).unwrap()
}

fn messages(golden: &Value) -> Vec<Message> {
    let list = golden["messages"].as_array().unwrap().iter();
    list.map(|m| Message::new(m["role"].as_str().unwrap(), m["content"].as_str().unwrap())).collect()
}

fn template(golden: &Value, source: &str, with_values: bool) -> so8t::Result<ChatTemplate> {
    let special = golden["special"].as_object().unwrap().iter();
    let special = special.map(|(name, text)| (name.clone(), text.as_str().unwrap().to_owned())).collect();
    let values = if with_values { golden["values"].as_object().unwrap().clone() } else { serde_json::Map::new() };
    ChatTemplate::with_tokens(source, special, Vec::new())?.with(&values, golden["date"].as_str())
}

#[test]
fn expressions_and_templates_as_jinja2() {
    let golden = golden();
    let messages = messages(&golden);
    let mut wrong = Vec::new();
    let mut check = |source: &str, found: so8t::Result<String>, expected: &Value| match (found, expected.as_str()) {
        (Ok(found), Some(expected)) if found == expected => {}
        (Err(_), None) => {}
        (Err(_), Some(_)) if REFUSED.contains(&source) => {}
        (found, expected) => wrong.push(format!("{source:?}: found {found:?}, expected {expected:?}")),
    };
    let (expressions, templates) = (golden["expressions"].as_array().unwrap(), golden["templates"].as_array().unwrap());
    assert!(expressions.len() > 400 && templates.len() > 40);
    for case in expressions {
        let expression = case[0].as_str().unwrap();
        let source = format!("{{{{ {expression} }}}}");
        let found = template(&golden, &source, true).and_then(|template| template.render(&messages, true));
        check(expression, found, &case[1]);
    }
    for case in templates {
        let source = case[0].as_str().unwrap();
        for (prompt, expected) in [(false, &case[1]), (true, &case[2])] {
            let found = template(&golden, source, false).and_then(|template| template.render(&messages, prompt));
            check(source, found, expected);
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Every kind of template that grows or nests without end is an error, soon and in bounded memory.
#[test]
fn templates_are_bounded() {
    let nested =
        |open: &str, inner: &str, close: &str| format!("{}{inner}{}", open.repeat(20_000), close.repeat(20_000));
    let grown = |start: &str, step: &str| {
        format!(
            "{{% set n = namespace(x={start}) %}}{{% for i in range(99) %}}{{% set n.x = {step} %}}{{% endfor %}}{{{{ n.x }}}}"
        )
    };
    let sources = [
        format!("{{{{ {}1 }}}}", "-".repeat(100_000)),
        format!("{{{{ {}1 }}}}", "not ".repeat(100_000)),
        format!("{{{{ 1{} }}}}", "+1".repeat(100_000)),
        format!("{{{{ x{} }}}}", ".a".repeat(100_000)),
        format!("{{{{ x{} }}}}", "|abs".repeat(100_000)),
        format!("{{{{ 1{} }}}}", " if 1 else 1".repeat(20_000)),
        format!("{{{{ {} }}}}", nested("[", "1", "]")),
        format!("{{{{ {} }}}}", nested("(", "1", ")")),
        format!("{{{{ {} }}}}", nested("{1:", "1", "}")),
        format!("{{% set {} = 1 %}}", nested("(", "a", ")")),
        nested("{% if 1 %}", "x", "{% endif %}"),
        nested("{% for a in b %}", "x", "{% endfor %}"),
        " ".repeat(2 << 20),
        grown("'xx'", "n.x ~ n.x"),
        grown("'xx'", "n.x + n.x"),
        grown("'xx'", "n.x * 9"),
        grown("[1]", "n.x + n.x"),
        grown("[1]", "n.x * 9"),
        grown("[1]", "[n.x, n.x]"),
        grown("'a'", "n.x | replace('a', 'aaaaa')"),
        grown("'a'", "n.x.replace('', 'aaaaa')"),
        grown("'a'", "n.x.join([n.x, n.x, n.x])"),
        grown("'a'", "[n.x, n.x] | join(n.x)"),
        grown("'a'", "'%s%s' % (n.x, n.x)"),
        grown("'a'", "'{0}{0}'.format(n.x)"),
        grown("'&'", "(n.x | e) ~ n.x"),
        grown("'a'", "n.x ~ [n.x, n.x] | tojson"),
        grown("{'a': 1}", "dict([(1, n.x), (2, n.x)])"),
        "{{ '%2000000000d' | format(1) }}".to_owned(),
        "{{ '%*d' % (2000000000, 1) }}".to_owned(),
        "{{ '%.2000000000f' % 1 }}".to_owned(),
        "{{ '{:2000000000}'.format(1) }}".to_owned(),
        "{{ '{:.2000000000f}'.format(1.0) }}".to_owned(),
        "{{ 'a\nb' | indent(2000000000) }}".to_owned(),
        "{{ [1] | tojson(indent=2000000000) }}".to_owned(),
        "{{ [[[[1]]]] | tojson(indent=20000000) }}".to_owned(),
        "{{ 'a'.center(2000000000) }}{{ 'a' | center(2000000000) }}".to_owned(),
        "{{ '1'.zfill(2000000000) }}".to_owned(),
        "{{ '\t'.expandtabs(2000000000) }}".to_owned(),
        "{{ [1] | slice(2000000000) | list | length }}".to_owned(),
        "{{ [1] | batch(2000000000, 1) | list | length }}".to_owned(),
        "{{ ([1] * 100000000) | sort | length }}".to_owned(),
        "{{ ('a' * 30000000) | list | length }}".to_owned(),
        "{{ range(0, 100000) | list | map('string') | list * 9999 }}".to_owned(),
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}".to_owned(),
        "{% for a in [[]] recursive %}{{ loop([[]]) }}{% endfor %}".to_owned(),
        "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}".to_owned(),
        "{% for a in range(99999) %}{% for b in range(999) %}{% macro m() %}{% endmacro %}{% endfor %}{% endfor %}".to_owned(),
        "{% for a in range(99999) %}{% for b in range(9999) %}{% set x = namespace(a=b) %}{% endfor %}{% endfor %}".to_owned(),
        "{% for a in range(99999) %}{% for b in range(9999) %}0123456789{% endfor %}{% endfor %}".to_owned(),
        "{{ 10 ** 30 }}".to_owned(),
    ];
    for source in &sources {
        let rendered =
            ChatTemplate::new(source, "", "").and_then(|template| template.render(&[Message::new("user", "?")], true));
        let head: String = source.chars().take(80).collect();
        assert!(rendered.is_err(), "{head}… gave {} bytes", rendered.unwrap().len());
    }
}

#[test]
fn the_date_is_stated_or_missed() {
    let user = [Message::new("user", "?")];
    let none = serde_json::Map::new();
    let asks = ChatTemplate::new("{{ strftime_now('%d %B %Y') }}", "", "").unwrap();
    let error = failure(asks.render(&user, true));
    says(&error, &["strftime_now", "hint: ", "`[predict] date"]);
    assert!(!asks.asks_for_date(), "it does not go on without one");
    assert_eq!(asks.with(&none, Some("2026-02-28")).unwrap().render(&user, true).unwrap(), "28 February 2026");
    let guarded = "{% if strftime_now is defined %}{{ strftime_now('%Y') }}{% else %}2024{% endif %}";
    let guarded = ChatTemplate::new(guarded, "", "").unwrap();
    assert_eq!(guarded.render(&user, true).unwrap(), "2024");
    assert!(guarded.asks_for_date());
    let stated = guarded.with(&none, Some("2026-02-28")).unwrap();
    assert_eq!(stated.render(&user, true).unwrap(), "2026");
    assert!(!stated.asks_for_date());
    for wrong in ["2026-02-29", "2026-13-01", "2026-1-01", "today", ""] {
        says(&failure(guarded.with(&none, Some(wrong))), &["2025-01-31", "found"]);
    }
}

#[test]
fn variables_are_given_and_reserved_names_are_not() {
    let template = ChatTemplate::new("{{ enable_thinking }}{{ bos_token }}{{ categories.S1 }}", "<s>", "").unwrap();
    let variables = serde_json::json!({"enable_thinking": false, "bos_token": "x", "categories": {"S1": "Violence"}});
    let with = template.with(variables.as_object().unwrap(), None).unwrap();
    assert_eq!(with.render(&[Message::new("user", "?")], true).unwrap(), "FalsexViolence");
    let reserved = serde_json::json!({"messages": []});
    says(&failure(template.with(reserved.as_object().unwrap(), None)), &["`messages`"]);
}
