package testnet

import (
	"errors"
	"slices"
	"testing"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/testnet/peers"
	"infernet/provider"
	"infernet/wallet"
)

// TestPlainCustomersVanish has nostr-tools clients end themselves at every step of a paid job. Who has not paid gets
// nothing; what was paid for is done and stored, once; and the node serves the next customer.
func TestPlainCustomersVanish(t *testing.T) {
	t.Parallel()
	n := Start(t)
	purse := n.Wallet("node")
	node := n.Provider("node", "echo:?delay=5ms", func(c *provider.Config) { c.Wallet = purse.(wallet.Receiver) })
	job := func(name string) plainJob {
		return plainJob{Name: name, Tags: [][]string{{"i", "one two three", "text"}, {"p", string(node.Key)}}, Pays: true}
	}
	const price = 32 * events.Sat
	t.Run("all", func(t *testing.T) {
		for step, paid := range map[string]events.Msat{"published": 0, "asked": 0, "paid": price, "processing": price} {
			t.Run(step, func(t *testing.T) {
				t.Parallel()
				address, w := n.connection(t)
				client := n.peer(t, peers.Node(t, "js/plain.mjs"), map[string]any{
					"relay": n.URL, "wallet": address, "jobs": []plainJob{job(step)}, "vanish": step,
				})
				var asked struct{ ID events.ID }
				client.hear("asked", &asked)
				client.hear("vanishes", nil)
				client.killed(t)
				if paid > 0 {
					Eventually(t, "the paid job is done", func() bool { return len(n.stored(t, asked.ID, 6050)) > 0 })
				} else {
					Eventually(t, "the price is said", func() bool { return len(n.stored(t, asked.ID, 7000)) > 0 })
				}
				if spent := n.spent(t, w); spent != paid {
					t.Errorf("the client spent %s", spent.Human())
				}
				want := 0
				if paid > 0 {
					want = 1
				}
				if results := n.stored(t, asked.ID, 6050); len(results) != want {
					t.Errorf("%d results are stored, want %d", len(results), want)
				}
			})
		}
	})
	address, _ := n.connection(t)
	if got := n.plainClient(t, address, job("next"))["next"]; got.Content == nil || *got.Content != "one two three" {
		t.Errorf("the next customer hears %v", got.Said)
	}
	if earned := -n.spent(t, purse); earned != 3*price {
		t.Errorf("the node earned %s, not %s", earned.Human(), (3 * price).Human())
	}
}

// TestPlainCustomersOutliveOurNode kills our node with SIGKILL at every step of a nostr-tools client's job and starts it
// again: the client pays once and gets its one result.
func TestPlainCustomersOutliveOurNode(t *testing.T) {
	for _, step := range []string{"asked", "paid", "started", "running", "made", "delivered"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			n := Start(t)
			account, err := n.Bank.Address(events.GenerateKeys())
			if err != nil {
				t.Fatal(err)
			}
			keys := events.GenerateKeys()
			node := process{
				Role: "provider", Relay: n.URL, Dir: t.TempDir(), Wallet: account, Secret: keys.Secret(), Engine: "echo:?delay=5ms", Crash: step,
			}
			first := node.start(t)
			first.wait(t, "ready")
			n.awaitNode(keys.PublicKey())
			address, w := n.connection(t)
			client := n.peer(t, peers.Node(t, "js/plain.mjs"), map[string]any{"relay": n.URL, "wallet": address, "jobs": []plainJob{
				{Name: step, Encrypt: "nip44", Node: string(keys.PublicKey()), Inside: [][]string{{"i", "one two three four", "text"}}, Pays: true},
			}})
			first.killed(t)
			node.Crash = ""
			node.start(t).wait(t, "ready")
			var got plainHeard
			client.hear("job", &got)
			asked := len(slices.DeleteFunc(slices.Clone(got.Said), func(s string) bool { return s != "payment-required" }))
			if got.Content == nil || *got.Content != "one two three four" || asked != 1 || got.After != 0 {
				t.Errorf("it heard %v, the result %v, %d events after it", got.Said, got.Content, got.After)
			}
			if spent := n.spent(t, w); spent != events.Msat(got.Amount) || spent == 0 {
				t.Errorf("it spent %s, was asked for %d msat", spent.Human(), got.Amount)
			}
			n.oneResult(got.ID)
		})
	}
}

// gone checks that a customer of ours knows that its node is gone, and keeps what it paid and nothing else.
func gone(t *testing.T, buyer *consumer.Consumer, err error, paid events.Msat) {
	t.Helper()
	var vanished *consumer.VanishedError
	if !errors.As(err, &vanished) || vanished.Paid != paid {
		t.Fatalf("got %v, want that the node vanished with %s", err, paid.Human())
	}
	open, err := buyer.Unfinished()
	if err != nil || (len(open) == 1) != (paid > 0) {
		t.Fatalf("left open: %v, %v", open, err)
	}
	if paid == 0 {
		return
	}
	kept, err := buyer.Ledger.Commitment(open[0])
	if err != nil || kept == nil || kept.Preimage.Hash() != kept.Hash {
		t.Errorf("the proof of payment is not kept: %+v, %v", kept, err)
	}
}

// errand is one order on its way; several wait for their deadlines together.
type errand struct {
	name  string
	buyer *consumer.Consumer
	err   error
	told  Told
	done  chan struct{}
}

// send begins to buy. watch, if set, is told each step after the errand's own record.
func send(name string, buyer *consumer.Consumer, order consumer.Order, watch func(e *errand)) *errand {
	e := &errand{name: name, buyer: buyer, done: make(chan struct{})}
	go func() {
		defer close(e.done)
		_, e.err = buyer.Do(ctx, order, func(s consumer.Step) {
			if e.told.Hear(s); watch != nil {
				watch(e)
			}
		})
	}()
	return e
}

// vanished waits for the errand's end, which is that the node was gone with so much.
func (e *errand) vanished(t *testing.T, paid events.Msat) {
	t.Helper()
	<-e.done
	t.Logf("%s: heard %v: %v", e.name, e.told.Names(), e.err)
	gone(t, e.buyer, e.err, paid)
}

// TestPlainNodesVanish has providers made of NDK end themselves at every step of a job of ours, and one deliver too late.
func TestPlainNodesVanish(t *testing.T) {
	t.Parallel()
	n := Start(t)
	const price = 21 * events.Sat
	order := func(node events.PubKey, life time.Duration) consumer.Order {
		return Text("one two three", func(o *consumer.Order) { o.Way, o.Node, o.Encrypted, o.Life = consumer.Plain, node, true, life })
	}
	type sold struct {
		*errand
		seller *peer
		earned func() events.Msat
		paid   events.Msat
	}
	var all []sold
	for step, paid := range map[string]events.Msat{"asked": 0, "offered": price, "paid": price, "processing": price} {
		seller, key, earned := n.ndkSeller(t, price, step, 0)
		all = append(all, sold{send(step, n.Buyer("buyer of "+step), order(key, 6*time.Second), nil), seller, earned, paid})
	}
	slow, key, _ := n.ndkSeller(t, price, "", 7*time.Second)
	late := send("late", n.Buyer("late"), order(key, 4*time.Second), nil)
	for _, s := range all {
		s.vanished(t, s.paid)
		s.seller.hear("vanishes", nil)
		s.seller.killed(t)
		if s.earned() != s.paid {
			t.Errorf("%s: the seller earned %s", s.name, s.earned().Human())
		}
	}

	late.vanished(t, price)
	slow.hear("delivered", nil)
	open, err := late.buyer.Unfinished()
	if err != nil || len(open) != 1 {
		t.Fatalf("left open: %v, %v", open, err)
	}
	got, err := late.buyer.Resume(ctx, open[0], nil)
	if err != nil || got.Text != "eerht owt eno" || got.Paid != price {
		t.Fatalf("what was paid for and came late: %+v, %v", got, err)
	}
	if open, err := late.buyer.Unfinished(); err != nil || len(open) > 0 {
		t.Errorf("left open: %v, %v", open, err)
	}
}

// TestNostrDVMVanishes kills the real nostr-dvm once it has said its price, and once while it works; the dead one's
// heartbeat is still fresh when the next job is for it.
func TestNostrDVMVanishes(t *testing.T) {
	t.Parallel()
	n := Start(t)
	order := func(d *dvm, life time.Duration) consumer.Order {
		return Text("sleep well", func(o *consumer.Order) { o.Way, o.Node, o.Life = consumer.Plain, d.key, life })
	}
	var all, next []*errand
	for _, step := range []string{"Offer", "Running"} {
		d := n.nostrdvm(t, 21, true)
		w := n.Wallet("buyer")
		buyer := n.Consumer("buyer at "+step, func(c *consumer.Config) { c.Wallet = bridged{w.(wallet.Payer), &d.bridge} })
		all = append(all, send(step, buyer, order(d, 8*time.Second), func(e *errand) {
			if slices.Contains(e.told.Names(), step) {
				d.cmd.Process.Kill()
			}
		}))
		<-d.done
		next = append(next, send("next after "+step, n.Buyer("next at "+step), order(d, 2*time.Second), nil))
	}
	for _, e := range all {
		e.vanished(t, 21*events.Sat)
	}
	for _, e := range next {
		e.vanished(t, 0)
	}
}
