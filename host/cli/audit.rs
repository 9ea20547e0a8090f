//! `so8t audit …`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::serve::keys_folder;
use super::{print, print_json, print_raw};
use crate::audit::{self, Keys, Verifier};
use crate::{Error, Result, files, plain};

/// The most bytes of a checkpoint or a verifier.
const MOST: u64 = 1 << 16;

#[derive(Args)]
pub(super) struct Place {
    /// The folder of an audit log
    log: PathBuf,
    /// What checks its signatures, or a file with it, instead of the log's own `verifier`
    #[arg(long, value_name = "KEY")]
    verifier: Option<String>,
}

impl Place {
    fn verifier(&self) -> Result<Option<Verifier>> {
        let Some(text) = &self.verifier else { return Ok(None) };
        let path = Path::new(text);
        match path.is_file() {
            true => Verifier::parse(&files::read_text_at_most(path, MOST)?).map(Some),
            false => Verifier::parse(text).map(Some),
        }
    }
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Compute every hash again, and hold it against the signatures
    Verify {
        #[command(flatten)]
        place: Place,
        /// An older checkpoint, kept elsewhere: the log of that time must be the beginning of this one
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
        /// Print what was found as JSON
        #[arg(long)]
        json: bool,
    },
    /// Prove that an entry is in the log, to whoever has its verifier
    Prove {
        #[command(flatten)]
        place: Place,
        /// The audit id
        id: String,
    },
    /// Check a proof that `prove` printed, without the log
    Check {
        /// The proof
        proof: PathBuf,
        /// What checks the signature, or a file with it
        #[arg(long, value_name = "KEY")]
        verifier: String,
    },
    /// Show an entry, and its sealed content where the key is there
    Show {
        #[command(flatten)]
        place: Place,
        /// The audit id
        id: String,
        /// Open the sealed content too
        #[arg(long)]
        content: bool,
        /// The folder of the log's keys, instead of `LOG.keys`
        #[arg(long, value_name = "DIR")]
        keys: Option<PathBuf>,
    },
    /// Destroy the key and the sealed contents of a subject; the log stays whole
    Shred {
        /// The folder of an audit log
        log: PathBuf,
        /// The subject, as requests named it
        subject: String,
        /// The folder of the log's keys, instead of `LOG.keys`
        #[arg(long, value_name = "DIR")]
        keys: Option<PathBuf>,
    },
    /// Print every entry with its index, as JSON lines
    Export {
        #[command(flatten)]
        place: Place,
    },
}

pub(super) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Verify { place, checkpoint, json } => verify(place, checkpoint.as_deref(), *json),
        Command::Prove { place, id } => print_json(&audit::prove(&place.log, place.verifier()?.as_ref(), id)?),
        Command::Check { proof, verifier } => check(proof, verifier),
        Command::Show { place, id, content, keys } => show(place, id, *content, keys.as_deref()),
        Command::Shred { log, subject, keys } => shred(log, subject, keys.as_deref()),
        Command::Export { place } => export(place),
    }
}

fn verify(place: &Place, checkpoint: Option<&Path>, json: bool) -> Result<()> {
    let old = checkpoint.map(|path| files::read_text_at_most(path, MOST)).transpose()?;
    let found = audit::verify(&place.log, place.verifier()?.as_ref(), old.as_deref())?;
    if json {
        return print_json(&found);
    }
    let mut text = format!(
        "ok     {} entries, {} of them in tiles, signed by {}\nok     {} full tiles of hashes, computed again\n",
        found.entries, found.published, found.verifier, found.tiles
    );
    if found.sealed != [0, 0] {
        let [there, gone] = found.sealed;
        text.push_str(&format!("ok     {there} sealed contents, {gone} shredded\n"));
    }
    if let Some(since) = found.since {
        text.push_str(&format!("ok     the {since} entries of the old checkpoint are its beginning\n"));
    }
    if found.torn > 0 {
        text.push_str(&format!("note   {} bytes at the end are no whole group, and were never answered\n", found.torn));
    }
    print(&text)
}

fn check(proof: &Path, verifier: &str) -> Result<()> {
    let read: audit::Proof = serde_json::from_str(&files::read_text_at_most(proof, 1 << 24)?)
        .map_err(|e| Error::data(format!("`{}`: expected a proof: {e}", proof.display())))?;
    let place = Place { log: PathBuf::new(), verifier: Some(verifier.to_owned()) };
    let verifier = place.verifier()?.ok_or_else(|| Error::internal("a verifier was given"))?;
    read.check(&verifier)?;
    print(&format!("ok     entry {} is in the log of {}\n{}\n", read.index, verifier.name(), read.entry))
}

fn show(place: &Place, id: &str, content: bool, keys: Option<&Path>) -> Result<()> {
    let (index, entry) = audit::find(&place.log, place.verifier()?.as_ref(), id)?;
    let entry: Value =
        serde_json::from_str(&entry).map_err(|e| Error::data(format!("entry {index} is no JSON: {e}")))?;
    print_json(&serde_json::json!({"index": index, "entry": entry}))?;
    if content {
        let keys = open_keys(&place.log, keys)?;
        match audit::open_sealed(&place.log, &keys, &entry)? {
            Some(bytes) => print(&format!("{}\n", String::from_utf8_lossy(&bytes)))?,
            None => return Err(Error::data(format!("the content of `{id}` was shredded, or never sealed"))),
        }
    }
    Ok(())
}

fn open_keys(log: &Path, keys: Option<&Path>) -> Result<Keys> {
    let folder = keys_folder(log, keys);
    if !folder.is_dir() {
        return Err(Error::data(format!(
            "`{}` does not exist: expected the folder of the log's keys",
            folder.display()
        ))
        .with_hint("name it with `--keys`"));
    }
    // Looking up makes no new key.
    Keys::open(&folder, Duration::MAX)
}

fn shred(log: &Path, subject: &str, keys: Option<&Path>) -> Result<()> {
    match audit::shred(log, &open_keys(log, keys)?, subject)? {
        Some(count) => print(&format!("shredded the key and {count} sealed contents\n")),
        None => Err(Error::data("nothing is sealed for this subject")),
    }
}

fn export(place: &Place) -> Result<()> {
    audit::each_entry(&place.log, place.verifier()?.as_ref(), |index, entry| {
        let entry = String::from_utf8_lossy(entry);
        print_raw(&format!("{{\"index\":{index},\"entry\":{}}}\n", plain::json(&entry)))
    })
}
