#!/bin/sh
# Installs the npm packages that a folder's package-lock.json names, and prints where: PLACE has a node_modules.
#   usage: scripts/get-npm.sh FOLDER       FOLDER holds package.json and package-lock.json
# PLACE is $INFERNET_CACHE/npm/<hash of both files>, so equal locks share it, another lock is another place, and the second
# time nothing is fetched. No package's own scripts run. The registry is the one npm is set up for: the lock names none.
set -eu

say() { echo "get-npm: $*" >&2; }
die() { say "$*"; exit 1; }

from=${1:-}
self="scripts/get-npm.sh ${from:-FOLDER}"
[ -f "$from/package.json" ] && [ -f "$from/package-lock.json" ] ||
	die "no package.json and package-lock.json in '$from'; hint: cd '$from'; npm install --ignore-scripts --omit-lockfile-registry-resolved"
! grep -q '"resolved": *"http' "$from/package-lock.json" ||
	die "$from/package-lock.json names a registry; hint: cd $from; rm package-lock.json; npm install --ignore-scripts --omit-lockfile-registry-resolved"

cache=${INFERNET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/infernet}/npm
digest() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -c 1-16; }
place=$cache/$(cat "$from/package.json" "$from/package-lock.json" | digest)

# the name is only given to a folder in which everything arrived
there() { [ -d "$place/node_modules" ] && echo "$place"; }
there && exit 0
command -v npm >/dev/null || die "no npm here; hint: apt-get install nodejs npm"
mkdir -p "$cache" || die "cannot write $cache; hint: INFERNET_CACHE=/another/folder $self"
if command -v flock >/dev/null; then
	exec 9>"$cache/.lock"
	flock 9
	there && exit 0
fi

began=$(date +%s)
say "asking npm for what $from/package-lock.json names"
part=$(mktemp -d "$cache/.part.XXXXXX")
trap 'rm -rf "$part"' EXIT
trap 'exit 130' INT TERM
cp "$from/package.json" "$from/package-lock.json" "$part"
(cd "$part" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >"$part/log" 2>&1 9>&- ||
	die "npm cannot install it ($(grep -m 1 'npm error' "$part/log" || tail -n 1 "$part/log")); hint: $self  # once the registry is there"
mkdir -p "$part/node_modules" # a lock may name nothing
chmod 755 "$part"
[ -e "$place" ] || mv "$part" "$place" || die "cannot write $place; hint: INFERNET_CACHE=/another/folder $self"
say "$(find "$place/node_modules" -name package.json -path '*node_modules*' | wc -l | tr -d ' ') package files, $(du -sm "$place" | cut -f 1) MB, in $(($(date +%s) - began)) s: $place"
echo "$place"
