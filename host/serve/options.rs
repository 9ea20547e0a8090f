//! How a server behaves.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::About;
use so8t_base::{Error, Result};

/// How a server behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a request may take.
    pub deadline: Duration,
    /// The label that stands for a decision that takes longer; without one, such a request is an error.
    pub on_timeout: Option<String>,
    /// How many texts may wait or be decided at once; more are refused with 429.
    pub queue: usize,
    /// The most texts of a request.
    pub max_texts: usize,
    /// The most bytes of a request's body.
    pub max_body: usize,
    /// How many connections may be open.
    pub max_connections: usize,
    /// How long a client may take to send its headers, and then its body.
    pub read_timeout: Duration,
    /// How long what was begun may take after SIGTERM.
    pub drain: Duration,
    /// OpenAI's categories of moderation, each with the labels that mean it.
    pub categories: BTreeMap<String, Vec<String>>,
    /// Whether the texts of requests that name a subject are kept, sealed under the subject's key.
    pub seal: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(10),
            on_timeout: None,
            queue: 256,
            max_texts: 64,
            max_body: 1 << 20,
            max_connections: 1024,
            read_timeout: Duration::from_secs(10),
            drain: Duration::from_secs(30),
            categories: BTreeMap::new(),
            seal: false,
        }
    }
}

impl Options {
    /// Holds the options against the labels.
    ///
    /// # Errors
    /// `on_timeout` or a category that names no label, or the label that lets requests pass.
    pub fn check(&self, about: &About) -> Result<()> {
        let id = |key: &str, name: &String| {
            about.labels.iter().position(|label| label == name).map(|id| id as u8).ok_or_else(|| {
                Error::manifest(format!("{key}: expected one of `{}`, found `{name}`", about.labels.join("`, `")))
            })
        };
        if let Some(name) = &self.on_timeout
            && about.allows(id("`on_timeout`", name)?)
        {
            return Err(Error::manifest(format!(
                "`on_timeout`: expected a label that holds a request up, found `{name}`, which lets it pass"
            ))
            .with_hint("a request that nobody judged is not safe"));
        }
        for (category, labels) in &self.categories {
            for name in labels {
                if about.allows(id(&format!("`categories.{category}`"), name)?) {
                    return Err(Error::manifest(format!(
                        "`categories.{category}`: expected labels that hold a request up, found `{name}`"
                    )));
                }
            }
        }
        let counts = [("queue", self.queue), ("max_texts", self.max_texts), ("max_body", self.max_body)];
        match counts.iter().find(|(_, count)| *count == 0) {
            Some((name, _)) => Err(Error::manifest(format!("`{name}`: expected at least 1, found `0`"))),
            None if self.max_texts > self.queue => Err(Error::manifest(format!(
                "`max_texts`: expected at most `queue`, which is {}, found `{}`",
                self.queue, self.max_texts
            ))),
            None => Ok(()),
        }
    }
}
