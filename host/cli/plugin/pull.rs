//! `so8t plugin pull oci://REGISTRY/NAME:TAG`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::super::{print, print_json};
use crate::plugin::{Admission, ComponentSource, PluginSpec, Policy, Reference, signature};
use crate::{Result, files};

#[derive(Args)]
pub(crate) struct Arguments {
    /// `oci://REGISTRY/NAME:TAG`, or with `@sha256:…`
    reference: Reference,
    /// Write the component to this file, and its signature beside it; else it is checked and not kept
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Speak to the registry without encryption; one on this machine always is
    #[arg(long)]
    plain_http: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn pull(arguments: &Arguments, mut policy: Policy) -> Result<()> {
    let reference = &arguments.reference;
    if arguments.plain_http {
        policy.plain_http.push(reference.registry.clone());
    }
    // The same checks as before a run: what the policy refuses is not fetched either.
    let spec = PluginSpec::new(&reference.repository, ComponentSource::Oci(reference.clone()));
    let fetched = Admission::new(policy).fetch(&spec)?;
    if let Some(path) = &arguments.out {
        files::write(path, &fetched.bytes)?;
        if let Some(text) = &fetched.signature {
            files::write(&signature::beside(path), text.as_bytes())?;
        }
    }
    let resolved = fetched.provenance.resolved.unwrap_or_default();
    let pinned = reference.pinned(&resolved);
    if arguments.json {
        return print_json(&json!({
            "schema": "so8t.pull/1", "reference": reference.to_string(), "digest": resolved,
            "pinned": pinned.to_string(), "sha256": fetched.digest, "bytes": fetched.bytes.len(),
            "signed": fetched.signature.is_some(), "signer": fetched.provenance.signer, "file": arguments.out,
        }));
    }
    let signed = match (&fetched.provenance.signer, &fetched.signature) {
        (Some(id), _) => format!("signed by the trusted key {id}"),
        (None, Some(_)) => "signed by a key that the policy does not trust".to_owned(),
        (None, None) => "not signed".to_owned(),
    };
    let kept = match &arguments.out {
        Some(path) if fetched.signature.is_some() => {
            format!("written to `{}`, and its signature beside it", path.display())
        }
        Some(path) => format!("written to `{}`", path.display()),
        None => "not kept: `--out FILE` writes it".to_owned(),
    };
    print(&format!("{pinned}\nsha256 {}, {} bytes, {signed}\n{kept}\n", fetched.digest, fetched.bytes.len()))
}
