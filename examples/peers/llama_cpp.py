"""llama.cpp on an exported GGUF file, against what so8t computes with the base and the adapter apart.

    pip install llama-cpp-py-sync numpy
    cargo run --release --example next_tokens -- BASE --adapter DIR texts.txt expected.json
    so8t adapter export --base BASE --adapter DIR --gguf exported.gguf --type q8_0
    python examples/peers/llama_cpp.py exported.gguf expected.json

For each text: whether llama.cpp's own tokenizer, built from the file's metadata, gives the same tokens; the largest difference of the
log-probabilities of its tokens; and after its last token the divergence KL(so8t || llama.cpp) in nats and whether the likeliest token is the same.
"""

import json
import sys

import numpy
from llama_cpp_py_sync import Llama, __llama_cpp_tag__
from llama_cpp_py_sync._cffi_bindings import get_ffi, get_lib


def log_probabilities(model, tokens):
    """[tokens, vocabulary], in double precision."""
    lib, ffi = get_lib(), get_ffi()
    lib.llama_memory_clear(lib.llama_get_memory(model._ctx), True)
    batch = lib.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for i, token in enumerate(tokens):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = token, i, 1, 0, 1
    assert lib.llama_decode(model._ctx, batch) == 0
    width = 4 * model.n_vocab
    rows = [numpy.frombuffer(ffi.buffer(lib.llama_get_logits_ith(model._ctx, i), width), dtype=numpy.float32) for i in range(len(tokens))]
    logits = numpy.array(rows, dtype=numpy.float64)
    lib.llama_batch_free(batch)
    logits -= logits.max(-1, keepdims=True)
    return logits - numpy.log(numpy.exp(logits).sum(-1, keepdims=True))


def main():
    path, expected = sys.argv[1:]
    # f32 keys and values and no flash attention, so that nothing but the weights is rounded.
    model = Llama(path, n_ctx=512, n_batch=512, n_threads=1, type_k="f32", type_v="f32", flash_attn_type=0)
    same, alike, differences, divergences, count = 0, 0, [], [], 0
    for row in json.load(open(expected)):
        tokens, count = row["tokens"], count + 1
        same += model.tokenize(row["text"], add_special=False, parse_special=True) == tokens
        found = log_probabilities(model, tokens)
        following = found[range(len(tokens) - 1), tokens[1:]]
        differences.extend(abs(following - numpy.array(row["following"])))
        after = numpy.array(row["after"])
        divergences.append(float((numpy.exp(after) * (after - found[-1])).sum()))
        alike += int(after.argmax() == found[-1].argmax())
    print(
        f"llama.cpp {__llama_cpp_tag__}, {path}: {same} of {count} texts tokenised alike; log-probabilities of {len(differences)} tokens differ by "
        f"{numpy.mean(differences):.5f} on average, {max(differences):.5f} at most; after the last token KL {numpy.mean(divergences):.2e} on average, "
        f"{max(divergences):.2e} at most, the likeliest token the same in {alike} of {count}"
    )


if __name__ == "__main__":
    main()
