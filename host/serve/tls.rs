//! TLS by rustls, with the provider that is here already.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use so8t_base::{Error, Result};

/// A certificate and its key.
#[derive(Clone)]
pub struct Tls(pub(crate) TlsAcceptor);

impl Tls {
    /// Reads a chain of certificates and a private key, both PEM.
    ///
    /// # Errors
    /// Files that hold none, or a key of another certificate.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self> {
        let wrong = |path: &Path, what: &str, e: &dyn std::fmt::Display| {
            Error::manifest(format!("`{}`: expected {what} in PEM: {e}", path.display()))
        };
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
            .map_err(|e| wrong(certificate, "certificates", &e))?;
        let private = PrivateKeyDer::from_pem_file(key).map_err(|e| wrong(key, "a private key", &e))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::internal(e.to_string()))?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(|e| wrong(key, "the key of the certificate", &e))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }
}
