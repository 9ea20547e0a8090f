//! Models of the Hugging Face hub, fetched once into the hub's own cache folder.
//!
//! `HF_HOME` or `HF_HUB_CACHE` moves the cache, `HF_ENDPOINT` names another server, `HF_TOKEN` opens gated
//! repositories, and with `HF_HUB_OFFLINE=1` only what the cache holds is used.

use std::fmt;
use std::path::PathBuf;

use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

use super::safetensors;
use so8t_base::{Error, Result, files};

/// One model of the hub at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    name: String,
    revision: String,
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.revision)
    }
}

impl Repository {
    /// From `org/name` or `org/name@revision`; the revision is `main` where none is given.
    pub fn parse(text: &str) -> Result<Self> {
        let (name, revision) = text.split_once('@').unwrap_or((text, "main"));
        let plain = |part: &str, more: &str| {
            let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c) || more.contains(c);
            !part.is_empty() && part.chars().all(good) && part.split('/').all(|p| !p.is_empty() && !p.starts_with('.'))
        };
        match name.split_once('/') {
            Some((organisation, model)) if plain(organisation, "") && plain(model, "") && plain(revision, "/") => {
                Ok(Self { name: name.to_string(), revision: revision.to_string() })
            }
            _ => Err(Error::manifest(format!(
                "expected `hf:organisation/name` or `hf:organisation/name@revision`, found `hf:{text}`"
            ))),
        }
    }

    fn repo(&self) -> Repo {
        Repo::with_revision(self.name.clone(), RepoType::Model, self.revision.clone())
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Brings the repository's files into the cache and returns the folder that holds them.
pub fn fetch(repository: &Repository) -> Result<PathBuf> {
    let cache = match (variable("HF_HUB_CACHE"), variable("HF_HOME")) {
        (Some(folder), _) => Cache::new(folder.into()),
        (None, Some(home)) => Cache::new(PathBuf::from(home).join("hub")),
        (None, None) => Cache::default(),
    };
    let offline =
        variable("HF_HUB_OFFLINE").is_some_and(|v| matches!(v.to_lowercase().as_str(), "1" | "on" | "yes" | "true"));
    let mut builder = ApiBuilder::from_cache(cache.clone()).with_progress(false).with_retries(2);
    let endpoint = variable("HF_ENDPOINT").map(|endpoint| endpoint.trim_end_matches('/').to_string());
    if let Some(endpoint) = endpoint.clone() {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(token) = variable("HF_TOKEN") {
        builder = builder.with_token(Some(token));
    }
    let api = builder.build().map_err(|e| Error::model(format!("cannot reach the Hugging Face hub: {e}")))?;
    let source = Source {
        repository,
        server: endpoint.unwrap_or_else(|| "https://huggingface.co".to_string()),
        cache,
        remote: (!offline).then(|| api.repo(repository.repo())),
    };

    let config = source.required("config.json")?;
    source.required("tokenizer.json")?;
    for name in ["tokenizer_config.json", "special_tokens_map.json", "generation_config.json", "chat_template.jinja"] {
        source.optional(name)?;
    }
    if source.optional("model.safetensors")?.is_none() {
        let index = source.required("model.safetensors.index.json")?;
        let map = safetensors::weight_map(&files::read_text(&index)?)
            .map_err(|e| e.context(format!("`{}`", index.display())))?;
        let shards: std::collections::BTreeSet<&String> = map.values().collect();
        for shard in shards {
            source.required(shard)?;
        }
    }
    match config.parent() {
        Some(folder) => Ok(folder.to_path_buf()),
        None => Err(Error::internal("a file of the hub's cache lies in no folder")),
    }
}

struct Source<'a> {
    repository: &'a Repository,
    server: String,
    cache: Cache,
    /// `None` when offline.
    remote: Option<ApiRepo>,
}

impl Source<'_> {
    fn required(&self, file: &str) -> Result<PathBuf> {
        self.optional(file)?.ok_or_else(|| {
            let repository = self.repository;
            match self.remote {
                Some(_) => Error::model(format!("`hf:{repository}` has no `{file}` on `{}`", self.server))
                    .with_hint("check the repository's name and revision; a gated one needs `HF_TOKEN`"),
                None => Error::model(format!(
                    "`hf:{repository}`: `{file}` is not in the cache, and `HF_HUB_OFFLINE` is set"
                ))
                .with_hint(format!("the cache is `{}`", self.cache.path().display())),
            }
        })
    }

    fn optional(&self, file: &str) -> Result<Option<PathBuf>> {
        let cached = self.cache.repo(self.repository.repo());
        // A revision may be a commit, for which other programs write no reference.
        let of_commit = cached.pointer_path(&self.repository.revision).join(file);
        if let Some(path) = cached.get(file).or_else(|| of_commit.is_file().then_some(of_commit)) {
            return Ok(Some(path));
        }
        let Some(remote) = &self.remote else { return Ok(None) };
        match remote.download(file) {
            Ok(path) => Ok(Some(path)),
            Err(e) if status(&e) == Some(404) => Ok(None),
            Err(e) => {
                let message = format!("cannot fetch `{file}` of `hf:{}` from `{}`: {e}", self.repository, self.server);
                Err(Error::model(message).with_hint(match status(&e) {
                    Some(401 | 403) => "the repository does not exist or is gated: accept its terms and set `HF_TOKEN`",
                    _ => "is there a network? `HF_ENDPOINT` names another server, `HF_HUB_OFFLINE=1` uses the cache alone",
                }))
            }
        }
    }
}

/// The HTTP status of a failed request, if the server answered. hf-hub does not export the type of its client's
/// error, whose text is `http status: 404`.
fn status(error: &ApiError) -> Option<u16> {
    match error {
        ApiError::RequestError(request) => request.to_string().strip_prefix("http status: ")?.parse().ok(),
        ApiError::TooManyRetries(inner) => status(inner),
        _ => None,
    }
}
