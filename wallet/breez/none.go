//go:build !cgo

// Package breez needs a C compiler: the Breez SDK is a shared library. Without one there is nothing in it.
package breez
