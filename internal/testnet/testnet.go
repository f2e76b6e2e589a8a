// Package testnet is a whole market inside a test: a real relay, a play wallet, providers and consumers, on loopback.
//
// Every part is the real one and ends with the test. Begin with Start.
package testnet

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/consumer"
	"infernet/engine"
	"infernet/engine/echo"
	"infernet/engine/llamacpp"
	"infernet/engine/openai"
	"infernet/events"
	"infernet/internal/blob"
	"infernet/internal/ledger"
	"infernet/internal/pool"
	"infernet/provider"
	"infernet/relay"
	"infernet/wallet"
	"infernet/wallet/lnd"
	"infernet/wallet/nwc"
	"infernet/wallet/play"
)

// Engines are the engines a test may name by URL.
var Engines = engine.Openers{"echo": echo.Open, "openai": openai.Open, "llamacpp": llamacpp.Open}

// Wallets are the wallets a test may name by URL.
var Wallets = wallet.Openers{"play": play.Open, "nostr+walletconnect": nwc.Open, "lnd": lnd.Open}

// Price makes money move: 1 sat, and 20 and 60 msat a token.
var Price = events.Price{Base: 1000, In: 20_000, Out: 60_000}

// Net is one market.
type Net struct {
	T     testing.TB
	URL   string // of the relay
	Dir   string
	Files *blob.Server // beside the relay, on the same host
	Bank  *play.Service

	blocks atomic.Int64 // of the play chain: money that is locked comes back when enough have passed
	ctx    context.Context
	log    *slog.Logger
}

// Start starts a relay and a play wallet.
func Start(t testing.TB) *Net {
	t.Helper()
	return StartRelay(t, nil)
}

// StartRelay is Start with a relay whose config change may adjust.
func StartRelay(t testing.TB, change func(*relay.Config)) *Net {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	n := &Net{T: t, Dir: t.TempDir(), ctx: ctx, log: Log(t)}
	var err error
	if n.Files, err = blob.Open(ctx, blob.Config{Dir: filepath.Join(n.Dir, "files"), MinFree: 1, Log: n.log.With("at", "files")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Files.Close() })
	config := relay.Config{Dir: filepath.Join(n.Dir, "relay"), Listen: "127.0.0.1:0", Files: n.Files, Log: n.log.With("at", "relay")}
	if change != nil {
		change(&config)
	}
	r, err := relay.Open(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	n.URL = r.URL()
	t.Cleanup(n.running("relay", cancel, func() error { return r.Run(ctx) }))
	n.bank()
	return n
}

// running runs a part, and gives the function that stops it and waits for its end.
func (n *Net) running(name string, cancel context.CancelFunc, run func() error) func() {
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := run(); err != nil && n.ctx.Err() == nil {
			n.log.Warn("ended", "part", name, "err", err)
		}
	})
	return func() { cancel(); wait.Wait() }
}

// Pool connects to the market's relay as signer.
func (n *Net) Pool(ctx context.Context, signer events.Signer) *pool.Pool {
	p := pool.New(ctx, []string{n.URL}, pool.WithSigner(signer), pool.WithLog(n.log))
	n.T.Cleanup(func() { p.Close() })
	return p
}

// Ledger opens a ledger of the test.
func (n *Net) Ledger(name string) *ledger.Ledger {
	n.T.Helper()
	l, err := ledger.Open(filepath.Join(n.Dir, name+".db"))
	if err != nil {
		n.T.Fatal(err)
	}
	n.T.Cleanup(func() { l.Close() })
	return l
}

// Node is a running provider.
type Node struct {
	*provider.Provider
	Key  events.PubKey
	Stop func() // as a shutdown does
}

// Provider starts a provider on an engine. change may adjust its config.
func (n *Net) Provider(name, engineURL string, change func(*provider.Config)) *Node {
	n.T.Helper()
	keys := events.GenerateKeys()
	ctx, cancel := context.WithCancel(n.ctx)
	e, err := Engines.Open(ctx, engineURL, n.log)
	if err != nil {
		n.T.Fatal(err)
	}
	w := n.Wallet(name)
	config := provider.Config{
		Name: name, Signer: keys, Relays: []string{n.URL}, Ledger: n.Ledger(name), Engine: e, Wallet: w.(wallet.Receiver),
		Policy: provider.Policy{Price: Price}, Log: n.log.With("at", name),
	}
	if change != nil {
		change(&config)
	}
	if config.Pool == nil {
		config.Pool = n.Pool(ctx, config.Signer)
	}
	p, err := provider.New(ctx, config)
	if err != nil {
		n.T.Fatal(err)
	}
	stop := n.running(name, cancel, func() error { return p.Run(ctx) })
	node := &Node{Provider: p, Key: config.Signer.PublicKey(), Stop: func() { stop(); e.Close() }}
	n.T.Cleanup(node.Stop)
	n.awaitNode(config.Signer.PublicKey())
	return node
}

// awaitNode waits until the relay shows the node's heartbeat.
func (n *Net) awaitNode(key events.PubKey) {
	n.T.Helper()
	c := n.Consumer("watch-"+string(key[:8]), func(c *consumer.Config) { c.Wallet = nil })
	Eventually(n.T, "the node is announced", func() bool {
		nodes, err := c.Nodes(n.ctx)
		if err != nil {
			return false
		}
		for _, node := range nodes {
			if node.Author == key && node.Alive(time.Now()) {
				return true
			}
		}
		return false
	})
}

// Consumer makes a consumer with a play wallet of its own.
func (n *Net) Consumer(name string, change func(*consumer.Config)) *consumer.Consumer {
	n.T.Helper()
	config := consumer.Config{Relays: []string{n.URL}, Log: n.log.With("at", name)}
	if change != nil {
		change(&config)
	}
	if config.Ledger == nil {
		config.Ledger = n.Ledger(name)
	}
	if config.Pool == nil {
		config.Pool = n.Pool(n.ctx, events.GenerateKeys())
	}
	c, err := consumer.New(config)
	if err != nil {
		n.T.Fatal(err)
	}
	return c
}

// Buyer makes a consumer with play money.
func (n *Net) Buyer(name string) *consumer.Consumer {
	n.T.Helper()
	return n.Consumer(name, func(c *consumer.Config) { c.Wallet = n.Wallet(name).(wallet.Payer) })
}

// Eventually waits until something is true, and fails the test after 20 s.
func Eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited 20 s in vain: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Log logs into the test with -v, or to stderr if INFERNET_TEST_LOG is set.
func Log(t testing.TB) *slog.Logger {
	var to io.Writer = io.Discard
	if os.Getenv("INFERNET_TEST_LOG") != "" {
		to = os.Stderr
	}
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: slog.LevelDebug})).With("test", t.Name())
}

// Text is an order for text.
func Text(prompt string, change func(*consumer.Order)) consumer.Order {
	o := consumer.Order{
		Kind: events.KindText, Inputs: []events.Input{{Value: prompt, Type: "text"}}, MaxCost: 100 * events.Sat, First: true,
		Window: 20 * time.Second, Life: time.Minute, // a busy machine may take its time; First ends the window
	}
	if change != nil {
		change(&o)
	}
	return o
}

// Told collects the steps of a job.
type Told struct {
	mu    sync.Mutex
	steps []consumer.Step
}

// Hear is a watch function for Do.
func (w *Told) Hear(s consumer.Step) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps = append(w.steps, s)
}

// Streamed is the text that came in chunks.
func (w *Told) Streamed() (text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.steps {
		text += s.Delta
	}
	return text
}

// Names are the types of the messages that were heard.
func (w *Told) Names() (names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.steps {
		if s.Message != nil && s.Delta == "" {
			names = append(names, fmt.Sprintf("%T", s.Message)[len("*events."):])
		}
	}
	return names
}

// bank starts the play wallet.
func (n *Net) bank() {
	n.T.Helper()
	n.blocks.Store(100)
	s, err := play.NewService(play.Config{
		Relays: []string{n.URL}, Keys: events.GenerateKeys(), Path: filepath.Join(n.Dir, "bank.db"), Height: n.blocks.Load, Log: n.log.With("at", "bank"),
	})
	if err != nil {
		n.T.Fatal(err)
	}
	n.Bank = s
	ctx, cancel := context.WithCancel(n.ctx)
	n.T.Cleanup(n.running("bank", cancel, func() error { return s.Run(ctx) }))
}

// Wallet opens an account of its own at the bank.
func (n *Net) Wallet(name string) wallet.Wallet {
	n.T.Helper()
	address, err := n.Bank.Address(events.GenerateKeys())
	if err != nil {
		n.T.Fatal(err)
	}
	return n.open(name, address)
}

// NWC opens an account of its own at the bank, as any NIP-47 wallet: one that takes no preimages, but locks payments.
func (n *Net) NWC(name string) wallet.Wallet {
	n.T.Helper()
	return n.open(name, n.Bank.URI(events.GenerateKeys()).String())
}

func (n *Net) open(name, address string) wallet.Wallet {
	n.T.Helper()
	w, err := Wallets.Open(n.ctx, address, n.log.With("wallet of", name))
	if err != nil {
		n.T.Fatal(err)
	}
	n.T.Cleanup(func() { w.Close() })
	return w
}

// Now is the market's clock.
func Now() time.Time { return time.Now() }

// oneResult checks that the relay has exactly one result for a job.
func (n *Net) oneResult(job events.ID) {
	n.T.Helper()
	p := pool.New(n.ctx, []string{n.URL})
	defer p.Close()
	found, err := p.Query(n.ctx, nostr.Filter{Kinds: []int{events.KindText + 1000}, Tags: nostr.TagMap{"e": {string(job)}}})
	if err != nil || len(found) != 1 {
		n.T.Errorf("job %s has %d results, %v", job, len(found), err)
	}
}
