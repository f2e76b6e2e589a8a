//go:build !cgo

package main

import "fmt"

func main() { fmt.Println("peer: LMDB needs cgo; set CGO_ENABLED=1 and install a C compiler") }
