#!/bin/sh
# Installs the Python packages that a folder's requirements.txt names, and prints where: PLACE/bin/python has them.
#   usage: scripts/get-python.sh FOLDER    FOLDER holds requirements.txt: everything in exact versions, with hashes
#   PYTHON=python3.12                      which Python, if not the first of python3, python3.12, python3.11, python3.10
# PLACE is $INFERNET_CACHE/python/<hash of the file and of Python's version>, so equal files share it, another file is
# another place, and the second time nothing is fetched. What was fetched is kept beside it, so that another place takes
# from there what it shares. The index is the one pip is set up for: the file names none.
set -eu

say() { echo "get-python: $*" >&2; }
die() { say "$*"; exit 1; }

from=${1:-}
self="scripts/get-python.sh ${from:-FOLDER}"
[ -f "$from/requirements.txt" ] || die "no requirements.txt in '$from'; hint: pip-compile --generate-hashes requirements.in"
grep -q -- '--hash=sha256:' "$from/requirements.txt" || die "$from/requirements.txt has no hashes; hint: pip-compile --generate-hashes requirements.in"
! grep -qi '^ *--[a-z-]*url\|^ *--find-links\|https\{0,1\}://' "$from/requirements.txt" || die "$from/requirements.txt names an index; hint: pip-compile --no-emit-index-url --no-emit-find-links"

# the scientific packages among them have wheels for these
version='import sys; print("%d.%d" % sys.version_info[:2])'
python=
for name in ${PYTHON:-python3 python3.12 python3.11 python3.10}; do
	case $("$name" -c "$version" 2>/dev/null) in 3.10 | 3.11 | 3.12) python=$name && break ;; esac
done
[ -n "$python" ] || die "no Python 3.10 to 3.12 here; hint: apt-get install python3 python3-venv  # or: PYTHON=/a/python3.12 $self"

cache=${INFERNET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/infernet}/python
digest() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -c 1-16; }
place=$cache/$({ cat "$from/requirements.txt"; "$python" -c "$version"; uname -m; } | digest)

# the name is only given to a folder in which everything arrived
there() { [ -x "$place/bin/python" ] && "$place/bin/python" -c '' 2>/dev/null && echo "$place"; }
there && exit 0
mkdir -p "$cache" || die "cannot write $cache; hint: INFERNET_CACHE=/another/folder $self"
if command -v flock >/dev/null; then
	exec 9>"$cache/.lock"
	flock 9
	there && exit 0
fi

began=$(date +%s)
say "asking pip for what $from/requirements.txt names"
part=$(mktemp -d "$cache/.part.XXXXXX")
trap 'rm -rf "$part"' EXIT
trap 'exit 130' INT TERM
"$python" -m venv "$part" >"$part.log" 2>&1 || { why=$(tail -n 1 "$part.log"); rm -f "$part.log"; die "no venv ($why); hint: apt-get install python3-venv"; }
mv "$part.log" "$part/log"
# only wheels, so that nobody's setup script runs; bytecode is made when it is first used
"$part/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-compile --only-binary :all: --require-hashes \
	--timeout 20 --retries 2 --cache-dir "$cache/fetched" -r "$from/requirements.txt" >>"$part/log" 2>&1 9>&- ||
	die "pip cannot install it ($(grep -m 1 '^ *ERROR' "$part/log" || tail -n 1 "$part/log")); hint: $self  # once the index is there"
rm -rf "$place" # a place whose Python is gone
mv "$part" "$place" || die "cannot write $place; hint: INFERNET_CACHE=/another/folder $self"
say "$(find "$place"/lib/*/site-packages -maxdepth 1 -name '*.dist-info' | wc -l | tr -d ' ') packages, $(du -sm "$place" | cut -f 1) MB, in $(($(date +%s) - began)) s: $place"
echo "$place"
