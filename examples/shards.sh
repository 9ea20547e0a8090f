#!/usr/bin/env bash
# A predictions file measured by N processes at once, and joined: the report is that of one process, bit for bit.
#
#     examples/shards.sh PREDICTIONS N OUT [ARGUMENTS OF so8t evaluate]
#
# SO8T names the program; `so8t` on the path where it is not set.
set -euo pipefail
predictions=$1 count=$2 out=$3
shift 3
so8t=${SO8T:-so8t}

processes=()
for index in $(seq "$count"); do
  "$so8t" evaluate "$predictions" --shard "$index/$count" --out "$out" "$@" &
  processes+=($!)
done
for process in "${processes[@]}"; do
  wait "$process"
done

states=()
for index in $(seq "$count"); do
  states+=("$out/shard_${index}_of_$count.state")
done
"$so8t" merge "${states[@]}" --out "$out"
