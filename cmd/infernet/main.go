// Command infernet is the market: relay, provider, play wallet and buyer in one binary.
package main

import (
	"context"
	"os"

	"infernet/internal/cli"
)

func main() {
	os.Exit(cli.Main(context.Background(), cli.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: os.Getenv}, os.Args[1:]))
}
