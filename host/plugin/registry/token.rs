//! How a registry wants to be spoken to: with a name and a password, or with a token that another address gives for them.
//!
//! Credentials are a user's of one registry. They go to that registry's own host, and elsewhere only where the connection is encrypted and the
//! host is known to give that registry's tokens, or the policy lists it.

use base64::Engine as _;
use docker_credential::{CredentialRetrievalError, DockerCredential};
use reqwest::{Client, Url};
use serde::Deserialize;

use super::Manner;
use super::http::{Failure, MOST_ANSWER, ask, heads};
use so8t_base::{Error, Kind, Result};

/// Registries whose tokens another host gives, by the registry's host and that host.
const KNOWN: [(&str, &str); 4] = [
    ("docker.io", "auth.docker.io"),
    ("index.docker.io", "auth.docker.io"),
    ("registry-1.docker.io", "auth.docker.io"),
    ("registry.gitlab.com", "gitlab.com"),
];

/// What a user has for a registry.
pub(super) enum Credentials {
    None,
    Password(String, String),
    Token(String),
}

/// What docker's `config.json` (in `$DOCKER_CONFIG` or `~/.docker`) holds for a registry.
pub(super) fn credentials(registry: &str) -> Result<Credentials> {
    let home = || std::env::var_os("HOME").map(|home| std::path::PathBuf::from(home).join(".docker"));
    let folder = std::env::var_os("DOCKER_CONFIG").map(std::path::PathBuf::from).or_else(home);
    if !folder.is_some_and(|folder| folder.join("config.json").is_file()) {
        return Ok(Credentials::None);
    }
    match docker_credential::get_credential(registry) {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(Credentials::Password(user, password)),
        Ok(DockerCredential::IdentityToken(token)) => Ok(Credentials::Token(token)),
        Err(CredentialRetrievalError::ConfigNotFound | CredentialRetrievalError::NoCredentialConfigured) => {
            Ok(Credentials::None)
        }
        Err(error) => {
            Err(Error::new(Kind::Io, format!("the credentials of `{registry}` in docker's config.json: {error}")))
        }
    }
}

/// The header `Authorization` for a registry, which `base` names; `None` where it wants none.
pub(super) async fn authorization(
    client: &Client,
    base: &Url,
    credentials: &Credentials,
    scope: &str,
    manner: Manner<'_>,
) -> Result<Option<String>, Failure> {
    if let Credentials::Token(token) = credentials {
        return Ok(Some(format!("Bearer {token}")));
    }
    let broken = |what: String| Failure::Broken(what);
    let root = base.join("/v2/").map_err(|e| broken(e.to_string()))?;
    let (_, headers) = heads(client.get(root)).await?;
    let Some(challenge) = headers.get("www-authenticate") else { return Ok(None) };
    let challenge = challenge.to_str().map_err(|_| broken("its challenge is no text".to_owned()))?;
    let basic = |user: &str, password: &str| {
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
    };
    let Some(asked) = Challenge::parse(challenge) else {
        return Ok(match credentials {
            Credentials::Password(user, password) => Some(basic(user, password)),
            _ => None,
        });
    };
    let mut realm =
        Url::parse(&asked.realm).map_err(|_| broken(format!("its realm `{}` is no address", asked.realm)))?;
    let has_credentials = matches!(credentials, Credentials::Password(..));
    check_realm(base, &realm, has_credentials, manner).map_err(broken)?;
    realm.query_pairs_mut().append_pair("scope", scope);
    if let Some(service) = &asked.service {
        realm.query_pairs_mut().append_pair("service", service);
    }
    let mut request = client.get(realm);
    if let Credentials::Password(user, password) = credentials {
        request = request.header("authorization", basic(user, password));
    }
    let answer = ask(request, MOST_ANSWER).await?;
    let token: Token =
        serde_json::from_slice(&answer.body).map_err(|_| broken("its realm gives no token".to_owned()))?;
    let token = token.token.or(token.access_token).ok_or_else(|| broken("its realm gives no token".to_owned()))?;
    Ok(Some(format!("Bearer {token}")))
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// Whether tokens may be asked for at `realm`. What goes there in the clear anybody on the way can read, and use.
///
/// # Errors
/// What is wrong with it.
fn check_realm(base: &Url, realm: &Url, has_credentials: bool, manner: Manner<'_>) -> Result<(), String> {
    let shown = realm.origin().ascii_serialization();
    let is_own = base.host_str() == realm.host_str() && base.port_or_known_default() == realm.port_or_known_default();
    match realm.scheme() {
        "https" => {}
        "http" if base.scheme() == "http" && is_own => {}
        "http" if is_own => {
            return Err(format!("it asks for tokens at `{shown}`, without encryption: expected `https`"));
        }
        "http" => {
            return Err(format!("it asks for tokens at `{shown}`, another host, without encryption: expected `https`"));
        }
        _ => return Err(format!("it asks for tokens at `{shown}`: expected `https`")),
    }
    let host = realm.host_str().unwrap_or_default();
    // Another port of the registry's own host is the same machine, and encrypted.
    let is_known = base.host_str() == Some(host)
        || KNOWN.contains(&(base.host_str().unwrap_or_default(), host))
        || manner.token_hosts.iter().any(|own| own == host);
    match has_credentials && !is_known {
        true => Err(format!(
            "it asks for its credentials at `{shown}`, another host: expected `{}`; `[registries] token_hosts` in the policy lists others",
            base.host_str().unwrap_or_default()
        )),
        false => Ok(()),
    }
}

/// `Bearer realm="…",service="…"`.
struct Challenge {
    realm: String,
    service: Option<String>,
}

impl Challenge {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, mut rest) = text.trim_start().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service) = (None, None);
        loop {
            rest = rest.trim_start_matches([' ', ',']);
            let Some((key, after)) = rest.split_once('=') else { break };
            let value = match after.strip_prefix('"') {
                Some(quoted) => {
                    let end = quoted.find('"')?;
                    rest = &quoted[end + 1..];
                    &quoted[..end]
                }
                None => {
                    let end = after.find(',').unwrap_or(after.len());
                    rest = &after[end..];
                    after[..end].trim()
                }
            };
            match key.trim().to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value.to_owned()),
                "service" => service = Some(value.to_owned()),
                _ => {}
            }
        }
        Some(Self { realm: realm?, service })
    }
}
