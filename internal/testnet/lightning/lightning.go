// Package lightning is a Lightning network on this machine, for tests: a chain without money (btcd, regtest) and lnds that
// have channels with each other by way of one hub. Everything is real but the money.
//
// The programs are those of scripts/get-lnd.sh. Begin with Start, or with Test inside a test.
package lightning

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Config says what a network is made of. Programs and Dir are needed.
type Config struct {
	Programs string   // the folder with lnd and btcd
	Dir      string   // for all data
	Nodes    []string // besides the hub; "alice" and "carol" if unset
	Channel  int64    // satoshi in each channel with the hub, half of them on either side; 4,000,000 if unset
	FeeBase  int64    // msat that the hub takes for passing a payment on
	Log      *slog.Logger
}

// Hub is the name of the node in the middle. It funds all channels, so that the fees of their commitments are the hub's and
// the others' balances are exact.
const Hub = "hub"

// Network is a running network.
type Network struct {
	Config
	chain *chain
	ctx   context.Context
	stop  context.CancelFunc
	nodes map[string]*Node
	names []string
}

// Start starts a network, and returns when each node can pay each other one. It ends with ctx, or Stop.
func Start(ctx context.Context, c Config) (n *Network, err error) {
	if len(c.Nodes) == 0 {
		c.Nodes = []string{"alice", "carol"}
	}
	if c.Channel == 0 {
		c.Channel = 4_000_000
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(ctx)
	n = &Network{Config: c, ctx: ctx, stop: cancel, nodes: map[string]*Node{}, names: append([]string{Hub}, c.Nodes...)}
	begun := n // a return of nil takes n away
	defer func() {
		if err != nil {
			begun.Stop()
		}
	}()
	soon, end := context.WithTimeout(ctx, 3*time.Minute)
	defer end()
	if n.chain, err = startChain(soon, n); err != nil {
		return nil, err
	}
	if err := n.each(func(name string) error { return n.begin(soon, name) }); err != nil {
		return nil, err
	}
	return n, n.connect(soon)
}

// each does something for all nodes at once.
func (n *Network) each(do func(name string) error) error {
	errs := make([]error, len(n.names))
	var wait sync.WaitGroup
	for i, name := range n.names {
		wait.Go(func() { errs[i] = do(name) })
	}
	wait.Wait()
	return errors.Join(errs...)
}

func (n *Network) begin(ctx context.Context, name string) error {
	node := &Node{Name: name, Dir: filepath.Join(n.Dir, name), net: n}
	for _, port := range []*string{&node.rpc, &node.rest, &node.peer} {
		var err error
		if *port, err = freePort(); err != nil {
			return err
		}
	}
	n.chain.mu.Lock()
	n.nodes[name] = node
	n.chain.mu.Unlock()
	return node.Start(ctx)
}

// Node gives a node by its name.
func (n *Network) Node(name string) *Node { return n.nodes[name] }

// Names are the names of all nodes, the hub's first.
func (n *Network) Names() []string { return n.names }

// Mine mines blocks.
func (n *Network) Mine(ctx context.Context, blocks int) error { return n.chain.mine(ctx, blocks) }

// Stop kills all programs and waits for their end.
func (n *Network) Stop() {
	n.stop()
	for _, node := range n.nodes {
		node.Kill()
	}
	if n.chain != nil {
		n.chain.program.kill()
	}
}

// freePort gives an address of this machine that nobody listens on.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// wait asks until something is so, or ctx ends.
func wait(ctx context.Context, what string, is func() error) error {
	for {
		err := is()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited in vain for %s: %w", what, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Built gives the folder with the programs, if scripts/get-lnd.sh has built them.
func Built() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		script := filepath.Join(dir, "scripts", "get-lnd.sh")
		if _, err := os.Stat(script); err != nil {
			continue
		}
		var said strings.Builder
		cmd := exec.Command(script, "--there")
		cmd.Stderr = &said
		place, err := cmd.Output()
		if err != nil {
			return "", errors.New(strings.TrimSpace(said.String()))
		}
		return strings.TrimSpace(string(place)), nil
	}
	return "", errors.New("no scripts/get-lnd.sh in this folder or above it")
}
