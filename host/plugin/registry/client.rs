//! Talking to a registry (the OCI distribution specification 1.1). The asynchronous runtime that this needs lives in this file alone.

use std::future::Future;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Client, Method, RequestBuilder, Url};
use serde::Deserialize;

use super::http::{Answer, Failure, MOST_ANSWER, ask, client, heads};
use super::layout::{Artefact, MANIFEST_TYPE, MAX_MANIFEST_BYTES, Manifest, digest};
use super::token::{Credentials, authorization, credentials};
use super::{Fetched, Manner};
use crate::Reference;
use crate::load::MAX_COMPONENT_BYTES;
use crate::log::printable;
use crate::reference::is_digest;
use so8t_base::{Error, Kind, Result};

/// How long the answer to a question may take: a digest, a manifest.
const QUESTION: Duration = Duration::from_secs(60);
/// How long a component may take.
const TRANSFER: Duration = Duration::from_secs(600);

/// The digest of the manifest that a reference names now.
///
/// # Errors
///
/// A registry that cannot be reached, or does not know it.
pub fn digest_of(reference: &Reference, manner: Manner<'_>) -> Result<String> {
    let mut session = Session::open(reference, manner)?;
    session.wait(QUESTION, async |session| {
        session.authorise("pull").await?;
        let (status, headers) = heads(session.manifest(Method::HEAD)).await?;
        let named = headers.get("docker-content-digest").and_then(|value| value.to_str().ok());
        match named.filter(|digest| status == 200 && is_digest(digest)) {
            Some(digest) => Ok(digest.to_owned()),
            // Registries need not say it, and a refusal has its words in the answer to the whole question.
            None => Ok(digest(&ask(session.manifest(Method::GET), MOST_ANSWER).await?.body)),
        }
    })
}

/// Fetches the manifest and the component. Both have the digests that they are asked for by; the component has at most 64 MiB.
///
/// # Errors
///
/// A registry that cannot be reached, does not know it, or gives something else.
pub fn fetch(reference: &Reference, manner: Manner<'_>) -> Result<Fetched> {
    const { assert!(MAX_MANIFEST_BYTES as u64 == MOST_ANSWER) };
    let mut session = Session::open(reference, manner)?;
    let manifest = session.wait(QUESTION, async |session| {
        session.authorise("pull").await?;
        Ok(ask(session.manifest(Method::GET), MOST_ANSWER).await?.body)
    })?;
    let refuse = |text: String| Error::plugin(format!("`{reference}` {text}"));
    let found = digest(&manifest);
    if let Some(expected) = reference.digest.as_ref().filter(|expected| **expected != found) {
        return Err(refuse(format!("has a manifest with digest `{found}`: expected `{expected}`")));
    }
    let layer = Manifest::parse(&manifest).map_err(refuse)?.layer().clone();
    if layer.size > MAX_COMPONENT_BYTES {
        return Err(refuse(format!("has {} bytes: expected at most {MAX_COMPONENT_BYTES}", layer.size)));
    }
    if !is_digest(&layer.digest) {
        return Err(refuse(format!("names its component by `{}`: expected a digest", printable(&layer.digest, 100))));
    }
    let bytes = session.wait(TRANSFER, async |session| {
        let blob = session.at(&format!("blobs/{}", layer.digest));
        match ask(session.request(Method::GET, blob), layer.size).await {
            Err(Failure::Long(most)) => {
                Err(Failure::Broken(format!("it gave more bytes than the {most} that the manifest names")))
            }
            other => Ok(other?.body),
        }
    })?;
    let own = digest(&bytes);
    if own != layer.digest {
        return Err(refuse(format!("gave a component with digest `{own}`: expected `{}`", layer.digest)));
    }
    Ok(Fetched { digest: found, manifest, component: bytes })
}

/// Pushes an artefact: the blobs that the registry lacks, then the manifest. Returns the manifest's digest.
///
/// # Errors
///
/// A registry that cannot be reached, or does not take it.
pub fn push(reference: &Reference, manner: Manner<'_>, artefact: &Artefact, component: Vec<u8>) -> Result<String> {
    let mut session = Session::open(reference, manner)?;
    session.wait(QUESTION, async |session| session.authorise("pull,push").await)?;
    let blobs = [(&artefact.layer_digest, component), (&artefact.config_digest, artefact.config.clone())];
    for (digest, bytes) in blobs {
        session.wait(TRANSFER, async |session| session.push_blob(digest, bytes).await)?;
    }
    session.wait(QUESTION, async |session| {
        let request = session.manifest(Method::PUT).header(CONTENT_TYPE, MANIFEST_TYPE).body(artefact.manifest.clone());
        ask(request, MOST_ANSWER).await.map(drop)
    })?;
    Ok(digest(&artefact.manifest))
}

/// A client, and what it talks about.
struct Session<'a> {
    client: Client,
    reference: &'a Reference,
    manner: Manner<'a>,
    /// `https://HOST/v2/NAME/`.
    base: Url,
    credentials: Credentials,
    authorization: Option<String>,
}

impl<'a> Session<'a> {
    fn open(reference: &'a Reference, manner: Manner<'a>) -> Result<Self> {
        // Where another part of the program has chosen a provider already, that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let scheme = if manner.plain { "http" } else { "https" };
        // Docker's own registry is spoken to under another name than it is written.
        let host = match reference.registry.as_str() {
            "docker.io" => "index.docker.io",
            other => other,
        };
        let base = Url::parse(&format!("{scheme}://{host}/v2/{}/", reference.repository))
            .map_err(|e| Error::plugin(format!("`{reference}` is no address: {e}")))?;
        let credentials = credentials(&reference.registry)?;
        let client = client()
            .map_err(|e| Error::new(Kind::Io, format!("no client for the registry `{}`: {e}", reference.registry)))?;
        Ok(Self { client, reference, manner, base, credentials, authorization: None })
    }

    /// Runs what a question takes, and no longer than `limit`.
    fn wait<T>(&mut self, limit: Duration, work: impl AsyncFnOnce(&mut Self) -> Result<T, Failure>) -> Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::internal(format!("no runtime for the registry client: {e}")))?;
        match runtime.block_on(bounded(limit, work(self))) {
            Some(Ok(value)) => Ok(value),
            Some(Err(failure)) => Err(self.fault(failure)),
            None => Err(Error::new(
                Kind::Io,
                format!("`{}`: the registry took more than {} seconds", self.reference, limit.as_secs()),
            )),
        }
    }

    /// An address below `/v2/NAME/`.
    fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path()));
        url
    }

    /// A question, with the credentials where it goes to the registry itself.
    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let is_own = self.base.origin() == url.origin();
        let request = self.client.request(method, url);
        match self.authorization.as_ref().filter(|_| is_own) {
            Some(authorization) => request.header(AUTHORIZATION, authorization),
            None => request,
        }
    }

    fn manifest(&self, method: Method) -> RequestBuilder {
        let Reference { tag, digest, .. } = self.reference;
        let name = digest.as_deref().or(tag.as_deref()).unwrap_or_default();
        self.request(method, self.at(&format!("manifests/{name}"))).header(ACCEPT, MANIFEST_TYPE)
    }

    async fn authorise(&mut self, actions: &str) -> Result<(), Failure> {
        let scope = format!("repository:{}:{actions}", self.reference.repository);
        self.authorization = authorization(&self.client, &self.base, &self.credentials, &scope, self.manner).await?;
        Ok(())
    }

    async fn push_blob(&mut self, digest: &str, bytes: Vec<u8>) -> Result<(), Failure> {
        let (status, _) = heads(self.request(Method::HEAD, self.at(&format!("blobs/{digest}")))).await?;
        if status == 200 {
            return Ok(());
        }
        let begin = self.request(Method::POST, self.at("blobs/uploads/")).header(CONTENT_LENGTH, 0);
        let Answer { headers, url, .. } = ask(begin, MOST_ANSWER).await?;
        let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let broken = || Failure::Broken("it does not say where to push to".to_owned());
        let mut place = url.join(location.ok_or_else(broken)?).map_err(|_| broken())?;
        if self.base.scheme() == "https" && place.scheme() != "https" {
            return Err(Failure::Broken(format!(
                "it wants the push at `{place}`, without encryption: expected `https`"
            )));
        }
        place.query_pairs_mut().append_pair("digest", digest);
        let put = self.request(Method::PUT, place).header(CONTENT_TYPE, "application/octet-stream").body(bytes);
        ask(put, MOST_ANSWER).await.map(drop)
    }

    fn fault(&self, failure: Failure) -> Error {
        let reference = &self.reference;
        let registry = &reference.registry;
        match failure {
            Failure::Status(404, _) => Error::plugin(format!("`{reference}` is not in the registry")),
            Failure::Status(_, body) if says_unknown(&body) => {
                Error::plugin(format!("`{reference}` is not in the registry"))
            }
            Failure::Status(401 | 403, _) => {
                Error::plugin(format!("`{reference}`: the registry refuses these credentials"))
                    .with_hint(format!("`docker login {registry}` writes the ones that are used"))
            }
            Failure::Status(status, body) => {
                let words = printable(String::from_utf8_lossy(&body).trim(), 400);
                let words = if words.is_empty() { words } else { format!(": {words}") };
                Error::new(Kind::Io, format!("`{reference}`: the registry answers with status {status}{words}"))
            }
            Failure::Long(most) => Error::plugin(format!(
                "`{reference}`: the registry's answer is longer than {most} bytes, the most that one may have"
            )),
            Failure::Broken(what) => {
                Error::plugin(format!("`{reference}`: the registry cannot be used: {}", printable(&what, 400)))
            }
            Failure::Transport(error) if error.is_connect() => {
                // The request and the client come first in the chain, and say nothing that the reference does not.
                let mut causes = chain(&error);
                let causes = causes.split_off((causes.len() - 1).min(2)).join(": ");
                let text = format!("the registry cannot be reached: {}", printable(&causes, 400));
                Error::new(Kind::Io, format!("`{reference}`: {text}"))
            }
            Failure::Transport(error) => {
                Error::new(Kind::Io, format!("`{reference}`: {}", printable(&chain(&error).join(": "), 400)))
            }
        }
    }
}

/// What `work` gives, if it ends in time.
async fn bounded<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}

/// Whether a registry's list of errors says that it does not know what was asked for.
fn says_unknown(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<Code>,
    }
    #[derive(Deserialize)]
    struct Code {
        code: String,
    }
    const UNKNOWN: [&str; 4] = ["MANIFEST_UNKNOWN", "NAME_UNKNOWN", "NOT_FOUND", "BLOB_UNKNOWN"];
    serde_json::from_slice(body)
        .is_ok_and(|found: Errors| found.errors.iter().any(|error| UNKNOWN.contains(&error.code.as_str())))
}

/// An error and what caused it, the outermost first.
fn chain(error: &dyn std::error::Error) -> Vec<String> {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect()
}
