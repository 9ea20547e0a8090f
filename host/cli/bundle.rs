//! `so8t bundle`, and how the commands that take a run take a bundle.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::plugin::secret_key;
use super::{print, print_json, tell};
use crate::pipeline::bundle::{self, Sign, Trust};
use crate::pipeline::{Narrator, Place};
use crate::plugin::signature::TrustedKey;
use crate::plugin::{Policy, default_cache_folder};
use crate::{Error, Result, files};

#[derive(Args)]
pub(super) struct Arguments {
    /// The folder of a finished run
    run: PathBuf,
    /// The bundle to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Sign it with this secret key, as `so8t plugin keygen` or `minisign -G` writes it
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Where the run's manifest lies, if it is no longer where it was
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Where the run's model lies, if it is no longer where the manifest says
    #[arg(long, value_name = "PATH")]
    model: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Say nothing but warnings and errors
    #[arg(short, long)]
    quiet: bool,
}

/// How a bundle in the place of a run's folder is opened.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Opening {
    /// A minisign public key: a bundle must be signed by it, or by another that is given; several may be
    #[arg(long = "trust", value_name = "FILE")]
    trust: Vec<PathBuf>,
    /// Where a bundle is unpacked, and stays for the next time, instead of the user's cache
    #[arg(long, value_name = "DIR")]
    unpack: Option<PathBuf>,
    /// Where the run's model lies, if it is no longer where the manifest says
    #[arg(long, value_name = "PATH")]
    model: Option<PathBuf>,
}

pub(super) fn bundle(arguments: &Arguments, policy: &Policy) -> Result<()> {
    if arguments.out.exists() && !bundle::is_bundle(&arguments.out) {
        return Err(Error::manifest(format!("`{}` is there and is no bundle", arguments.out.display()))
            .with_hint("name another file with `--out`"));
    }
    let place = Place {
        run: arguments.run.clone(),
        manifest: arguments.manifest.clone(),
        model: arguments.model.clone(),
        ..Place::default()
    };
    let key = arguments.key.as_deref().map(secret_key).transpose()?;
    let sign = key.map(|key| move |index: &[u8]| key.sign(index, "bundle.json", "signature of a so8t bundle"));
    let sign = sign.as_ref().map(|sign| sign as &Sign<'_>);
    let made = bundle::write(&place, &arguments.out, policy, sign, Narrator::new(arguments.quiet))?;
    if arguments.json {
        return print_json(&json!({
            "schema": "so8t.bundled/1", "file": arguments.out, "bytes": made.bytes, "signed": sign.is_some(), "index": made.index,
        }));
    }
    if arguments.quiet {
        return Ok(());
    }
    print(&format!(
        "`{}`: {} files, {:.1} MB{}\nit holds the {} held-out requests of the run, which a server checks itself against\n",
        arguments.out.display(),
        made.index.files.len(),
        made.bytes as f64 / 1e6,
        if sign.is_some() { ", signed" } else { ", not signed (`--key FILE` signs it)" },
        made.requests,
    ))
}

impl Opening {
    /// The run in a folder, or in a bundle that is unpacked now.
    pub(super) fn place(
        &self,
        run: &Path,
        manifest: Option<&Path>,
        adapter: Option<&Path>,
        policy: &Policy,
    ) -> Result<Place> {
        if !bundle::is_bundle(run) {
            if !self.trust.is_empty() {
                return Err(Error::manifest(format!(
                    "`--trust` is for bundles, and `{}` is none: a run's folder is not signed",
                    run.display()
                )));
            }
            return Ok(Place {
                run: run.to_owned(),
                manifest: manifest.map(Path::to_owned),
                adapter: adapter.map(Path::to_owned),
                model: self.model.clone(),
                is_bundle: false,
            });
        }
        if let Some(own) = [(manifest, "--manifest"), (adapter, "--adapter"), (self.model.as_deref(), "--model")]
            .into_iter()
            .find_map(|(given, name)| given.map(|_| name))
        {
            return Err(Error::manifest(format!(
                "`{own}` is for a run's folder: the bundle `{}` holds all that it needs",
                run.display()
            )));
        }
        let mut keys = self.trust.iter().map(|path| public_key(path)).collect::<Result<Vec<_>>>()?;
        if keys.is_empty() && policy.require_signature {
            keys.clone_from(&policy.trusted_keys);
        }
        let trust = match keys.is_empty() && !policy.require_signature {
            true => Trust::Anybody,
            false => Trust::Keys(keys),
        };
        let cache = self.unpack.clone().or_else(default_cache_folder).ok_or_else(|| {
            Error::manifest("there is no cache folder to unpack to").with_hint("name one with `--unpack DIR`")
        })?;
        let unpacked = bundle::open(run, &cache, &trust)?;
        match &unpacked.signed_by {
            Some(id) => tell(format!("bundle   signed by key {id}")),
            None => tell("warning: whose bundle this is was not asked: `--trust KEY.pub` asks for a signature"),
        }
        Ok(Place { run: unpacked.run, model: Some(unpacked.model), is_bundle: true, ..Place::default() })
    }
}

/// The key in a public key's file: its last line.
fn public_key(path: &Path) -> Result<TrustedKey> {
    let text = files::read_text_at_most(path, 4096)?;
    let line = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    TrustedKey::parse(line.trim()).map_err(|what| Error::manifest(format!("`{}`: {what}", path.display())))
}
