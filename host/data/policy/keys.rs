//! Keys and tokens, by the prefixes that their issuers publish.
//!
//! A key is a prefix at the start of a word and a run of characters of its alphabet. The runs of two prefixes never lie in the same text,
//! but where they are bounded, so that time is linear.

use regex::Regex;

use so8t_base::{Error, Result};

/// The characters that the rest of a key is made of.
#[derive(Clone, Copy)]
enum Set {
    /// RFC 4648's base32.
    Base32,
    Hex,
    Letters,
    /// Letters, digits, `_`.
    Word,
    /// Letters, digits, `_`, `-`.
    Token,
    /// Letters, digits, `/`, `+`, `=`.
    Base64,
}

impl Set {
    fn has(self, byte: u8) -> bool {
        match self {
            Self::Base32 => matches!(byte, b'A'..=b'Z' | b'2'..=b'7'),
            Self::Hex => byte.is_ascii_hexdigit(),
            Self::Letters => byte.is_ascii_alphanumeric(),
            Self::Word => byte.is_ascii_alphanumeric() || byte == b'_',
            Self::Token => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Self::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+' | b'='),
        }
    }

    /// How many characters of the set `bytes` begins with.
    fn run(self, bytes: &[u8]) -> usize {
        let most = if matches!(self, Self::Base64) { 512 } else { bytes.len() };
        bytes.iter().take(most).take_while(|byte| self.has(**byte)).count()
    }
}

/// The rest of a key.
#[derive(Clone, Copy)]
enum Rest {
    Exactly(usize, Set),
    AtLeast(usize, Set),
    /// At least 20 characters of [`Set::Token`], with digits, capitals and small letters among them.
    Mixed,
    /// Two runs, joined by a dot.
    Two(usize, usize),
    /// RFC 7519: two JSON objects in base64url, each of which begins with `{"`, and a signature.
    Jwt,
    /// A password in an address: `scheme://user:password@host`.
    Password,
    /// A private key (RFC 7468).
    Block,
}

/// How a kind of key begins, and what follows.
const SHAPES: &[(&str, Rest)] = &[
    // Amazon: access key ids, long-lived and temporary.
    ("AKIA", Rest::Exactly(16, Set::Base32)),
    ("ASIA", Rest::Exactly(16, Set::Base32)),
    // GitHub and GitLab.
    ("ghp_", Rest::AtLeast(36, Set::Letters)),
    ("gho_", Rest::AtLeast(36, Set::Letters)),
    ("ghu_", Rest::AtLeast(36, Set::Letters)),
    ("ghs_", Rest::AtLeast(36, Set::Letters)),
    ("ghr_", Rest::AtLeast(36, Set::Letters)),
    ("github_pat_", Rest::AtLeast(36, Set::Word)),
    ("glpat-", Rest::AtLeast(20, Set::Token)),
    // Slack.
    ("xoxa-", Rest::AtLeast(20, Set::Token)),
    ("xoxb-", Rest::AtLeast(20, Set::Token)),
    ("xoxe-", Rest::AtLeast(20, Set::Token)),
    ("xoxp-", Rest::AtLeast(20, Set::Token)),
    ("xoxr-", Rest::AtLeast(20, Set::Token)),
    ("xoxs-", Rest::AtLeast(20, Set::Token)),
    ("xapp-", Rest::AtLeast(20, Set::Token)),
    ("hooks.slack.com/services/", Rest::AtLeast(20, Set::Base64)),
    // OpenAI, Anthropic.
    ("sk-", Rest::Mixed),
    // Stripe.
    ("sk_live_", Rest::AtLeast(16, Set::Letters)),
    ("sk_test_", Rest::AtLeast(16, Set::Letters)),
    ("rk_live_", Rest::AtLeast(16, Set::Letters)),
    ("rk_test_", Rest::AtLeast(16, Set::Letters)),
    ("whsec_", Rest::AtLeast(24, Set::Base64)),
    // Google.
    ("AIza", Rest::Exactly(35, Set::Token)),
    ("GOCSPX-", Rest::Exactly(28, Set::Token)),
    ("ya29.", Rest::AtLeast(30, Set::Token)),
    // Hugging Face, npm, PyPI, SendGrid, DigitalOcean, Shopify, Databricks.
    ("hf_", Rest::AtLeast(34, Set::Letters)),
    ("npm_", Rest::Exactly(36, Set::Letters)),
    ("pypi-AgE", Rest::AtLeast(50, Set::Token)),
    ("SG.", Rest::Two(22, 43)),
    ("dop_v1_", Rest::Exactly(64, Set::Hex)),
    ("shpat_", Rest::Exactly(32, Set::Hex)),
    ("dapi", Rest::Exactly(32, Set::Hex)),
    ("eyJ", Rest::Jwt),
    ("://", Rest::Password),
    ("-----BEGIN ", Rest::Block),
];

/// The patterns of what is no single run.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    password: Regex,
    head: Regex,
    lines: Regex,
}

impl Keys {
    pub(super) fn new() -> Result<Self> {
        let compile = |pattern: &str| {
            Regex::new(&format!(r"\A(?:{pattern})")).map_err(|e| Error::internal(format!("a key's pattern: {e}")))
        };
        Ok(Self {
            password: compile(r#"://[^\s/:@"'<>]{1,64}:[^\s/@"'<>]{1,128}@"#)?,
            head: compile(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")?,
            // The lines of a block that has lost its end, also where line breaks are written `\n`.
            lines: compile(r"(?:(?:\s|\\[nr])*[A-Za-z0-9+/=]{16,})+")?,
        })
    }

    /// What keys begin with.
    pub(super) fn prefixes() -> impl Iterator<Item = &'static str> {
        SHAPES.iter().map(|(prefix, _)| *prefix)
    }

    /// Where the key that begins at `start` with prefix number `prefix` ends; `None` where it is none.
    pub(super) fn end(&self, text: &str, start: usize, prefix: usize) -> Option<usize> {
        let (name, rest) = SHAPES[prefix];
        let bytes = text.as_bytes();
        let body = &bytes[start + name.len()..];
        let length = match rest {
            // Both look at a bounded text.
            Rest::Password => {
                // The host is none of its secrets.
                let end = super::boundary(text, start + 1024);
                return self.password.find(&text[start..end]).map(|found| start + found.end() - 1);
            }
            Rest::Block => return self.block(&text[start..]).map(|length| start + length),
            // A key does not begin within a word: `task-…`, `eyJ` in the middle of base64.
            _ if bytes[..start].last().is_some_and(|&byte| Set::Token.has(byte) || byte == b'.') => return None,
            Rest::Exactly(length, set) => Some(set.run(body)).filter(|run| *run == length),
            Rest::AtLeast(length, set) => Some(set.run(body)).filter(|run| *run >= length),
            Rest::Mixed => {
                let run = Set::Token.run(body);
                let has = |test: fn(&u8) -> bool| body[..run].iter().any(test);
                let is_mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
                Some(run).filter(|run| *run >= 20 && is_mixed)
            }
            Rest::Two(first, second) => {
                let run = Set::Token.run(body);
                let tail = body.get(run + 1..).filter(|_| run == first && body[run] == b'.')?;
                (Set::Token.run(tail) == second).then_some(first + 1 + second)
            }
            Rest::Jwt => jwt(body),
        }?;
        let next = body.get(length).copied().unwrap_or(b' ');
        (!Set::Word.has(next)).then_some(start + name.len() + length)
    }

    /// The length of the private key's block that `text` begins with. It looks no further than the next five dashes, so that many
    /// beginnings cost no more than one.
    fn block(&self, text: &str) -> Option<usize> {
        let head = self.head.find(&text[..super::boundary(text, 96)])?.end();
        let body = text[head..].find("-----").map_or(text.len(), |at| head + at);
        if text[body..].starts_with("-----END ") {
            let tail = &text.as_bytes()[body + 9..];
            let name = tail.iter().take(64).take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b' ').count();
            return Some(body + 9 + name + tail[name..].iter().take(5).take_while(|byte| **byte == b'-').count());
        }
        self.lines.find(&text[head..body]).map(|found| head + found.end())
    }
}

/// The length of what follows the first `eyJ` of a token.
fn jwt(body: &[u8]) -> Option<usize> {
    let header = Set::Token.run(body);
    let tail = body[header..].strip_prefix(b".eyJ").filter(|_| header >= 8)?;
    let claims = Set::Token.run(tail);
    let signature = tail[claims..].strip_prefix(b".").filter(|_| claims >= 8).map(|tail| Set::Token.run(tail))?;
    (signature >= 16).then_some(header + 4 + claims + 1 + signature)
}
