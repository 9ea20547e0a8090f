//! `so8t plugin sign FILE --key KEY`.

use std::path::PathBuf;

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

pub(super) fn sign(arguments: &Arguments) -> Result<()> {
    let fault = |e: minisign::PError| {
        Error::manifest(format!("`{}` cannot sign: {e}", arguments.key.display()))
            .with_hint("the password of a key is read from the terminal or `$SO8T_KEY_PASSWORD`")
    };
    let component = files::read(&arguments.file)?;
    let text = files::read_text(&arguments.key)?;
    let boxed = || SecretKeyBox::from_string(&text).map_err(fault);
    // A key without a password says so of itself; the other kind asks for one.
    let key = match boxed()?.into_unencrypted_secret_key() {
        Ok(key) => key,
        Err(_) => boxed()?.into_secret_key(password()).map_err(fault)?,
    };
    let name = arguments.file.file_name().unwrap_or_default().to_string_lossy().replace(char::is_control, "_");
    let trusted = format!("file:{name}\tsha256:{}", files::sha256(&component));
    let comment = Some("signature of a so8t plugin");
    let made = minisign::sign(None, &key, component.as_slice(), Some(&trusted), comment).map_err(fault)?.into_string();
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
