//! Files mapped into memory, so that opening a model reads no weights, and those that are read stay evictable.
#![allow(unsafe_code, reason = "mapping a file is unsafe: another process may change it")]

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use so8t_base::{Error, Result};

/// The bytes of a file. A file that is changed or cut while it is mapped is not protected against: model files are
/// written whole and renamed into place, by this program and by the tools that fetch them.
pub struct MappedFile(Mmap);

impl MappedFile {
    /// Maps a file that is there and not empty.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io("read", path, &e))?;
        // SAFETY: the mapping is read-only, and its bytes are only ever read as integers and floats, for which every
        // bit pattern is valid; a concurrent writer breaks the promise of the type's documentation.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::io("map", path, &e))?;
        if map.is_empty() {
            return Err(Error::model(format!("`{}` is empty", path.display())));
        }
        Ok(Self(map))
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
