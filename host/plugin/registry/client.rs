//! Talking to a registry. The asynchronous runtime that the client needs lives in this file alone.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::OciDescriptor;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, RegistryOperation};
use tokio::io::AsyncWrite;

use super::Fetched;
use super::layout::{Artefact, MANIFEST_TYPE, MAX_MANIFEST_BYTES, Manifest, digest};
use crate::Reference;
use crate::load::MAX_COMPONENT_BYTES;
use crate::log::printable;
use so8t_base::{Error, Kind, Result};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a registry may say nothing.
const SILENCE: Duration = Duration::from_secs(30);
/// How long the answer to a question may take: a digest, a manifest.
const QUESTION: Duration = Duration::from_secs(60);
/// How long a component may take.
const TRANSFER: Duration = Duration::from_secs(600);

/// The digest of the manifest that a reference names now.
///
/// # Errors
///
/// A registry that cannot be reached, or does not know it.
pub fn digest_of(reference: &Reference, plain: bool) -> Result<String> {
    let session = Session::open(reference, plain)?;
    session.wait(QUESTION, session.client.fetch_manifest_digest(&session.image, &session.auth))
}

/// Fetches the manifest and the component. Both have the digests that they are asked for by; the component has at most 64 MiB.
///
/// # Errors
///
/// A registry that cannot be reached, does not know it, or gives something else.
pub fn fetch(reference: &Reference, plain: bool) -> Result<Fetched> {
    let session = Session::open(reference, plain)?;
    let pull = session.client.pull_manifest_raw(&session.image, &session.auth, &[MANIFEST_TYPE]);
    let (manifest, _) = session.wait(QUESTION, pull)?;
    let refuse = |text: String| Error::plugin(format!("`{reference}` {text}"));
    if manifest.len() > MAX_MANIFEST_BYTES {
        return Err(refuse(format!(
            "has a manifest of {} bytes: expected at most {MAX_MANIFEST_BYTES}",
            manifest.len()
        )));
    }
    let found = digest(&manifest);
    if let Some(expected) = reference.digest.as_ref().filter(|expected| **expected != found) {
        return Err(refuse(format!("has a manifest with digest `{found}`: expected `{expected}`")));
    }
    let layer = Manifest::parse(&manifest).map_err(refuse)?.layer().clone();
    if layer.size > MAX_COMPONENT_BYTES {
        return Err(refuse(format!("has {} bytes: expected at most {MAX_COMPONENT_BYTES}", layer.size)));
    }
    let descriptor = OciDescriptor {
        media_type: layer.media_type,
        digest: layer.digest.clone(),
        size: i64::try_from(layer.size).unwrap_or(i64::MAX),
        ..OciDescriptor::default()
    };
    let mut component = Bounded { bytes: Vec::new(), most: layer.size };
    session.wait(TRANSFER, session.client.pull_blob(&session.image, &descriptor, &mut component))?;
    let bytes = component.bytes;
    let own = digest(&bytes);
    if own != layer.digest {
        return Err(refuse(format!("gave a component with digest `{own}`: expected `{}`", layer.digest)));
    }
    Ok(Fetched { digest: found, manifest: manifest.to_vec(), component: bytes })
}

/// Pushes an artefact: the blobs that the registry lacks, then the manifest. Returns the manifest's digest.
///
/// # Errors
///
/// A registry that cannot be reached, or does not take it.
pub fn push(reference: &Reference, plain: bool, artefact: &Artefact, component: Vec<u8>) -> Result<String> {
    let session = Session::open(reference, plain)?;
    let Session { client, image, auth, .. } = &session;
    session.wait(QUESTION, client.auth(image, auth, RegistryOperation::Push))?;
    let blobs = [(&artefact.layer_digest, component), (&artefact.config_digest, artefact.config.clone())];
    for (digest, bytes) in blobs {
        if !session.wait(QUESTION, client.blob_exists(image, digest)).unwrap_or(false) {
            session.wait(TRANSFER, client.push_blob(image, bytes, digest))?;
        }
    }
    let kind = MANIFEST_TYPE.parse().map_err(|_| Error::internal("a media type is no header"))?;
    session.wait(QUESTION, client.push_manifest_raw(image, artefact.manifest.clone(), kind))?;
    Ok(digest(&artefact.manifest))
}

/// A client, and what it talks about.
struct Session {
    runtime: tokio::runtime::Runtime,
    client: Client,
    image: oci_client::Reference,
    auth: RegistryAuth,
    reference: Reference,
}

impl Session {
    fn open(reference: &Reference, plain: bool) -> Result<Self> {
        // Where another part of the program has chosen a provider already, that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::internal(format!("no runtime for the registry client: {e}")))?;
        let config = ClientConfig {
            protocol: if plain { ClientProtocol::Http } else { ClientProtocol::Https },
            connect_timeout: Some(CONNECT),
            read_timeout: Some(SILENCE),
            // An index of several platforms is no component.
            platform_resolver: None,
            user_agent: concat!("so8t/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let (registry, name) = (reference.registry.clone(), reference.repository.clone());
        let image = match (&reference.digest, &reference.tag) {
            (Some(digest), _) => oci_client::Reference::with_digest(registry, name, digest.clone()),
            (None, Some(tag)) => oci_client::Reference::with_tag(registry, name, tag.clone()),
            (None, None) => return Err(Error::internal(format!("`{reference}` has neither tag nor digest"))),
        };
        let auth = credentials(&reference.registry)?;
        let client = Client::try_from(config)
            .map_err(|e| Error::new(Kind::Io, format!("no client for the registry `{}`: {e}", reference.registry)))?;
        Ok(Self { runtime, client, image, auth, reference: reference.clone() })
    }

    fn wait<T>(&self, limit: Duration, work: impl Future<Output = Result<T, OciDistributionError>>) -> Result<T> {
        let timed = async { tokio::time::timeout(limit, work).await };
        match self.runtime.block_on(timed) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.fault(&error)),
            Err(_) => Err(Error::new(
                Kind::Io,
                format!("`{}`: the registry took more than {} seconds", self.reference, limit.as_secs()),
            )),
        }
    }

    fn fault(&self, error: &OciDistributionError) -> Error {
        let reference = &self.reference;
        let registry = &reference.registry;
        let unknown = format!("`{reference}` is not in the registry");
        match error {
            OciDistributionError::ImageManifestNotFoundError(_) => Error::plugin(unknown),
            OciDistributionError::ServerError { code: 404, .. } => Error::plugin(unknown),
            OciDistributionError::RegistryError { envelope, .. }
                if envelope.errors.iter().any(|error| {
                    use oci_client::errors::OciErrorCode as Code;
                    matches!(error.code, Code::ManifestUnknown | Code::NameUnknown | Code::NotFound | Code::BlobUnknown)
                }) =>
            {
                Error::plugin(unknown)
            }
            OciDistributionError::UnauthorizedError { .. }
            | OciDistributionError::AuthenticationFailure(_)
            | OciDistributionError::ServerError { code: 401 | 403, .. } => {
                Error::plugin(format!("`{reference}`: the registry refuses these credentials"))
                    .with_hint(format!("`docker login {registry}` writes the ones that are used"))
            }
            OciDistributionError::RequestError(error) if error.is_connect() => {
                // The request and the client come first in the chain, and say nothing that the reference does not.
                let mut causes = chain(error);
                let causes = causes.split_off((causes.len() - 1).min(2)).join(": ");
                let text = format!("the registry cannot be reached: {}", printable(&causes, 400));
                Error::new(Kind::Io, format!("`{reference}`: {text}"))
            }
            error => {
                let text = chain(error).join(": ");
                Error::new(Kind::Io, format!("`{reference}`: {}", printable(&text, 400)))
            }
        }
    }
}

/// An error and what caused it, the outermost first.
fn chain(error: &dyn std::error::Error) -> Vec<String> {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect()
}

/// What docker's `config.json` (in `$DOCKER_CONFIG` or `~/.docker`) holds for a registry.
fn credentials(registry: &str) -> Result<RegistryAuth> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker"));
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from).or_else(home);
    if !folder.is_some_and(|folder| folder.join("config.json").is_file()) {
        return Ok(RegistryAuth::Anonymous);
    }
    match docker_credential::get_credential(registry) {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(RegistryAuth::Basic(user, password)),
        Ok(DockerCredential::IdentityToken(token)) => Ok(RegistryAuth::Bearer(token)),
        Err(CredentialRetrievalError::ConfigNotFound | CredentialRetrievalError::NoCredentialConfigured) => {
            Ok(RegistryAuth::Anonymous)
        }
        Err(error) => {
            Err(Error::new(Kind::Io, format!("the credentials of `{registry}` in docker's config.json: {error}")))
        }
    }
}

/// Takes so many bytes and no more.
struct Bounded {
    bytes: Vec<u8>,
    most: u64,
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, more: &[u8]) -> Poll<io::Result<usize>> {
        if (self.bytes.len() + more.len()) as u64 > self.most {
            let text = format!("more bytes than the {} that the manifest names", self.most);
            return Poll::Ready(Err(io::Error::other(text)));
        }
        self.bytes.extend_from_slice(more);
        Poll::Ready(Ok(more.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
