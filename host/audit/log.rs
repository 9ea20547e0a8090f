//! The writer's side of a log: groups go into the journal, and from there into tiles.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::merkle::{FullTile, TILE, Tree, leaf_hash};
use crate::note::Signer;
use crate::reader::Stored;
use crate::{journal, tiles};
use so8t_base::{Error, Result, files};

/// The file with what checks the log's signatures.
pub const VERIFIER: &str = "verifier";
/// The published checkpoint.
pub(crate) const CHECKPOINT: &str = "checkpoint";
const LOCK: &str = "lock";
/// What a torn end was cut to is kept here, since it may be evidence.
const CUT: &str = "cut";
/// A segment of the journal ends behind so many entries.
const SEGMENT: u64 = 16 * TILE as u64;

/// A log that is open for writing; no other process writes it meanwhile.
pub struct Log {
    folder: PathBuf,
    signer: Signer,
    tree: Tree,
    /// The bundle that is not full.
    bundle: Vec<u8>,
    /// Full tiles and bundles that are not published.
    pending: Vec<(PathBuf, Vec<u8>)>,
    segment: File,
    /// The number of entries before the segment.
    first: u64,
    /// The number of entries that the last snapshot held.
    sent: u64,
    publisher: Option<(Sender<Snapshot>, JoinHandle<()>)>,
    failure: Arc<Mutex<Option<String>>>,
    /// How many bytes of a torn end were cut off when it was opened.
    cut: usize,
    #[expect(dead_code, reason = "held until the log is dropped")]
    lock: File,
}

/// What is to be published at once.
struct Snapshot {
    files: Vec<(PathBuf, Vec<u8>)>,
    partials: Vec<(PathBuf, Vec<u8>)>,
    note: String,
    /// Segments that begin before so many entries are needed no more.
    first: u64,
}

impl Log {
    /// Opens the log in a folder, or begins one there. A torn end, whose entries were never answered, is cut off.
    ///
    /// # Errors
    /// A folder that holds something else, that another process writes, or whose log another key signed; a log that is not as it was written.
    pub fn open(folder: &Path, signer: Signer) -> Result<Self> {
        let journal = folder.join(journal::FOLDER);
        let is_new = !folder.join(VERIFIER).exists();
        if is_new
            && fs::read_dir(folder).is_ok_and(|mut found| found.any(|entry| entry.is_ok_and(|e| e.file_name() != LOCK)))
        {
            return Err(Error::manifest(format!(
                "`{}` is not empty, and is no audit log: expected a folder of its own",
                folder.display()
            )));
        }
        fs::create_dir_all(&journal).map_err(|e| Error::io("create", &journal, &e))?;
        let path = folder.join(LOCK);
        let lock = File::create(&path).map_err(|e| Error::io("write", &path, &e))?;
        if lock.try_lock().is_err() {
            return Err(Error::data(format!("another process writes the audit log `{}`", folder.display())));
        }
        if is_new {
            files::write(&folder.join(VERIFIER), format!("{}\n", signer.verifier()).as_bytes())?;
            files::sync_folder(folder)?;
        }
        let stored = Stored::read(folder, None)?;
        if stored.verifier != *signer.verifier() {
            return Err(Error::data(format!(
                "the audit log `{}` is signed by `{}`: expected `{}`",
                folder.display(),
                stored.verifier,
                signer.verifier()
            ))
            .with_hint("give the folder of its own keys, or begin another log"));
        }
        let mut tree = stored.tree.clone();
        let (mut bundle, mut pending) = (stored.partial.clone(), Vec::new());
        let end = stored.journal(&mut tree, |tree, entry| {
            absorb(tree, &mut bundle, &mut pending, entry);
            Ok(())
        })?;
        let cut = end.map_or(0, |(_, length, end)| length - end.good);
        let first = end.map_or(tree.size(), |(first, ..)| first);
        let path = journal.join(journal::name(first));
        if let Some((_, _, end)) = end.filter(|_| cut > 0) {
            let bytes = files::read(&path)?;
            files::write(&folder.join(CUT).join(journal::name(tree.size())), &bytes[end.good..])?;
            let file = OpenOptions::new().write(true).open(&path).map_err(|e| Error::io("open", &path, &e))?;
            file.set_len(end.good as u64).and_then(|()| file.sync_all()).map_err(|e| Error::io("cut", &path, &e))?;
        }
        let segment = open_segment(&journal, first)?;
        let failure = Arc::new(Mutex::new(None));
        let publisher = Some(publisher(folder, &failure)?);
        let sent = stored.published.size;
        Ok(Self {
            folder: folder.to_owned(),
            signer,
            tree,
            bundle,
            pending,
            segment,
            first,
            sent,
            publisher,
            failure,
            cut,
            lock,
        })
    }

    /// The number of entries.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// How many bytes of a torn end were cut off when it was opened.
    pub fn cut(&self) -> usize {
        self.cut
    }

    /// The signed checkpoint over all entries.
    pub fn checkpoint(&self) -> String {
        self.signer.sign(self.tree.size(), self.tree.root())
    }

    /// Whether there are entries that are in the journal alone.
    pub fn is_ahead(&self) -> bool {
        self.sent < self.tree.size()
    }

    /// Puts entries on the disk, with one `fsync`. Returns the index of the first.
    ///
    /// # Errors
    /// A write that fails. From then on every call fails, since what is on the disk is no longer known.
    pub fn append(&mut self, entries: &[Vec<u8>]) -> Result<u64> {
        if let Some(failure) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Err(Error::data(failure));
        }
        let first = self.tree.size();
        for entry in entries {
            absorb(&mut self.tree, &mut self.bundle, &mut self.pending, entry);
        }
        let bytes = journal::group(entries, &self.checkpoint());
        let written = self.segment.write_all(&bytes).and_then(|()| self.segment.sync_data());
        if let Err(e) = written {
            let error = Error::io("write", &self.folder.join(journal::FOLDER), &e);
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(format!("the audit log failed: {error}"));
            return Err(error);
        }
        if self.tree.size() - self.first >= SEGMENT {
            self.segment = open_segment(&self.folder.join(journal::FOLDER), self.tree.size())?;
            self.first = self.tree.size();
            self.publish();
        }
        Ok(first)
    }

    /// Lets tiles and checkpoint be written, in the background.
    pub fn publish(&mut self) {
        // What the disk refused is not signed.
        if self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return;
        }
        let size = self.tree.size();
        let mut partials = Vec::new();
        for (level, hashes) in self.tree.levels().iter().enumerate().filter(|(_, hashes)| !hashes.is_empty()) {
            let index = size >> (8 * (level + 1));
            partials.push((tiles::tile(level, index, hashes.len()), hashes.concat()));
        }
        let width = tiles::partial(0, size);
        if width > 0 {
            partials.push((tiles::bundle(size / TILE as u64, width), self.bundle.clone()));
        }
        let snapshot =
            Snapshot { files: std::mem::take(&mut self.pending), partials, note: self.checkpoint(), first: self.first };
        self.sent = size;
        if let Some((sender, _)) = &self.publisher {
            // A publisher that has ended said why.
            let _ = sender.send(snapshot);
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if self.is_ahead() {
            self.publish();
        }
        if let Some((sender, thread)) = self.publisher.take() {
            drop(sender);
            let _ = thread.join();
        }
    }
}

/// Adds an entry to the tree, and what it fills to what is to be published.
fn absorb(tree: &mut Tree, bundle: &mut Vec<u8>, pending: &mut Vec<(PathBuf, Vec<u8>)>, entry: &[u8]) {
    tiles::put(bundle, entry);
    tree.push(leaf_hash(entry), &mut |FullTile { level, index, hashes }| {
        if level == 0 {
            pending.push((tiles::bundle(index, TILE), std::mem::take(bundle)));
        }
        pending.push((tiles::tile(level, index, TILE), hashes.concat()));
    });
}

fn open_segment(journal: &Path, first: u64) -> Result<File> {
    let path = journal.join(journal::name(first));
    let file = OpenOptions::new().append(true).create(true).open(&path).map_err(|e| Error::io("open", &path, &e))?;
    files::sync_folder(journal)?;
    Ok(file)
}

/// The thread that writes tiles and checkpoints.
fn publisher(folder: &Path, failure: &Arc<Mutex<Option<String>>>) -> Result<(Sender<Snapshot>, JoinHandle<()>)> {
    let (sender, snapshots) = mpsc::channel::<Snapshot>();
    let (folder, failure) = (folder.to_owned(), Arc::clone(failure));
    let work = move || {
        let mut partials = Vec::new();
        for snapshot in snapshots {
            if let Err(error) = write_snapshot(&folder, &snapshot, &mut partials) {
                *failure.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(format!("the audit log failed: {error}"));
                return;
            }
        }
    };
    let thread = std::thread::Builder::new()
        .name("audit tiles".to_owned())
        .spawn(work)
        .map_err(|e| Error::internal(format!("a thread cannot be started: {e}")))?;
    Ok((sender, thread))
}

fn write_snapshot(folder: &Path, snapshot: &Snapshot, old: &mut Vec<PathBuf>) -> Result<()> {
    let mut folders = BTreeSet::new();
    for (path, bytes) in snapshot.files.iter().chain(&snapshot.partials) {
        let path = folder.join(path);
        files::write(&path, bytes)?;
        // The folders above may be new as well.
        folders.extend(path.ancestors().skip(1).take_while(|above| *above != folder).map(Path::to_owned));
    }
    folders.iter().try_for_each(|folder| files::sync_folder(folder))?;
    files::write(&folder.join(CHECKPOINT), snapshot.note.as_bytes())?;
    files::sync_folder(folder)?;
    let journal = folder.join(journal::FOLDER);
    let listed = fs::read_dir(&journal).map_err(|e| Error::io("read", &journal, &e))?;
    for entry in listed.flatten() {
        let first = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
        if first.is_some_and(|first| first < snapshot.first) {
            fs::remove_file(entry.path()).map_err(|e| Error::io("remove", &entry.path(), &e))?;
        }
    }
    let partials: Vec<PathBuf> = snapshot.partials.iter().map(|(path, _)| path.clone()).collect();
    for path in old.iter().filter(|path| !partials.contains(path)) {
        // The full tile, or a wider partial one, holds all of it.
        let _ = fs::remove_file(folder.join(path));
        let _ = folder.join(path).parent().map(fs::remove_dir);
    }
    *old = partials;
    Ok(())
}
