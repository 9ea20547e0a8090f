#!/usr/bin/env bash
# Tests @NAME@: @TESTS@. `SO8T=…` names the program where it is not in PATH.
set -euo pipefail
cd "$(dirname "$0")"

# Whether a source is newer than the component.
is_stale() {
    [ ! -f @NAME@.wasm ] || [ -n "$(find . \( -name node_modules -o -name .venv -o -name target -o -name sample \) -prune \
        -o -type f -newer @NAME@.wasm \( -name '*.rs' -o -name '*.[ch]' -o -name '*.js' -o -name '*.py' -o -name '*.toml' \) -print -quit)" ]
}
if is_stale; then ./build.sh; fi
@NATIVE@
"${SO8T:-so8t}" plugin check @NAME@.wasm --data sample/@DATA@
"${SO8T:-so8t}" @SAMPLE_ARGUMENTS@
