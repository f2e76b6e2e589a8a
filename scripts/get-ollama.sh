#!/bin/sh
# Builds Ollama from its Go module into a private folder: no root, nothing on the system changes. For the test of our engine
# at a real server; who wants to use Ollama takes its own release.
#   usage: scripts/get-ollama.sh [DIR]      DIR is $INFERNET_CACHE/ollama if missing; the program is DIR/bin/ollama
# It does nothing where ollama is in DIR already, so it may run before every test, and offline.
# A module leaves out folders named vendor, and with them three libraries of headers: those come from Debian's packages.
#   SUITE=forky  MIRROR=http://…/debian      where those are taken from
# It is built without optimisation, which is quicker (some 5 minutes of one core) and good enough for a small model.
set -eu

version=v0.17.4
headers='nlohmann-json3-dev libstb-dev libminiaudio-dev'

say() { echo "get-ollama: $*" >&2; }
die() { say "$*"; exit 1; }

cache=${INFERNET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/infernet}
dir=${1:-$cache/ollama}
self="scripts/get-ollama.sh $dir"
works() { [ -x "$dir/bin/ollama" ] && "$dir/bin/ollama" --version >/dev/null 2>&1; }

mkdir -p "$dir" || die "cannot write $dir; hint: scripts/get-ollama.sh /a/folder/of/yours"
dir=$(cd "$dir" && pwd)
if works; then
	say "$dir/bin/ollama is there"
	exit 0
fi
case $dir in *[\ \"\'\$\`\\]*) die "the folder's name has a character that apt cannot take: $dir; hint: INFERNET_CACHE=/another/folder $self" ;; esac
[ "$(uname -s)" = Linux ] || die "only Linux gets Ollama this way; hint: brew install ollama"
for tool in go cc c++ apt-get dpkg-deb; do
	command -v $tool >/dev/null || die "no $tool here; install Ollama (github.com/ollama/ollama) and put it into $dir/bin"
done
mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | grep -E '/debian/?$' | sort -u | head -n 1)}
[ -n "$mirror" ] || die "no Debian mirror in this machine's apt sources; hint: MIRROR=http://your.mirror/debian $self"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keys" ] || die "Debian's keys are missing; hint: apt-get install debian-archive-keyring"

# one at a time; who waited finds it done
if command -v flock >/dev/null; then
	exec 9>"$dir/.lock"
	flock 9
	if works; then exit 0; fi
fi
began=$(date +%s)
mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial" "$dir/apt/parts" "$dir/debs" "$dir/bin"
echo "deb [signed-by=$keys] $mirror ${SUITE:-forky} main" >"$dir/apt/sources.list"
log=$dir/log
# an apt of its own: own sources, own lists, and no package installed
private="-oDir::Etc::sourcelist=$dir/apt/sources.list -oDir::Etc::sourceparts=$dir/apt/parts -oDir::State::Lists=$dir/apt/lists
 -oDir::Cache=$dir/apt/cache -oDir::State::status=/dev/null -oAPT::Sandbox::User=root -oAcquire::Languages=none
 -oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -oAPT::Update::Error-Mode=any -oAPT::Update::Post-Invoke::=
 -oAcquire::Retries=2 -oAcquire::http::Timeout=20"
say "asking ${SUITE:-forky} for $headers"
# shellcheck disable=SC2086
apt-get $private -qq update >"$log" 2>&1 && (cd "$dir/debs" && apt-get $private -qq download $headers >>"$log" 2>&1) ||
	die "cannot reach $mirror ($(grep -m1 '^[EW]:' "$log" || tail -n 1 "$log")); hint: $self  # once the network is there"
rm -rf "$dir/root" "$dir/include"
for deb in "$dir"/debs/*.deb; do dpkg-deb -x "$deb" "$dir/root"; done
mkdir -p "$dir/include/miniaudio"
mv "$dir/root/usr/include/nlohmann" "$dir/root/usr/include/stb" "$dir/include/"
mv "$dir/root/usr/include/miniaudio.h" "$dir/include/miniaudio/"

say "building github.com/ollama/ollama $version, some minutes"
(cd "$dir" && GOBIN="$dir/bin" GOFLAGS= CGO_ENABLED=1 CGO_CPPFLAGS="-I$dir/include" CGO_CFLAGS='-O0 -w' CGO_CXXFLAGS='-O0 -w' \
	go install -ldflags '-s -w' "github.com/ollama/ollama@$version") >>"$log" 2>&1 9>&- ||
	die "Ollama does not build ($(grep -v '^go: downloading' "$log" | tail -n 1)); hint: rm -r $dir; $self  # and read $dir/log before"
works || die "Ollama does not start; hint: rm -r $dir; $self"
rm -rf "$dir/apt" "$dir/debs" "$dir/root" "$dir/include"
say "$version, in $(($(date +%s) - began)) s: $dir/bin/ollama"
