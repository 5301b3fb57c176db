#!/usr/bin/env bash
# Software: rq-dashboard 0.9.0 with what pip brings along today (python-dateutil 4.0.0)
# Input:    `pip install rq-dashboard` into a fresh environment, then `rq-dashboard --help`.
# Expected: its help. All that a package imports stands in its requirements.
# Real:     it imports six and doesn't ask for it. For years python-dateutil, which arrow and croniter bring, asked for
#           six; its version 4 no longer does. With six installed by hand it starts.
# Seen:     alone: exit status 1, ModuleNotFoundError: No module named 'six'
#           with six: exit status 0, Usage: rq-dashboard [OPTIONS]
set -euo pipefail
PYTHON=${PYTHON:-python3}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$PYTHON" -m venv "$place/venv"
pip=("$place/venv/bin/pip" install --quiet --disable-pip-version-check)
"${pip[@]}" rq-dashboard==0.9.0 rq==3.0.0 python-dateutil==4.0.0
start() {
    local status=0
    "$place/venv/bin/rq-dashboard" --help >"$place/out" 2>&1 || status=$?
    printf 'exit status %s, %s\n' "$status" "$(grep -m 1 -E '^(Usage|ModuleNotFoundError)' "$place/out")"
}
found="alone: $(start)"
"${pip[@]}" six==1.17.0
found="$found
with six: $(start)"
seen="alone: exit status 1, ModuleNotFoundError: No module named 'six'
with six: exit status 0, Usage: rq-dashboard [OPTIONS]"
printf '%s\n' "$found"
[ "$found" = "$seen" ] || { echo "not as seen before" >&2; exit 1; }
