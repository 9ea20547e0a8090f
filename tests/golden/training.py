"""Makes ../training/golden: tiny models, a real PEFT adapter, and PyTorch's logits, losses and gradients for them.

    pip install torch transformers peft safetensors
    python tests/golden/training.py

Every sequence is passed through the model alone (batch of one, eager attention), so that neither padding nor masks of a
batch can enter; the loss is the sum over all sequences divided by the number of target tokens of all.
What is what is written into golden.json beside the models.
"""

import copy
import json
import pathlib
import shutil

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file

OUT = pathlib.Path(__file__).parent.parent / "training" / "golden"
STEPS = 20
LEARNING_RATE = 1e-2
RANK, ALPHA = 4, 8

SHARED = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 64,
    "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "hidden_act": "silu", "initializer_range": 0.1,
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "torch_dtype": "float32", "attention_bias": False,
}
MODELS = {
    "tiny-llama": {
        "config": SHARED | {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_key_value_heads": 2, "head_dim": 8,
            "rope_theta": 10000.0, "rope_scaling": None, "tie_word_embeddings": True, "mlp_bias": False,
        },
        "targets": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        "variants": {
            "rope_theta": {"rope_theta": 500000.0},
            "llama3_rope": {"rope_scaling": {
                "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": 16,
            }},
            "linear_rope": {"rope_scaling": {"rope_type": "linear", "factor": 4.0}},
        },
    },
    "tiny-phi3": {
        "config": SHARED | {
            "architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "num_key_value_heads": 2,
            "rope_theta": 10000.0, "rope_scaling": None, "original_max_position_embeddings": 64,
            "sliding_window": None, "tie_word_embeddings": False,
            "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attention_dropout": 0.0,
        },
        "targets": ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"],
        "variants": {
            "sliding_window": {"sliding_window": 4},
            "longrope_short": {
                "original_max_position_embeddings": 32, "max_position_embeddings": 128,
                "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.1, 1.25, 1.5], "long_factor": [1.0, 2.0, 4.0, 8.0]},
            },
            "longrope_long": {
                "original_max_position_embeddings": 8, "max_position_embeddings": 128,
                "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.1, 1.25, 1.5], "long_factor": [1.0, 2.0, 4.0, 8.0]},
            },
        },
    },
}

NOTE = (
    "Made by tests/golden/training.py with torch {torch}, transformers {transformers}, peft {peft}, in {dtype} (transformers "
    "computes norms and rotary tables in float32 even so), weights stored in float32. sequences are passed alone, positions from 0. "
    "loss = sum of -log p(tokens[i] | tokens[..i]) over i >= completion_start of all sequences / the number of such i. "
    "expected.safetensors: logits (base model) and adapter_logits (with adapter/), [all tokens of the three sequences end to end, vocabulary], and "
    "variant.NAME: the base model's logits for variant_tokens with config.json overridden by variants.NAME. "
    "lora_gradients.safetensors: d loss / d A and B by PEFT's key, base with adapter/ (non-zero A and B, scaling alpha / r = 2, no dropout). "
    "full_gradients.safetensors: d full_loss / d weight by name, without the adapter; full_loss is the same loss with completion_start 1 (tied: the embedding holds both parts). "
    "steps: torch.optim.AdamW on all trainable tensors alike, lr 1e-2 constant, betas 0.9 0.999, eps 1e-8, weight decay 0.01 (torch's defaults), "
    "clip_grad_norm_ 1.0 before each step; losses[i] and gradient_norms[i] (before clipping) belong to the weights before step i, so losses[0] is the loss above. "
    "float32_difference: the largest difference of losses between this run and the same run in float32: no tighter tolerance makes sense."
)


def sequences(seed):
    """Three sequences of different lengths over the vocabulary."""
    random = torch.Generator().manual_seed(seed)
    shapes = [(7, 4), (15, 11), (11, 5)]
    return [
        {"tokens": torch.randint(3, 64, (length,), generator=random).tolist(), "completion_start": start}
        for length, start in shapes
    ]


def write_base(folder, config, seed):
    """A Hugging Face folder with random weights; norms are moved off 1, so that a forgotten norm is seen."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.from_pretrained(folder), dtype=torch.float32)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5)
    tied = config["tie_word_embeddings"]
    weights = {name: value.contiguous() for name, value in model.state_dict().items() if not (tied and name == "lm_head.weight")}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def load(folder, dtype, **overrides):
    """The model as written, in `dtype`."""
    config = json.loads((folder / "config.json").read_text()) | overrides
    scratch = folder.parent / "scratch"
    scratch.mkdir()
    (scratch / "config.json").write_text(json.dumps(config))
    shutil.copy(folder / "model.safetensors", scratch)
    model = transformers.AutoModelForCausalLM.from_pretrained(scratch, dtype=dtype, attn_implementation="eager")
    shutil.rmtree(scratch)
    return model.eval()


def logits(model, rows):
    """[tokens of all rows end to end, vocabulary]."""
    return torch.cat([model(torch.tensor([row["tokens"]]), use_cache=False).logits[0] for row in rows])


def loss(model, rows):
    """The mean over the target tokens of all rows."""
    total, count = 0.0, 0
    for row in rows:
        tokens, start = torch.tensor(row["tokens"]), row["completion_start"]
        scores = model(tokens[None], use_cache=False).logits[0].log_softmax(-1)
        total = total - scores[start - 1 : -1].gather(1, tokens[start:, None]).sum()
        count += len(tokens) - start
    return total / count


def steps(model, rows):
    """The losses and gradient norms of some AdamW steps."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trainable, lr=LEARNING_RATE)
    losses, norms = [], []
    for _ in range(STEPS):
        optimiser.zero_grad()
        value = loss(model, rows)
        value.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(trainable, 1.0)))
        losses.append(float(value))
        optimiser.step()
    return {"losses": losses, "gradient_norms": norms}


def adapted(folder, base, dtype):
    """The base with adapter/, trainable."""
    model = peft.PeftModel.from_pretrained(base, folder / "adapter", is_trainable=True, autocast_adapter_dtype=False)
    return model.to(dtype).eval()


def write_adapter(folder, targets, seed):
    """Lets PEFT write an adapter whose A and B are both random."""
    torch.manual_seed(seed)
    settings = peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets, lora_dropout=0.0, task_type="CAUSAL_LM")
    model = peft.get_peft_model(load(folder, torch.float32), settings)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0.0, 0.1)
    model.base_model.model.config._name_or_path = folder.name
    model.peft_config["default"].base_model_name_or_path = folder.name
    model.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink(missing_ok=True)


def gradients(model, rows, key):
    """The loss, and its gradient by name."""
    value = loss(model, rows)
    value.backward()
    found = {key(name): p.grad.float().contiguous() for name, p in model.named_parameters() if p.requires_grad}
    return float(value), found


def make(name, described, seed):
    """All files of one model."""
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    write_base(folder, described["config"], seed)
    write_adapter(folder, described["targets"], seed + 1)
    rows = sequences(seed + 2)
    whole = [row | {"completion_start": 1} for row in rows]
    double, single = torch.float64, torch.float32

    base = load(folder, double)
    tensors = {"logits": logits(base, rows).detach().float()}
    full_loss, full = gradients(base, whole, lambda key: key)
    lora = adapted(folder, load(folder, double), double)
    tensors["adapter_logits"] = logits(lora, rows).detach().float()
    lora_loss, low_rank = gradients(lora, rows, lambda key: key.replace(".default.", "."))
    stored = load_file(folder / "adapter" / "adapter_model.safetensors")
    assert set(stored) == set(low_rank), "gradient keys are not PEFT's file keys"

    variant_tokens = sequences(seed + 3)[1]["tokens"]
    for variant, overrides in described["variants"].items():
        scores = logits(load(folder, double, **overrides), [{"tokens": variant_tokens}]).detach().float()
        plain = logits(load(folder, double), [{"tokens": variant_tokens}]).detach().float()
        assert (scores - plain).abs().max() > 1e-3, f"{variant} changes nothing"
        tensors[f"variant.{variant}"] = scores

    save_file(tensors, folder / "expected.safetensors")
    save_file(full, folder / "full_gradients.safetensors")
    save_file(low_rank, folder / "lora_gradients.safetensors")
    runs = {}
    for kind, targets, model in [
        ("lora_steps", rows, lambda dtype: adapted(folder, load(folder, dtype), dtype)),
        ("full_steps", whole, lambda dtype: load(folder, dtype)),
    ]:
        runs[kind] = steps(model(double), targets)
        other = steps(model(single), targets)
        runs[kind]["float32_difference"] = max(abs(a - b) for a, b in zip(runs[kind]["losses"], other["losses"]))
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__, "dtype": "float64"}
    document = {
        "note": NOTE.format(**versions), "rank": RANK, "alpha": ALPHA, "targets": described["targets"],
        "sequences": rows, "loss": lora_loss, "base_loss": float(loss(base, rows)), "full_loss": full_loss,
        "learning_rate": LEARNING_RATE, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01, "max_grad_norm": 1.0,
        "variant_tokens": variant_tokens, "variants": described["variants"], **runs,
    }
    assert document["loss"] == runs["lora_steps"]["losses"][0]
    (folder / "golden.json").write_text(json.dumps(document, indent=1) + "\n")
    for kind in runs:
        print(name, kind, runs[kind]["losses"][0], "->", runs[kind]["losses"][-1], "float32", runs[kind]["float32_difference"])


def main():
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    for seed, (name, described) in enumerate(copy.deepcopy(MODELS).items(), start=1):
        make(name, described, 100 * seed)


if __name__ == "__main__":
    main()
