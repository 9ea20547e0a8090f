//! A predictions file of any bytes, as Parquet, as lines of JSON, or as the state of a part whose seal is right: read or refused.
//! Rows that were read are sound, and written and read again they are the same.
#![no_main]

mod small_model;

use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use small_model::{scratch, seeds};
use so8t_data::LabelSet;
use so8t_evaluate::{StateFile, check_rows, predictions};

fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = scratch("predictions");
        let lines = concat!(
            r#"{"id": "a", "source": "s", "group": "g", "gold": "ALLOW", "predicted": "DENY", "scores": [0.25, 0.25, 0.5, 0.0]}"#, "\n",
            r#"{"id": "b", "source": "s", "group": "h", "gold": "REFUSE", "predicted": "INVALID", "scores": [0.0, 0.0, 0.0, 0.0], "latency_ms": 1.5}"#, "\n"
        );
        let labels = LabelSet::default();
        let path = folder.join("seed.jsonl");
        std::fs::write(&path, lines).expect("written");
        let mut all = vec![Vec::new(), lines.as_bytes().to_vec()];
        match predictions::read(&path, &labels) {
            Ok(rows) => {
                let parquet = folder.join("seed.parquet");
                predictions::write(&parquet, &labels, &rows).map_err(|e| e.to_string()).expect("written");
                all[0] = std::fs::read(parquet).expect("read");
            }
            Err(error) => eprintln!("no seed: {error}"),
        }
        all.push(b"so8t evaluation state 2\n".to_vec());
        seeds("predictions", &all);
        folder
    })
}

fuzz_target!(|data: &[u8]| {
    let folder = folder();
    let Some((choice, bytes)) = data.split_first() else { return };
    if choice % 3 == 2 {
        let path = folder.join("any.state");
        let seal = Sha256::digest(bytes);
        std::fs::write(&path, [bytes, &seal[..]].concat()).expect("the file can be written");
        if let Ok(state) = StateFile::open(&path) {
            let _ = format!("{:?}", state.shard());
        }
        return;
    }
    let extension = ["parquet", "jsonl"][usize::from(choice % 3)];
    let path = folder.join(format!("any.{extension}"));
    std::fs::write(&path, bytes).expect("the file can be written");
    let Ok(names) = predictions::label_names(&path) else { return };
    let labels = LabelSet::default();
    let _ = names.len();
    let Ok(rows) = predictions::read(&path, &labels) else { return };
    if check_rows(&rows, &labels).is_err() {
        return;
    }
    let copy = folder.join("copy.parquet");
    predictions::write(&copy, &labels, &rows).map_err(|e| e.to_string()).expect("what was read can be written");
    let again = predictions::read(&copy, &labels).map_err(|e| e.to_string()).expect("and read again");
    assert!(rows.len() == again.len());
});
