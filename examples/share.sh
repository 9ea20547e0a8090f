#!/usr/bin/env bash
# A plugin signed, pushed to a registry on this machine, pulled, pinned and run, with what every command prints.
#
#   examples/share.sh            needs docker-registry (on Debian: apt-get install docker-registry) and a release build of so8t
#
# Nothing outside of a temporary folder is written to.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
so8t=${SO8T:-$root/target/release/so8t}
folder=$(mktemp -d)
cd "$folder"
export HOME="$folder/home" XDG_CONFIG_HOME="$folder/home/.config" XDG_CACHE_HOME="$folder/home/.cache"

port=${PORT:-5917}
cat >registry.yml <<YAML
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: '$folder/registry'}}
http: {addr: '127.0.0.1:$port'}
YAML
docker-registry serve registry.yml >/dev/null 2>&1 &
registry=$!
trap 'kill $registry 2>/dev/null || true; rm -rf "$folder"' EXIT
until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do sleep 0.1; done

show() { printf '$ %s\n' "$*"; "$@" 2>&1 | sed "s|$folder/||g" || true; echo; }
so8t() { command "$so8t" "$@"; }

cp "$root/plugins/prebuilt/classification.wasm" metric.wasm
for i in 0 1 2 3 4 5 6 7 8 9; do
    for label in ALLOW ESCALATION DENY REFUSE; do
        echo "{\"instruction\":\"request $i $label\",\"label\":\"$label\"}"
    done
done >data.jsonl
reference=oci://127.0.0.1:$port/team/metric:1.0
cat >so8t.toml <<TOML
[run]
name = "shared"
[model]
base = "model"
[plugins.quality]
component = "$reference"
[[data]]
name = "requests"
path = "data.jsonl"
converter = "jsonl"
mapper = "four-class"
[evaluate]
metrics = ["quality"]
TOML

show so8t plugin keygen team --no-password
mkdir -p home/.config/so8t
cat >home/.config/so8t/policy.toml <<TOML
[plugins]
allow = ["builtin:*", "oci://127.0.0.1:$port/team/*"]
require_signature = true
trusted_keys = ["$(sed -n 2p team.pub)"]
TOML
show cat home/.config/so8t/policy.toml
show so8t plugin push metric.wasm "$reference"
show so8t prepare so8t.toml --quiet
show so8t plugin sign metric.wasm --key team.key
show so8t plugin push metric.wasm "$reference"
show so8t plugin pull "$reference" --out pulled.wasm
show cmp metric.wasm pulled.wasm
show so8t prepare so8t.toml --quiet
show grep -B4 -A3 '^resolved' so8t.lock
kill $registry
wait $registry 2>/dev/null || true
echo '# The registry is gone.'
show so8t prepare so8t.toml --quiet --locked
