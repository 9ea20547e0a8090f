"""Makes ../training/golden/MODEL/KIND: adapters of other kinds than plain LoRA that PEFT wrote, with logits, gradients and AdamW steps.

    pip install torch transformers peft safetensors bitsandbytes
    python tests/golden/adapters.py

The models and their sequences are those of training.py, which is run before. What is what is written into golden.json.
"""

import json
import shutil
import warnings

import peft
import torch
import transformers
from peft.optimizers import create_loraplus_optimizer
from safetensors.torch import load_file, save_file

import training

STEPS = 3
SETTINGS = {"r": 4, "lora_alpha": 8, "lora_dropout": 0.0, "task_type": "CAUSAL_LM"}
KINDS = {
    # The magnitudes of half of the modules are moved off their norms, as training would.
    "dora": {"use_dora": True, "rank_pattern": {"down_proj": 2}},
    # The first key that matches decides; some modules get none.
    "patterns": {
        "use_rslora": True,
        "rank_pattern": {"layers.0.self_attn.o_proj": 6, "o_proj": 3, r"layers\.1\.mlp\..*": 5},
        "alpha_pattern": {"down_proj": 3, "o_proj": 12.5},
        "exclude_modules": ["layers.1.self_attn.o_proj"],
    },
}
RATIO = 16.0
SMOOTHING = 0.1
NOTE = (
    "Made by tests/golden/adapters.py with torch {}, transformers {}, peft {} in float64, weights stored in float32. loss, gradients: of the sequences of "
    "../golden.json as there, with torch's cross_entropy(label_smoothing={}); expected.safetensors: logits of all their tokens. losses[i] belongs to the "
    "weights before step i of AdamW, lr 1e-2, weight decay 0.01, clipping at 1.0 as in ../golden.json; with patterns the optimizer is "
    "create_loraplus_optimizer(loraplus_lr_ratio={})."
)


def loss(model, rows):
    """The smoothed mean over the target tokens of all rows."""
    total, count = 0.0, 0
    for row in rows:
        tokens, start = torch.tensor(row["tokens"]), row["completion_start"]
        scores = model(tokens[None], use_cache=False).logits[0][start - 1 : -1]
        total = total + torch.nn.functional.cross_entropy(scores, tokens[start:], label_smoothing=SMOOTHING, reduction="sum")
        count += len(tokens) - start
    return total / count


def optimiser(kind, model, trainable):
    if kind == "patterns":
        return create_loraplus_optimizer(
            model, torch.optim.AdamW, lr=training.LEARNING_RATE, loraplus_lr_ratio=RATIO, loraplus_weight_decay=0.01, weight_decay=0.01
        )
    return torch.optim.AdamW(trainable, lr=training.LEARNING_RATE)


def make(name, kind, seed):
    folder = training.OUT / name
    place = folder / kind
    shutil.rmtree(place, ignore_errors=True)
    document = json.loads((folder / "golden.json").read_text())
    rows = document["sequences"]
    torch.manual_seed(seed)
    settings = peft.LoraConfig(target_modules=document["targets"], **SETTINGS, **KINDS[kind])
    model = peft.get_peft_model(training.load(folder, torch.float32), settings)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "lora_B" in key:
                parameter.normal_(0.0, 0.1)
            if "lora_magnitude_vector" in key:
                parameter.mul_(torch.empty_like(parameter).uniform_(0.7, 1.4))
    model.peft_config["default"].base_model_name_or_path = name
    model.save_pretrained(place)
    (place / "README.md").unlink(missing_ok=True)

    base = training.load(folder, torch.float64)
    model = peft.PeftModel.from_pretrained(base, place, is_trainable=True, autocast_adapter_dtype=False).to(torch.float64).eval()
    save_file({"logits": training.logits(model, rows).detach().float()}, place / "expected.safetensors")
    loss(model, rows).backward()
    key = lambda key: key.replace(".default.", ".").replace("lora_magnitude_vector.weight", "lora_magnitude_vector")
    gradients = {key(k): p.grad.float().contiguous() for k, p in model.named_parameters() if p.requires_grad}
    assert set(gradients) == set(load_file(place / "adapter_model.safetensors"))
    save_file(gradients, place / "gradients.safetensors")
    trainable = [p for p in model.parameters() if p.requires_grad]
    steps, losses, norms = optimiser(kind, model, trainable), [], []
    for _ in range(STEPS + 1):
        steps.zero_grad()
        value = loss(model, rows)
        value.backward()
        losses.append(value.item())
        norms.append(float(torch.nn.utils.clip_grad_norm_(trainable, 1.0)))
        steps.step()
    versions = (torch.__version__, transformers.__version__, peft.__version__, SMOOTHING, RATIO)
    document = {
        "note": NOTE.format(*versions), "label_smoothing": SMOOTHING, "lora_plus_ratio": RATIO if kind == "patterns" else 1.0,
        "losses": losses, "gradient_norms": norms,
    }
    (place / "golden.json").write_text(json.dumps(document, indent=1) + "\n")
    print(name, kind, losses, norms)


def main():
    warnings.filterwarnings("error", message=".*adapter.*")
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    for seed, name in enumerate(training.MODELS):
        for offset, kind in enumerate(KINDS):
            make(name, kind, 1000 + 10 * seed + offset)


if __name__ == "__main__":
    main()
