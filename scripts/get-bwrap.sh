#!/bin/sh
# Puts bubblewrap, which runs strangers' programs apart from everything, into a private folder: nothing on the system changes.
#   usage: scripts/get-bwrap.sh [DIR]      DIR is $INFERNET_CACHE/bwrap if missing; the program is DIR/usr/bin/bwrap
# It does nothing where bwrap is in PATH or in DIR already, so it may run before every test, and offline.
set -eu

say() { echo "get-bwrap: $*" >&2; }
die() { say "$*"; exit 1; }

dir=${1:-${INFERNET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/infernet}/bwrap}
works() { "$1" --version >/dev/null 2>&1; }

if found=$(command -v bwrap) && works "$found"; then
	say "bwrap is in PATH: $found"
	exit 0
fi
if works "$dir/usr/bin/bwrap"; then
	say "$dir/usr/bin/bwrap is there"
	exit 0
fi
[ "$(uname -s)" = Linux ] || die "only Linux has what bubblewrap works with"
for tool in apt-get dpkg-deb; do
	command -v $tool >/dev/null || die "no $tool here; install bubblewrap so that bwrap is in PATH"
done
mkdir -p "$dir" || die "cannot write $dir; hint: scripts/get-bwrap.sh /a/folder/of/yours"
dir=$(cd "$dir" && pwd)
if command -v flock >/dev/null; then # one at a time; who waited finds it done
	exec 9>"$dir/.lock"
	flock 9
	if works "$dir/usr/bin/bwrap"; then exit 0; fi
fi
mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial" "$dir/debs"
# the system's own sources, with lists of our own
private="-oDir::State::Lists=$dir/apt/lists -oDir::Cache=$dir/apt/cache -oAPT::Sandbox::User=root -oAcquire::Languages=none
 -oAPT::Update::Post-Invoke::= -oAcquire::Retries=2 -oAcquire::http::Timeout=20"
log=$dir/apt/log
# shellcheck disable=SC2086
apt-get $private -qq update >"$log" 2>&1 || say "the lists cannot be fetched ($(tail -n 1 "$log"))"
# shellcheck disable=SC2086
(cd "$dir/debs" && apt-get $private -qq download bubblewrap >>"$log" 2>&1) ||
	die "bubblewrap cannot be fetched ($(tail -n 1 "$log")); hint: scripts/get-bwrap.sh $dir  # once the network is there"
for deb in "$dir"/debs/*.deb; do dpkg-deb -x "$deb" "$dir"; done
works "$dir/usr/bin/bwrap" || die "bwrap does not start: $("$dir/usr/bin/bwrap" --version 2>&1 | tail -n 1); hint: rm -r $dir; apt-get install bubblewrap"
rm -rf "$dir/apt" "$dir/debs"
say "$("$dir/usr/bin/bwrap" --version): $dir/usr/bin/bwrap"
