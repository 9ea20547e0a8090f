//! `so8t plugin keygen NAME`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use minisign::KeyPair;
use serde_json::json;

use super::super::{print, print_json};
use super::password;
use crate::plugin::signature;
use crate::{Error, Result, files};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Where to: the secret key becomes NAME.key, the public one NAME.pub
    name: PathBuf,
    /// Write the secret key without a password, for machines; else the terminal or `$SO8T_KEY_PASSWORD` is asked for one
    #[arg(long)]
    no_password: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn keygen(arguments: &Arguments) -> Result<()> {
    let with = |extension: &str| {
        let mut name = arguments.name.as_os_str().to_owned();
        name.push(extension);
        PathBuf::from(name)
    };
    let (secret, public) = (with(".key"), with(".pub"));
    if let Some(there) = [&secret, &public].into_iter().find(|path| path.exists()) {
        return Err(Error::manifest(format!("`{}` is there already: a key is never overwritten", there.display())));
    }
    let fault = |e: minisign::PError| Error::manifest(format!("no key was made: {e}"));
    let KeyPair { pk, sk } = match arguments.no_password {
        true => KeyPair::generate_unencrypted_keypair().map_err(fault)?,
        false => KeyPair::generate_encrypted_keypair(password()).map_err(|e| {
            fault(e).with_hint(
                "its password is read from the terminal or `$SO8T_KEY_PASSWORD`; `--no-password` leaves it out",
            )
        })?,
    };
    let text = pk.to_base64();
    let id = signature::key_id(&text).ok_or_else(|| Error::internal("a key that was made has no id"))?;
    let secret_text = sk.to_box(Some("so8t plugin secret key")).map_err(fault)?.into_string();
    write_secret(&secret, secret_text.as_bytes())?;
    files::write(&public, format!("untrusted comment: minisign public key {id}\n{text}\n").as_bytes())?;
    if arguments.json {
        return print_json(&json!({
            "schema": "so8t.key/1", "id": id, "public_key": text, "secret_file": secret, "public_file": public,
        }));
    }
    print(&format!(
        "key {id}: `{}` is secret, `{}` is not\nwhoever trusts it adds it under [plugins] in their \
         policy:\n  trusted_keys = [\"{text}\"]\n",
        secret.display(),
        public.display()
    ))
}

/// A new file that this user alone can read.
fn write_secret(path: &Path, bytes: &[u8]) -> Result<()> {
    let fault = |e| Error::io("write", path, &e);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(fault)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(fault)
}
