"""The peers of label scoring: transformers, lm-evaluation-harness and llama.cpp on the prompts of `bench_score`.

    pip install torch transformers gguf lm-eval llama-cpp-python
    cargo run --release --example bench_score -- "$SO8T_SMOLLM2" --prompts prompts.json
    python examples/peers/scoring.py --model "$SO8T_SMOLLM2" --prompts prompts.json [--only transformers,harness,llama]

Figures are samples per CPU second (`time.process_time`, all threads together). transformers: one forward pass, 16 prompts a batch, padded
on the left, only the last position's logits. lm-evaluation-harness: its own `loglikelihood` of the four labels' first tokens, batches of 8
(it shares one forward pass among continuations of one token). llama.cpp: the same GGUF requantised to Q8_0, one prompt
after the other with its prompt cache reset, logits of the last token; its threads spin, so its CPU seconds are its threads' wall time.
"""

import argparse
import json
import pathlib
import tempfile
import time


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="the GGUF file")
    parser.add_argument("--prompts", required=True, help="what bench_score wrote")
    parser.add_argument("--only", default="transformers,harness,llama")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, default=96, help="prompts a peer")
    return parser.parse_args()


def report(name, count, wall, processor):
    print(f"{name}: {count / processor:.1f} samples a CPU second, {count / wall:.1f} a second", flush=True)


def clock():
    return time.perf_counter(), time.process_time()


def load(path, dtype):
    import transformers

    folder, name = path.parent, path.name
    return transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=dtype).eval()


def measure_transformers(path, prompts, first):
    import torch

    for dtype in (torch.float32, torch.bfloat16):
        model = load(path, dtype)
        order = sorted(prompts, key=len)
        with torch.inference_mode():
            for warm in (True, False):
                wall, processor = clock()
                for start in range(0, 16 if warm else len(order), 16):
                    batch = order[start : start + 16]
                    longest = max(map(len, batch))
                    ids = torch.tensor([[0] * (longest - len(p)) + p for p in batch])
                    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in batch])
                    logits = model(input_ids=ids, attention_mask=mask, logits_to_keep=1).logits[:, -1, first]
                    logits.argmax(-1)
                ended = clock()
        report(f"transformers, {dtype}, batch 16", len(order), ended[0] - wall, ended[1] - processor)


def measure_harness(path, prompts, labels):
    import torch
    from lm_eval.models.huggingface import HFLM
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    model = HFLM(pretrained=load(path, torch.float32), tokenizer=tokenizer, batch_size=8, device="cpu")
    requests = [(("", ""), prompt, label) for prompt in prompts for label in labels]
    # The texts are the cache's keys; distinct ones are needed.
    requests = [((str(i), str(i)), context, label) for i, (_, context, label) in enumerate(requests)]
    wall, processor = clock()
    model._loglikelihood_tokens(requests, disable_tqdm=True)
    ended = clock()
    report("lm-evaluation-harness, f32, batch 8", len(prompts), ended[0] - wall, ended[1] - processor)


def measure_llama(path, prompts, threads):
    import llama_cpp

    with tempfile.TemporaryDirectory() as folder:
        quantised = pathlib.Path(folder, "q8_0.gguf")
        settings = llama_cpp.llama_model_quantize_default_params()
        settings.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0
        settings.allow_requantize = True
        failed = llama_cpp.llama_model_quantize(str(path).encode(), str(quantised).encode(), settings)
        if failed:
            raise RuntimeError("llama.cpp could not requantise the model")
        for count in {1, threads}:
            model = llama_cpp.Llama(str(quantised), n_ctx=512, n_batch=512, n_threads=count, n_threads_batch=count, verbose=False)
            for warm in (True, False):
                wall, processor = clock()
                for prompt in prompts[: 4 if warm else len(prompts)]:
                    model.reset()
                    model.eval(prompt)
                ended = clock()
            report(f"llama.cpp, Q8_0, {count} threads", len(prompts), ended[0] - wall, ended[1] - processor)


def main():
    options = arguments()
    path = pathlib.Path(options.model).resolve()
    data = json.loads(pathlib.Path(options.prompts).read_text())
    prompts = data["prompts"][: options.limit]
    chosen = options.only.split(",")
    if "transformers" in chosen or "harness" in chosen:
        import torch

        torch.set_num_threads(options.threads)
    if "transformers" in chosen:
        measure_transformers(path, prompts, data["first"])
    if "harness" in chosen:
        measure_harness(path, prompts, [[token] for token in data["first"]])
    if "llama" in chosen:
        measure_llama(path, prompts, options.threads)


if __name__ == "__main__":
    main()
