"""llama.cpp on an exported GGUF file, against what so8t computes with the base and the adapter apart.

    pip install llama-cpp-cffi numpy      # its CPU library needs libstdc++ of GCC 13 or later
    cargo run --release --example next_tokens -- BASE --adapter DIR texts.txt expected.json
    so8t adapter export --base BASE --adapter DIR --gguf exported.gguf --type q8_0
    python examples/peers/llama_cpp.py exported.gguf expected.json

For each text: whether llama.cpp's own tokenizer, built from the file's metadata, gives the same tokens; the largest difference of the
log-probabilities of its tokens; and after its last token the divergence KL(so8t || llama.cpp) in nats and whether the likeliest token is the same.
"""

import json
import sys

import numpy
from llama._llama_cpp_cpu import ffi, lib


class Model:
    """A GGUF file, read by llama.cpp."""

    def __init__(self, path):
        lib.llama_backend_init()
        self.model = lib.llama_model_load_from_file(path.encode(), lib.llama_model_default_params())
        assert self.model != ffi.NULL, f"llama.cpp does not read `{path}`"
        # f32 keys and values and no flash attention, so that nothing but the weights is rounded.
        parameters = lib.llama_context_default_params()
        parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = 512
        parameters.n_threads = parameters.n_threads_batch = 1
        parameters.type_k = parameters.type_v = lib.GGML_TYPE_F32
        self.context = lib.llama_init_from_model(self.model, parameters)
        self.vocabulary = lib.llama_model_get_vocab(self.model)
        self.width = lib.llama_vocab_n_tokens(self.vocabulary)

    def tokenize(self, text):
        """Its tokens, without any that are added in front."""
        data = text.encode()
        out = ffi.new("llama_token[]", len(data) + 16)
        count = lib.llama_tokenize(self.vocabulary, data, len(data), out, len(out), False, True)
        return [out[i] for i in range(count)]


def log_probabilities(model, tokens):
    """[tokens, vocabulary], in double precision."""
    lib.llama_kv_self_clear(model.context)
    batch = lib.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for i, token in enumerate(tokens):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = token, i, 1, 0, 1
    assert lib.llama_decode(model.context, batch) == 0
    rows = [ffi.buffer(lib.llama_get_logits_ith(model.context, i), 4 * model.width) for i in range(len(tokens))]
    logits = numpy.array([numpy.frombuffer(row, dtype=numpy.float32) for row in rows], dtype=numpy.float64)
    lib.llama_batch_free(batch)
    logits -= logits.max(-1, keepdims=True)
    return logits - numpy.log(numpy.exp(logits).sum(-1, keepdims=True))


def main():
    path, expected = sys.argv[1:]
    model = Model(path)
    same, alike, differences, divergences, count = 0, 0, [], [], 0
    for row in json.load(open(expected)):
        tokens, count = row["tokens"], count + 1
        same += model.tokenize(row["text"]) == tokens
        found = log_probabilities(model, tokens)
        following = found[range(len(tokens) - 1), tokens[1:]]
        differences.extend(abs(following - numpy.array(row["following"])))
        after = numpy.array(row["after"])
        divergences.append(float((numpy.exp(after) * (after - found[-1])).sum()))
        alike += int(after.argmax() == found[-1].argmax())
    print(
        f"{path}: {same} of {count} texts tokenised alike; log-probabilities of {len(differences)} tokens differ by "
        f"{numpy.mean(differences):.5f} on average, {max(differences):.5f} at most; after the last token KL {numpy.mean(divergences):.2e} on average, "
        f"{max(divergences):.2e} at most, the likeliest token the same in {alike} of {count}"
    )


if __name__ == "__main__":
    main()
