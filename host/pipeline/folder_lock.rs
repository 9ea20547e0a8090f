//! One so8t at a time writes in a run's folder.
//!
//! The lock is advisory and lies on the folder itself, so that it leaves no file behind and ends with the process that holds it, however
//! that ends. Where a system cannot lock a folder, nothing is held.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use crate::{Error, Result};

/// A folder that nobody else writes in until this is dropped.
#[derive(Debug)]
pub struct FolderLock(#[expect(dead_code, reason = "held for its lock")] Option<File>);

impl FolderLock {
    /// Takes the lock of a folder, which is made where it lacks.
    ///
    /// # Errors
    /// A folder that cannot be made, or in which another so8t is at work.
    pub fn take(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, &e))?;
        let Ok(file) = File::open(folder) else { return Ok(Self(None)) };
        match file.try_lock() {
            Ok(()) => Ok(Self(Some(file))),
            Err(TryLockError::WouldBlock) => {
                Err(Error::data(format!("another so8t is at work in `{}`", folder.display()))
                    .with_hint("wait until it ends, or name another folder with `--out`"))
            }
            // Some file systems lock no folders.
            Err(TryLockError::Error(_)) => Ok(Self(None)),
        }
    }
}
