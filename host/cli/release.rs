//! `so8t release`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use so8t_track::FinishedRun;
use so8t_track::release::{self, PrivateKey, PublicKey};

use super::export::Described;
use super::{print, print_json};
use crate::{Error, Result, files};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The folder of a run that meets its rules
    #[arg(required = true)]
    run: Option<PathBuf>,
    /// A private key on P-256
    #[arg(long, required = true, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The new folder of the release
    #[arg(long, required = true, value_name = "DIR")]
    out: Option<PathBuf>,
    /// A file to sign with the others, such as a GGUF; may be given several times
    #[arg(long, value_name = "FILE")]
    with: Vec<PathBuf>,
    #[command(flatten)]
    about: Described,
    /// Print the result as JSON on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Make a pair of keys: FILE, and FILE.pub
    Keygen {
        /// The new private key
        file: PathBuf,
    },
    /// Check the signature of a release, and every file of it
    Verify {
        /// The release's folder
        release: PathBuf,
        /// The public key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Print the result as JSON on standard output
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn release(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        Some(Command::Keygen { file }) => keygen(file),
        Some(Command::Verify { release, key, json }) => verify(release, key, *json),
        None => make(arguments),
    }
}

fn keygen(file: &Path) -> Result<()> {
    let mut public = file.as_os_str().to_owned();
    public.push(".pub");
    let public = PathBuf::from(public);
    let (key, text) = PrivateKey::new()?;
    // A key that is there is never replaced, and nobody else may read a new one.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    if public.exists() {
        return Err(Error::manifest(format!("`{}` is there already: expected a new name", public.display())));
    }
    let mut opened = options.open(file).map_err(|e| Error::io("create", file, &e))?;
    opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all()).map_err(|e| Error::io("write", file, &e))?;
    files::write(&public, key.public().pem().as_bytes())?;
    print(&format!("{}\n{}\n", file.display(), public.display()))
}

fn make(arguments: &Arguments) -> Result<()> {
    let (Some(run), Some(key), Some(out)) = (&arguments.run, &arguments.key, &arguments.out) else {
        return Err(Error::internal("arguments that are required lack"));
    };
    let key = PrivateKey::read(key)?;
    let run = FinishedRun::read(run)?;
    let mut extra = Vec::new();
    for path in &arguments.with {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(|| Error::manifest(format!("`{}` has no file name", path.display())))?;
        extra.push((name.to_owned(), path.clone()));
    }
    let names = release::make(&run, &extra, &arguments.about.about(), &key, out)?;
    if arguments.json {
        return print_json(
            &json!({ "schema": "so8t.release/1", "folder": out, "files": names, "key": key.public().hint() }),
        );
    }
    names.iter().try_for_each(|name| print(&format!("{}\n", out.join(name).display())))
}

fn verify(folder: &Path, key: &Path, json: bool) -> Result<()> {
    let found = release::verify(folder, &PublicKey::read(key)?)?;
    match json {
        true => print_json(&json!({ "schema": "so8t.release-verified/1", "name": found.name, "files": found.files })),
        false => print(&format!("ok     release `{}`: {} files are as they were signed\n", found.name, found.files)),
    }
}
