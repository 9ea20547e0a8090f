//! A GGUF file of any bytes: opened or refused; every tensor of what opened loads, whatever its blocks hold.
#![no_main]

mod small_model;

use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use small_model::{scratch, seeds, write};
use so8t_model::{Message, TensorKind};

fn path() -> &'static PathBuf {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let folder = scratch("gguf");
        write(&folder);
        // What llama.cpp has a name for: no normaliser, no unknown token, byte-level pieces.
        let bytes = |path: &std::path::Path| std::fs::read(path).unwrap_or_default();
        let model = so8t_model::open(".", &folder).map_err(|e| e.to_string()).expect("the folder opens");
        let mut made = Vec::new();
        for (kind, name) in [(TensorKind::F32, "f32.gguf"), (TensorKind::F16, "f16.gguf")] {
            let path = folder.join(name);
            match so8t_model::export_gguf(&model, &path, kind, |name| model.weights.load_f32(name)) {
                Ok(_) => made.push(bytes(&path)),
                Err(error) => eprintln!("no seed: {error}"),
            }
        }
        seeds("gguf", &made);
        folder.join("any.gguf")
    })
}

fuzz_target!(|data: &[u8]| {
    let path = path();
    let Some((_, bytes)) = data.split_first() else { return };
    std::fs::write(path, bytes).expect("the file can be written");
    let Ok(model) = so8t_model::open("any.gguf", path.parent().expect("a folder")) else { return };
    let names: Vec<_> = model.weights.names().map(str::to_owned).collect();
    for name in names {
        if let Ok((shape, values)) = model.weights.load_f32(&name) {
            assert_eq!(shape.iter().product::<usize>(), values.len());
        }
    }
    let _ = model.tokenizer.encode("abc de");
    let _ = model.template.render(&[Message::new("user", "a")], true);
});
