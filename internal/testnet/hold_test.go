package testnet

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/consumer"
	"infernet/events"
	"infernet/provider"
	"infernet/wallet"
	"infernet/wallet/play"
)

const opening = 100_000 * events.Sat

func has(t *testing.T, w wallet.Wallet, want events.Msat, what string) {
	t.Helper()
	if have, err := w.(wallet.Balancer).Balance(ctx); err != nil || have != want {
		t.Errorf("%s has %s, not %s, %v", what, have.Human(), want.Human(), err)
	}
}

func byHold(o *consumer.Order) { o.Pay = []string{events.PayHold} }

// settles resumes a customer's only open job until it has an end, and gives what came of it at last.
func settles(t *testing.T, buyer *consumer.Consumer) (got *consumer.Delivery, err error) {
	t.Helper()
	Eventually(t, "the job has an end", func() bool {
		open, bad := buyer.Unfinished()
		if bad != nil {
			t.Fatal(bad)
		}
		if len(open) == 0 {
			return true
		}
		within, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		got, err = buyer.Resume(within, open[0], nil)
		return false
	})
	return got, err
}

// TestHeldMoneyComesBackWhenTheNodeVanishes kills a node for good at each step of a held job: before the result the money
// is locked and comes back, after it the customer has what it paid for.
func TestHeldMoneyComesBackWhenTheNodeVanishes(t *testing.T) {
	for _, step := range []string{"asked", "held", "started", "running", "made", "delivered", "settled"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			n := Start(t)
			address, err := n.Bank.Address(events.GenerateKeys())
			if err != nil {
				t.Fatal(err)
			}
			node := process{
				Role: "provider", Relay: n.URL, Dir: t.TempDir(), Wallet: address, Secret: events.GenerateKeys().Secret(),
				Engine: "echo:?delay=5ms", Crash: step,
			}
			running := node.start(t)
			running.wait(t, "ready")
			keys, _ := events.NewKeys(node.Secret)
			n.awaitNode(keys.PublicKey())
			w := n.Wallet("buyer")
			buyer := n.Consumer("buyer", func(c *consumer.Config) { c.Wallet = w.(wallet.Payer) })
			type outcome struct {
				*consumer.Delivery
				error
			}
			done := make(chan outcome, 1)
			go func() {
				got, err := buyer.Do(ctx, Text("one two three four", func(o *consumer.Order) { byHold(o); o.Life = 12 * time.Second }), nil)
				done <- outcome{got, err}
			}()
			running.killed(t)
			delivered := step == "delivered" || step == "settled"
			if !delivered && step != "asked" { // there it had not been asked for yet
				Eventually(t, "the money is locked", func() bool {
					have, err := w.(wallet.Balancer).Balance(ctx)
					return err == nil && have < opening
				})
			}
			n.blocks.Add(events.MaxHoldBlocks) // hours later
			var got outcome
			select {
			case got = <-done:
			case <-time.After(60 * time.Second):
				t.Fatal("the customer waits for ever")
			}
			if open, err := buyer.Unfinished(); err != nil || len(open) > 0 { // money was still out at its end
				d, err := settles(t, buyer)
				if got.Delivery == nil {
					got = outcome{d, err}
				}
			}
			if delivered != (got.error == nil) {
				t.Fatalf("it ended with %+v, %v", got.Delivery, got.error)
			}
			if delivered && got.Text != "one two three four" {
				t.Errorf("got %q", got.Text)
			}
			var vanished *consumer.VanishedError
			if !delivered && !errors.Is(got.error, wallet.ErrRejected) && !errors.As(got.error, &vanished) {
				t.Errorf("it ended with %v", got.error)
			}
			want := opening
			if step == "settled" {
				want -= got.Paid
				if got.Paid == 0 || got.Preimage.Hash() != got.Hash {
					t.Errorf("paid %s with %s", got.Paid.Human(), got.Preimage)
				}
			}
			Eventually(t, "the customer has its money", func() bool {
				have, err := w.(wallet.Balancer).Balance(ctx)
				return err == nil && have == want
			})
			if err := n.Bank.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestHeldMoneyComesBackWhenTheCustomerCancels cancels while the node works: the node lets the money go, and the slot.
func TestHeldMoneyComesBackWhenTheCustomerCancels(t *testing.T) {
	n := Start(t)
	n.Provider("node", "echo:?delay=50ms&tokens=1000", func(c *provider.Config) { c.Slots = 1 })
	w := n.Wallet("buyer")
	buyer := n.Consumer("buyer", func(c *consumer.Config) { c.Wallet = w.(wallet.Payer) })
	jobCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	_, err := buyer.Do(jobCtx, Text("one two", func(o *consumer.Order) {
		byHold(o)
		o.Params = events.Params{param("stream", "true"), param("max_tokens", "1000")}
	}), func(s consumer.Step) {
		if s.Delta != "" {
			cancel() // in the middle of the stream
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the cancelled job ended with %v", err)
	}
	Eventually(t, "the money is back", func() bool {
		have, err := w.(wallet.Balancer).Balance(ctx)
		return err == nil && have == opening
	})
	over(t, buyer, err)
	got, err := buyer.Do(ctx, Text("next", func(o *consumer.Order) { byHold(o); o.Params = events.Params{param("max_tokens", "3")} }), nil)
	if err != nil {
		t.Fatalf("the slot is not free again: %v", err)
	}
	has(t, w, opening-got.Paid, "the customer")
	if err := n.Bank.Check(); err != nil {
		t.Error(err)
	}
}

// over wants that a job which was left while its money was locked is over: at once, if the money was back in the moment that
// its customer waited for it, else once it is resumed.
func over(t *testing.T, buyer *consumer.Consumer, left error) {
	t.Helper()
	var e *consumer.LeftError
	if !errors.As(left, &e) {
		t.Fatalf("it was left with %v", left)
	}
	if e.Back {
		if open, err := buyer.Unfinished(); err != nil || len(open) > 0 {
			t.Errorf("the money is back, open are %v, %v", open, err)
		}
		return
	}
	var gone *consumer.CancelledError
	if got, err := settles(t, buyer); !errors.As(err, &gone) || gone.Back == 0 || got != nil {
		t.Errorf("resumed: %+v, %v", got, err)
	}
}

// TestHeldMoneyComesBackWhenTheJobFails has an engine that fails: nothing is owed, the locked money is let go, and the
// customer hears why.
func TestHeldMoneyComesBackWhenTheJobFails(t *testing.T) {
	n := Start(t)
	n.Provider("node", "echo:?fail=broken", nil)
	w := n.Wallet("buyer")
	buyer := n.Consumer("buyer", func(c *consumer.Config) { c.Wallet = w.(wallet.Payer) })
	_, err := buyer.Do(ctx, Text("one two three", byHold), nil)
	var refused *consumer.RefusedError
	if !errors.As(err, &refused) || refused.Owed != 0 {
		t.Fatalf("got %v", err)
	}
	if open, err := buyer.Unfinished(); err != nil || len(open) > 0 {
		t.Errorf("left open: %v %v", open, err)
	}
	has(t, w, opening, "the customer")
}

// TestHeldMoneyIsNotKeptLockedForLong has work that takes longer than money may be kept locked for it.
func TestHeldMoneyIsNotKeptLockedForLong(t *testing.T) {
	n := Start(t)
	n.Provider("slow", "echo:?delay=300ms&tokens=1000", func(c *provider.Config) { c.HoldFor = time.Second })
	w := n.Wallet("buyer")
	buyer := n.Consumer("buyer", func(c *consumer.Config) { c.Wallet = w.(wallet.Payer) })
	var told Told
	_, err := buyer.Do(ctx, Text("one two three", func(o *consumer.Order) { byHold(o); o.Params = events.Params{param("max_tokens", "1000")} }), func(s consumer.Step) {
		if m, ok := s.Message.(*events.Running); ok && m.Lease > events.At(Now())+2 {
			t.Errorf("a lease until %s, longer than the money is kept locked", m.Lease.Time())
		}
		told.Hear(s)
	})
	var refused *consumer.RefusedError
	if !errors.As(err, &refused) || refused.Code != events.CodeUnavailable || !inOrder(told.Names(), []string{"Invoice", "Running", "Refusal"}) {
		t.Fatalf("got %v after %v", err, told.Names())
	}
	has(t, w, opening, "the customer")
}

// TestHeldTooBrieflyIsLetGo has a wallet that would lock the payment for too few blocks to be surely taken.
func TestHeldTooBrieflyIsLetGo(t *testing.T) {
	n := Start(t)
	n.Provider("node", "echo:", func(c *provider.Config) { c.Wallet = brief{c.Wallet.(*play.Wallet)} })
	w := n.Wallet("buyer")
	buyer := n.Consumer("buyer", func(c *consumer.Config) { c.Wallet = w.(wallet.Payer) })
	_, err := buyer.Do(ctx, Text("one two three", byHold), nil)
	var refused *consumer.RefusedError
	if !errors.As(err, &refused) || refused.Code != events.CodeUnavailable {
		t.Fatalf("got %v", err)
	}
	has(t, w, opening, "the customer")
}

// TestBadHoldInvoicesAreNotPaid has nodes that would lock money for too long or too briefly, or ask for it in another way
// than was agreed.
func TestBadHoldInvoicesAreNotPaid(t *testing.T) {
	n := Start(t)
	receiver := n.Wallet("rogue").(wallet.Holder)
	for _, c := range []struct {
		blocks int
		pay    string
	}{{events.MinHoldBlocks - 1, events.PayHold}, {events.MaxHoldBlocks + 1, events.PayHold}, {2016, events.PayHold}, {40, events.PayPrepaid}} {
		name := fmt.Sprintf("%d-%s", c.blocks, c.pay)
		t.Run(name, func(t *testing.T) {
			n.Rogue(name, "", func(r *Rogue, m events.Message) {
				switch m := m.(type) {
				case *events.Request:
					if m.Model() == name {
						o := &events.Offer{Head: r.Head(), Job: m.ID, To: m.Author, Amount: 10 * events.Sat, Cap: 10 * events.Sat, Until: m.Deadline, Model: name, Delivery: events.DeliverPlain, Pay: events.PayHold, Encrypted: true}
						r.Say(o)
					}
				case *events.Award:
					v, err := receiver.HoldInvoice(ctx, wallet.InvoiceRequest{
						Amount: 10 * events.Sat, Description: "infernet " + string(m.Job), Until: time.Now().Add(time.Minute), Blocks: c.blocks,
					}, wallet.NewPreimage().Hash())
					if err != nil {
						t.Error(err)
						return
					}
					r.Say(&events.Invoice{Head: r.Head(), Job: m.Job, To: m.Author, Amount: v.Amount, Bolt11: v.Bolt11, Pay: c.pay, Until: m.Until})
				}
			})
			w := n.Wallet("buyer")
			buyer := n.Consumer("buyer-"+name, func(c *consumer.Config) { c.Wallet = w.(wallet.Payer) })
			_, err := buyer.Do(ctx, Text("hi", func(o *consumer.Order) { byHold(o); o.Params = events.Params{param("model", name)} }), nil)
			var bad *consumer.BadInvoiceError
			if !errors.As(err, &bad) {
				t.Errorf("got %v", err)
			}
			has(t, w, opening, "the customer")
		})
	}
}

// TestHeldMoneyIsTakenAfterARelayHasTheResult watches a node's wallet: when it takes the money, the relay has the result.
func TestHeldMoneyIsTakenAfterARelayHasTheResult(t *testing.T) {
	n := Start(t)
	taken := make(chan int, 1)
	n.Provider("node", "echo:", func(c *provider.Config) {
		c.Wallet = watching{c.Wallet.(*play.Wallet), func() {
			found, err := n.Pool(ctx, events.GenerateKeys()).Query(ctx, nostr.Filter{Kinds: []int{events.KindText + 1000}})
			if err != nil {
				t.Error(err)
			}
			taken <- len(found)
		}}
	})
	w := n.Wallet("buyer")
	buyer := n.Consumer("buyer", func(c *consumer.Config) { c.Wallet = w.(wallet.Payer) })
	got, err := buyer.Do(ctx, Text("one two three", byHold), nil)
	if err != nil || got.Pay != events.PayHold || got.Preimage.Hash() != got.Hash {
		t.Fatalf("got %+v, %v", got, err)
	}
	if results := <-taken; results != 1 {
		t.Errorf("when the money was taken, the relay had %d results", results)
	}
	has(t, w, opening-got.Paid, "the customer")
}

// TestSealedOverAWalletThatOnlyLocks sells by key over a wallet that takes no preimages: it locks, and is told the key then.
func TestSealedOverAWalletThatOnlyLocks(t *testing.T) {
	n := Start(t)
	n.Provider("node", "echo:", func(c *provider.Config) { c.Wallet = n.NWC("node").(wallet.Receiver) })
	w := n.NWC("buyer")
	buyer := n.Consumer("buyer", func(c *consumer.Config) { c.Wallet = w.(wallet.Payer) })
	for _, pay := range []string{events.PaySealed, events.PayHold, events.PayPrepaid} {
		before, _ := w.(wallet.Balancer).Balance(ctx)
		got, err := buyer.Do(ctx, Text("one two three", func(o *consumer.Order) { o.Pay = []string{pay} }), nil)
		if err != nil || got.Pay != pay || got.Text != "one two three" || got.Preimage.Hash() != got.Hash {
			t.Fatalf("%s: got %+v, %v", pay, got, err)
		}
		has(t, w, before-got.Paid, "the customer")
	}
	if err := n.Bank.Check(); err != nil {
		t.Error(err)
	}
}

// brief is a wallet that locks payments for fewer blocks than a node needs.
type brief struct{ *play.Wallet }

func (b brief) Await(ctx context.Context, hash wallet.Hash) (wallet.Settlement, error) {
	s, err := b.Wallet.Await(ctx, hash)
	if s.Held {
		s.Blocks = 27
	}
	return s, err
}

// watching is a wallet that says when it is about to take locked money.
type watching struct {
	*play.Wallet
	before func()
}

func (w watching) Settle(ctx context.Context, r wallet.Preimage) error {
	w.before()
	return w.Wallet.Settle(ctx, r)
}
