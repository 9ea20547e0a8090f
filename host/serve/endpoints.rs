//! What can be asked for, each a thin form of one decision.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::routing::{MethodRouter, get, post};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::access::Scope;
use crate::failure::Failure;
use crate::running::Server;
use crate::shapes;

/// The forms of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Decisions,
    Think,
    Moderations,
    Chat,
    Classify,
    Score,
    Guardrail,
    Checks,
}

impl Form {
    const ALL: [(Self, &str); 8] = [
        (Self::Decisions, "/v1/decisions"),
        (Self::Think, "/think"),
        (Self::Moderations, "/v1/moderations"),
        (Self::Chat, "/v1/chat/completions"),
        (Self::Classify, "/classify"),
        (Self::Score, "/v1/score"),
        (Self::Guardrail, "/beta/litellm_basic_guardrail_api"),
        (Self::Checks, "/v1/guardrail/checks"),
    ];

    fn scope(self) -> Scope {
        if self == Self::Think { Scope::Think } else { Scope::Decide }
    }
}

const PAGE: &str = include_str!("page.html");
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// All of it.
pub(crate) fn router(server: Arc<Server>) -> Router {
    let mut router = Router::new();
    for (form, path) in Form::ALL {
        let own = Arc::clone(&server);
        let route: MethodRouter = post(move |request: Request| {
            let server = Arc::clone(&own);
            async move {
                let started = Instant::now();
                let response = match answer(&server, form, path, request).await {
                    Ok(response) => response,
                    Err(failure) => failure.response(),
                };
                server.metrics.response(path, response.status().as_u16(), started.elapsed());
                response
            }
        });
        router = router.route(path, route);
    }
    let own = [(); 4].map(|()| Arc::clone(&server));
    let [models, ready, metrics, refused] = own;
    router
        .route(
            "/v1/models",
            get(move |headers: HeaderMap| {
                let server = Arc::clone(&models);
                async move {
                    match server.access.admit(&headers, Scope::Decide) {
                        Ok(_) => body("application/json", shapes::models(server.model().about()).to_string()),
                        Err(failure) => failure.response(),
                    }
                }
            }),
        )
        .route(
            "/metrics",
            get(move |headers: HeaderMap| {
                let server = Arc::clone(&metrics);
                async move {
                    match server.access.admit(&headers, Scope::Metrics) {
                        Ok(_) => body("text/plain; version=0.0.4; charset=utf-8", server.metrics_text()),
                        Err(failure) => failure.response(),
                    }
                }
            }),
        )
        .route("/health/live", get(async || body("application/json", json!({"status": "live"}).to_string())))
        .route(
            "/health/ready",
            get(move || {
                let server = Arc::clone(&ready);
                async move {
                    match server.unready() {
                        None => body("application/json", json!({"status": "ready"}).to_string()),
                        Some(failure) => failure.response(),
                    }
                }
            }),
        )
        .route("/openapi.json", get(async || body("application/json", crate::OPENAPI.to_owned())))
        .route(
            "/",
            get(async || {
                let mut page = body("text/html; charset=utf-8", PAGE.to_owned());
                page.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
                page
            }),
        )
        .method_not_allowed_fallback(async || {
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method", "the endpoint has no such method").response()
        })
        .fallback(move || {
            refused.metrics.response("other", 404, std::time::Duration::ZERO);
            let failure =
                Failure::new(StatusCode::NOT_FOUND, "not_found", "there is no such endpoint: see /openapi.json");
            async move { failure.response() }
        })
}

fn body(kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn answer(
    server: &Arc<Server>,
    form: Form,
    path: &'static str,
    request: Request,
) -> std::result::Result<Response<Body>, Failure> {
    let (parts, content) = request.into_parts();
    let caller = server.access.admit(&parts.headers, form.scope())?;
    let value = read(server, &parts.headers, content).await?;
    let about = server.model();
    let about = about.about();
    if form == Form::Think && !about.generates {
        let text = "this run scores labels, and generates no answers";
        return Err(Failure::new(StatusCode::NOT_FOUND, "not_generated", text));
    }
    let asked = match form {
        Form::Decisions => shapes::read_decisions(&value, false),
        Form::Think => shapes::read_decisions(&value, true),
        Form::Moderations => shapes::read_moderations(&value),
        Form::Chat => shapes::read_chat(&value),
        Form::Classify => shapes::read_classify(&value),
        Form::Score => shapes::read_score(&value, about),
        Form::Guardrail => shapes::read_guardrail(&value),
        Form::Checks => shapes::read_checks(&value),
    }?;
    let (asks, subject) = (asked.asks.clone(), asked.subject.clone());
    let (model, answers) = server.decide(caller, path, asks, subject).await?;
    // What decided may be another run than what the body was read for.
    let about = model.about();
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let value = match form {
        Form::Decisions => shapes::write_decisions(about, &asked, &answers),
        Form::Think => shapes::write_think(&answers),
        Form::Moderations => shapes::write_moderations(about, &server.options, &answers),
        Form::Chat => match shapes::write_chat(about, &asked, &answers, created) {
            (_, Some(stream)) => return Ok(body("text/event-stream; charset=utf-8", stream)),
            (value, None) => value,
        },
        Form::Classify => shapes::write_classify(about, &answers, created)?,
        Form::Score => shapes::write_score(about, &answers, created)?,
        Form::Guardrail => shapes::write_guardrail(&answers),
        Form::Checks => shapes::write_checks(about, &answers),
    };
    Ok(body("application/json", value.to_string()))
}

/// The JSON of a body, within the limits of bytes and time.
async fn read(server: &Server, headers: &HeaderMap, content: Body) -> std::result::Result<Value, Failure> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    // A page of another origin cannot send this kind without asking first, which is refused.
    if !kind.eq_ignore_ascii_case("application/json") {
        let text = "expected `Content-Type: application/json`";
        return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", text));
    }
    let most = server.options.max_body;
    let bytes = timeout(server.options.read_timeout, to_bytes(content, most)).await;
    let bytes =
        bytes.map_err(|_| Failure::new(StatusCode::REQUEST_TIMEOUT, "slow_body", "the body came too slowly"))?;
    let bytes = bytes.map_err(|_| {
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("expected a body of at most {most} bytes"))
    })?;
    // What serde says may quote the text: its place says enough.
    serde_json::from_slice(&bytes)
        .map_err(|e| Failure::body(format!("expected JSON: line {}, column {}", e.line(), e.column())))
}
