//! A model's folder in which one file is of any bytes: opened or refused; what opened encodes within its vocabulary, renders within
//! bounds, and its configuration reads back as itself.
#![no_main]

mod small_model;

use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use small_model::{FILES, file, scratch, seeds, write};
use so8t_model::{Message, ModelConfig};

fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = scratch("model");
        write(&folder);
        seeds("model", &FILES.map(file));
        so8t_model::open(".", &folder).map_err(|e| e.to_string()).expect("the folder as it is opens");
        folder
    })
}

fuzz_target!(|data: &[u8]| {
    let folder = folder();
    let Some((choice, bytes)) = data.split_first() else { return };
    let name = FILES[usize::from(*choice) % FILES.len()];
    std::fs::write(folder.join(name), bytes).expect("the file can be written");
    match so8t_model::open(".", folder) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(model) => {
            let config = model.config.to_json().to_string();
            ModelConfig::from_json(&config).map_err(|e| e.to_string()).expect("what was read reads back");
            for text in ["", "abc de", "<s>ab</s>", "\u{3042} x"] {
                if let Ok(tokens) = model.tokenizer.encode(text) {
                    assert!(tokens.iter().all(|id| (*id as usize) < model.config.vocab_size), "{tokens:?}");
                    let _ = model.tokenizer.decode(&tokens);
                }
            }
            let messages = [Message::new("system", "a"), Message::new("user", "abc\n")];
            for prompt in [true, false] {
                let _ = model.template.render(&messages, prompt);
            }
            let names: Vec<_> = model.weights.names().map(str::to_owned).collect();
            for name in names {
                let (shape, values) = model.weights.load_f32(&name).map_err(|e| e.to_string()).expect("checked tensors load");
                assert_eq!(shape.iter().product::<usize>(), values.len());
            }
        }
    }
    std::fs::write(folder.join(name), file(name)).expect("the file can be written");
});
