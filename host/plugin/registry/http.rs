//! Questions to a registry, and its answers: no more of an answer is read than it may have, whatever its status and whatever it says of itself.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Url};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a registry may say nothing.
const SILENCE: Duration = Duration::from_secs(30);
/// The most bytes of an answer that is no component: a manifest, a token, a list.
pub(super) const MOST_ANSWER: u64 = 256 << 10;
/// The most bytes of an answer that refuses; what comes after them is not read.
const MOST_REFUSAL: u64 = 16 << 10;
/// The most redirections that one question follows.
const MOST_REDIRECTIONS: usize = 10;

/// Why a question has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The registry refuses: the status, and the first bytes of what it says.
    Status(u16, Vec<u8>),
    /// More bytes than the answer may have.
    Long(u64),
    /// The registry cannot be reached, or breaks off.
    Transport(reqwest::Error),
    /// It answers something that cannot be used.
    Broken(String),
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        Self::Transport(error)
    }
}

/// An answer that grants what was asked for.
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Where it came from, after redirections.
    pub(super) url: Url,
}

/// A client that follows no redirection out of encryption.
pub(super) fn client() -> Result<Client, reqwest::Error> {
    let redirections = Policy::custom(|attempt| {
        let leaves = attempt.previous().iter().any(|url| url.scheme() == "https") && attempt.url().scheme() != "https";
        match attempt.previous().len() > MOST_REDIRECTIONS || leaves {
            true => attempt.error("redirections that lead out of encryption, or never end"),
            false => attempt.follow(),
        }
    });
    Client::builder()
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .redirect(redirections)
        .user_agent(concat!("so8t/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Asks, and reads an answer of at most `most` bytes.
///
/// # Errors
/// A refusal, with its first bytes; a longer answer, of which no more is read.
pub(super) async fn ask(request: RequestBuilder, most: u64) -> Result<Answer, Failure> {
    let mut response = request.send().await?;
    let (status, url) = (response.status(), response.url().clone());
    let headers = response.headers().clone();
    let bound = if status.is_success() { most } else { MOST_REFUSAL };
    if status.is_success() && response.content_length().is_some_and(|length| length > most) {
        return Err(Failure::Long(most));
    }
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        let room = usize::try_from(bound).unwrap_or(usize::MAX) - body.len();
        if piece.len() > room {
            if status.is_success() {
                return Err(Failure::Long(most));
            }
            body.extend_from_slice(&piece[..room]);
            break;
        }
        body.extend_from_slice(&piece);
    }
    match status.is_success() {
        true => Ok(Answer { headers, body, url }),
        false => Err(Failure::Status(status.as_u16(), body)),
    }
}

/// The status and the headers of an answer, whatever the status; its body is not read.
pub(super) async fn heads(request: RequestBuilder) -> Result<(u16, HeaderMap), Failure> {
    let response = request.send().await?;
    Ok((response.status().as_u16(), response.headers().clone()))
}
