//! The keys of a log, in a folder of their own: what signs, what keyed hashes are made with, and one key a subject.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::entry::{hex, random};
use crate::note::Signer;
use so8t_base::{Error, Result, files};

const SIGNING: &str = "signing.pkcs8";
const HASHING: &str = "hashing.json";
const SUBJECTS: &str = "subjects";

/// A keyed hash, and which key it was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mac {
    /// The number of the key.
    pub key: u32,
    /// HMAC-SHA-256, in hexadecimal digits.
    pub hmac: String,
}

impl From<Mac> for Value {
    fn from(mac: Mac) -> Self {
        json!({"key": mac.key, "hmac": mac.hmac})
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HashingKey {
    number: u32,
    /// Seconds since 1970.
    created: u64,
    key: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HashingKeys {
    /// What names of subjects are hashed with; it does not rotate, since a subject keeps its name.
    subject: String,
    keys: Vec<HashingKey>,
}

/// The keys of a log.
#[derive(Clone)]
pub struct Keys {
    folder: PathBuf,
    rotation: Duration,
    hashing: Arc<Mutex<HashingKeys>>,
}

impl Keys {
    /// Opens the keys in a folder, or makes them where there are none. A hashing key is used for `rotation`, then a new one is made.
    ///
    /// # Errors
    /// A folder that cannot be read or written; files that are no keys.
    pub fn open(folder: &Path, rotation: Duration) -> Result<Self> {
        private_folder(folder)?;
        private_folder(&folder.join(SUBJECTS))?;
        let path = folder.join(HASHING);
        let hashing = match path.is_file() {
            true => serde_json::from_str(&files::read_text(&path)?)
                .map_err(|e| Error::data(format!("`{}`: expected the log's hashing keys: {e}", path.display())))?,
            false => HashingKeys { subject: STANDARD.encode(random::<32>()?), keys: Vec::new() },
        };
        let keys = Self { folder: folder.to_owned(), rotation, hashing: Arc::new(Mutex::new(hashing)) };
        keys.mac(b"")?;
        Ok(keys)
    }

    /// What signs the log `origin`; made where there is none.
    ///
    /// # Errors
    /// As [`Keys::open`].
    pub fn signer(&self, origin: &str) -> Result<Signer> {
        let path = self.folder.join(SIGNING);
        if !path.is_file() {
            private_file(&path, &Signer::generate()?)?;
        }
        Signer::new(origin, &files::read(&path)?).map_err(|e| e.context(format!("`{}`", path.display())))
    }

    /// The keyed hash of a text under the present key.
    ///
    /// # Errors
    /// A new key that cannot be made or kept.
    pub fn mac(&self, text: &[u8]) -> Result<Mac> {
        let mut hashing = self.hashing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let is_due =
            hashing.keys.last().is_none_or(|key| now.saturating_sub(key.created) >= self.rotation.as_secs().max(1));
        if is_due {
            let number = hashing.keys.last().map_or(1, |key| key.number + 1);
            let mut next = hashing.clone();
            next.keys.push(HashingKey { number, created: now, key: STANDARD.encode(random::<32>()?) });
            private_file(&self.folder.join(HASHING), &files::json(&next)?)?;
            *hashing = next;
        }
        let key = hashing.keys.last().ok_or_else(|| Error::internal("there is no hashing key"))?;
        Ok(Mac { key: key.number, hmac: keyed(&key.key, text)? })
    }

    /// Whether a text has this keyed hash; `None` where the key is gone.
    ///
    /// # Errors
    /// A key that is none.
    pub fn matches(&self, text: &[u8], mac: &Mac) -> Result<Option<bool>> {
        let hashing = self.hashing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(key) = hashing.keys.iter().find(|key| key.number == mac.key) else { return Ok(None) };
        Ok(Some(keyed(&key.key, text)? == mac.hmac))
    }

    /// What stands for a subject in entries: a keyed hash of its name.
    ///
    /// # Errors
    /// A key that is none.
    pub fn subject(&self, name: &str) -> Result<String> {
        let hashing = self.hashing.lock().unwrap_or_else(PoisonError::into_inner);
        keyed(&hashing.subject, name.as_bytes())
    }

    /// The file with the key of a subject.
    pub(crate) fn subject_file(&self, subject: &str) -> PathBuf {
        self.folder.join(SUBJECTS).join(subject)
    }

    /// The key of a subject, made where there is none.
    pub(crate) fn subject_key(&self, subject: &str) -> Result<[u8; 32]> {
        let path = self.subject_file(subject);
        if !path.is_file() {
            private_file(&path, &random::<32>()?)?;
        }
        self.known_subject_key(subject)?.ok_or_else(|| Error::internal("a key was just written"))
    }

    /// The key of a subject; `None` where it was shredded.
    pub(crate) fn known_subject_key(&self, subject: &str) -> Result<Option<[u8; 32]>> {
        let path = self.subject_file(subject);
        if !path.is_file() {
            return Ok(None);
        }
        let bytes = files::read(&path)?;
        let key = bytes.try_into().map_err(|_| Error::data(format!("`{}`: expected 32 bytes", path.display())))?;
        Ok(Some(key))
    }
}

fn keyed(key: &str, text: &[u8]) -> Result<String> {
    let key = STANDARD.decode(key).map_err(|_| Error::data("expected a hashing key in Base64"))?;
    Ok(hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), text).as_ref()))
}

fn private_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, &e))?;
    restrict(folder, 0o700)
}

/// Writes a file that nobody else may read, whole or not at all.
fn private_file(path: &Path, bytes: &[u8]) -> Result<()> {
    // The folder is its owner's alone, so that the file is never in others' reach.
    files::write(path, bytes)?;
    restrict(path, 0o600)
}

#[cfg(unix)]
fn restrict(path: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(|e| Error::io("restrict", path, &e))
}

#[cfg(not(unix))]
fn restrict(_: &Path, _: u32) -> Result<()> {
    Ok(())
}
