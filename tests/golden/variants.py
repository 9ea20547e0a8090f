"""Makes ../training/golden/variants.safetensors and variants.json: what a file of settings says beside the plainest, on the tiny models of training.py.

    pip install torch transformers peft safetensors
    python tests/golden/variants.py

variants.json holds, for each variant, the model, what is changed in its config.json (null takes a field away) or in the adapter_config.json, and the
lengths of the sequences. variants.safetensors holds the logits after the last token of each sequence [sequences, vocabulary], in float32.
"""

import copy
import json
import pathlib
import shutil
import tempfile

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "training" / "golden"
GONE = None
LONG = {"short_factor": [1.0, 1.1, 1.25, 1.5], "long_factor": [1.0, 2.0, 4.0, 8.0]}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
CONFIGS = {
    "yarn": ("tiny-llama", {"rope_scaling": YARN}),
    "yarn with all its fields": (
        "tiny-llama",
        {"rope_scaling": {**YARN, "beta_fast": 8.0, "beta_slow": 2.0, "mscale": 0.8, "mscale_all_dim": 0.5, "truncate": False}},
    ),
    "yarn with an attention factor": ("tiny-llama", {"rope_scaling": {**YARN, "attention_factor": 1.3}}),
    "dynamic": ("tiny-llama", {"rope_scaling": {"type": "dynamic", "factor": 4.0}}),
    "longrope of llama": (
        "tiny-llama",
        {"rope_scaling": {"rope_type": "longrope", "original_max_position_embeddings": 16, **LONG}},
    ),
    "new place": ("tiny-llama", {"rope_theta": GONE, "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 500.0}}),
    "window of llama": ("tiny-llama", {"sliding_window": 4}),
    "window of mistral": (
        "tiny-llama",
        {"sliding_window": 4, "architectures": ["MistralForCausalLM"], "model_type": "mistral", "attention_bias": GONE, "mlp_bias": GONE},
    ),
    "no window of mistral": (
        "tiny-llama",
        {"sliding_window": "null", "architectures": ["MistralForCausalLM"], "model_type": "mistral", "attention_bias": GONE, "mlp_bias": GONE},
    ),
    "partial": ("tiny-phi3", {"partial_rotary_factor": 0.5}),
    "partial, new place": (
        "tiny-phi3",
        {"rope_theta": GONE, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.75}},
    ),
    "longrope": ("tiny-phi3", {"original_max_position_embeddings": 16, "rope_scaling": {"type": "longrope", **LONG}}),
    "partial longrope": (
        "tiny-phi3",
        {
            "original_max_position_embeddings": 16,
            "partial_rotary_factor": 0.5,
            "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.5], "long_factor": [2.0, 4.0]},
        },
    ),
    "longrope with a factor": (
        "tiny-phi3",
        {
            "rope_theta": GONE,
            "original_max_position_embeddings": GONE,
            "rope_parameters": {"rope_type": "longrope", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 16, **LONG},
        },
    ),
}
ADAPTERS = {
    "pissa": {"init_lora_weights": "pissa"},
    "pissa with alphas": {"init_lora_weights": "pissa", "use_rslora": True, "alpha_pattern": {"o_proj": 3}, "rank_pattern": {"v_proj": 2}},
    "olora": {"init_lora_weights": "olora"},
    "olora with alphas": {"init_lora_weights": "olora", "alpha_pattern": {"o_proj": 3}, "rank_pattern": {"v_proj": 2}},
}


def sequences():
    generator = torch.Generator().manual_seed(5)
    return [torch.randint(3, 64, (length,), generator=generator).tolist() for length in (5, 16, 17, 40)]


def logits(model):
    with torch.no_grad():
        return torch.stack([model(torch.tensor([row]), use_cache=False).logits[0, -1] for row in sequences()])


def edited(config, changes):
    config = copy.deepcopy(config)
    for name, value in changes.items():
        config.pop(name, None)
        if value is not GONE:
            config[name] = None if value == "null" else value
    return config


def folder(model, config, directory):
    directory.mkdir()
    shutil.copy(GOLDEN / model / "model.safetensors", directory)
    (directory / "config.json").write_text(json.dumps(config))
    return transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()


def main():
    root = pathlib.Path(tempfile.mkdtemp())
    variants, tensors = [], {}
    base = {model: json.loads((GOLDEN / model / "config.json").read_text()) for model in ("tiny-llama", "tiny-phi3")}
    for name, (model, changes) in CONFIGS.items():
        config = edited(base[model], changes)
        tensors[name] = logits(folder(model, config, root / name))
        variants.append({"name": name, "model": model, "config": config})
    # A head of its own, though the configuration ties it.
    directory = root / "heads"
    folder("tiny-llama", base["tiny-llama"], directory)
    weights = load_file(GOLDEN / "tiny-llama" / "model.safetensors")
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].flip(0) * 0.5
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    tensors["heads"] = logits(transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval())
    for kind, changes in ADAPTERS.items():
        for model in ("tiny-llama", "tiny-phi3"):
            name = f"{kind} of {model}"
            if model == "tiny-phi3":
                changes = {**changes, **({"rank_pattern": {"o_proj": 2}} if "rank_pattern" in changes else {})}
            network = folder(model, base[model], root / name)
            targets = ["o_proj", "v_proj", "down_proj"] if model == "tiny-llama" else ["o_proj", "qkv_proj", "down_proj"]
            config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=targets, task_type="CAUSAL_LM", **changes)
            torch.manual_seed(1)
            adapted = peft.get_peft_model(network, config)
            with torch.no_grad():
                for key, value in adapted.named_parameters():
                    if "lora_" in key:
                        value.add_(0.1 * torch.randn(value.shape))
            # As a training leaves it: the trained tensors alone, to be put on the base again.
            adapted.save_pretrained(root / f"{name} adapter")
            again = transformers.AutoModelForCausalLM.from_pretrained(root / name, dtype=torch.float32, attn_implementation="eager").eval()
            again = peft.PeftModel.from_pretrained(again, root / f"{name} adapter").eval()
            tensors[name] = logits(again)
            saved = load_file(root / f"{name} adapter" / "adapter_model.safetensors")
            tensors.update({f"{name}/{key}": value for key, value in saved.items()})
            settings = json.loads((root / f"{name} adapter" / "adapter_config.json").read_text())
            settings["base_model_name_or_path"] = model
            variants.append({"name": name, "model": model, "adapter": settings})
    note = f"Made by tests/golden/variants.py with torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}."
    out = {"note": note, "sequences": sequences(), "variants": variants}
    (GOLDEN / "variants.json").write_text(json.dumps(out, indent=1) + "\n")
    save_file({name: value.float().contiguous() for name, value in tensors.items()}, GOLDEN / "variants.safetensors")
    shutil.rmtree(root)


if __name__ == "__main__":
    main()
