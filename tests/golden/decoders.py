"""Makes ../model/golden/decoders.json: Transformers' log-probabilities, and PEFT's gradients, of tiny models of every decoder.

    pip install torch transformers peft
    python tests/golden/decoders.py

Weights are made by `numbers`, which the tests have too, so that no file of weights is stored. Everything is computed in float64 on one
sequence at a time with eager attention. Each configuration says what real ones say: windows shorter than the sequence, both styles of
rotary settings, caps that are at work, heads that are not the width divided by their number, grouped keys, biases.
"""

import json
import pathlib

import peft
import torch
import transformers
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

OUT = pathlib.Path(__file__).parent.parent / "model" / "golden" / "decoders.json"
VOCABULARY, LENGTH, RANK, ALPHA, RATE = 267, 26, 2, 4, 1e-2
ROWS, COLUMNS = [0, 3, 7, 12, 16, 20, 23, 25], list(range(0, VOCABULARY, 13))

SHARED = {
    "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
    "vocab_size": VOCABULARY, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "bos_token_id": 1, "eos_token_id": 2,
    "pad_token_id": None,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
FULL, SLIDING = "full_attention", "sliding_attention"
# Name: (model_type, class, what the file says).
CASES = {
    "llama-biases": ("llama", "LlamaForCausalLM", {"attention_bias": True, "mlp_bias": True, "hidden_act": "gelu"}),
    "qwen2": ("qwen2", "Qwen2ForCausalLM", {
        "hidden_act": "silu", "rope_theta": 1000000.0, "use_sliding_window": True, "sliding_window": 5, "max_window_layers": 2,
        "tie_word_embeddings": True, "rope_scaling": None,
    }),
    "qwen2-5": ("qwen2", "Qwen2ForCausalLM", {
        "layer_types": [SLIDING, FULL, SLIDING, FULL], "use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1,
        "rope_parameters": YARN | {"rope_theta": 5000.0}, "dtype": "float32",
    }),
    "qwen2-plain": ("qwen2", "Qwen2ForCausalLM", {
        "sliding_window": 4, "use_sliding_window": False, "max_window_layers": 1, "rope_theta": 1000000.0,
    }),
    "qwen3": ("qwen3", "Qwen3ForCausalLM", {
        "head_dim": 12, "attention_bias": True, "rope_theta": 1000000.0, "rope_scaling": YARN, "use_sliding_window": False,
        "sliding_window": None, "max_window_layers": 4, "tie_word_embeddings": True,
    }),
    "qwen3-5": ("qwen3", "Qwen3ForCausalLM", {
        "head_dim": 10, "layer_types": [FULL] * 4, "use_sliding_window": False, "sliding_window": None,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0},
    }),
    "gemma": ("gemma", "GemmaForCausalLM", {
        "head_dim": 10, "num_key_value_heads": 1, "hidden_act": "gelu", "hidden_activation": None, "rope_theta": 10000.0,
    }),
    "gemma2": ("gemma2", "Gemma2ForCausalLM", {
        "head_dim": 10, "query_pre_attn_scalar": 10, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0,
        "sliding_window": 5, "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh",
        "cache_implementation": "hybrid", "rope_theta": 10000.0,
    }),
    "gemma2-5": ("gemma2", "Gemma2ForCausalLM", {
        "head_dim": 8, "query_pre_attn_scalar": 5, "attn_logit_softcapping": None, "sliding_window": 4, "attention_bias": True,
        "layer_types": [FULL, SLIDING, SLIDING, FULL], "rope_parameters": {"rope_type": "default", "rope_theta": 500.0},
    }),
    "gemma3": ("gemma3_text", "Gemma3ForCausalLM", {
        "num_hidden_layers": 7, "head_dim": 10, "query_pre_attn_scalar": 10, "sliding_window": 5, "rope_theta": 1000000.0,
        "rope_local_base_freq": 10000.0, "rope_scaling": {"rope_type": "linear", "factor": 8.0}, "attn_logit_softcapping": None,
        "hidden_activation": "gelu_pytorch_tanh", "cache_implementation": "hybrid",
    }),
    "gemma3-pattern": ("gemma3_text", "Gemma3ForCausalLM", {
        "head_dim": 8, "sliding_window": 4, "sliding_window_pattern": 2, "query_pre_attn_scalar": 7,
    }),
    "gemma3-5": ("gemma3_text", "Gemma3ForCausalLM", {
        "head_dim": 12, "query_pre_attn_scalar": 12, "sliding_window": 6, "final_logit_softcapping": 4.0,
        "layer_types": [SLIDING, FULL, SLIDING, FULL], "use_bidirectional_attention": False,
        "rope_parameters": {
            FULL: {"rope_type": "linear", "factor": 4.0, "rope_theta": 100000.0},
            SLIDING: {"rope_type": "default", "rope_theta": 700.0},
        },
    }),
    "granite": ("granite", "GraniteForCausalLM", {
        "hidden_act": "silu", "attention_bias": False, "mlp_bias": False, "attention_multiplier": 0.5, "embedding_multiplier": 6.0,
        "residual_multiplier": 0.22, "logits_scaling": 1.5, "rope_theta": 10000.0, "rope_scaling": None,
        "tie_word_embeddings": True,
    }),
    "granite-5": ("granite", "GraniteForCausalLM", {
        "attention_bias": True, "mlp_bias": True, "attention_multiplier": 0.25, "embedding_multiplier": 3, "logits_scaling": 2,
        "rope_parameters": LLAMA3 | {"rope_theta": 10000.0},
    }),
    "phi-4-mini": ("phi3", "Phi3ForCausalLM", {
        "partial_rotary_factor": 0.75, "rope_theta": 10000.0, "original_max_position_embeddings": 16, "sliding_window": 9,
        "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.5, 2.0], "long_factor": [1.0, 3.0, 6.0]},
        "tie_word_embeddings": True, "interpolate_factor": 1, "full_attn_mod": 1, "attention_bias": False,
    }),
    "smollm3": ("smollm3", "SmolLM3ForCausalLM", {
        "num_hidden_layers": 5, "rope_theta": 5000000.0, "rope_scaling": None, "use_sliding_window": False, "sliding_window": None,
        "max_window_layers": 28, "attention_bias": False, "mlp_bias": False,
    }),
    "smollm3-5": ("smollm3", "SmolLM3ForCausalLM", {
        "no_rope_layers": [1, 0, 1, 0], "no_rope_layer_interval": 4, "use_sliding_window": True, "sliding_window": 5,
        "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": False,
        "rope_parameters": {"rope_type": "default", "rope_theta": 20000.0},
    }),
    "olmo2": ("olmo2", "Olmo2ForCausalLM", {"rope_theta": 500000.0, "hidden_act": "silu", "attention_bias": False}),
    "olmo2-5": ("olmo2", "Olmo2ForCausalLM", {
        "attention_bias": True, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}, "tie_word_embeddings": True,
    }),
}


def numbers(name, count):
    """Numbers in [−1, 1) that single precision holds, by a tensor's name: a hash of it, and the finaliser of MurmurHash3."""
    seed = 2166136261
    for byte in name.encode():
        seed = (seed ^ byte) * 16777619 & 0xFFFFFFFF
    out = []
    for i in range(count):
        x = (seed + i * 0x9E3779B9) & 0xFFFFFFFF
        x = (x ^ x >> 16) * 0x85EBCA6B & 0xFFFFFFFF
        x = (x ^ x >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
        x ^= x >> 16
        out.append((x >> 8) / 2**23 - 1.0)
    return out


def weights(name, shape, offset):
    """Those of a tensor: norms around 1, what is stored being less by `offset`."""
    count = 1
    for size in shape:
        count *= size
    values = torch.tensor(numbers(name, count), dtype=torch.float64).reshape(shape)
    if name.endswith("norm.weight"):
        return (1.0 - offset) + 0.5 * values
    return 0.25 * values if name.endswith(".weight") and "lora" not in name else 0.5 * values


def sequence(name):
    return [int((x + 1.0) / 2.0 * VOCABULARY) for x in numbers(name + ".tokens", LENGTH)]


def model_of(name):
    kind, own, fields = CASES[name]
    config = CONFIG_MAPPING[kind].from_dict(SHARED | {"model_type": kind, "architectures": [own]} | fields)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").double().eval()
    assert type(model).__name__ == own
    offset = 1.0 if kind.startswith("gemma") else 0.0
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            parameter.copy_(weights(key, tuple(parameter.shape), offset))
    return model


def loss(model, tokens):
    logits = model(input_ids=torch.tensor([tokens])).logits[0, :-1]
    return torch.nn.functional.cross_entropy(logits, torch.tensor(tokens[1:]))


def expected(name):
    kind, own, fields = CASES[name]
    model, tokens = model_of(name), sequence(name)
    with torch.no_grad():
        scores = torch.log_softmax(model(input_ids=torch.tensor([tokens])).logits[0], -1)
    plain = [[round(float(scores[row, column]), 7) for column in COLUMNS] for row in ROWS]

    targets = [key.rsplit(".", 1)[-1] for key, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    targets = sorted(set(targets) - {"lm_head"})
    settings = peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets, task_type="CAUSAL_LM")
    adapted = peft.get_peft_model(model, settings, autocast_adapter_dtype=False)
    trainable = [(key.replace(".default.", "."), value) for key, value in adapted.named_parameters() if value.requires_grad]
    with torch.no_grad():
        for key, value in trainable:
            value.copy_(weights(key, tuple(value.shape), 0.0))
    optimiser = torch.optim.AdamW([value for _, value in trainable], lr=RATE)
    first = loss(adapted, tokens)
    first.backward()
    gradients = {}
    for key, value in trainable:
        direction = torch.tensor(numbers(key + ".direction", value.numel()), dtype=torch.float64)
        gradient = value.grad.flatten()
        gradients[key] = [float(gradient @ direction), float(gradient.norm())]
    torch.nn.utils.clip_grad_norm_([value for _, value in trainable], 1.0)
    optimiser.step()
    with torch.no_grad():
        second = float(loss(adapted, tokens))
    config = SHARED | {"model_type": kind, "architectures": [own]} | fields
    return {
        "config": config, "tokens": tokens, "log_probabilities": plain, "losses": [float(first), second],
        "gradients": {key: [float(f"{x:.8g}") for x in pair] for key, pair in gradients.items()},
    }


def main():
    torch.set_num_threads(1)
    made = {name: expected(name) for name in CASES}
    document = {
        "note": f"made by tests/golden/decoders.py with torch {torch.__version__}, transformers {transformers.__version__}, "
                f"peft {peft.__version__} in float64",
        "rows": ROWS, "columns": COLUMNS, "rank": RANK, "alpha": ALPHA, "learning_rate": RATE, "cases": made,
    }
    OUT.write_text(json.dumps(document, separators=(",", ":")).replace('"cases":', '\n"cases":').replace('},"', '},\n"') + "\n")
    print(OUT.stat().st_size, {name: case["losses"] for name, case in made.items()})


if __name__ == "__main__":
    main()
