//! A data file of any bytes (gzip, zstd, Parquet, text): read, or refused in words. Rows of Parquet are JSON objects.
#![no_main]

mod scratch;

use libfuzzer_sys::fuzz_target;
use scratch::read;

fuzz_target!(
    init: {
        // The reader of Parquet is known to panic on rows that do not fit their schema, which so8t makes an error.
        let fatal = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !panic.location().is_some_and(|place| place.file().contains("/parquet-")) {
                fatal(panic);
            }
        }));
    },
    |data: &[u8]| {
        let error = match read("a", data, None, 1 << 12) {
            Ok(found) => found.text.err(),
            Err(error) => Some(error),
        };
        assert!(error.is_none_or(|error| error.len() < 4096), "an error as long as a file");
    }
);
