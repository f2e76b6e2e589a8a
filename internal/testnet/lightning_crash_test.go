package testnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/testnet/lightning"
	"infernet/provider"
	"infernet/wallet"
)

// crash is a kill -9 of one party at one durable step of a paid job.
type crash struct{ Pay, Party, Step string }

func (c crash) String() string { return c.Pay + ", " + c.Party + " " + c.Step }

// crashes are all there are.
func crashes() (all []crash) {
	for pay, steps := range map[string][]string{
		events.PayPrepaid: {"offered", "awarded", "asked", "paid", "started", "running", "made", "delivered"},
		events.PayHold:    {"offered", "awarded", "asked", "held", "started", "running", "made", "delivered", "settled"},
		events.PaySealed:  {"offered", "awarded", "started", "running", "made", "delivered"},
	} {
		for _, step := range steps {
			all = append(all, crash{pay, "provider", step})
		}
		for _, step := range []string{"submitted", "awarded", "committed", "settled"} {
			all = append(all, crash{pay, "consumer", step})
		}
	}
	return all
}

// draw draws n of all in a random order, all of them before one comes twice.
func draw[T any](t *testing.T, all []T, n int) (drawn []T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 6))
	for len(drawn) < n {
		rnd.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
		drawn = append(drawn, all[:min(len(all), n-len(drawn))]...)
	}
	return drawn
}

// long is how often something is done: seldom, or with INFERNET_LONG=1 often.
func long(seldom, often int) int {
	if os.Getenv("INFERNET_LONG") != "" {
		return often
	}
	return seldom
}

// books are what came of many jobs, for the sums at the end.
type books struct {
	mu         sync.Mutex
	jobs       int
	paid, fees events.Msat
}

func (b *books) add(paid, fee events.Msat) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.jobs, b.paid, b.fees = b.jobs+1, b.paid+paid, b.fees+fee
}

// TestLightningCrashes kills a customer or a node with SIGKILL at a step of a job that is paid over real nodes, and starts
// it again: the job is delivered once, and paid if, and only if, the key is known. At the end the nodes' balances say the
// same as the sum of the jobs. 20 crashes, with INFERNET_LONG=1 210.
func TestLightningCrashes(t *testing.T) {
	n, alice, _ := onLightning(t)
	carol := n.lnd("carol", lightning.Both)
	before, had := quiet(t, alice), quiet(t, carol)
	var all books
	t.Run("jobs", func(t *testing.T) {
		for i, c := range draw(t, crashes(), long(20, 210)) {
			t.Run(c.String(), func(t *testing.T) {
				t.Parallel()
				if c.Party == "provider" {
					n.crashProvider(t, c, i, alice, &all)
				} else {
					n.crashConsumer(t, c, i, alice, &all)
				}
			})
		}
	})
	if left, came := before-quiet(t, alice), quiet(t, carol)-had; left != all.paid+all.fees || came != all.paid {
		t.Errorf("%s left and %s came, for jobs of %s and fees of %s", left.Human(), came.Human(), all.paid.Human(), all.fees.Human())
	}
	t.Logf("%d crashes, %s paid", all.jobs, all.paid.Human())
}

const words = "one two three four"

// killable is a node in a process of its own, whose model nobody else has.
func (n *Net) killable(t *testing.T, crash string, nth int) (node process, model string) {
	model = fmt.Sprintf("model-%d", nth)
	return process{
		Role: "provider", Relay: n.URL, Dir: t.TempDir(), Wallet: address(t, "carol", lightning.Receive), Secret: events.GenerateKeys().Secret(),
		Engine: "echo:?delay=5ms&model=" + model, Crash: crash,
	}, model
}

func (n *Net) crashProvider(t *testing.T, c crash, nth int, alice wallet.Wallet, all *books) {
	node, model := n.killable(t, c.Step, nth)
	first := node.start(t)
	first.wait(t, "ready")
	keys, _ := events.NewKeys(node.Secret)
	n.awaitNode(keys.PublicKey())
	buyer := n.Consumer(fmt.Sprintf("buyer-%d", nth), func(c *consumer.Config) { c.Wallet = alice.(wallet.Payer) })
	type outcome struct {
		*consumer.Delivery
		error
	}
	done := make(chan outcome, 1)
	go func() {
		got, err := buyer.Do(ctx, Text(words, func(o *consumer.Order) { o.Pay, o.Params = []string{c.Pay}, events.Params{param("model", model)} }), nil)
		done <- outcome{got, err}
	}()
	first.killed(t)
	node.Crash = ""
	node.start(t).wait(t, "ready")
	select {
	case got := <-done:
		if got.error != nil {
			t.Fatal(got.error)
		}
		n.holdsTrueOnce(t, alice, got.Delivery, all)
	case <-time.After(90 * time.Second):
		t.Fatal("no result within 90 s")
	}
}

func (n *Net) crashConsumer(t *testing.T, c crash, nth int, alice wallet.Wallet, all *books) {
	node, model := n.killable(t, "", nth)
	node.start(t).wait(t, "ready")
	keys, _ := events.NewKeys(node.Secret)
	n.awaitNode(keys.PublicKey())
	order := Text(words, func(o *consumer.Order) { o.Pay, o.Params = []string{c.Pay}, events.Params{param("model", model)} })
	buyer := process{Role: "consumer", Relay: n.URL, Dir: t.TempDir(), Wallet: address(t, "alice", lightning.Both), Order: &order, Crash: c.Step}
	buyer.start(t).killed(t)
	buyer.Crash, buyer.Resume = "", true
	again := buyer.start(t)
	line := again.wait(t, "got:")
	again.stop()
	l, err := ledger.Open(filepath.Join(buyer.Dir, "consumer.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	parts := strings.SplitN(line, " ", 4)
	kept, err := l.Commitment(events.ID(parts[1]))
	if err != nil || kept == nil || !kept.Settled {
		t.Fatalf("%s: the ledger says %+v, %v", line, kept, err)
	}
	n.holdsTrueOnce(t, alice, &consumer.Delivery{Job: kept.Job, Text: parts[3], Paid: kept.Amount, Hash: kept.Hash, Preimage: kept.Preimage}, all)
}

// holdsTrueOnce holds a delivery to the books of both nodes, and to one result.
func (n *Net) holdsTrueOnce(t *testing.T, alice wallet.Wallet, got *consumer.Delivery, all *books) {
	t.Helper()
	if got.Text != words || got.Paid == 0 {
		t.Errorf("got %q for %s", got.Text, got.Paid.Human())
	}
	if got.Preimage == (wallet.Preimage{}) { // a hold that is taken after the delivery was waited for
		sent, err := alice.(wallet.Payer).Sent(ctx, got.Hash)
		t.Errorf("no key came with the delivery: the node's books say %+v, %v", sent, err)
		return
	}
	all.add(got.Paid, holdsTrue(t, alice, got))
	n.oneResult(got.Job)
}

// TestLightningNodesAreKilled kills one of the lnds (the payer's, the payee's, or the one between) at a step of a paid job,
// and starts it again: the job is delivered once, and paid if, and only if, the key is known; or no way led to the payee at
// that moment, and nothing is paid. A payment that was locked at the kill survives it. 2 kills, with INFERNET_LONG=1 24.
func TestLightningNodesAreKilled(t *testing.T) {
	n, alice, _ := onLightning(t)
	type kill struct{ Pay, Node, Step string }
	var kills []kill
	for pay, steps := range map[string][]string{
		events.PayPrepaid: {"provider asked", "consumer committed", "provider paid"},
		events.PayHold:    {"consumer committed", "provider held", "provider running", "provider made", "provider delivered"},
		events.PaySealed:  {"provider delivered", "consumer committed"},
	} {
		for _, step := range steps {
			for _, node := range []string{"alice", "carol", lightning.Hub} {
				kills = append(kills, kill{pay, node, step})
			}
		}
	}
	carol := n.lnd("carol", lightning.Both)
	before, had := quiet(t, alice), quiet(t, carol)
	var all books
	drawn, failed := draw(t, kills, long(2, 24)), 0
	for i, k := range drawn {
		t.Run(fmt.Sprint(k), func(t *testing.T) {
			var once sync.Once
			at := func(party string) func(events.ID, string) {
				return func(_ events.ID, step string) {
					if party+" "+step != k.Step {
						return
					}
					once.Do(func() {
						lnd := lightning.Test(t).Node(k.Node)
						lnd.Kill()
						if err := lnd.Start(ctx); err != nil {
							t.Error(err)
						}
						if err := lnd.Ready(ctx); err != nil {
							t.Error(err)
						}
					})
				}
			}
			model := fmt.Sprintf("killed-%d", i)
			n.T = t
			n.Provider(model, "echo:?delay=5ms&model="+model, paidTo(n, func(c *provider.Config) { c.Step = at("provider") }))
			buyer := n.Consumer("buyer-"+model, func(c *consumer.Config) { c.Wallet, c.Step = alice.(wallet.Payer), at("consumer") })
			got, err := buyer.Do(ctx, Text(words, func(o *consumer.Order) { o.Pay, o.Params = []string{k.Pay}, events.Params{param("model", model)} }), nil)
			// who pays through a node that is down learns that there is no way, and remembers it for an hour
			defer lightning.Test(t).Node("alice").Call(ctx, http.MethodPost, "/v2/router/mc/reset", struct{}{}, &struct{}{})
			if errors.Is(err, wallet.ErrRejected) {
				failed++
				if open, err := buyer.Unfinished(); err != nil || len(open) > 0 {
					t.Errorf("it failed, and is left open: %v, %v", open, err)
				}
				return // that nothing was paid for it, the sums show
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Preimage == (wallet.Preimage{}) { // delivered, and not taken yet: the node waits for its wallet
				if again, err := settles(t, buyer); err == nil && again != nil {
					got = again
				}
			}
			n.holdsTrueOnce(t, alice, got, &all)
		})
	}
	var left, came events.Msat
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(100 * time.Millisecond) { // a channel that is just back has yet to settle
		if left, came = before-quiet(t, alice), quiet(t, carol)-had; left == all.paid+all.fees && came == all.paid {
			break
		}
	}
	if left != all.paid+all.fees || came != all.paid {
		t.Errorf("%s left and %s came, for jobs of %s and fees of %s", left.Human(), came.Human(), all.paid.Human(), all.fees.Human())
		for _, name := range lightning.Test(t).Names() {
			var list json.RawMessage
			lightning.Test(t).Node(name).Call(ctx, http.MethodGet, "/v1/channels", nil, &list)
			t.Logf("%s: %s", name, list)
		}
	}
	t.Logf("%d kills of nodes, %s paid, %d payments found no way and cost nothing", len(drawn), all.paid.Human(), failed)
}
