#!/bin/sh
# Finds a Chromium, or puts Debian's into a private folder: no root, nothing on the system changes. Prints the program.
#   usage: scripts/get-chromium.sh [DIR]      DIR is $INFERNET_CACHE/chromium if missing; the program is DIR/bin/chromium
# Nothing happens where a Chromium is in PATH or in DIR already, so it may run before every test, and offline.
# The packages are those of this machine's own release, and signed by its keys: a browser needs the C library that is here.
#   CHROMIUM=/a/program     that one
#   FORCE=1                 even if one is in PATH
set -eu

say() { echo "get-chromium: $*" >&2; }
die() { say "$*"; exit 1; }

cache=${INFERNET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/infernet}
dir=${1:-$cache/chromium}
self="scripts/get-chromium.sh $dir"
works() { [ -x "$1" ] && "$1" --version >/dev/null 2>&1; }

for name in "${CHROMIUM:-}" chromium chromium-browser; do
	[ -n "$name" ] && [ -z "${FORCE:-}" ] && found=$(command -v "$name") && works "$found" && echo "$found" && exit 0
done
[ -z "${CHROMIUM:-}" ] || die "CHROMIUM=$CHROMIUM does not start"
mkdir -p "$dir" || die "cannot write $dir; hint: scripts/get-chromium.sh /a/folder/of/yours"
dir=$(cd "$dir" && pwd)
there() { [ -z "${FORCE:-}" ] && works "$dir/bin/chromium" && echo "$dir/bin/chromium"; }
there && exit 0
case $dir in *[\ \"\'\$\`\\]*) die "the folder's name has a character that apt cannot take: $dir; hint: INFERNET_CACHE=/another/folder $self" ;; esac
for tool in apt-get apt-cache dpkg-deb; do
	command -v $tool >/dev/null || die "no $tool here; install Chromium so that chromium is in PATH, or set CHROMIUM to its program"
done
if command -v flock >/dev/null; then # one at a time; who waited finds it done
	exec 9>"$dir/.lock"
	flock 9
	there && exit 0
fi
began=$(date +%s)
mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial" "$dir/debs"
log=$dir/apt/log
# the machine's sources, but lists of its own, and no package installed
private="-oDir::State::Lists=$dir/apt/lists -oDir::Cache=$dir/apt/cache -oDir::State::status=/dev/null -oAPT::Sandbox::User=root
 -oAcquire::Languages=none -oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -oAPT::Update::Error-Mode=any
 -oAPT::Update::Post-Invoke::= -oAcquire::Retries=2 -oAcquire::http::Timeout=20"
say "asking this machine's Debian for chromium"
# shellcheck disable=SC2086
apt-get $private -qq update >"$log" 2>&1 ||
	die "cannot reach Debian's packages ($(grep -m1 '^[EW]:' "$log" || tail -n 1 "$log")); hint: $self  # once the network is there"
packages="chromium chromium-common fonts-dejavu-core fonts-noto-color-emoji fontconfig-config"
# the libraries that they need, transitively
todo=$packages
seen=" "
while [ -n "$todo" ]; do
	next=
	# shellcheck disable=SC2086
	for p in $(apt-cache $private depends --important --no-pre-depends $todo 2>>"$log" | sed -n 's/^ *|\{0,1\}Depends: *\([a-z0-9][a-z0-9.+-]*\).*/\1/p' | grep -E '^lib|^zlib' | grep -vxE 'libc6|libgcc-s1|libstdc\+\+6' | sort -u); do
		case $seen in *" $p "*) ;; *) seen="$seen$p " next="$next $p" ;; esac
	done
	todo=$next
done
rm -f "$dir"/debs/*.deb
# shellcheck disable=SC2086
(cd "$dir/debs" && apt-get $private -qq download $packages $seen >>"$log" 2>&1) || die "Debian does not give all packages ($(grep -m1 '^E:' "$log")); hint: $self"
rm -rf "$dir/root.new"
for deb in "$dir"/debs/*.deb; do dpkg-deb -x "$deb" "$dir/root.new"; done
rm -rf "$dir/root"
mv "$dir/root.new" "$dir/root"
usr=$dir/root/usr
lib=$(dirname "$(find "$usr/lib" -name 'libnss3.so' | head -n 1)")
mkdir -p "$dir/bin" "$dir/fonts.cache"
cat >"$dir/fonts.conf" <<END
<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>$usr/share/fonts</dir><cachedir>$dir/fonts.cache</cachedir>
<alias><family>sans-serif</family><prefer><family>DejaVu Sans</family></prefer></alias>
<alias><family>system-ui</family><prefer><family>DejaVu Sans</family></prefer></alias>
<alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias></fontconfig>
END
cat >"$dir/bin/chromium.new" <<END
#!/bin/sh
export LD_LIBRARY_PATH="$lib:$lib/nss:$lib/pulseaudio:$dir/root/lib/$(basename "$lib")\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
export FONTCONFIG_FILE="$dir/fonts.conf" XDG_DATA_DIRS="$usr/share"
exec "$usr/lib/chromium/chromium" "\$@"
END
chmod +x "$dir/bin/chromium.new"
mv "$dir/bin/chromium.new" "$dir/bin/chromium"
works "$dir/bin/chromium" || die "chromium does not start: $("$dir/bin/chromium" --version 2>&1 | tail -n 1); hint: rm -r $dir; $self"
rm -rf "$dir/apt" "$dir/debs"
say "$("$dir/bin/chromium" --version), $(du -sm "$dir" | cut -f 1) MB, in $(($(date +%s) - began)) s"
echo "$dir/bin/chromium"
