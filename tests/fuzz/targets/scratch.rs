//! A file in memory, read as the program reads its data.

use std::io::Read;
use std::path::PathBuf;

use so8t_data::input::{self, InputOptions};

/// More text than this of one file is not read: what is packed may be endless.
const MOST: usize = 1 << 22;

/// What was read of a file.
#[allow(dead_code, reason = "each target looks at what concerns it")]
pub struct Found {
    /// Whether it is text as it lies there: neither compressed nor Parquet.
    pub is_text: bool,
    /// The text, up to [`MOST`] bytes of it, or the error with its hint.
    pub text: Result<Vec<u8>, String>,
    /// The encoding that it was read in.
    pub encoding: &'static str,
}

/// Reads bytes as a file of that name, so many bytes at a time; the error is that of a file that is not opened at all.
pub fn read(name: &str, bytes: &[u8], encoding: Option<&str>, piece: usize) -> Result<Found, String> {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let path = folder.join(format!("so8t-fuzz-{}-{name}", std::process::id()));
    std::fs::write(&path, bytes).expect("the file can be written");
    let shown = |error: so8t_base::Error| {
        let message = error.to_string();
        assert!(message.starts_with("cannot read `"), "{message}");
        error.hint().map_or(message.clone(), |hint| format!("{message}\nhint: {hint}"))
    };
    let options = InputOptions { encoding: encoding.map(|name| name.parse().expect("an encoding")) };
    let mut input = input::open_described(&path, &options).map_err(shown)?;
    let (mut text, mut piece) = (Vec::new(), vec![0; piece]);
    let failed = loop {
        match input.reader.read(&mut piece) {
            Ok(0) => break None,
            Ok(read) => text.extend_from_slice(&piece[..read]),
            Err(error) => break Some(shown(input::failed(&path, error))),
        }
        if text.len() > MOST {
            break None;
        }
    };
    let is_text = input.compression.is_none() && !input.is_parquet;
    if input.is_parquet {
        // Whole rows, each an object.
        let rows = text.split_inclusive(|byte| *byte == b'\n').filter(|row| row.ends_with(b"\n"));
        let mut count = 0;
        for row in rows {
            let value: serde_json::Value = serde_json::from_slice(row).expect("a row is JSON");
            assert!(value.is_object());
            count += 1;
        }
        assert!(failed.is_some() || text.len() > MOST || Some(count) == input.rows, "{count} of {:?} rows", input.rows);
    }
    let encoding = input.encoding();
    Ok(Found { is_text, text: failed.map_or(Ok(text), Err), encoding })
}
