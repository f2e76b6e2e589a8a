#!/usr/bin/env bash
# One market on this machine: builds infernet, gets an engine and a model unless one runs here already, starts relay,
# play wallet and provider, buys two jobs, and leaves nothing running. Every stage prints its time.
#   usage: scripts/demo.sh [lightning]   with lightning, jobs are paid over a Lightning network without money (three lnds on a
#                                        chain of their own): real invoices, real preimages. Their receipts are verified when
#                                        everything has ended, without a network where this machine can do that
set -euo pipefail
cd "$(dirname "$0")/.."
CACHE=${INFERNET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/infernet}
PROMPT=${PROMPT:-"Write two sentences about the sea."}
WORK=$(mktemp -d "${TMPDIR:-/tmp}/infernet-demo.XXXXXX")
BEGAN=$EPOCHREALTIME
MONEY=${1:-play}
watcher= failed=
declare -a parts=()
declare -A stage
if [ -t 2 ]; then bold=$'\033[1m' plain=$'\033[0m' every=4; else bold= plain= every=15; fi

since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", b - a }'; }
say() { printf '%s%s%s\n' "$bold" "$*" "$plain" >&2; }
# stop PID: ends a process group that job control made, and waits for it
stop() { kill -TERM -- "-$1" 2>/dev/null || true; wait "$1" 2>/dev/null || true; }
# close: ends what was started last first, and waits for it
close() {
  local i
  for ((i = ${#parts[@]} - 1; i >= 0; i--)); do
    if kill -INT "${parts[i]}" 2>/dev/null; then wait "${parts[i]}" 2>/dev/null || true; fi
  done
  parts=()
}
# open NAME COMMAND…: starts a part of the market, its output goes to a log, and waits until it has written its ready file
open() {
  local name=$1; shift
  failed=$name
  "$@" --ready-file "$WORK/$name" >"$WORK/$name.log" 2>&1 &
  parts+=($!)
  until [ -s "$WORK/$name" ]; do kill -0 "${parts[-1]}" 2>/dev/null || exit 1; sleep 0.05; done
  failed=
}
finish() {
  status=$?
  trap - INT TERM
  if [ -n "$watcher" ]; then stop "$watcher"; fi
  for pid in "${stage[@]}"; do stop "$pid"; done
  close
  case $status in
  0) ;;
  130) echo "demo: interrupted after $(since "$BEGAN"), all stopped" >&2 ;;
  *)
    if [ -n "$failed" ] && [ -s "$WORK/$failed.log" ]; then echo "--- $failed" >&2; tail -n 20 "$WORK/$failed.log" >&2; fi
    echo "demo: failed after $(since "$BEGAN")" >&2
    ;;
  esac
  rm -rf "$WORK"
  exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

command -v go >/dev/null || { echo "demo: Go 1.26 is needed to build, and there is no go in PATH; get it from https://go.dev/dl (what apt-get installs is too old)" >&2; exit 1; }

# stage NAME COMMAND…: runs in the background, its output goes to a log
begin() {
  local name=$1; shift
  set -m # a group of its own: it can be ended with all it started
  ( trap - EXIT INT TERM; set +m; start=$EPOCHREALTIME; "$@" >"$WORK/$name.log" 2>&1; since "$start" >"$WORK/$name.took" ) & stage[$name]=$!
  set +m
}
await() {
  set -m
  watch "$@" & watcher=$!
  set +m
  for name in "$@"; do
    wait "${stage[$name]}" || { failed=$name; exit 1; }
    say "$name: $(cat "$WORK/$name.took")"
  done
  stop "$watcher"
  watcher=
}
# watch NAME…: says what still goes on: what changed, every few seconds, and that nothing did, every 15
watch() {
  trap - EXIT INT TERM
  set +m
  local -A last said
  while sleep "$every"; do
    for name in "$@"; do
      if [ -e "$WORK/$name.took" ]; then continue; fi
      now=$(tr '\r' '\n' <"$WORK/$name.log" | grep -v '^$' | tail -n 1 | cut -c1-60 || true)
      if [ "$now" = "${last[$name]-}" ] && [ $((SECONDS - ${said[$name]-0})) -lt 15 ]; then continue; fi
      last[$name]=$now said[$name]=$SECONDS
      printf '  %s … %s %s\n' "$name" "$(since "$BEGAN")" "$now" >&2
    done
  done
}

running=
for port in ${INFERNET_PROBE_PORTS-11434 8080 8000 1234}; do
  if curl -fsS -m 1 "http://127.0.0.1:$port/v1/models" 2>/dev/null | grep -q '"data"'; then running=http://127.0.0.1:$port/v1; break; fi
done

built=(build)
begin build go build -trimpath -tags "${TAGS-libsecp256k1}" -ldflags "${LDFLAGS-}" -o bin/infernet ./cmd/infernet
if [ "$MONEY" = lightning ]; then
  built+=(lnd network)
  begin lnd scripts/get-lnd.sh
  begin network go build -trimpath -tags "${TAGS-libsecp256k1}" -o bin/lightning ./scripts/lightning
fi
if [ -n "$running" ]; then
  say "engine: $running runs here already"
  engine=openai+$running
  await "${built[@]}"
else
  begin engine scripts/get-llama.sh "$CACHE/llama"
  begin model scripts/get-model.sh "$CACHE/models"
  await engine model "${built[@]}"
  engine=llamacpp://$(ls "$CACHE"/models/*.gguf | head -n 1)
fi

export INFERNET_CONFIG=$WORK/config.toml INFERNET_DATA_DIR=$WORK/data
start=$EPOCHREALTIME
if [ "$MONEY" = lightning ]; then
  open lightning bin/lightning
  net=$(cat "$WORK/lightning")
  say "lightning: btcd and three lnds, alice and carol with a channel to the hub each: $(since "$start")"
  start=$EPOCHREALTIME
  open relay bin/infernet relay --listen 127.0.0.1:0
  INFERNET_RELAYS=$(cat "$WORK/relay"); export INFERNET_RELAYS INFERNET_WALLET=file:$net/alice.wallet
  INFERNET_PROVIDE_BENCH=0s open node bin/infernet provide --yes --engine "$engine" --wallet "file:$net/carol.wallet"
  grep -v -h -e '^time=' "$WORK/relay.log" "$WORK/node.log" >&2 || true
else
  open up bin/infernet up --listen 127.0.0.1:0 --engine "$engine"
  INFERNET_RELAYS=$(cat "$WORK/up"); export INFERNET_RELAYS
  grep -v -e '^time=' -e '^try ' "$WORK/up.log" >&2 || true # the relay it names lives as long as this demo
fi
say "market: $(since "$start")"

say "1. an auction, paid in advance, streamed: $PROMPT"
start=$EPOCHREALTIME
bin/infernet run --verbose --way auction --first --window 30s --pay prepaid --max-tokens 64 "$PROMPT"
say "job: $(since "$start"), from the start: $(since "$BEGAN")"
say "2. the same, sealed: the result first, paying reveals its key"
start=$EPOCHREALTIME
bin/infernet run --verbose --way auction --first --window 30s --pay sealed --no-stream --max-tokens 64 "$PROMPT"
say "job: $(since "$start")"
if [ "$MONEY" = play ]; then
  say "play money left: $(bin/infernet wallet balance)"
  say "next: bin/infernet up"
  exit 0
fi

say "3. the same, its money locked first and taken after delivery"
start=$EPOCHREALTIME
bin/infernet run --verbose --way auction --first --window 30s --pay hold --max-tokens 64 "$PROMPT"
say "job: $(since "$start")"
for job in $(bin/infernet job list --json | sed -n 's/.*"job":"\([0-9a-f]*\)".*/\1/p'); do
  bin/infernet receipt export "$job" >"$WORK/$job.proof.json"
done
say "alice has left: $(bin/infernet wallet balance 2>/dev/null)"
close
unset INFERNET_RELAYS INFERNET_WALLET
rm -rf "$INFERNET_DATA_DIR"
offline=()
if unshare -rn true 2>/dev/null; then offline=(unshare -rn); fi
say "everything has ended${offline[*]:+, and there is no network}: what the receipts prove"
verified=0
for proof in "$WORK"/*.proof.json; do
  "${offline[@]}" bin/infernet receipt verify "$proof"
  verified=$((verified + 1))
done
[ $verified = 3 ] || { echo "demo: $verified of 3 receipts were verified" >&2; exit 1; }
say "next: make lightning"
