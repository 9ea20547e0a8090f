//! `so8t plugin sign FILE --key KEY`.

use std::path::{Path, PathBuf};

use clap::Args;
use minisign::SecretKeyBox;
use serde_json::json;

use super::super::{print, print_json};
use super::password;
use crate::plugin::signature;
use crate::{Error, Result, files};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The component
    file: PathBuf,
    /// The secret key, as `so8t plugin keygen` or `minisign -G` writes it
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A secret key that is open.
pub(crate) struct Secret {
    key: minisign::SecretKey,
    path: PathBuf,
}

/// Opens a secret key; its password comes from the environment or the terminal.
pub(crate) fn secret_key(path: &Path) -> Result<Secret> {
    let text = files::read_text(path)?;
    let boxed = || SecretKeyBox::from_string(&text).map_err(|e| fault(path, &e));
    // A key without a password says so of itself; the other kind asks for one.
    let key = match boxed()?.into_unencrypted_secret_key() {
        Ok(key) => key,
        Err(_) => boxed()?.into_secret_key(password()).map_err(|e| fault(path, &e))?,
    };
    Ok(Secret { key, path: path.to_owned() })
}

impl Secret {
    /// The text of a signature file of some bytes; `name` is what they are called in it.
    pub(crate) fn sign(&self, bytes: &[u8], name: &str, comment: &str) -> Result<String> {
        let trusted = format!("file:{name}\tsha256:{}", files::sha256(bytes));
        let made = minisign::sign(None, &self.key, bytes, Some(&trusted), Some(comment));
        made.map(minisign::SignatureBox::into_string).map_err(|e| fault(&self.path, &e))
    }
}

fn fault(key: &Path, error: &minisign::PError) -> Error {
    Error::manifest(format!("`{}` cannot sign: {error}", key.display()))
        .with_hint("the password of a key is read from the terminal or `$SO8T_KEY_PASSWORD`")
}

pub(super) fn sign(arguments: &Arguments) -> Result<()> {
    let component = files::read(&arguments.file)?;
    let key = secret_key(&arguments.key)?;
    let name = arguments.file.file_name().unwrap_or_default().to_string_lossy().replace(char::is_control, "_");
    let made = key.sign(&component, &name, "signature of a so8t plugin")?;
    let path = signature::beside(&arguments.file);
    files::write(&path, made.as_bytes())?;
    let id = made.lines().nth(1).and_then(signature::key_id);
    let id = id.ok_or_else(|| Error::internal("a signature that was made has no key id"))?;
    if arguments.json {
        return print_json(&json!({
            "schema": "so8t.signature/1", "key": id, "signature_file": path, "sha256": files::sha256(&component),
        }));
    }
    print(&format!("signed by key {id}: `{}`\n", path.display()))
}
