#!/bin/sh
# Puts pebble, a certificate authority for tests (ACME, RFC 8555), into a private folder, built from source by Go.
#   usage: scripts/get-pebble.sh [DIR]      DIR is $INFERNET_CACHE/pebble if missing; the program is DIR/pebble
# It does nothing where the program is in DIR already, so it may run before every test, and offline.
set -eu

version=v2.8.0
dir=${1:-${INFERNET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/infernet}/pebble}
if [ -x "$dir/pebble" ] && [ "$(cat "$dir/version" 2>/dev/null)" = "$version" ]; then
	echo "get-pebble: $dir/pebble is there" >&2
	exit 0
fi
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
cd / # outside of this module: its versions are its own
GOBIN=$dir GOFLAGS=-mod=mod go install "github.com/letsencrypt/pebble/v2/cmd/pebble@$version" || {
	echo "get-pebble: pebble was not built; hint: scripts/get-pebble.sh $dir  # once the network is there" >&2
	exit 1
}
echo "$version" >"$dir/version"
echo "get-pebble: $dir/pebble" >&2
