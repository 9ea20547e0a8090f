//! Contents that can be erased: beside the log, sealed under one key a subject. The entry holds the digest of what is sealed, so erasing leaves the
//! log whole.

use std::fs;
use std::path::{Path, PathBuf};

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde_json::{Value, json};

use crate::entry::random;
use crate::keys::Keys;
use so8t_base::{Error, Result, files};

const FOLDER: &str = "sealed";

fn path(folder: &Path, subject: &str, id: &str) -> PathBuf {
    folder.join(FOLDER).join(subject).join(id)
}

fn key(bytes: &[u8; 32]) -> Result<LessSafeKey> {
    UnboundKey::new(&CHACHA20_POLY1305, bytes)
        .map(LessSafeKey::new)
        .map_err(|_| Error::internal("a key of 32 bytes is refused"))
}

impl Keys {
    /// Seals a content for a subject (ChaCha20-Poly1305 under a random nonce, bound to the audit id) and puts it beside the log. Returns the fields
    /// `subject` and `sealed` of its entry.
    ///
    /// # Errors
    /// What cannot be written.
    pub fn seal(&self, log: &Path, subject: &str, id: &str, content: &[u8]) -> Result<(String, Value)> {
        let subject = self.subject(subject)?;
        let nonce = random::<NONCE_LEN>()?;
        let mut bytes = content.to_vec();
        key(&self.subject_key(&subject)?)?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(id.as_bytes()), &mut bytes)
            .map_err(|_| Error::internal("a content cannot be sealed"))?;
        let object = [nonce.as_slice(), &bytes].concat();
        let path = path(log, &subject, id);
        files::write(&path, &object)?;
        path.parent().map_or(Ok(()), files::sync_folder)?;
        let sealed = json!({"sha256": files::sha256(&object), "bytes": object.len()});
        Ok((subject, sealed))
    }
}

/// Where an entry has sealed content: whether it is there, and then is what was sealed.
pub(crate) fn check(folder: &Path, entry: &[u8]) -> Result<Option<bool>> {
    if !std::str::from_utf8(entry).is_ok_and(|text| text.contains("\"sealed\":")) {
        return Ok(None);
    }
    let Ok(value) = serde_json::from_slice::<Value>(entry) else { return Ok(None) };
    let texts = (value["subject"].as_str(), value["audit_id"].as_str(), value["sealed"]["sha256"].as_str());
    let (Some(subject), Some(id), Some(digest)) = texts else { return Ok(None) };
    if ![subject, id].iter().all(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        return Err(Error::data("an entry names a sealed content that cannot be one of this log"));
    }
    let path = path(folder, subject, id);
    if !path.is_file() {
        return Ok(Some(false));
    }
    if files::sha256(&files::read(&path)?) != digest {
        return Err(Error::data(format!("`{}` is not what was sealed", path.display())));
    }
    Ok(Some(true))
}

/// The content of an entry; `None` where it was shredded.
///
/// # Errors
/// An entry without sealed content; a content that is not what was sealed.
pub fn open(folder: &Path, keys: &Keys, entry: &Value) -> Result<Option<Vec<u8>>> {
    let (Some(subject), Some(id)) = (entry["subject"].as_str(), entry["audit_id"].as_str()) else {
        return Err(Error::data("the entry has no sealed content"));
    };
    if check(folder, crate::canonical(entry).as_bytes())? != Some(true) {
        return Ok(None);
    }
    let Some(bytes) = keys.known_subject_key(subject)? else { return Ok(None) };
    let object = files::read(&path(folder, subject, id))?;
    let broken = || Error::data(format!("the sealed content of `{id}` cannot be opened"));
    let (nonce, sealed) = object.split_first_chunk::<NONCE_LEN>().ok_or_else(broken)?;
    let mut sealed = sealed.to_vec();
    let content = key(&bytes)?
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(id.as_bytes()), &mut sealed)
        .map_err(|_| broken())?;
    Ok(Some(content.to_vec()))
}

/// Destroys a subject's key and its sealed contents; the log stays whole. Returns how many contents there were, or `None` where nothing is known of the
/// subject.
///
/// # Errors
/// What cannot be removed.
pub fn shred(folder: &Path, keys: &Keys, subject: &str) -> Result<Option<u64>> {
    let subject = keys.subject(subject)?;
    let key = keys.subject_file(&subject);
    let contents = folder.join(FOLDER).join(&subject);
    if !key.exists() && !contents.exists() {
        return Ok(None);
    }
    if key.exists() {
        // Other bytes first: a name that is gone need not be bytes that are gone.
        let noise = random::<32>()?;
        fs::write(&key, noise).map_err(|e| Error::io("write", &key, &e))?;
        fs::File::open(&key).and_then(|file| file.sync_all()).map_err(|e| Error::io("write", &key, &e))?;
        fs::remove_file(&key).map_err(|e| Error::io("remove", &key, &e))?;
        key.parent().map_or(Ok(()), files::sync_folder)?;
    }
    let mut count = 0;
    if contents.exists() {
        for entry in fs::read_dir(&contents).map_err(|e| Error::io("read", &contents, &e))?.flatten() {
            fs::remove_file(entry.path()).map_err(|e| Error::io("remove", &entry.path(), &e))?;
            count += 1;
        }
        fs::remove_dir(&contents).map_err(|e| Error::io("remove", &contents, &e))?;
    }
    Ok(Some(count))
}
