//! Keys for ECDSA on P-256, in PEM as `openssl` writes them.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use so8t_base::{Error, Result, files};

/// The most bytes of a file with a key.
const MOST: u64 = 64 << 10;
/// What stands before the point of a P-256 key in a `SubjectPublicKeyInfo`: the algorithm `id-ecPublicKey` with the curve `prime256v1` (RFC 5480).
const PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE,
    0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A key that signs.
pub struct PrivateKey {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

/// A key that verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// The point, uncompressed: 0x04, x, y.
    point: Vec<u8>,
}

impl PrivateKey {
    /// A new key, and its file: PKCS #8 in PEM.
    ///
    /// # Errors
    /// A system without randomness.
    pub fn new() -> Result<(Self, String)> {
        let random = SystemRandom::new();
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random)
            .map_err(|_| Error::internal("the system gives no randomness"))?;
        let pem = armoured("PRIVATE KEY", made.as_ref());
        Ok((Self::parse(&pem)?, pem))
    }

    /// Reads a key's file.
    ///
    /// # Errors
    /// A file that is no P-256 key in PKCS #8, unencrypted.
    pub fn read(path: &Path) -> Result<Self> {
        let text = files::read_text_at_most(path, MOST)?;
        Self::parse(&text).map_err(|e| e.context(format!("`{}`", path.display())))
    }

    /// Reads the text of a key's file.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |found: &str| {
            Error::manifest(format!("expected an unencrypted private key on P-256 (PKCS #8 in PEM), found {found}"))
                .with_hint("`so8t release keygen FILE` makes one; `openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW` changes an older form")
        };
        if text.contains("BEGIN EC PRIVATE KEY") {
            return Err(wrong("the older form `EC PRIVATE KEY`"));
        }
        if text.contains("ENCRYPTED") {
            return Err(wrong("an encrypted one"));
        }
        let der = bare(text, "PRIVATE KEY").ok_or_else(|| wrong("something else"))?;
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der, &random)
            .map_err(|_| wrong("a key of another kind"))?;
        Ok(Self { pair, random })
    }

    /// Signs: SHA-256, the signature as ASN.1.
    ///
    /// # Errors
    /// A system without randomness.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let signature =
            self.pair.sign(&self.random, message).map_err(|_| Error::internal("the system gives no randomness"))?;
        Ok(signature.as_ref().to_vec())
    }

    /// The key that verifies what this one signs.
    pub fn public(&self) -> PublicKey {
        PublicKey { point: self.pair.public_key().as_ref().to_vec() }
    }
}

impl PublicKey {
    /// Reads a key's file: `SubjectPublicKeyInfo` in PEM.
    ///
    /// # Errors
    /// A file that is no public key on P-256.
    pub fn read(path: &Path) -> Result<Self> {
        let text = files::read_text_at_most(path, MOST)?;
        let der = bare(&text, "PUBLIC KEY")
            .filter(|der| der.len() == PREFIX.len() + 65 && der.starts_with(&PREFIX) && der[PREFIX.len()] == 4);
        let der =
            der.ok_or_else(|| Error::manifest(format!("`{}`: expected a public key on P-256 in PEM", path.display())))?;
        Ok(Self { point: der[PREFIX.len()..].to_vec() })
    }

    /// The key's file.
    pub fn pem(&self) -> String {
        armoured("PUBLIC KEY", &[&PREFIX[..], &self.point].concat())
    }

    /// The SHA-256 of the key's file, by which a signature names its key.
    pub fn hint(&self) -> String {
        files::sha256(self.pem().as_bytes())
    }

    /// Whether a signature is this key's.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point).verify(message, signature).is_ok()
    }
}

/// PEM: base64 in lines of 64 between two marks.
fn armoured(what: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {what}-----\n");
    for line in text.as_bytes().chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out.push_str(&format!("-----END {what}-----\n"));
    out
}

/// What is between the marks.
fn bare(text: &str, what: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {what}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {what}-----"))?;
    STANDARD.decode(body.split_whitespace().collect::<String>()).ok()
}
