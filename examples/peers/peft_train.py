"""The peer of training: PEFT in PyTorch, f32 base, LoRA r 16 on all linears of SmolLM2-135M, on the CPU.

    pip install torch transformers peft gguf
    python examples/peers/peft_train.py --model "$SO8T_SMOLLM2" [--dataset RUN/dataset.jsonl] [--seconds 20] [--dtype float32]

Without --dataset: batches of 4 x 128 random tokens. With it: the real examples in the run's prompt form, 16 a batch, padded
to the longest of the batch (padding is not counted). Figures are tokens per CPU second (`time.process_time`, all threads
together), so that a busy machine does not change them much; the median of the steps after the first two.
"""

import argparse
import json
import pathlib
import random
import resource
import statistics
import time

import peft
import torch
import transformers

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
LABELS = ["ALLOW", "ESCALATION", "DENY", "REFUSE"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="the GGUF file")
    parser.add_argument("--dataset", help="a run's dataset.jsonl")
    parser.add_argument("--policy", default="", help="the system turn, with --dataset")
    parser.add_argument("--seconds", type=float, default=20, help="CPU seconds to measure for")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def real_batches(path, policy, tokenizer):
    """Token ids and targets of the examples, 16 a batch, in a seeded order."""
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    random.Random(0).shuffle(rows)
    encoded = []
    for row in rows:
        turns = [{"role": "system", "content": policy}] if policy else []
        turns.append({"role": "user", "content": row["instruction"]})
        prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        label = row["label"] if isinstance(row["label"], str) else LABELS[row["label"]]
        prompt_ids = tokenizer(prompt, add_special_tokens=False).input_ids
        answer_ids = tokenizer(label, add_special_tokens=False).input_ids + [tokenizer.eos_token_id]
        encoded.append((prompt_ids, answer_ids))
    while True:
        for start in range(0, len(encoded), 16):
            batch = encoded[start : start + 16]
            longest = max(len(prompt) + len(answer) for prompt, answer in batch)
            ids, targets, mask = [], [], []
            for prompt, answer in batch:
                padding = longest - len(prompt) - len(answer)
                ids.append(prompt + answer + [tokenizer.eos_token_id] * padding)
                targets.append([-100] * len(prompt) + answer + [-100] * padding)
                mask.append([1] * (len(prompt) + len(answer)) + [0] * padding)
            yield [torch.tensor(x) for x in (ids, targets, mask)]


def synthetic_batches(vocabulary):
    """Batches of 4 x 128 random tokens, all of them targets."""
    generator = torch.Generator().manual_seed(0)
    while True:
        ids = torch.randint(100, vocabulary, (4, 128), generator=generator)
        yield ids, ids, torch.ones_like(ids)


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    file = pathlib.Path(options.model)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=getattr(torch, options.dtype)
    )
    settings = peft.LoraConfig(r=16, lora_alpha=32, target_modules=TARGETS, lora_dropout=0.0, task_type="CAUSAL_LM")
    model = peft.get_peft_model(model, settings)
    model.train()
    if options.dataset:
        tokenizer = transformers.AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        batches = real_batches(options.dataset, options.policy, tokenizer)
    else:
        batches = synthetic_batches(model.config.vocab_size)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-4)

    rates, tokens, padded, began = [], 0, 0, time.process_time()
    while time.process_time() - began < options.seconds or len(rates) < 5:
        ids, targets, mask = next(batches)
        start = time.process_time()
        loss = model(input_ids=ids, attention_mask=mask, labels=targets).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        rates.append((int(mask.sum()), time.process_time() - start))
        tokens += int(mask.sum())
        padded += mask.numel()
    measured = rates[2:]
    print(json.dumps({
        "peer": f"peft {peft.__version__}, torch {torch.__version__}, transformers {transformers.__version__}",
        "data": "real lengths" if options.dataset else "4 x 128 random tokens", "dtype": options.dtype,
        "steps": len(rates), "tokens": tokens, "share_of_padding": round(1 - tokens / padded, 3),
        "tokens_per_cpu_second": round(sum(n for n, _ in measured) / sum(s for _, s in measured), 1),
        "median_step_tokens_per_cpu_second": round(statistics.median(n / s for n, s in measured), 1),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }))


if __name__ == "__main__":
    main()
