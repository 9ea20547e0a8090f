//! Chat templates.

use std::fs;

use serde_json::{Value, json};
use so8t::model::{ChatTemplate, Message, open};

use super::shared::shared;
use super::small::{self, failure, says};

const SMOLLM2: &str = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

fn conversation() -> Vec<Message> {
    vec![
        Message::new("system", "Be <brief> & 'kind'."),
        Message::new("user", "1 < 2?"),
        Message::new("assistant", "Yes."),
    ]
}

#[test]
fn smollm2() {
    let template = ChatTemplate::new(SMOLLM2, "<|im_start|>", "<|im_end|>").unwrap();
    assert_eq!(
        template.render(&conversation(), false).unwrap(),
        "<|im_start|>system\nBe <brief> & 'kind'.<|im_end|>\n<|im_start|>user\n1 < 2?<|im_end|>\n<|im_start|>assistant\nYes.<|im_end|>\n"
    );
    assert_eq!(
        template.render(&[Message::new("user", "Hi")], true).unwrap(),
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n\
         <|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    );
}

#[test]
fn phi_3() {
    let Some(path) = shared("tokenizers/phi-3-mini/tokenizer_config.json") else { return };
    let settings: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let template = ChatTemplate::new(settings["chat_template"].as_str().unwrap(), "<s>", "<|endoftext|>").unwrap();
    assert_eq!(
        template.render(&conversation(), false).unwrap(),
        "<|system|>\nBe <brief> & 'kind'.<|end|>\n<|user|>\n1 < 2?<|end|>\n<|assistant|>\nYes.<|end|>\n<|endoftext|>"
    );
    assert_eq!(template.render(&conversation()[1..2], true).unwrap(), "<|user|>\n1 < 2?<|end|>\n<|assistant|>\n");
}

/// What templates in the wild rely on: Python's methods, trimmed blocks, namespaces, slices, loop controls. The
/// expected text is what Jinja2 3.1 renders with the settings of Transformers.
#[test]
fn jinja_as_transformers_runs_it() {
    let source = "\
{%- if messages[0].role == 'system' %}
    {%- set system = messages[0]['content'].strip() %}
    {%- set messages = messages[1:] %}
{%- endif %}
{%- set state = namespace(count=0) -%}
{{ bos_token }}
{%- for message in messages %}
    {%- if message.role == 'tool' %}{% continue %}{% endif %}
    {%- set state.count = state.count + 1 %}
    {%- if loop.first and system is defined %}[{{ system.upper() }}]{% endif %}
    {%- if message.content.startswith('1') and message['content'].split(' ')|length == 3 %}({{ state.count }}){% endif %}
    {{- message.content | trim }}{{ eos_token }}
{%- endfor %}
{% if strftime_now is defined %}now{% endif %}
{% if add_generation_prompt %}
>>
{% endif %}";
    let template = ChatTemplate::new(source, "<s>", "</s>").unwrap();
    assert_eq!(template.render(&conversation(), true).unwrap(), "<s>[BE <BRIEF> & 'KIND'.](1)1 < 2?</s>Yes.</s>>>\n");
}

#[test]
fn failures_are_told() {
    says(&failure(ChatTemplate::new("{% if %}", "", "")), &["the chat template does not parse"]);
    let raising = ChatTemplate::new("{{ raise_exception('System role not supported') }}", "", "").unwrap();
    says(&failure(raising.render(&conversation(), true)), &["the chat template failed", "System role not supported"]);
    let unknown = ChatTemplate::new("{{ nothing() }}", "", "").unwrap();
    says(&failure(unknown.render(&conversation(), true)), &["the chat template failed", "nothing"]);
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}";
    let endless = ChatTemplate::new(endless, "", "").unwrap();
    says(&failure(endless.render(&conversation(), true)), &["the chat template failed", "more than a chat template may"]);
}

#[test]
fn a_list_of_templates_has_a_default() {
    let folder = tempfile::tempdir().unwrap();
    let with = |value: Value| {
        small::write_folder(folder.path());
        let settings = json!({"chat_template": value}).to_string();
        fs::write(folder.path().join("tokenizer_config.json"), settings).unwrap();
        open(".", folder.path()).map(|model| model.template.source().to_string())
    };
    let list = json!([{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "plain"}]);
    assert_eq!(with(list).unwrap(), "plain");
    assert_eq!(with(json!([{"name": "other", "template": "only"}])).unwrap(), "only");
    says(&failure(with(json!([]))), &["field `chat_template`", "`default`"]);
}
