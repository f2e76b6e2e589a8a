// Command infernet is the market: relay, provider, play wallet and buyer in one binary.
package main

import (
	"context"
	"os"
	"os/exec"

	"infernet/internal/cli"
)

func main() {
	to := cli.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: os.Getenv, Environ: os.Environ}
	if _, err := exec.LookPath("infernet"); err != nil { // called by its path
		to.Self = os.Args[0]
	}
	os.Exit(cli.Main(context.Background(), to, os.Args[1:]))
}
