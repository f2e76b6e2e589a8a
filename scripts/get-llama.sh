#!/bin/sh
# Puts llama.cpp's llama-server into a private folder: no root, nothing on the system changes.
#   usage: scripts/get-llama.sh [DIR]      DIR is $INFERNET_CACHE/llama if missing; the program is DIR/bin/llama-server
# It does nothing where llama-server is in PATH or in DIR already, so it may run before every test, and offline.
# The packages are Debian's. Which ones is asked of Debian's index: the libraries that PACKAGES need, transitively.
#   SUITE=forky  MIRROR=http://…/debian  PACKAGES='llama.cpp-tools'      what to take instead, and from where
#   FORCE=1                                                              even if a llama-server is in PATH
# The programs need a newer C library than the system may have. They start through the loader that comes with them.
set -eu

say() { echo "get-llama: $*" >&2; }
die() { say "$*"; exit 1; }

cache=${INFERNET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/infernet}
dir=${1:-$cache/llama}
self="scripts/get-llama.sh $dir"
works() { [ -x "$1" ] && "$1" --version >/dev/null 2>&1; }

if [ -z "${FORCE:-}" ] && found=$(command -v llama-server) && works "$found"; then
	say "llama-server is in PATH: $found"
	exit 0
fi
mkdir -p "$dir" || die "cannot write $dir; hint: scripts/get-llama.sh /a/folder/of/yours"
dir=$(cd "$dir" && pwd)
if [ -z "${FORCE:-}" ] && works "$dir/bin/llama-server"; then
	say "$dir/bin/llama-server is there"
	exit 0
fi
case $dir in *[\ \"\'\$\`\\]*) die "the folder's name has a character that apt cannot take: $dir; hint: INFERNET_CACHE=/another/folder scripts/get-llama.sh" ;; esac

[ "$(uname -s)" = Linux ] || die "only Linux gets llama.cpp this way; hint: brew install llama.cpp"
for tool in apt-get apt-cache dpkg-deb; do
	command -v $tool >/dev/null || die "no $tool here; install llama.cpp (github.com/ggml-org/llama.cpp) so that llama-server is in PATH"
done
suite=${SUITE:-forky}
packages=${PACKAGES:-llama.cpp-tools}
# the mirror that this machine uses for Debian itself
mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | grep -E '/debian/?$' | sort -u | head -n 1)}
[ -n "$mirror" ] || die "no Debian mirror in this machine's apt sources; hint: MIRROR=http://your.mirror/debian $self"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keys" ] || die "Debian's keys are missing; hint: apt-get install debian-archive-keyring"

# one at a time; who waited finds it done
if command -v flock >/dev/null; then
	exec 9>"$dir/.lock"
	flock 9
	if [ -z "${FORCE:-}" ] && works "$dir/bin/llama-server"; then exit 0; fi
fi
began=$(date +%s)
mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial" "$dir/apt/parts" "$dir/debs"
echo "deb [signed-by=$keys] $mirror $suite main" >"$dir/apt/sources.list"
log=$dir/apt/log
# an apt of its own: own sources, own lists, and no package installed
private="-oDir::Etc::sourcelist=$dir/apt/sources.list -oDir::Etc::sourceparts=$dir/apt/parts -oDir::State::Lists=$dir/apt/lists
 -oDir::Cache=$dir/apt/cache -oDir::State::status=/dev/null -oAPT::Sandbox::User=root -oAcquire::Languages=none
 -oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -oAPT::Update::Error-Mode=any -oAPT::Update::Post-Invoke::=
 -oAcquire::Retries=2 -oAcquire::http::Timeout=20"

say "asking $suite for $packages"
# shellcheck disable=SC2086
apt-get $private -qq update >"$log" 2>&1 ||
	die "cannot reach $mirror ($(grep -m1 '^[EW]:' "$log" || tail -n 1 "$log")); hint: $self  # once the network is there"

# The libraries that the packages need: follow Depends, but only into packages of libraries. What a package wants for its
# maintainer scripts or downloads (debconf, wget) is of no use without installing it.
# shellcheck disable=SC2086
closure() {
	todo=$packages
	seen=" "
	while [ -n "$todo" ]; do
		next=
		for p in $(apt-cache $private depends --important --no-pre-depends $todo 2>>"$log" | sed -n 's/^ *|\{0,1\}Depends: *\([a-z0-9][a-z0-9.+-]*\).*/\1/p' | grep -E "$1" | sort -u); do
			case $seen in *" $p "*) ;; *) seen="$seen$p " next="$next $p" ;; esac
		done
		todo=$next
	done
	echo "$packages$seen"
}

# shellcheck disable=SC2086
unpack() {
	(cd "$dir/debs" && apt-get $private -qq download $1 >>"$log" 2>&1) || return 1
	rm -rf "$dir/root.new"
	for deb in "$dir"/debs/*.deb; do dpkg-deb -x "$deb" "$dir/root.new"; done
	lib=$(dirname "$(find "$dir/root.new/usr/lib" -name 'ld-linux*.so.*' | head -n 1)")
	loader=$(basename "$(find "$lib" -maxdepth 1 -name 'ld-linux*.so.*' | head -n 1)")
	! "$lib/$loader" --library-path "$lib:$lib/llama" --list "$dir/root.new/usr/bin/llama-server" 2>&1 | grep -i 'not found' >>"$log"
}

# if a library comes from an oddly named package, take everything
unpack "$(closure '^z?lib')" || unpack "$(closure .)" ||
	die "$packages of $suite cannot be fetched or lacks a library ($(tail -n 1 "$log")); hint: rm -r $dir; $self"

rm -rf "$dir/root"
mv "$dir/root.new" "$dir/root"
lib=$dir/root${lib#"$dir/root.new"}
mkdir -p "$dir/bin"
find "$dir/root/usr/bin" "$dir/root/usr/libexec" -type f -perm -100 \( -name 'llama-*' -o -name 'ggml-rpc-server' \) 2>/dev/null | while read -r program; do
	target=$dir/bin/$(basename "$program")
	# compute backends are looked for in the working directory
	printf '#!/bin/sh\ncd "%s/ggml/backends0" && exec "%s/%s" --library-path "%s:%s/llama" "%s" "$@"\n' "$lib" "$lib" "$loader" "$lib" "$lib" "$program" >"$target.new"
	chmod +x "$target.new"
	mv "$target.new" "$target"
done
works "$dir/bin/llama-server" || die "llama-server does not start: $("$dir/bin/llama-server" --version 2>&1 | tail -n 1); hint: rm -r $dir; $self"
rm -rf "$dir/apt" "$dir/debs"
say "$("$dir/bin/llama-server" --version 2>&1 | head -n 1), in $(($(date +%s) - began)) s: $dir/bin/llama-server"
