#!/usr/bin/env bash
# Fuzzes every target that there is for FUZZTIME each (20s if unset), FUZZJOBS at a time (3 if unset): each target is found in
# the sources, so that none can be forgotten. FUZZ=regexp takes only some. What crashes stays under testdata/fuzz of its
# package, as a test that go test repeats; what only widened the coverage stays in INFERNET_CACHE for the next time.
#
# usage: fuzz.sh [TAGS]
set -euo pipefail
cd "$(dirname "$0")/.."

tags=${1:-}
time=${FUZZTIME:-20s}
jobs=${FUZZJOBS:-3}
only=${FUZZ:-.}
cache=${INFERNET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/infernet}/fuzz
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# one line for each target: package, name, the instrumented test program
git ls-files -co --exclude-standard '*_test.go' | xargs grep -oE '^func Fuzz[A-Za-z0-9_]*' | sed 's/:func /\t/' |
	while IFS=$'\t' read -r file name; do printf '%s\t%s\n' "$(dirname "$file")" "$name"; done | sort -u | grep -E "$only" >"$work/targets" || {
	echo "fuzz: no target fits $only" >&2
	exit 1
}
count=$(wc -l <"$work/targets")
cut -f 1 "$work/targets" | sort -u | while read -r package; do
	program=$work/${package//\//_}.test
	(cd "$package" && go test -c -fuzz=Fuzz -tags "$tags" -o "$program" .)
done

fuzz() {
	local package=$1 name=$2 program=$3
	local log=$program.$name.log
	mkdir -p "$FUZZCACHE/$package"
	if (cd "$package" && "$program" -test.run='^$' -test.fuzz="^$name\$" -test.fuzztime="$FUZZTIME" -test.parallel=1 \
		-test.fuzzcachedir="$FUZZCACHE/$package" -test.fuzzminimizetime=10s) >"$log" 2>&1; then
		printf 'ok   %-42s %s\n' "$package $name" "$(grep -o 'execs: [0-9]* .*' "$log" | tail -1)"
	elif ! grep -q 'Failing input' "$log" && grep -qx ' *context deadline exceeded' "$log"; then
		# the time ended while an input was made smaller: go test calls that a failure
		printf 'ok   %-42s %s\n' "$package $name" "$(grep -o 'execs: [0-9]* .*' "$log" | tail -1)"
	else
		printf 'FAIL %s\n' "$package $name"
		tail -n 40 "$log"
		return 1
	fi
}
export -f fuzz
export FUZZTIME=$time FUZZCACHE=$cache
echo "fuzz: $count targets, $time each, $jobs at a time"
began=$SECONDS
while IFS=$'\t' read -r package name; do
	printf '%s\0%s\0%s\0' "$package" "$name" "$work/${package//\//_}.test"
done <"$work/targets" | xargs -0 -n 3 -P "$jobs" bash -c 'fuzz "$@"' fuzz || {
	echo "fuzz: crashes were found; go test repeats them from testdata/fuzz of their package" >&2
	exit 1
}
echo "fuzz: $count targets, no crash, $((SECONDS - began)) s"
