#!/usr/bin/env bash
# Runs clients/grpcurl/smoke.sh with the real grpcurl against a server of its own.
# grpcurl is taken from $GRPCURL or the path, else built from its Go module at a fixed version.
set -euo pipefail
cd "$(dirname "$0")/.."

VERSION=v1.9.4
scratch=$(mktemp -d)
server=""
finish() {
    [ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server" 2>/dev/null; } || true
    rm -rf "$scratch"
}
trap finish EXIT

if [ -z "${GRPCURL:-}" ]; then
    GRPCURL=$(command -v grpcurl || true)
fi
if [ -z "$GRPCURL" ]; then
    GOBIN="$scratch/bin" GOFLAGS=-modcacherw go install "github.com/fullstorydev/grpcurl/cmd/grpcurl@$VERSION"
    GRPCURL="$scratch/bin/grpcurl"
fi
export GRPCURL

.venv/bin/patchbay up --listen 127.0.0.1:0 --data-dir "$scratch/data" --json >"$scratch/up.json" 2>"$scratch/up.log" &
server=$!
for _ in $(seq 600); do
    [ -s "$scratch/up.json" ] && break
    kill -0 "$server" 2>/dev/null || { cat "$scratch/up.log"; exit 1; }
    sleep 0.1
done
PATCHBAY_TARGET=$(.venv/bin/python -c 'import json,sys; print(json.load(open(sys.argv[1]))["server"])' "$scratch/up.json")
PATCHBAY_API_KEY=$(.venv/bin/python -c 'import json,sys; print(json.load(open(sys.argv[1]))["api_key"])' "$scratch/up.json")
export PATCHBAY_TARGET PATCHBAY_API_KEY
clients/grpcurl/smoke.sh
