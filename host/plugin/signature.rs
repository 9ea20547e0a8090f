//! Detached signatures in minisign's format: Ed25519 over the BLAKE2b digest of the component, with the id of the key.
//!
//! One small file beside the component, made and checked without a server, and also by the `minisign` program itself. (Sigstore ties
//! a signature to an identity, but needs a certificate authority and a transparency log within reach.)

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minisign_verify::{PublicKey, Signature};

/// The most bytes that a signature file may have.
pub const MAX_SIGNATURE_BYTES: usize = 4096;

/// A public key that the host's policy trusts.
#[derive(Clone, PartialEq, Eq)]
pub struct TrustedKey {
    id: String,
    key: PublicKey,
}

impl TrustedKey {
    /// Reads a key as minisign writes it on the second line of its public key file.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = "expected a minisign public key, as on the second line of its file";
        let key = PublicKey::from_base64(text).map_err(|_| format!("`{text}` is no key: {expected}"))?;
        let id = key_id(text).ok_or_else(|| format!("`{text}` is no key: {expected}"))?;
        Ok(Self { id, key })
    }

    /// The key's id as minisign shows it: 16 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Debug for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustedKey({})", self.id)
    }
}

/// What a signature says of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A trusted key signed these bytes: its id.
    Signed(String),
    /// The key is not among those that are trusted: its id.
    Unknown(String),
}

/// Checks the text of a signature file against a component.
///
/// # Errors
///
/// A text that is no signature, or one by a trusted key that is not of these bytes: the end of a sentence that names the component.
pub fn verify(component: &[u8], signature: &str, trusted: &[TrustedKey]) -> Result<Verdict, String> {
    let broken = || "has a signature that is not in minisign's format".to_owned();
    if signature.len() > MAX_SIGNATURE_BYTES {
        return Err(broken());
    }
    let parsed = Signature::decode(signature).map_err(|_| broken())?;
    let id = signature.lines().nth(1).and_then(key_id).ok_or_else(broken)?;
    // Ids are chosen by whoever makes a key, so that several keys may share one: any of them may have signed.
    let mut named = trusted.iter().filter(|key| key.id == id).peekable();
    if named.peek().is_none() {
        return Ok(Verdict::Unknown(id));
    }
    match named.any(|key| key.key.verify(component, &parsed, false).is_ok()) {
        true => Ok(Verdict::Signed(id)),
        false => Err(format!(
            "has a signature of key `{id}` that does not fit its bytes: they were changed, or the signature is another file's"
        )),
    }
}

/// The key id in a signature or a public key: bytes 2 to 9, the last first.
pub fn key_id(base64: &str) -> Option<String> {
    let bytes = STANDARD.decode(base64).ok()?;
    let id = bytes.get(2..10)?;
    Some(id.iter().rev().map(|byte| format!("{byte:02X}")).collect())
}

/// Where the signature of a file lies: beside it, with `.minisig` added.
pub fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}
