#!/bin/sh
# Puts lnd and btcd into a private folder for tests, built from source at the versions of scripts/lnd/go.mod, and prints where.
#   usage: scripts/get-lnd.sh [DIR]      DIR is $INFERNET_CACHE/lnd if missing; PLACE = DIR/<hash of go.mod, go.sum and this file>
#          scripts/get-lnd.sh --there    builds nothing: prints where they are, or fails
# A first build takes minutes; where both programs are in PLACE nothing is fetched or built, so it may run before every test, and
# offline. The build is lnd's `integration` one: it starts in half a second instead of nine, because its stretching of passwords is
# weak. It is for networks without money only.
set -eu

say() { echo "get-lnd: $*" >&2; }
die() { say "$*"; exit 1; }

only=
[ "${1:-}" != --there ] || { only=yes; shift; }
from=$(cd "$(dirname "$0")/lnd" && pwd)
dir=${1:-${INFERNET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/infernet}/lnd}
digest() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -c 1-16; }
place=$dir/$(cat "$from/go.mod" "$from/go.sum" "$0" | digest)

there() { [ -x "$place/lnd" ] && [ -x "$place/btcd" ] && echo "$place"; }
there && exit 0
[ -z "$only" ] || die "lnd is not built; hint: make lnd  # minutes, once"
mkdir -p "$dir" || die "cannot write $dir; hint: INFERNET_CACHE=/another/folder scripts/get-lnd.sh"
if command -v flock >/dev/null; then
	exec 9>"$dir/.lock"
	flock 9
	there && exit 0
fi

began=$(date +%s)
part=$(mktemp -d "$dir/.part.XXXXXX")
trap 'rm -rf "$part"' EXIT
trap 'exit 130' INT TERM
say "building btcd and lnd; the first time that is minutes"
# without cgo both are static; nice, because other people use the machine too
build() { (cd "$from" && CGO_ENABLED=0 GOFLAGS= nice -n 10 go build -trimpath -buildvcs=false -ldflags '-s -w' "$@" 9>&-); }
build -tags 'integration invoicesrpc routerrpc signrpc walletrpc' -o "$part/lnd" github.com/lightningnetwork/lnd/cmd/lnd &&
	build -o "$part/btcd" github.com/btcsuite/btcd ||
	die "lnd was not built; hint: scripts/get-lnd.sh $dir  # once the module proxy is there"
chmod 755 "$part"
[ -e "$place" ] || mv "$part" "$place" || die "cannot write $place; hint: INFERNET_CACHE=/another/folder scripts/get-lnd.sh"
say "lnd and btcd, $(du -sm "$place" | cut -f 1) MB, in $(($(date +%s) - began)) s: $place"
echo "$place"
