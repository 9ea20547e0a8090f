#!/usr/bin/env bash
# Takes the picture of the report that README.md shows: examples/quickstart/picture.sh [RUN]
# RUN is the folder of the quick start's run; Chromium must be installed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
run=$(cd "${1:-$here/runs/quickstart}" && pwd)
browser=$(command -v chromium chromium-browser google-chrome | head -n 1)
"$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --force-device-scale-factor=1 --window-size=1100,1180 \
    --screenshot="$here/report.png" "file://$run/report.html" >/dev/null 2>&1
echo "$here/report.png"
