//! A manifest of any text: parsed or refused with its place, and resolved where it names no file outside its own folder.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use so8t::manifest::ManifestFile;

fuzz_target!(|text: &str| {
    // There is no such folder: a plan can only come of it where no file is asked for.
    let path = Path::new("/nowhere/so8t-fuzz/so8t.toml");
    match ManifestFile::parse(path, text.to_owned()) {
        Ok(file) => {
            // Patterns would walk this machine's folders.
            if text.contains("path") && text.contains(['*', '?', '[']) && text.contains(['/', '\\']) {
                return;
            }
            if let Err(error) = file.resolve() {
                let shown = error.to_string();
                assert!(shown.starts_with("/nowhere/so8t-fuzz/so8t.toml"), "{shown}");
            }
        }
        Err(error) => {
            let shown = error.to_string();
            assert!(shown.starts_with("/nowhere/so8t-fuzz/so8t.toml"), "{shown}");
        }
    }
});
