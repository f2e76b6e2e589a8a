#!/bin/sh
# Builds the page out of web/src, and the SDK's events and Fold, into web/dist, with the packages that web/package-lock.json names.
#   usage: scripts/build-web.sh [DIR]      DIR is web/dist if missing
# The same sources give the same bytes, in whatever folder: CI builds into another and compares (go test ./web).
set -eu

cd "$(dirname "$0")/.."
out=${1:-web/dist}
case $out in /*) ;; *) out=$PWD/$out ;; esac
place=$(scripts/get-npm.sh web)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/web" "$work/sdk/js"
for name in index.html package.json public src svelte.config.js tsconfig.json vite.config.ts; do cp -R "web/$name" "$work/web"; done
cp -R sdk/js/src "$work/sdk/js/src"
ln -s "$place/node_modules" "$work/web/node_modules"
(cd "$work/web" && node_modules/.bin/vite build --logLevel error --outDir dist --emptyOutDir)
rm -rf "$out"
mkdir -p "$(dirname "$out")"
cp -R "$work/web/dist" "$out"
