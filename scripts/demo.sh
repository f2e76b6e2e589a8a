#!/usr/bin/env bash
# One market on this machine: builds infernet, gets an engine and a model unless one runs here already, starts relay,
# play wallet and provider, buys two jobs, and leaves nothing running. Every stage prints its time.
set -euo pipefail
cd "$(dirname "$0")/.."
CACHE=${INFERNET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/infernet}
PROMPT=${PROMPT:-"Write two sentences about the sea."}
WORK=$(mktemp -d "${TMPDIR:-/tmp}/infernet-demo.XXXXXX")
BEGAN=$EPOCHREALTIME
up= watcher=

since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", b - a }'; }
say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
finish() {
  status=$?
  if [ -n "$watcher" ]; then kill "$watcher" 2>/dev/null || true; fi
  if [ -n "$up" ] && kill -INT "$up" 2>/dev/null; then wait "$up" 2>/dev/null || true; fi
  if [ $status -ne 0 ]; then
    for log in "$WORK"/*.log; do [ -s "$log" ] && { echo "--- $(basename "$log")"; tail -n 20 "$log"; }; done >&2
    echo "demo: failed after $(since "$BEGAN")" >&2
  fi
  rm -rf "$WORK"
  exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

command -v go >/dev/null || { echo "demo: Go 1.26 is needed to build; hint: apt-get install golang, or see the Go project's site" >&2; exit 1; }

# stage NAME COMMAND…: runs in the background, its output goes to a log
declare -A stage
begin() { local name=$1; shift; ( start=$EPOCHREALTIME; "$@" >"$WORK/$name.log" 2>&1; since "$start" >"$WORK/$name.took" ) & stage[$name]=$!; }
await() {
  watch "$@" & watcher=$!
  for name in "$@"; do
    wait "${stage[$name]}" || { tail -n 3 "$WORK/$name.log" >&2; exit 1; }
    say "$name: $(cat "$WORK/$name.took")"
  done
  kill "$watcher" 2>/dev/null || true
  watcher=
}
# watch NAME…: says every few seconds what still goes on
watch() {
  trap - EXIT
  while sleep 4; do
    for name in "$@"; do
      [ -e "$WORK/$name.took" ] || printf '  %s … %s %s\n' "$name" "$(since "$BEGAN")" "$(tr '\r' '\n' <"$WORK/$name.log" | grep -v '^$' | tail -n 1 | cut -c1-90)" >&2
    done
  done
}

running=
for port in ${INFERNET_PROBE_PORTS-11434 8080 8000 1234}; do
  if curl -fsS -m 1 "http://127.0.0.1:$port/v1/models" 2>/dev/null | grep -q '"data"'; then running=http://127.0.0.1:$port/v1; break; fi
done

begin build go build -trimpath -tags "${TAGS-libsecp256k1}" -ldflags "${LDFLAGS-}" -o bin/infernet ./cmd/infernet
if [ -n "$running" ]; then
  say "engine: $running runs here already"
  engine=openai+$running
  await build
else
  begin engine scripts/get-llama.sh "$CACHE/llama"
  begin model scripts/get-model.sh "$CACHE/models"
  await engine model build
  engine=llamacpp://$(ls "$CACHE"/models/*.gguf | head -n 1)
fi

export INFERNET_CONFIG=$WORK/config.toml INFERNET_DATA_DIR=$WORK/data
start=$EPOCHREALTIME
bin/infernet up --listen 127.0.0.1:0 --engine "$engine" --ready-file "$WORK/ready" >"$WORK/up.log" 2>&1 &
up=$!
until [ -s "$WORK/ready" ]; do kill -0 "$up" 2>/dev/null || exit 1; sleep 0.05; done
INFERNET_RELAYS=$(cat "$WORK/ready"); export INFERNET_RELAYS
say "market: $(since "$start")"
grep -v '^time=' "$WORK/up.log" >&2 || true

say "1. an auction, paid in advance, streamed: $PROMPT"
start=$EPOCHREALTIME
bin/infernet run --verbose --way auction --pay prepaid --max-tokens 64 "$PROMPT"
say "job: $(since "$start"), from the start: $(since "$BEGAN")"
say "2. the same, sealed: the result first, paying reveals its key"
start=$EPOCHREALTIME
bin/infernet run --verbose --way auction --pay sealed --no-stream --max-tokens 64 "$PROMPT"
say "job: $(since "$start")"
say "play money left: $(bin/infernet wallet balance)"
