//! An OpenSSF model signature (v1.0): an in-toto statement over the digest of every file, in a DSSE envelope, in a Sigstore bundle.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use so8t_base::{Error, Result, files};

use super::SIGNATURE;
use super::keys::{PrivateKey, PublicKey};

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const PAYLOAD: &str = "application/vnd.in-toto+json";
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://model_signing/signature/v1.0";

/// Signs the digests of a model's files, by path.
pub(super) fn sign(name: &str, digests: &BTreeMap<String, String>, key: &PrivateKey) -> Result<Vec<u8>> {
    let resources: Vec<Json> =
        digests.iter().map(|(name, digest)| json!({ "name": name, "algorithm": "sha256", "digest": digest })).collect();
    let statement = json!({
        "_type": STATEMENT,
        "subject": [{ "name": name, "digest": { "sha256": root(digests.values())? } }],
        "predicateType": PREDICATE,
        "predicate": {
            "serialization": { "method": "files", "hash_type": "sha256", "allow_symlinks": false, "ignore_paths": [SIGNATURE] },
            "resources": resources,
        },
    });
    let payload = serde_json::to_vec(&statement).map_err(|e| Error::internal(e.to_string()))?;
    let signature = key.sign(&authenticated(&payload))?;
    files::json(&json!({
        "mediaType": BUNDLE,
        "verificationMaterial": { "publicKey": { "hint": key.public().hint() }, "tlogEntries": [] },
        "dsseEnvelope": {
            "payload": STANDARD.encode(&payload), "payloadType": PAYLOAD, "signatures": [{ "sig": STANDARD.encode(signature), "keyid": "" }],
        },
    }))
}

/// Checks a bundle's signature. Returns the model's name, and the digest of every file by its path.
pub(super) fn verify(text: &str, key: &PublicKey) -> Result<(String, BTreeMap<String, String>)> {
    let wrong = |what: &str| Error::data(format!("expected a model signature (v1.0): {what}"));
    let bundle: Json = serde_json::from_str(text).map_err(|e| wrong(&e.to_string()))?;
    let hint = &bundle["verificationMaterial"]["publicKey"]["hint"];
    if *hint != key.hint().as_str() {
        return Err(Error::data(format!("it was signed with another key: expected `{}`, found {hint}", key.hint())));
    }
    let envelope = &bundle["dsseEnvelope"];
    let decoded = |value: &Json| value.as_str().and_then(|text| STANDARD.decode(text).ok());
    let payload = decoded(&envelope["payload"]).ok_or_else(|| wrong("it has no payload"))?;
    let Some([signature]) = envelope["signatures"].as_array().map(Vec::as_slice) else {
        return Err(wrong("it has not one signature"));
    };
    let signature = decoded(&signature["sig"]).ok_or_else(|| wrong("its signature is no base64"))?;
    if envelope["payloadType"] != PAYLOAD || !key.verifies(&authenticated(&payload), &signature) {
        return Err(Error::data("the signature does not fit: the list of files was changed, or another key signed it"));
    }
    let statement: Json = serde_json::from_slice(&payload).map_err(|e| wrong(&e.to_string()))?;
    if statement["_type"] != STATEMENT || statement["predicateType"] != PREDICATE {
        return Err(wrong("its statement is of another kind"));
    }
    let mut digests = BTreeMap::new();
    let resources = statement["predicate"]["resources"].as_array().ok_or_else(|| wrong("it names no files"))?;
    let mut in_order = Vec::new();
    for resource in resources {
        let (Some(name), Some(digest), "sha256") = (
            resource["name"].as_str(),
            resource["digest"].as_str(),
            resource["algorithm"].as_str().unwrap_or_default(),
        ) else {
            return Err(wrong("a file has no name or no sha256"));
        };
        in_order.push(digest.to_owned());
        if digests.insert(name.to_owned(), digest.to_owned()).is_some() {
            return Err(wrong("a file is named twice"));
        }
    }
    let subject = &statement["subject"][0];
    if subject["digest"]["sha256"] != root(in_order.iter())?.as_str() {
        return Err(wrong("the digest of all its files does not fit"));
    }
    Ok((subject["name"].as_str().unwrap_or_default().to_owned(), digests))
}

/// The digest of all digests, in the order in which they stand.
fn root<'a>(digests: impl Iterator<Item = &'a String>) -> Result<String> {
    let mut hash = files::Hash::default();
    for digest in digests {
        hash.add(&bytes(digest).ok_or_else(|| Error::data(format!("`{digest}` is no SHA-256")))?);
    }
    Ok(hash.finish())
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let is_one = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| (0..32).filter_map(|index| u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).ok()).collect())
}

/// What is signed of a payload (DSSE v1, "pre-authentication encoding").
fn authenticated(payload: &[u8]) -> Vec<u8> {
    [format!("DSSEv1 {} {PAYLOAD} {} ", PAYLOAD.len(), payload.len()).as_bytes(), payload].concat()
}
