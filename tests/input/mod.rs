//! Files as they come: compressed, in any encoding, Parquet, folders, standard input; and each way in which they can be wrong.

mod compression;
mod encodings;
mod inspect;
mod layouts;
mod line_ends;
mod parquet;
mod presets;
mod sources;

use std::io::Read;
use std::path::Path;

use so8t::Error;
use so8t::data::input::{self, InputOptions};

/// All text of a file, or the error with its hint.
fn read(path: &Path, encoding: Option<&str>) -> Result<String, String> {
    let shown = |error: Error| {
        let message = error.to_string().replace(&*path.to_string_lossy(), "FILE");
        error.hint().map_or(message.clone(), |hint| format!("{message}\nhint: {hint}"))
    };
    let options = InputOptions { encoding: encoding.map(|name| name.parse().unwrap()) };
    let mut reader = input::open(path, &options).map_err(shown)?;
    // In small pieces, so that every state is passed through several reads.
    let (mut bytes, mut piece) = (Vec::new(), [0; 37]);
    loop {
        match reader.read(&mut piece).map_err(|e| shown(input::failed(path, e)))? {
            0 => return Ok(String::from_utf8(bytes).expect("a reader gives UTF-8")),
            read => bytes.extend_from_slice(&piece[..read]),
        }
    }
}

/// The same of bytes in a file of that name.
fn read_as(name: &str, bytes: &[u8], encoding: Option<&str>) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    read(&path, encoding)
}
