"""The peer of training on a GPU: PEFT in PyTorch at the shapes of a model, with random weights; bitsandbytes for NF4 and int8 bases.

    pip install torch transformers peft [bitsandbytes]
    python examples/peers/gpu_train.py [--shape phi-3.5-mini] [--base bf16|nf4|int8] [--recompute] [--length 2048] [--rank 64]

One sequence a step, all tokens predicted, LoRA on all linears, AdamW (fused), products in bf16, PyTorch's own attention kernels. The
median of the steps after the first three. `--device cpu --shape small` tries the script.
"""

import argparse
import json
import statistics
import time

import peft
import torch
import transformers

SHAPES = {
    "phi-3.5-mini": dict(hidden_size=3072, intermediate_size=8192, num_hidden_layers=32, num_attention_heads=32,
                         num_key_value_heads=32, vocab_size=32064),
    "small": dict(hidden_size=128, intermediate_size=192, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
                  vocab_size=300),
}
TARGETS = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="phi-3.5-mini", choices=sorted(SHAPES))
    parser.add_argument("--base", default="bf16", choices=["bf16", "nf4", "int8"])
    parser.add_argument("--recompute", action="store_true")
    parser.add_argument("--length", type=int, default=2048)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    return parser.parse_args()


def quantise(model, base):
    """Puts bitsandbytes' linears in the place of the layers' own, with the same weights."""
    import bitsandbytes

    for name, module in list(model.named_modules()):
        if not isinstance(module, torch.nn.Linear) or name.endswith("lm_head"):
            continue
        weight = module.weight.data
        if base == "nf4":
            linear = bitsandbytes.nn.Linear4bit(module.in_features, module.out_features, bias=False,
                                                compute_dtype=torch.bfloat16, quant_type="nf4", compress_statistics=True)
            linear.weight = bitsandbytes.nn.Params4bit(weight.cpu(), requires_grad=False, quant_type="nf4",
                                                       compress_statistics=True)
        else:
            linear = bitsandbytes.nn.Linear8bitLt(module.in_features, module.out_features, bias=False, has_fp16_weights=False)
            linear.weight = bitsandbytes.nn.Int8Params(weight.cpu(), requires_grad=False, has_fp16_weights=False)
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, linear.to(weight.device))
    setattr(model, "is_loaded_in_4bit" if base == "nf4" else "is_loaded_in_8bit", True)


def main():
    options = arguments()
    torch.manual_seed(0)
    device = torch.device(options.device)
    config = transformers.Phi3Config(**SHAPES[options.shape], max_position_embeddings=options.length, tie_word_embeddings=False,
                                     pad_token_id=0, bos_token_id=1, eos_token_id=2, attn_implementation="sdpa")
    with device:
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    if options.base != "bf16":
        quantise(model, options.base)
    if options.recompute:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    settings = peft.LoraConfig(r=options.rank, lora_alpha=2 * options.rank, target_modules=TARGETS, lora_dropout=0.0,
                               task_type="CAUSAL_LM")
    model = peft.get_peft_model(model, settings)
    model.config.use_cache = False
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=1e-4, fused=device.type == "cuda")
    vocabulary = SHAPES[options.shape]["vocab_size"]
    ids = (torch.arange(options.length, device=device) * 7919 % vocabulary)[None]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()

    times, began = [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - began < options.seconds:
        start = time.perf_counter()
        with torch.autocast(device.type, dtype=torch.bfloat16):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        loss.item()
        times.append(time.perf_counter() - start)
    median = statistics.median(times[3:])
    versions = f"peft {peft.__version__}, torch {torch.__version__}, transformers {transformers.__version__}"
    if options.base != "bf16":
        import bitsandbytes

        versions += f", bitsandbytes {bitsandbytes.__version__}"
    peak = 0
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info()
        # As so8t counts: all that the device has given, libraries among it.
        peak = max(total - free, torch.cuda.max_memory_reserved())
    print(json.dumps({
        "part": "peer", "peer": versions, "shape": options.shape, "base": options.base, "recompute": options.recompute,
        "length": options.length, "rank": options.rank, "steps": len(times), "step_milliseconds": median * 1e3,
        "tokens_per_second": options.length / median, "peak_memory_bytes": peak,
        "allocated_peak_bytes": torch.cuda.max_memory_allocated() if device.type == "cuda" else 0,
    }))


if __name__ == "__main__":
    main()
