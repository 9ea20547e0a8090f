#!/usr/bin/env bash
# A `RUSTC_WRAPPER`: compiles what is fuzzed (so8t, the readers of TOML, gzip, Parquet, tokenizers and schemas, the targets) with the coverage that libFuzzer reads, with
# checked arithmetic, and everything else as it is. `cargo fuzz` does the same to every crate, which takes many minutes more.
set -euo pipefail
name=
previous=
for argument in "$@"; do
    [ "$previous" = --crate-name ] && name=$argument
    previous=$argument
done
flags=()
case $name in
    so8t | so8t_* | toml | toml_parser | toml_datetime | winnow | flate2 | miniz_oxide | parquet | tokenizers | safetensors | \
        jsonschema | adapter | columns | encodings | files | gguf | lock | manifest | model | packed | predictions | registry | schema | thinking)
        flags=(-Copt-level=1 -Cdebug-assertions -Coverflow-checks --cfg=fuzzing -Cpasses=sancov-module
            -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
            -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares) ;;
esac
exec "$@" ${flags[@]+"${flags[@]}"}
