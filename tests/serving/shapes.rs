//! The shapes that clients speak, and that each gives the same decision.

use serde_json::{Value, json};
use so8t::serve::{OPENAPI, Options};

use super::{Instant, Served, call};

fn served() -> Served {
    let categories = [("illicit".to_owned(), vec!["DENY".to_owned(), "REFUSE".to_owned()])].into();
    Served::new(Instant::new("guard"), Options { categories, ..Options::default() })
}

fn chat(text: &str, more: Value) -> Value {
    let mut body = json!({"model": "any", "messages": [{"role": "user", "content": text}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[test]
fn decisions_of_one_and_of_many() {
    let served = served();
    let (status, one) = served.post("/v1/decisions", &json!({"instruction": "please DENY", "input": "this"}));
    assert_eq!((status, one["decision"].as_str(), one["model"]["name"].as_str()), (200, Some("DENY"), Some("guard")));
    assert_eq!(one["probabilities"]["raw"]["DENY"].as_f64().map(|p| p as f32), Some(0.7));
    assert_eq!(one["margin"].as_f64().map(|p| p as f32), Some(0.7 - 0.1));
    let (_, many) =
        served.post("/v1/decisions", &json!({"requests": [{"instruction": "REFUSE"}, {"instruction": "well"}]}));
    let decisions: Vec<&str> =
        many["decisions"].as_array().unwrap().iter().map(|one| one["decision"].as_str().unwrap()).collect();
    assert_eq!(decisions, ["REFUSE", "ALLOW"]);
    assert_eq!(served.entries().len(), 3);
}

#[test]
fn openai_moderation_has_the_categories_of_the_manifest_and_no_other() {
    let served = served();
    let (status, reply) =
        served.post("/v1/moderations", &json!({"input": ["ALLOW", "REFUSE"], "model": "omni-moderation-latest"}));
    assert_eq!(status, 200, "{reply}");
    let results = reply["results"].as_array().unwrap();
    assert_eq!((&results[0]["flagged"], &results[1]["flagged"]), (&json!(false), &json!(true)));
    assert_eq!(results[1]["categories"], json!({"illicit": true}));
    let score = results[1]["category_scores"]["illicit"].as_f64().unwrap();
    assert!((score - 0.8).abs() < 1e-6, "{score}");
    let parts = json!({"input": [{"type": "text", "text": "DENY"}]});
    assert_eq!(served.post("/v1/moderations", &parts).1["results"][0]["flagged"], true);
    let image = json!({"input": [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}]});
    assert_eq!(served.post("/v1/moderations", &image).0, 422);
}

#[test]
fn openai_chat_answers_with_the_label() {
    let served = served();
    let (status, reply) = served.post(
        "/v1/chat/completions",
        &chat("DENY", json!({"logprobs": true, "top_logprobs": 2, "temperature": 0, "max_tokens": 1})),
    );
    assert_eq!(status, 200, "{reply}");
    assert_eq!(reply["choices"][0]["message"]["content"], "DENY");
    let token = &reply["choices"][0]["logprobs"]["content"][0];
    assert!((token["logprob"].as_f64().unwrap() - f64::from(0.7f32).ln()).abs() < 1e-12, "{token}");
    assert_eq!(token["top_logprobs"].as_array().unwrap().len(), 2);
    let stream =
        call(served.address(), "POST", "/v1/chat/completions", &[], &chat("DENY", json!({"stream": true})).to_string());
    assert!(stream.head.contains("text/event-stream") && stream.body.ends_with("data: [DONE]\n\n"), "{}", stream.body);
    assert!(stream.body.contains("\"content\":\"DENY\""), "{}", stream.body);
    // What was not measured is not answered.
    let two = json!({"messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "ALLOW"}]});
    assert_eq!(served.post("/v1/chat/completions", &two).0, 422);
    assert_eq!(served.post("/v1/chat/completions", &chat("ALLOW", json!({"n": 2}))).0, 400);
    assert_eq!(served.post("/v1/chat/completions", &chat("ALLOW", json!({"tools": [{}]}))).0, 400);
}

#[test]
fn the_shapes_of_other_servers() {
    let served = served();
    let (_, reply) = served.post("/classify", &json!({"input": ["DENY", "well"]}));
    assert_eq!((reply["data"][0]["label"].as_str(), reply["data"][1]["label"].as_str()), (Some("DENY"), Some("ALLOW")));
    assert_eq!(
        (reply["data"][0]["num_classes"].as_u64(), reply["data"][0]["probs"][2].as_f64().map(|p| p as f32)),
        (Some(4), Some(0.7))
    );
    let score = json!({"query": "REFUSE", "items": ["a", "b"], "label_token_ids": [1, 2, 3, 4], "apply_softmax": true});
    let (_, reply) = served.post("/v1/score", &score);
    assert_eq!(reply["scores"].as_array().unwrap().len(), 2);
    assert_eq!(reply["scores"][1][3].as_f64().map(|p| p as f32), Some(0.7));
    let others = json!({"query": "REFUSE", "items": ["a"], "label_token_ids": [7, 8]});
    assert_eq!(served.post("/v1/score", &others).0, 422);
    let guardrail = |texts: Value| {
        served.post(
            "/beta/litellm_basic_guardrail_api",
            &json!({"texts": texts, "input_type": "request", "request_data": {"user_api_key_hash": "x"}}),
        )
    };
    assert_eq!(guardrail(json!(["ALLOW"])).1, json!({"action": "NONE"}));
    let (_, blocked) = guardrail(json!(["ALLOW", "DENY"]));
    assert_eq!(blocked["action"], "BLOCKED");
    assert!(blocked["blocked_reason"].as_str().unwrap().starts_with("DENY (audit id "), "{blocked}");
    let response = json!({"texts": ["ALLOW"], "input_type": "response"});
    assert_eq!(served.post("/beta/litellm_basic_guardrail_api", &response).0, 422);
    let checks =
        |text: &str| served.post("/v1/guardrail/checks", &chat(text, json!({"guardrails": {"config_id": "c"}}))).1;
    assert_eq!(
        (checks("ALLOW")["status"].as_str(), checks("ESCALATION")["status"].as_str()),
        (Some("success"), Some("blocked"))
    );
}

#[test]
fn what_is_not_a_request_is_refused_without_its_text() {
    let served = served();
    let secret = "hunter2-is-the-secret";
    for (path, body) in [
        ("/v1/decisions", json!({"instruction": 5, "input": secret})),
        ("/v1/decisions", json!({"instruction": secret, secret: 1})),
        ("/v1/decisions", json!({"instruction": " "})),
        ("/v1/decisions", json!({"requests": secret})),
        ("/v1/decisions", json!({"requests": []})),
        ("/v1/decisions", json!([secret])),
        ("/v1/moderations", json!({"input": {"text": secret}})),
        ("/v1/moderations", json!({})),
        ("/classify", json!({"input": secret, "what": 1})),
        ("/v1/score", json!({"query": [secret], "items": []})),
        ("/v1/score", json!({"query": "a", "items": ["b"], "apply_softmax": {secret: 1}})),
        ("/v1/chat/completions", json!({"messages": [{"role": "user", "content": "a"}], "top_logprobs": 2.5})),
        ("/v1/chat/completions", json!({"messages": secret})),
        ("/beta/litellm_basic_guardrail_api", json!({"texts": secret})),
        ("/v1/guardrail/checks", json!({"messages": [{"role": "user", "content": null}]})),
    ] {
        let (status, reply) = served.post(path, &body);
        assert_eq!((status, reply["error"]["code"].as_str()), (400, Some("invalid_request")), "{path} {reply}");
        assert!(!reply.to_string().contains("hunter2"), "{reply}");
    }
    let broken = call(served.address(), "POST", "/v1/decisions", &[], "{\"instruction\": \"hunter2");
    assert_eq!(broken.status, 400);
    assert!(broken.body.contains("line 1, column 24") && !broken.body.contains("hunter2"), "{}", broken.body);
    assert!(served.entries().is_empty());
}

#[test]
fn every_endpoint_is_described_and_every_description_is_an_endpoint() {
    let served = served();
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let mut described = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let reply = call(served.address(), &method.to_ascii_uppercase(), path, &[], "{}");
            assert!(reply.status != 404 || path == "/think", "{method} {path}: {}", reply.body);
            let known = &operation["responses"][reply.status.to_string()];
            assert!(known.is_object(), "{method} {path} answers {}, which is not described", reply.status);
            described += 1;
        }
        assert_eq!(call(served.address(), "DELETE", path, &[], "").status, 405, "{path}");
    }
    assert_eq!(described, 14);
    let (models, page) =
        (call(served.address(), "GET", "/v1/models", &[], ""), call(served.address(), "GET", "/", &[], ""));
    assert_eq!(models.json()["data"][0]["digests"]["model"], "00".repeat(32));
    assert!(page.head.contains("content-security-policy: default-src 'none'") && page.body.contains("<form"));
    assert_eq!(call(served.address(), "GET", "/nothing", &[], "").status, 404);
}
