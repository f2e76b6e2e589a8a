# Targets for people: demo, test. For those who change the project: long, bench, fuzz, lint, vectors, docs, build.
# Everything fetched goes to $(CACHE); nothing on the system changes.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

CACHE   ?= $(or $(INFERNET_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/infernet)
export INFERNET_CACHE := $(CACHE)

# libsecp256k1 is compiled in where there is a C compiler: five times faster signatures. CGO_ENABLED=0 does without.
CGO     := $(shell go env CGO_ENABLED)
TAGS    := $(if $(filter 1,$(CGO)),libsecp256k1,)
GO      := go
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X infernet/internal/cli.version=$(VERSION)
MODULES := $(shell git ls-files 'go.mod' '*/go.mod')

PREFIX  ?= $(HOME)/.local

.PHONY: build install demo demo-lightning test long bench bench-lightning bench-relay fuzz lint vectors docs sdk engine model peers pebble race nocgo clean ollama media lnd lightning breez test-lightning web browser bwrap

build:
	$(GO) build -trimpath -tags '$(TAGS)' -ldflags '$(LDFLAGS)' -o bin/infernet ./cmd/infernet

## install: puts the program into $(PREFIX)/bin
install: build
	install -d $(PREFIX)/bin
	install bin/infernet $(PREFIX)/bin/infernet

## demo: one paid, streamed job of a real model, and the same prompt with sealed delivery; leaves nothing running
demo:
	@TAGS='$(TAGS)' LDFLAGS='$(LDFLAGS)' scripts/demo.sh

## demo-lightning: the same over real Lightning: invoices, preimages, locked money, receipts that are verified offline
demo-lightning:
	@TAGS='$(TAGS)' LDFLAGS='$(LDFLAGS)' scripts/demo.sh lightning

engine:
	@scripts/get-llama.sh $(CACHE)/llama

# only for tests of our engine at a real server; built once
ollama:
	@scripts/get-ollama.sh $(CACHE)/ollama

# an ear, a voice and a painter, for tests; python server.py in scripts/media serves them to a node
media:
	@scripts/get-python.sh scripts/media

model:
	@scripts/get-model.sh $(CACHE)/models

# other people's programs that ours are tried with
peers:
	@for lock in $$(git ls-files 'internal/testnet/peers/*/package-lock.json' sdk/js/package-lock.json); do scripts/get-npm.sh $$(dirname $$lock); done
	@for names in $$(git ls-files 'internal/testnet/peers/*/requirements.txt'); do scripts/get-python.sh $$(dirname $$names); done

## web: builds the page out of web/src; the result is committed
web:
	@scripts/build-web.sh web/dist

# what the page is tested with; where no Chromium can be had, its tests are skipped and say so
browser:
	@scripts/get-npm.sh web >/dev/null
	@scripts/get-chromium.sh >/dev/null || echo 'make: no Chromium: the stories in a browser will be skipped'

# a certificate authority to test with
pebble:
	@scripts/get-pebble.sh $(CACHE)/pebble

# lnd and btcd, for tests: some minutes of building, once
lnd:
	@scripts/get-lnd.sh $(CACHE)/lnd

## lightning: a Lightning network without money on this machine; prints wallets to paste, and runs until ctrl-c
lightning: lnd
	$(GO) run -tags '$(TAGS)' ./scripts/lightning

## breez: bin/breez/infernet-breez, which puts NIP-47 in front of a Breez wallet (deprecated upstream), with the library beside it
breez:
	mkdir -p bin/breez
	cd wallet/breez && $(GO) build -trimpath -ldflags '-s -w -r $$ORIGIN' -o $(CURDIR)/bin/breez/infernet-breez ./infernet-breez
	install -m 644 "$$(cd wallet/breez && $(GO) list -m -f '{{.Dir}}' github.com/breez/breez-sdk-go)/breez_sdk/lib/$$($(GO) env GOOS)-$$($(GO) env GOARCH | sed s/arm64/aarch64/)/"*breez_sdk_bindings* bin/breez/

## test-lightning: what shows that real Lightning wallets work, on such a network
test-lightning: lnd peers
	$(GO) test -tags '$(TAGS)' -timeout 30m ./wallet/lnd ./internal/testnet/lightning
	$(GO) test -tags '$(TAGS)' -timeout 30m -run Lightning ./internal/testnet ./internal/cli ./cmd/infernet

# keeps customers' programs apart, for tests of that
bwrap:
	@scripts/get-bwrap.sh $(CACHE)/bwrap

## test: installs what it needs and runs everything
test: engine peers pebble ollama media lnd browser bwrap lint
	for mod in $(MODULES); do (cd $$(dirname $$mod) && $(GO) test -timeout 30m -tags '$(TAGS)' ./...); done
	$(MAKE) --no-print-directory race nocgo fuzz

# the race detector over the rooms where goroutines meet
race:
	$(GO) test -race -short -timeout 30m -tags '$(TAGS)' ./...

# the other build: no C compiler
nocgo:
	CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/infernet
	CGO_ENABLED=0 $(GO) test -short ./events ./wallet/bolt11 ./wallet/play ./internal/ledger ./internal/pool ./relay
	CGO_ENABLED=0 $(GO) test -short -run 'WaysToBuy|Killed' ./internal/testnet

## long: the full forms of what test samples, the market 20 times, and all of it under the race detector
long: engine peers pebble ollama media lnd browser bwrap
	$(GO) test -short -tags '$(TAGS)' -count=20 -timeout 90m ./internal/testnet
	INFERNET_LONG=1 $(GO) test -race -tags '$(TAGS)' -timeout 120m ./...

	$(MAKE) --no-print-directory fuzz FUZZTIME=$(LONGFUZZ)

## fuzz: every fuzz target that the sources have, FUZZTIME each; FUZZ=regexp takes only some
FUZZTIME ?= 20s
LONGFUZZ ?= 10m
fuzz:
	@FUZZTIME='$(FUZZTIME)' scripts/fuzz.sh '$(TAGS)'

## bench: the market's path against a direct call, as ratios in one run; files against SHA-256
bench: engine
	$(GO) test -tags '$(TAGS)' -run '^$$' -bench . -benchtime 200x -timeout 20m ./internal/testnet
	$(GO) test -tags '$(TAGS)' -run '^$$' -bench . -benchtime 2x -timeout 10m ./internal/blob

## bench-lightning: a paid job against a payment by lnd alone on the same path, in one run; paid jobs a second
bench-lightning: lnd
	$(GO) test -tags '$(TAGS)' -run '^$$' -bench 'Lightning$$' -benchtime 40x -timeout 10m ./internal/testnet

## bench-relay: our relay with a million events beside plain khatru over LMDB, and the stores that it was chosen from
bench-relay:
	mkdir -p bin
	cd relay/relaybench/peer && $(GO) build -tags '$(TAGS)' -o $(CURDIR)/bin/peer .
	$(GO) build -tags '$(TAGS)' -o bin/relaybench ./relay/relaybench
	timeout -s KILL 900 bin/relaybench -peer bin/peer
	$(GO) test -tags '$(TAGS)' -run '^$$' -bench . -benchtime 3000x -timeout 10m ./relay/eventlog

lint:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'lint: run gofmt -w on these'; exit 1; }
	for mod in $(MODULES); do (cd $$(dirname $$mod) && $(GO) vet -tags '$(TAGS)' ./...); done
	@for f in scripts/*.sh .ci/run; do bash -n "$$f"; done

## vectors: writes events/testdata/vectors anew
vectors:
	$(GO) test -tags '$(TAGS)' ./events -run TestVectors -update

clean:
	rm -rf bin

## sdk: writes what the JavaScript SDK takes from the gateway's document anew, and builds and packs it into bin/
sdk:
	INFERNET_UPDATE=1 $(GO) test -tags '$(TAGS)' -count 1 -run TestSDKDocument ./internal/testnet
	place=$$(scripts/get-npm.sh sdk/js); rm -rf sdk/js/node_modules; ln -s $$place/node_modules sdk/js/node_modules
	cd sdk/js && node node_modules/openapi-typescript/bin/cli.js openapi.json -o src/api.ts && node build.mjs
	mkdir -p bin
	cd sdk/js && npm pack --silent --offline --ignore-scripts --pack-destination ../../bin

## docs: writes docs/cli.md anew
docs:
	$(GO) run -tags '$(TAGS)' ./cmd/infernet docs > docs/cli.md
