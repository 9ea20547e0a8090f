//! Personal data and secrets in texts: found, counted, and replaced by placeholders.
//!
//! | kind | what is found |
//! |---|---|
//! | mail | `local@domain.tld` in ASCII |
//! | phone | Japanese numbers as they are written within Japan, `+` with a country's code, North American NXX-NXX-XXXX |
//! | my_number | 12 digits with the check digit of a My Number |
//! | card | 13 to 19 digits with an issuer's prefix and Luhn's check digit |
//! | address | Japanese addresses that lead to a house, street addresses of the United States |
//! | key | keys and tokens by their published prefixes, private keys, passwords in addresses |
//! | ip | IPv4 addresses, where they are asked for: version numbers look alike |
//!
//! Full-width forms are found as half-width ones are. Time is linear in the text. What is found is never kept: a finding is a kind
//! and a place.

mod addresses;
mod apply;
mod checksums;
mod fold;
mod keys;
mod mail;
mod numbers;

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use serde::{Deserialize, Serialize};

use addresses::{Addresses, Clue};
pub use apply::{Judged, Policy, PolicyCounts, PolicyStatistics};
pub use checksums::{card, luhn, my_number};
use fold::Folded;
use keys::Keys;
use so8t_base::{Error, Result};

/// A kind of personal data or secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyKind {
    /// A key, a token, a password.
    Key,
    /// A mail address.
    Mail,
    /// A postal address.
    Address,
    /// A payment card's number.
    Card,
    /// A My Number (個人番号).
    MyNumber,
    /// A phone number.
    Phone,
    /// An IP address.
    Ip,
}

impl PolicyKind {
    /// All of them. Where two overlap, the first counts.
    pub const ALL: [Self; 7] =
        [Self::Key, Self::Mail, Self::Address, Self::Card, Self::MyNumber, Self::Phone, Self::Ip];

    /// Its name in the manifest and in statistics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Mail => "mail",
            Self::Address => "address",
            Self::Card => "card",
            Self::MyNumber => "my_number",
            Self::Phone => "phone",
            Self::Ip => "ip",
        }
    }

    /// What stands in its place.
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::Key => "[KEY]",
            Self::Mail => "[MAIL]",
            Self::Address => "[ADDRESS]",
            Self::Card => "[CARD]",
            Self::MyNumber => "[MY_NUMBER]",
            Self::Phone => "[PHONE]",
            Self::Ip => "[IP]",
        }
    }
}

/// What becomes of an example in which something is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PolicyAction {
    /// Nothing, and it is not looked for.
    Keep,
    /// A placeholder takes its place.
    #[default]
    Redact,
    /// The example is left out.
    Drop,
    /// The run fails.
    Fail,
}

/// What becomes of each kind, in the order of [`PolicyKind::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PolicySettings(pub [PolicyAction; 7]);

impl Default for PolicySettings {
    /// Everything is redacted but IP addresses.
    fn default() -> Self {
        Self(PolicyKind::ALL.map(|kind| if kind == PolicyKind::Ip { PolicyAction::Keep } else { PolicyAction::Redact }))
    }
}

impl PolicySettings {
    /// What becomes of a kind.
    pub fn of(&self, kind: PolicyKind) -> PolicyAction {
        self.0[kind as usize]
    }

    /// Sets what becomes of a kind.
    pub fn set(&mut self, kind: PolicyKind, action: PolicyAction) {
        self.0[kind as usize] = action;
    }
}

/// Something that was found: what and where, never the text itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub kind: PolicyKind,
    /// Where it stands in the text, in bytes.
    pub range: Range<usize>,
}

/// Finds personal data and secrets in texts.
#[derive(Clone, Debug)]
pub struct Finder {
    wanted: [bool; 7],
    anchors: AhoCorasick,
    clues: Vec<Clue>,
    keys: Keys,
    addresses: Addresses,
}

impl Finder {
    /// A finder of the kinds that `wanted` says yes to.
    ///
    /// # Errors
    /// None that could be met: the patterns are fixed.
    pub fn new(wanted: impl Fn(PolicyKind) -> bool) -> Result<Self> {
        let clues: Vec<(String, Clue)> = Addresses::clues().collect();
        let anchors = clues.iter().map(|(text, _)| text.clone()).chain(Keys::prefixes().map(str::to_owned));
        let anchors = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .kind(Some(AhoCorasickKind::DFA))
            .build(anchors)
            .map_err(|e| Error::internal(format!("the policy's anchors: {e}")))?;
        Ok(Self {
            wanted: PolicyKind::ALL.map(wanted),
            anchors,
            clues: clues.into_iter().map(|(_, clue)| clue).collect(),
            keys: Keys::new()?,
            addresses: Addresses::new()?,
        })
    }

    /// What a text holds, in order, without overlaps: of two that overlap there is one, of the kind that comes first in
    /// [`PolicyKind::ALL`], over both.
    pub fn find(&self, text: &str) -> Vec<Finding> {
        let folded = Folded::new(text);
        let text = &*folded.text;
        let wants = |kind: PolicyKind| self.wanted[kind as usize];
        let mut found = Vec::new();
        if wants(PolicyKind::Mail) {
            let mut mails = Vec::new();
            mail::find(text, &mut mails);
            found.extend(mails.into_iter().map(|range| (PolicyKind::Mail, range)));
        }
        if [PolicyKind::Card, PolicyKind::MyNumber, PolicyKind::Phone, PolicyKind::Ip].into_iter().any(wants) {
            numbers::find(text, wants(PolicyKind::Ip), &mut found);
        }
        if wants(PolicyKind::Key) || wants(PolicyKind::Address) {
            self.anchored(text, &mut found);
        }
        found.retain(|(kind, _)| wants(*kind));
        let mut out: Vec<Finding> = Vec::with_capacity(found.len());
        found.sort_by_key(|(kind, range)| (range.start, *kind));
        for (kind, range) in found {
            match out.last_mut() {
                Some(last) if range.start < last.range.end => {
                    last.range.end = last.range.end.max(range.end);
                    last.kind = last.kind.min(kind);
                }
                _ => out.push(Finding { kind, range }),
            }
        }
        for finding in &mut out {
            finding.range = folded.original(finding.range.start)..folded.original(finding.range.end);
        }
        out
    }

    /// Keys and addresses, each from its anchor.
    fn anchored(&self, text: &str, found: &mut Vec<(PolicyKind, Range<usize>)>) {
        let mut end = 0;
        for anchor in self.anchors.find_iter(text) {
            if anchor.start() < end {
                continue;
            }
            let index = anchor.pattern().as_usize();
            let (kind, range) = match self.clues.get(index) {
                Some(clue) => {
                    (PolicyKind::Address, self.addresses.around(text, *clue, anchor.start()..anchor.end(), end))
                }
                None => {
                    let key = self.keys.end(text, anchor.start(), index - self.clues.len());
                    (PolicyKind::Key, key.map(|end| anchor.start()..end))
                }
            };
            if let Some(range) = range {
                end = range.end;
                found.push((kind, range));
            }
        }
    }

    /// The text with a placeholder in the place of each finding; `None` where there is none.
    pub fn redacted(&self, text: &str) -> Option<String> {
        let found = self.find(text);
        (!found.is_empty()).then(|| replaced(text, &found))
    }
}

/// The text with a placeholder in the place of each finding.
fn replaced(text: &str, found: &[Finding]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for Finding { kind, range } in found {
        out.push_str(&text[from..range.start]);
        out.push_str(kind.placeholder());
        from = range.end;
    }
    out + &text[from..]
}

/// The nearest boundary between characters that is not behind `at`, and within the text.
fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
