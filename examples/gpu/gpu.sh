#!/bin/sh
# Everything that must be measured on a GPU, in one call of at most eight minutes: parity, kernels, training and scoring of so8t at
# the shapes of Phi-3.5-mini with random weights, and PEFT beside it. JSON lines and a table are written to $OUT.
#
#     OUT=gpu-results examples/gpu/gpu.sh [BENCH_GPU]
#
# BENCH_GPU is the program built by `cargo build --release --features cuda --example bench_gpu`; it is built here where it lacks and
# cargo is there. Needed: NVIDIA's driver, and cuBLAS and NVRTC of CUDA 12 or 13, those of a Python environment with PyTorch among
# them. Peers are measured where Python has torch, transformers and peft; bitsandbytes where it is found.
#
# DEVICE=cpu SHAPE=small tries the script itself where there is no GPU.
set -u
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
root=$here/../..
out=${OUT:-gpu-results}
device=${DEVICE:-cuda}
shape=${SHAPE:-phi-3.5-mini}
length=${LENGTH:-2048}
rank=${RANK:-64}
python=${PYTHON:-python3}
mkdir -p "$out"
lines=$out/results.jsonl
: >"$lines"

bench=${1:-${CARGO_TARGET_DIR:-$root/target}/release/examples/bench_gpu}
if [ ! -x "$bench" ]; then
    (cd "$root" && cargo build --release --features cuda --example bench_gpu) || exit 1
fi
# CUDA's libraries lie in Python's packages where nobody has installed them elsewhere.
packages=$("$python" -c 'import glob, site; print(":".join(p for s in site.getsitepackages() for p in glob.glob(s + "/nvidia/*/lib")))' 2>/dev/null)
LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$packages
export LD_LIBRARY_PATH
command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit --format=csv | tee "$out/device.csv"

# run SECONDS COMMAND...: a part that takes longer is ended and told, and the others go on.
failed=0
run() {
    limit=$1
    shift
    echo "$*" | sed "s|$root/||g" >&2
    timeout "$limit" "$@" >>"$lines" 2>>"$out/log" || {
        failed=1
        echo "failed or out of time ($?): $*" | sed "s|$root/||g" | tee -a "$out/log" >&2
    }
}

common="--device $device --shape $shape --length $length --rank $rank"
# shellcheck disable=SC2086
{
    run 40 "$bench" parity --device "$device"
    run 30 "$bench" products attention $common --seconds 6
    for base in int8 nf4; do
        run 32 "$bench" train $common --base $base --seconds 6
        run 32 "$bench" train $common --base $base --seconds 6 --recompute
    done
    run 28 "$bench" train $common --base nf4 --seconds 5 --recompute --optimizer adamw8bit
    run 26 "$bench" score $common --base int8 --seconds 6
}
peer=$here/../peers/gpu_train.py
if "$python" -c 'import torch, transformers, peft' 2>>"$out/log"; then
    for base in bf16 nf4 int8; do
        run 36 "$python" "$peer" --device "$device" --shape "$shape" --length "$length" --rank "$rank" --base $base --seconds 6
        run 36 "$python" "$peer" --device "$device" --shape "$shape" --length "$length" --rank "$rank" --base $base --seconds 6 --recompute
    done
else
    echo 'no peers: Python lacks torch, transformers or peft' | tee -a "$out/log" >&2
fi
"$python" "$here/table.py" "$lines" >"$out/table.md" && cat "$out/table.md"
exit $failed
