// Lightning runs a Lightning network without money, to try things by hand: `make lightning`.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"infernet/internal/testnet/lightning"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "lightning:", err)
		os.Exit(1)
	}
}

func run() error {
	ready := flag.String("ready-file", "", "file that is written once the network is there: the folder of the wallets' addresses")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	programs, err := lightning.Built()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "infernet-lightning-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	began := time.Now()
	n, err := lightning.Start(ctx, lightning.Config{Programs: programs, Dir: dir, FeeBase: 1000})
	if err != nil {
		return err
	}
	defer n.Stop()
	fmt.Printf("ready after %.1f s: alice and carol have a channel with a hub each, 2,000,000 sat on either side\n", time.Since(began).Seconds())
	for _, use := range []struct {
		node, purpose, flag string
		allow               []string
	}{
		{"alice", "pays and is paid", "INFERNET_WALLET", lightning.Both},
		{"carol", "is only paid", "INFERNET_PROVIDE_WALLET", lightning.Receive},
	} {
		at, err := n.Node(use.node).URL(ctx, use.allow)
		if err != nil {
			return err
		}
		file := filepath.Join(dir, use.node+".wallet")
		if err := os.WriteFile(file, []byte(at+"\n"), 0o600); err != nil {
			return err
		}
		fmt.Printf("\n%s %s:\n  %s\n  export %s=file:%s\n", use.node, use.purpose, at, use.flag, file)
	}
	if *ready != "" {
		if err := os.WriteFile(*ready+".part", []byte(dir+"\n"), 0o600); err != nil {
			return err
		}
		if err := os.Rename(*ready+".part", *ready); err != nil {
			return err
		}
	}
	fmt.Println("\nctrl-c ends it, and removes everything")
	<-ctx.Done()
	return nil
}
