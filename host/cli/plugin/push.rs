//! `so8t plugin push FILE oci://REGISTRY/NAME:TAG`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::super::{print, print_json};
use crate::plugin::registry::{self, layout};
use crate::plugin::signature::{self, Verdict};
use crate::plugin::{ComponentSource, Host, PluginSpec, Policy, Reference, component_names, default_cache_folder};
use crate::{Error, Result, files};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The component; FILE.minisig beside it, where there is one, goes with it
    file: PathBuf,
    /// Where to: `oci://REGISTRY/NAME:TAG`
    reference: Reference,
    /// Speak to the registry without encryption; one on this machine always is
    #[arg(long)]
    plain_http: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn push(arguments: &Arguments, policy: Policy) -> Result<()> {
    let Arguments { file, reference, .. } = arguments;
    if reference.digest.is_some() {
        return Err(Error::manifest(format!("`{reference}` has a digest: expected a tag, which the push sets")));
    }
    // What is shared is a plugin that loads: its own name, version and licence go along.
    let host = Host::new(default_cache_folder().as_deref())?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let plugin = host.load(&PluginSpec::new(name, ComponentSource::Path(file.clone())))?;
    let component = files::read(file)?;
    if files::sha256(&component) != plugin.digest() {
        return Err(Error::manifest(format!("`{}` changed while it was read", file.display())));
    }
    let fault = |text: String| Error::plugin(format!("`{}` {text}", file.display()));
    let beside = signature::beside(file);
    let signature = beside.is_file().then(|| files::read_text(&beside)).transpose()?;
    let signer = match &signature {
        Some(text) => Some(match signature::verify(&component, text, &policy.trusted_keys).map_err(fault)? {
            Verdict::Signed(id) | Verdict::Unknown(id) => id,
        }),
        None => None,
    };
    let metadata = plugin.metadata();
    let annotations = BTreeMap::from(
        [
            ("org.opencontainers.image.title", &metadata.name),
            ("org.opencontainers.image.version", &metadata.version),
            ("org.opencontainers.image.licenses", &metadata.licence),
        ]
        .map(|(key, value)| (key.to_owned(), value.clone())),
    );
    let (imports, exports) = component_names(&component).map_err(fault)?;
    let artefact =
        layout::artefact(&component, &imports, &exports, annotations, signature.as_deref()).map_err(fault)?;
    let own = policy.manner(reference);
    let manner = registry::Manner { plain: arguments.plain_http || own.plain, ..own };
    let digest = registry::push(reference, manner, &artefact, component)?;
    if arguments.json {
        return print_json(&json!({
            "schema": "so8t.push/1", "reference": reference.to_string(), "digest": digest,
            "pinned": reference.pinned(&digest).to_string(), "sha256": plugin.digest(), "signer": signer,
        }));
    }
    let signed = signer.map_or_else(|| "not signed".to_owned(), |id| format!("signed by key {id}"));
    print(&format!("{}\nsha256 {}, {signed}\n", reference.pinned(&digest), plugin.digest()))
}
