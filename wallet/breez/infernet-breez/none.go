//go:build !cgo

// Command infernet-breez needs a C compiler: the Breez SDK is a shared library.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "infernet-breez: built without a C compiler, there is no Breez SDK in it; hint: CGO_ENABLED=1 make breez")
	os.Exit(1)
}
