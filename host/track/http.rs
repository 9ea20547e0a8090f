//! The few requests that are made of a server: JSON there and back, and a file put.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use so8t_base::{Error, Kind, Result};

/// The most bytes of an answer.
const MOST: u64 = 16 << 20;

/// A server, and how one shows who one is.
pub(crate) struct Server {
    agent: ureq::Agent,
    /// Without a slash at its end.
    base: String,
    authorization: Option<String>,
}

/// What a server answered that is not what was asked for.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// MLflow's own code of an error.
    pub(crate) fn code(&self) -> &str {
        self.body["error_code"].as_str().unwrap_or_default()
    }
}

impl Server {
    /// The server at `url`; who one is comes from `MLFLOW_TRACKING_TOKEN`, or `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`.
    ///
    /// # Errors
    /// An address that is none of `http` or `https`, or that holds a password.
    pub(crate) fn new(url: &str) -> Result<Self> {
        let base = url.trim_end_matches('/');
        let rest = base.strip_prefix("http://").or_else(|| base.strip_prefix("https://"));
        let Some(rest) = rest.filter(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(['?', '#']))
        else {
            return Err(Error::manifest(format!(
                "`{}` is no address of a server: expected `http://HOST:PORT` or `https://HOST`",
                url
            )));
        };
        let host = rest.split('/').next().unwrap_or_default();
        if host.contains('@') {
            return Err(Error::manifest("the server's address holds a name or a password: expected an address alone")
                .with_hint("put them into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or a token into MLFLOW_TRACKING_TOKEN"));
        }
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let authorization = match (variable("MLFLOW_TRACKING_TOKEN"), variable("MLFLOW_TRACKING_USERNAME")) {
            (Some(token), _) => Some(format!("Bearer {token}")),
            (None, Some(user)) => {
                let pair = format!("{user}:{}", variable("MLFLOW_TRACKING_PASSWORD").unwrap_or_default());
                Some(format!("Basic {}", STANDARD.encode(pair)))
            }
            (None, None) => None,
        };
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
        let is_loopback =
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        let mut config = ureq::Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_global(Some(Duration::from_secs(120)))
            .http_status_as_error(false)
            // What shows who one is goes to the server that was named, and to no other.
            .max_redirects(0)
            .max_redirects_will_error(false);
        if is_loopback {
            config = config.proxy(None);
        }
        Ok(Self { agent: config.build().into(), base: base.to_owned(), authorization })
    }

    /// Sends JSON and reads JSON; the inner error is an answer of the server that is none of 2xx.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Result<Value, Answer>> {
        let url = format!("{}{path}", self.base);
        let mut request = self.agent.post(&url).header("content-type", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let text = serde_json::to_vec(body).map_err(|e| Error::internal(e.to_string()))?;
        self.read(&url, request.send(&text[..]))
    }

    /// Asks for JSON.
    pub(crate) fn get(&self, path: &str) -> Result<Result<Value, Answer>> {
        let url = format!("{}{path}", self.base);
        let mut request = self.agent.get(&url);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        self.read(&url, request.call())
    }

    /// Puts a file.
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) -> Result<Result<Value, Answer>> {
        let url = format!("{}{path}", self.base);
        let mut request = self.agent.put(&url).header("content-type", "application/octet-stream");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        self.read(&url, request.send(bytes))
    }

    fn read(
        &self,
        url: &str,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Result<Value, Answer>> {
        let failed = |e: ureq::Error| {
            Error::new(Kind::Io, format!("cannot reach `{url}`: {e}"))
                .with_hint("is the server running? what could not be sent is kept: send it later with `so8t track RUN --mlflow URL`")
        };
        let mut answer = answer.map_err(failed)?;
        let status = answer.status().as_u16();
        let bytes = answer.body_mut().with_config().limit(MOST).read_to_vec().map_err(failed)?;
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| {
            let text: String = String::from_utf8_lossy(&bytes).chars().take(200).collect();
            Value::String(text)
        });
        Ok(match (200..300).contains(&status) {
            true => Ok(body),
            false => Err(Answer { status, body }),
        })
    }

    /// The error for an answer that was not expected.
    pub(crate) fn refused(&self, path: &str, answer: &Answer) -> Error {
        let said = match answer.body["message"].as_str().or_else(|| answer.body.as_str()) {
            Some(text) if !text.trim().is_empty() => text.trim().chars().take(300).collect(),
            _ => "nothing more".to_owned(),
        };
        let error = Error::new(Kind::Io, format!("`{}{path}` answered {}: {said}", self.base, answer.status));
        match answer.status {
            401 | 403 => error.with_hint(
                "who one is comes from MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
            ),
            404 => error.with_hint("is this the address of an MLflow server, without a path of its page?"),
            _ => error,
        }
    }
}

/// A text as a part of a path.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
