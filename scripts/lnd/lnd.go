// Package lnd is empty: this module only names, at exact versions, the programs that scripts/get-lnd.sh builds for tests.
//
// It is a module of its own so that the market's go.mod names neither lnd nor btcd. Its replacements are lnd's own: Go
// ignores those of a module that is not the main one.
package lnd
