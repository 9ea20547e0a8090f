//! How a component lies in a registry: the CNCF's layout of Wasm artefacts, which `wkg` reads and writes too.
//!
//! An OCI image manifest with a config of type `application/vnd.wasm.config.v0+json` and one layer of type `application/wasm`, the
//! component. A signature travels in an annotation, which other programs pass over.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::signature::MAX_SIGNATURE_BYTES;
use so8t_base::files;

/// The type of the manifest.
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The type of the config.
pub const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
/// The type of the component.
pub const LAYER_TYPE: &str = "application/wasm";
/// The annotation that holds the text of a minisign file.
pub const SIGNATURE: &str = "so8t.plugin.signature.minisign";
/// The most bytes that a manifest may have.
pub const MAX_MANIFEST_BYTES: usize = 256 << 10;

/// The manifest of an artefact, as far as it is read.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    schema_version: u32,
    #[serde(default)]
    media_type: Option<String>,
    config: Descriptor,
    layers: Vec<Descriptor>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// A blob: its type, digest and size in bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The media type.
    pub media_type: String,
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// In bytes.
    pub size: u64,
}

/// What is pushed: two blobs, and the manifest that names them.
pub struct Artefact {
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// The config's bytes.
    pub config: Vec<u8>,
    /// The digest of the config.
    pub config_digest: String,
    /// The digest of the component.
    pub layer_digest: String,
}

impl Manifest {
    /// Reads a manifest, and checks that it is one of a component.
    ///
    /// # Errors
    ///
    /// What it is instead, as the end of a sentence that names the artefact.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(format!("has a manifest of {} bytes: expected at most {MAX_MANIFEST_BYTES}", bytes.len()));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(|e| format!("has no image manifest: {e}"))?;
        let kind = manifest.media_type.as_deref().unwrap_or(MANIFEST_TYPE);
        if manifest.schema_version != 2 || kind != MANIFEST_TYPE {
            return Err(format!("has a manifest of type `{kind}`: expected `{MANIFEST_TYPE}`"));
        }
        if manifest.config.media_type != CONFIG_TYPE {
            let found = &manifest.config.media_type;
            return Err(format!(
                "is no WebAssembly component: its config is of type `{found}`, expected `{CONFIG_TYPE}`"
            ));
        }
        match manifest.layers.as_slice() {
            [layer] if layer.media_type == LAYER_TYPE => Ok(manifest),
            [layer] => Err(format!("has a layer of type `{}`: expected `{LAYER_TYPE}`", layer.media_type)),
            layers => Err(format!("has {} layers: expected one, the component", layers.len())),
        }
    }

    /// The component.
    pub fn layer(&self) -> &Descriptor {
        &self.layers[0]
    }

    /// The text of the signature, where the artefact carries one.
    pub fn signature(&self) -> Option<&str> {
        self.annotations.get(SIGNATURE).map(String::as_str)
    }
}

/// The artefact of a component. The same component, names, annotations and signature give the same bytes: `created` is 1970-01-01.
///
/// # Errors
///
/// A signature that is too long.
pub fn artefact(
    component: &[u8],
    imports: &[String],
    exports: &[String],
    mut annotations: BTreeMap<String, String>,
    signature: Option<&str>,
) -> Result<Artefact, String> {
    let layer_digest = digest(component);
    let config = json!({
        "created": "1970-01-01T00:00:00Z",
        "author": null,
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [layer_digest],
        "component": { "exports": exports, "imports": imports, "target": null },
    });
    let config = config.to_string().into_bytes();
    let config_digest = digest(&config);
    if let Some(signature) = signature {
        if signature.len() > MAX_SIGNATURE_BYTES {
            return Err(format!(
                "has a signature of {} bytes: expected at most {MAX_SIGNATURE_BYTES}",
                signature.len()
            ));
        }
        annotations.insert(SIGNATURE.to_owned(), signature.to_owned());
    }
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": { "mediaType": CONFIG_TYPE, "digest": config_digest, "size": config.len() },
        "layers": [{ "mediaType": LAYER_TYPE, "digest": layer_digest, "size": component.len() }],
        "annotations": annotations,
    });
    Ok(Artefact { manifest: manifest.to_string().into_bytes(), config, config_digest, layer_digest })
}

/// `sha256:` and the digest.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", files::sha256(bytes))
}
