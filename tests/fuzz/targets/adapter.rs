//! An adapter's folder in which one file is of any bytes: put on a small network, or refused; a network that took it gives finite
//! numbers of weights.
#![no_main]

mod small_model;

use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use small_model::{safetensors, scratch, seeds, write};
use so8t_kernels::cpu::Cpu;
use so8t_model::ModelFiles;
use so8t_model::network::{Network, NetworkOptions, Quantization};

const FILES: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];

fn file(name: &str) -> Vec<u8> {
    if name == FILES[0] {
        return br#"{"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "base", "r": 2, "lora_alpha": 4,
"target_modules": ["q_proj", "down_proj"], "rank_pattern": {"q_proj": 1}, "lora_dropout": 0.0, "bias": "none", "use_dora": false,
"use_rslora": true, "init_lora_weights": true, "fan_in_fan_out": false, "inference_mode": true, "modules_to_save": null}"#.to_vec();
    }
    let shapes = [("self_attn.q_proj", 8, 8, 1), ("mlp.down_proj", 12, 8, 2)];
    let tensors = shapes.iter().flat_map(|(module, inner, outer, rank)| {
        let name = |part: &str| format!("base_model.model.model.layers.0.{module}.lora_{part}.weight");
        [(name("A"), vec![*rank, *inner]), (name("B"), vec![*outer, *rank])]
    });
    safetensors(&tensors.collect::<Vec<_>>())
}

struct Place {
    base: ModelFiles,
    adapter: PathBuf,
}

fn place() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let folder = scratch("adapter");
        write(&folder);
        let base = so8t_model::open(".", &folder).map_err(|e| e.to_string()).expect("the folder opens");
        let adapter = folder.join("adapter");
        std::fs::create_dir_all(&adapter).expect("a folder can be made");
        FILES.iter().for_each(|name| std::fs::write(adapter.join(name), file(name)).expect("written"));
        seeds("adapter", &FILES.map(file));
        let place = Place { base, adapter };
        load(&place).expect("the adapter as it is loads");
        place
    })
}

fn load(place: &Place) -> Result<(), String> {
    let options = NetworkOptions { quantization: Quantization::None, positions: 16, ..Default::default() };
    let mut network = Network::load(Cpu, &place.base.config, options, |name, _| place.base.weights.load_f32(name).map(|t| t.1))
        .map_err(|e| e.to_string())?;
    so8t_train::peft::load_beside(&mut network, &place.adapter, &place.base.weights).map_err(|e| e.to_string())?;
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let place = place();
    let Some((choice, bytes)) = data.split_first() else { return };
    let name = FILES[usize::from(*choice) % FILES.len()];
    std::fs::write(place.adapter.join(name), bytes).expect("the file can be written");
    if let Err(message) = load(place) {
        assert!(!message.is_empty());
    }
    std::fs::write(place.adapter.join(name), file(name)).expect("the file can be written");
});
