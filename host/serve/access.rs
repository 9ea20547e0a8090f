//! Who may ask for what, and how much of it.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};
use so8t_base::{Error, Result, files};

/// The most bytes of a file of keys.
const MOST: u64 = 1 << 20;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Decisions, in whatever shape.
    Decide,
    /// Generated answers.
    Think,
    /// `/metrics`.
    Metrics,
}

/// A key, as a file of keys has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Its name in the audit log.
    pub name: String,
    /// The SHA-256 of the key, which is random and long.
    pub sha256: String,
    /// What it is for.
    pub scopes: Vec<Scope>,
    /// The most texts a second; without it, as many as the queue takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
}

impl ApiKey {
    /// A new key, and what a file of keys says of it.
    ///
    /// # Errors
    /// A system without random bits.
    pub fn generate(name: &str, scopes: Vec<Scope>, rate: Option<f64>) -> Result<(String, Self)> {
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes).map_err(|_| Error::internal("the system gives no random bits"))?;
        let key = format!("so8t-{}", URL_SAFE_NO_PAD.encode(bytes));
        let own = Self { name: name.to_owned(), sha256: files::sha256(key.as_bytes()), scopes, rate };
        Ok((key, own))
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysFile {
    #[serde(default)]
    key: Vec<ApiKey>,
}

/// The keys of a server; without any, everybody who reaches it may ask.
#[derive(Debug, Default)]
pub struct Access {
    keys: Vec<(ApiKey, Mutex<Bucket>)>,
    is_open: bool,
}

#[derive(Debug)]
struct Bucket {
    texts: f64,
    filled: Instant,
}

/// A client that was let in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    pub(crate) name: &'a str,
    key: Option<usize>,
}

impl Access {
    /// Everybody may ask.
    pub fn open() -> Self {
        Self { keys: Vec::new(), is_open: true }
    }

    /// These keys.
    ///
    /// # Errors
    /// None at all, two of one name, a digest or a rate that is none.
    pub fn of(keys: Vec<ApiKey>) -> Result<Self> {
        if keys.is_empty() {
            return Err(Error::manifest("expected at least one `[[key]]`, found none"));
        }
        for (index, key) in keys.iter().enumerate() {
            let wrong = |what: &str| Err(Error::manifest(format!("key `{}`: expected {what}", key.name)));
            if key.name.is_empty() || keys[..index].iter().any(|other| other.name == key.name) {
                return wrong("a name that no other key has");
            }
            if key.sha256.len() != 64 || !key.sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
                return wrong("64 hexadecimal digits as `sha256`, in small letters");
            }
            if key.scopes.is_empty() {
                return wrong("at least one of the scopes `decide`, `think`, `metrics`");
            }
            if key.rate.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
                return wrong("a `rate` above 0, in texts a second");
            }
        }
        let bucket = |key: &ApiKey| Bucket { texts: burst(key), filled: Instant::now() };
        let keys = keys.into_iter().map(|key| (Mutex::new(bucket(&key)), key)).map(|(bucket, key)| (key, bucket));
        Ok(Self { keys: keys.collect(), is_open: false })
    }

    /// The keys of a file of `[[key]]` tables.
    ///
    /// # Errors
    /// As [`Access::of`]; a file that cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let text = files::read_text_at_most(path, MOST)?;
        let file: KeysFile = toml::from_str(&text).map_err(|e| {
            Error::manifest(format!("`{}`: expected `[[key]]` tables: {}", path.display(), e.message()))
        })?;
        Self::of(file.key).map_err(|e| e.context(format!("`{}`", path.display())))
    }

    /// Adds a key to a file, which is made where there is none.
    ///
    /// # Errors
    /// As [`Access::read`].
    pub fn add(path: &Path, key: ApiKey) -> Result<()> {
        let mut file = KeysFile::default();
        if path.exists() {
            let text = files::read_text_at_most(path, MOST)?;
            file = toml::from_str(&text).map_err(|e| {
                Error::manifest(format!("`{}`: expected `[[key]]` tables: {}", path.display(), e.message()))
            })?;
        }
        file.key.push(key);
        Self::of(file.key.clone())?;
        let text = toml::to_string(&file).map_err(|e| Error::internal(format!("keys have no TOML form: {e}")))?;
        files::write(path, text.as_bytes())
    }

    /// Whether everybody may ask.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Who asks.
    ///
    /// # Errors
    /// No key, one that is not known, or one that is for something else.
    pub(crate) fn admit(&self, headers: &HeaderMap, scope: Scope) -> std::result::Result<Caller<'_>, Failure> {
        if self.is_open {
            return Ok(Caller { name: "", key: None });
        }
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
            let (kind, key) = value.as_bytes().split_at_checked(7)?;
            kind.eq_ignore_ascii_case(b"bearer ").then_some(key)
        });
        let given = bearer.or_else(|| headers.get("x-api-key").map(|value| value.as_bytes()));
        let Some(given) = given else {
            return Err(Failure::new(
                StatusCode::UNAUTHORIZED,
                "no_key",
                "expected a key as `Authorization: Bearer KEY`, found none",
            ));
        };
        let digest = files::sha256(given);
        // Every key is compared, each in constant time.
        let mut found = None;
        for (index, (key, _)) in self.keys.iter().enumerate() {
            if same(key.sha256.as_bytes(), digest.as_bytes()) {
                found = Some(index);
            }
        }
        let Some(index) = found else {
            return Err(Failure::new(StatusCode::UNAUTHORIZED, "unknown_key", "the key is not known"));
        };
        let key = &self.keys[index].0;
        if !key.scopes.contains(&scope) {
            return Err(Failure::new(StatusCode::FORBIDDEN, "wrong_scope", "the key is not for this endpoint"));
        }
        Ok(Caller { name: &key.name, key: Some(index) })
    }

    /// Counts texts against a caller's rate.
    ///
    /// # Errors
    /// More than it allows.
    pub(crate) fn count(&self, caller: Caller<'_>, texts: usize) -> std::result::Result<(), Failure> {
        let Some((key, bucket)) = caller.key.map(|index| &self.keys[index]) else { return Ok(()) };
        let Some(rate) = key.rate else { return Ok(()) };
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let since = now.duration_since(bucket.filled).as_secs_f64();
        bucket.texts = (bucket.texts + since * rate).min(burst(key));
        bucket.filled = now;
        // A request of more texts than a second's worth is taken when the bucket is full, and paid for afterwards.
        let needed = (texts as f64).min(burst(key));
        if bucket.texts < needed {
            let seconds = ((needed - bucket.texts) / rate).ceil() as u64;
            let failure = Failure::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "the key's rate is used up");
            return Err(failure.retry(seconds));
        }
        bucket.texts -= texts as f64;
        Ok(())
    }
}

/// What a key may use at once: a second's worth, and at least one text.
fn burst(key: &ApiKey) -> f64 {
    key.rate.map_or(0.0, |rate| rate.max(1.0))
}

/// Whether two digests are equal, in a time that does not depend on where they differ: each is keyed with random bits first, so that nothing of
/// the comparison can be learned.
fn same(a: &[u8], b: &[u8]) -> bool {
    let Ok(key) = ring::hmac::Key::generate(ring::hmac::HMAC_SHA256, &SystemRandom::new()) else { return false };
    // `verify` compares in constant time.
    ring::hmac::verify(&key, a, ring::hmac::sign(&key, b).as_ref()).is_ok()
}
