#!/bin/sh
# Compiles every kernel for the architectures it is meant for, without a GPU, and prints what each needs: registers, spilled
# bytes, shared memory. The toolkit comes from PyPI into a folder below target/ (1.1 GB). Exit code 1: an error, or a spill.
#
#     host/kernels/cuda/check.sh [FAMILY...]
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../../target}
toolkit=$target/cuda-toolkit
if [ ! -x "$toolkit/bin/python" ]; then
    python3 -m venv "$toolkit"
    "$toolkit/bin/pip" install --quiet 'cuda-toolkit[nvcc,nvrtc,cudart,crt,nvvm]==13.0.2'
fi
cuda=$(echo "$toolkit"/lib/python3*/site-packages/nvidia/cu13)
nvcc=$cuda/bin/nvcc
out=$target/cuda-check
mkdir -p "$out"
[ $# -gt 0 ] || set -- $(cd "$here" && ls *.cu | sed 's/\.cu$//')
status=0
for family; do
    heads=0
    [ "$family" != attention_bf16 ] || heads='64 96 128'
    for head in $heads; do
        "$nvcc" --ptx -arch=compute_80 -std=c++17 -DHEAD=$head -include "$here/prelude.cuh" -o "$out/$family.ptx" "$here/$family.cu"
        for arch in sm_86 sm_90; do
            echo "$family $arch $head" | sed 's/ 0$//'
            "$cuda/bin/ptxas" -v -arch=$arch -o "$out/$family.$arch.cubin" "$out/$family.ptx" 2>"$out/log" ||
                { cat "$out/log"; exit 1; }
            sed -n "s/.*Compiling entry function '\(.*\)' for.*/  \1/p; s/.*info *: *\(Used .*\)/      \1/p; s/^ *\(.*spill stores.*\)/      \1/p" "$out/log"
            grep -q ' [1-9][0-9]* bytes spill' "$out/log" && status=1
        done
    done
done
[ $status -eq 0 ] || echo 'a kernel spills registers' >&2
exit $status
