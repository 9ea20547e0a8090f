//! Signed checkpoints: C2SP signed-note and tlog-checkpoint, with Ed25519.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::Hash;
use so8t_base::{Error, Result};

/// What an Ed25519 key is marked by in signed notes.
const ED25519_KIND: u8 = 1;

/// The state of a log: how many entries, and the root over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The root of the tree.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed.
    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let origin = lines.next().filter(|line| !line.is_empty())?.to_owned();
        let digits = lines.next()?;
        let size: u64 = digits.parse().ok()?;
        if size.to_string() != digits {
            return None;
        }
        let root = STANDARD.decode(lines.next()?).ok()?.try_into().ok()?;
        // Extension lines would be of others' making: this log writes none.
        lines.next().is_none().then_some(Self { origin, size, root })
    }
}

/// Signs checkpoints.
pub struct Signer {
    pair: Ed25519KeyPair,
    verifier: Verifier,
}

impl Signer {
    /// A new key as PKCS #8, for [`Signer::new`].
    ///
    /// # Errors
    /// A system without random bits.
    pub fn generate() -> Result<Vec<u8>> {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| Error::internal("the system gives no random bits for a key"))?;
        Ok(key.as_ref().to_vec())
    }

    /// The key of the log `origin`.
    ///
    /// # Errors
    /// Bytes that are no key, or an origin that cannot name one.
    pub fn new(origin: &str, pkcs8: &[u8]) -> Result<Self> {
        check_name(origin)?;
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8)
            .map_err(|_| Error::data("expected an Ed25519 key in PKCS #8, found something else"))?;
        let mut key = [0; 32];
        key.copy_from_slice(pair.public_key().as_ref());
        Ok(Self { pair, verifier: Verifier { name: origin.to_owned(), key } })
    }

    /// What checks its signatures.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The checkpoint as a signed note.
    pub fn sign(&self, size: u64, root: Hash) -> String {
        let text = Checkpoint { origin: self.verifier.name.clone(), size, root }.text();
        let mut signature = self.verifier.id().to_vec();
        signature.extend(self.pair.sign(text.as_bytes()).as_ref());
        format!("{text}\n— {} {}\n", self.verifier.name, STANDARD.encode(signature))
    }
}

/// A public key, as `name+id+base64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    key: [u8; 32],
}

impl Verifier {
    /// Reads `name+id+base64`, as notes' verifier keys are written.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let wrong = || Error::data(format!("expected a verifier key such as `name+0123abcd+AT…`, found `{text}`"));
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong());
        };
        check_name(name)?;
        let bytes = STANDARD.decode(key).map_err(|_| wrong())?;
        let Some((&ED25519_KIND, key)) = bytes.split_first() else { return Err(wrong()) };
        let out = Self { name: name.to_owned(), key: key.try_into().map_err(|_| wrong())? };
        if out.id_text() == id { Ok(out) } else { Err(wrong()) }
    }

    /// The name of the log.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ key).
    fn id(&self) -> [u8; 4] {
        let bytes = [self.name.as_bytes(), &[b'\n', ED25519_KIND], &self.key].concat();
        let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
        let mut id = [0; 4];
        id.copy_from_slice(&digest.as_ref()[..4]);
        id
    }

    fn id_text(&self) -> String {
        self.id().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The checkpoint of a signed note.
    ///
    /// # Errors
    /// A note that this key did not sign, or whose text is no checkpoint of this log.
    pub fn open(&self, note: &str) -> Result<Checkpoint> {
        let (text, signatures) = note
            .split_once("\n\n")
            .map(|(text, rest)| (format!("{text}\n"), rest))
            .ok_or_else(|| Error::data("expected a signed checkpoint, found a text without signatures"))?;
        let prefix = format!("— {} ", self.name);
        let id = self.id();
        let valid = signatures.lines().any(|line| {
            let Some(Ok(bytes)) = line.strip_prefix(&prefix).map(|text| STANDARD.decode(text)) else { return false };
            let Some((own, signature)) = bytes.split_first_chunk::<4>() else { return false };
            *own == id && UnparsedPublicKey::new(&ED25519, self.key).verify(text.as_bytes(), signature).is_ok()
        });
        if !valid {
            return Err(Error::data(format!("the checkpoint is not signed by `{self}`")));
        }
        let checkpoint = Checkpoint::parse(&text)
            .ok_or_else(|| Error::data("expected a checkpoint of three lines: origin, size, root"))?;
        if checkpoint.origin != self.name {
            let (expected, found) = (&self.name, &checkpoint.origin);
            return Err(Error::data(format!("expected a checkpoint of the log `{expected}`, found one of `{found}`")));
        }
        Ok(checkpoint)
    }
}

impl std::fmt::Display for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = STANDARD.encode([&[ED25519_KIND], self.key.as_slice()].concat());
        write!(f, "{}+{}+{key}", self.name, self.id_text())
    }
}

fn check_name(name: &str) -> Result<()> {
    let good = !name.is_empty() && !name.contains('+') && !name.chars().any(|c| c.is_whitespace() || c.is_control());
    if good {
        return Ok(());
    }
    Err(Error::manifest(format!("`{name}` cannot name a log: expected a text without white space and `+`")))
}
