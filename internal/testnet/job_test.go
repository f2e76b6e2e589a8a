package testnet

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/consumer"
	"infernet/events"
	"infernet/provider"
	"infernet/wallet"
)

// TestFailureAfterPaymentIsOwedBack has an engine that fails after the node was paid: the node signs what it owes.
func TestFailureAfterPaymentIsOwedBack(t *testing.T) {
	n := Start(t)
	n.Provider("node", "echo:?fail=broken", nil)
	buyer := n.Buyer("buyer")
	_, err := buyer.Do(ctx, Text("one two three", nil), nil)
	var refused *consumer.RefusedError
	if !errors.As(err, &refused) || refused.Owed != 32*events.Sat {
		t.Fatalf("got %v", err)
	}
	if open, err := buyer.Unfinished(); err != nil || len(open) > 0 {
		t.Errorf("left open: %v %v", open, err)
	}
}

// TestReplacedPriceIsAnsweredWithAFreshOffer orders at an announcement that the node never made.
func TestReplacedPriceIsAnsweredWithAFreshOffer(t *testing.T) {
	n := Start(t)
	node := n.Provider("node", "echo:", nil)
	keys := events.GenerateKeys()
	p := n.Pool(ctx, keys)
	now := events.At(Now())
	bid := 100 * events.Sat
	req := &events.Request{
		Head: events.Head{At: now, Expires: now.Add(events.KeepJob)}, Kind: events.KindText, Profile: true, Deadline: now + 60, Bid: &bid,
		Inputs: []events.Input{{Value: "hi", Type: "text"}}, To: []events.PubKey{node.Key}, Encrypted: true, Price: events.ID(strings.Repeat("ab", 32)),
	}
	ev, err := events.Sign(ctx, req, keys)
	if err != nil {
		t.Fatal(err)
	}
	sub := p.Subscribe(ctx, nostr.Filter{Kinds: []int{events.KindFeedback}, Tags: nostr.TagMap{"e": {ev.ID}}})
	if err := p.Publish(ctx, ev); err != nil {
		t.Fatal(err)
	}
	var offer *events.Offer
	var refused *events.Refusal
	for timeout := time.After(10 * time.Second); offer == nil || refused == nil; {
		select {
		case ev := <-sub.Events:
			m, err := events.Open(ctx, ev, keys)
			if err != nil {
				t.Fatal(err)
			}
			switch m := m.(type) {
			case *events.Offer:
				offer = m
			case *events.Refusal:
				refused = m
			}
		case <-timeout:
			t.Fatalf("offer %v, refusal %v", offer, refused)
		}
	}
	if refused.Code != events.CodePriceChanged || offer.Amount == 0 || !offer.Encrypted {
		t.Errorf("refused with %v, offered %+v", refused, offer)
	}
}

// TestUnpaidSealedResultsAreRemembered has a customer that takes sealed results and does not pay: it is served no more.
func TestUnpaidSealedResultsAreRemembered(t *testing.T) {
	n := Start(t)
	node := n.Provider("node", "echo:", func(c *provider.Config) { c.Unpaid, c.SealedFor = 1, 5*time.Second })
	keys := events.GenerateKeys()
	miser := n.Consumer("miser", func(c *consumer.Config) { c.Signer, c.Wallet = keys, refusing{} })
	order := Text("hi", direct(node, func(o *consumer.Order) { o.Pay, o.Life = []string{events.PaySealed}, 30*time.Second }))
	if _, err := miser.Do(ctx, order, nil); !errors.Is(err, wallet.ErrRejected) {
		t.Fatalf("the first one: %v", err)
	}
	Eventually(t, "the node refuses the miser", func() bool {
		_, err := miser.Do(ctx, order, nil)
		var refused *consumer.RefusedError
		return errors.As(err, &refused) && refused.Code == events.CodeDenied
	})
}

// refusing is a wallet that never pays.
type refusing struct{ wallet.Payer }

func (refusing) Pay(_ context.Context, _ string, _ events.Msat) (wallet.Preimage, error) {
	return wallet.Preimage{}, wallet.ErrRejected
}

// TestCancelledJobStops cancels a job while it runs: the engine is free again, no result comes.
func TestCancelledJobStops(t *testing.T) {
	n := Start(t)
	n.Provider("node", "echo:?delay=50ms&tokens=1000", func(c *provider.Config) { c.Slots = 1; c.Price = events.Price{} })
	buyer := n.Buyer("buyer")
	jobCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	var job events.ID
	_, err := buyer.Do(jobCtx, Text("one two", func(o *consumer.Order) {
		o.Params = events.Params{param("stream", "true"), param("max_tokens", "1000")}
	}), func(s consumer.Step) {
		if job = s.Job; s.Delta != "" {
			cancel() // in the middle of the stream
		}
	})
	if err == nil {
		t.Fatal("the cancelled job was delivered")
	}
	got, err := buyer.Do(ctx, Text("next", func(o *consumer.Order) { o.Params = events.Params{param("max_tokens", "3")} }), nil)
	if err != nil {
		t.Fatalf("the slot is not free again: %v", err)
	}
	if got.Text == "" {
		t.Error("an empty answer")
	}
	p := n.Pool(ctx, events.GenerateKeys())
	found, err := p.Query(ctx, nostr.Filter{Kinds: []int{events.KindCancel, events.KindText + 1000}, Tags: nostr.TagMap{"e": {string(job)}}})
	if err != nil || len(found) != 1 || found[0].Kind != events.KindCancel {
		t.Errorf("the relay has %v, %v", found, err)
	}
}

// TestManyJobsAtOnce buys many jobs at once from one node with few slots: each is delivered and paid once.
func TestManyJobsAtOnce(t *testing.T) {
	n := Start(t)
	n.Provider("node", "echo:?delay=1ms", func(c *provider.Config) { c.Slots, c.Queue = 2, 100 })
	w := n.Wallet("buyer")
	buyer := n.Consumer("buyer", func(c *consumer.Config) { c.Wallet = w.(wallet.Payer) })
	const jobs = 40
	type outcome struct {
		paid events.Msat
		err  error
	}
	done := make(chan outcome, jobs)
	for i := range jobs {
		go func() {
			pay := []string{events.PayPrepaid, events.PaySealed, events.PayHold}[i%3]
			got, err := buyer.Do(ctx, Text(strings.Repeat("word ", 1+i%7), func(o *consumer.Order) { o.Pay = []string{pay} }), nil)
			if err != nil {
				done <- outcome{err: err}
				return
			}
			done <- outcome{paid: got.Paid}
		}()
	}
	var paid events.Msat
	for range jobs {
		o := <-done
		if o.err != nil {
			t.Error(o.err)
		}
		paid += o.paid
	}
	if have, err := w.(wallet.Balancer).Balance(ctx); err != nil || have != 100_000*events.Sat-paid {
		t.Errorf("paid %s, but %s are left, %v", paid.Human(), have.Human(), err)
	}
	if err := n.Bank.Check(); err != nil {
		t.Error(err)
	}
}

// TestShutdownIsQuick stops a node that waits for the payment of a sealed result: it does not wait with it.
func TestShutdownIsQuick(t *testing.T) {
	n := Start(t)
	node := n.Provider("node", "echo:", nil)
	miser := n.Consumer("miser", func(c *consumer.Config) { c.Wallet = refusing{} })
	_, err := miser.Do(ctx, Text("hi", direct(node, func(o *consumer.Order) { o.Pay = []string{events.PaySealed} })), nil)
	if !errors.Is(err, wallet.ErrRejected) {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() { node.Stop(); close(stopped) }()
	select {
	case <-stopped:
	case <-time.After(10 * time.Second):
		t.Fatal("the node waits for a payment that does not come")
	}
}

// TestPaidAfterItWasCancelledIsOwedBack pays an invoice of a job that the customer has cancelled meanwhile.
func TestPaidAfterItWasCancelledIsOwedBack(t *testing.T) {
	n := Start(t)
	node := n.Provider("node", "echo:", nil)
	w := n.Wallet("buyer")
	keys := events.GenerateKeys()
	p := n.Pool(ctx, keys)
	now := events.At(Now())
	h := events.Head{At: now, Expires: now.Add(events.KeepJob)}
	bid := 100 * events.Sat
	ev, err := events.Sign(ctx, &events.Request{
		Head: h, Kind: events.KindText, Profile: true, Deadline: now + 60, Bid: &bid, To: []events.PubKey{node.Key}, Encrypted: true,
		Inputs: []events.Input{{Value: "one two three", Type: "text"}},
	}, keys)
	if err != nil {
		t.Fatal(err)
	}
	sub := p.Subscribe(ctx, nostr.Filter{Kinds: []int{events.KindFeedback, events.KindText + 1000}, Tags: nostr.TagMap{"e": {ev.ID}}})
	if err := p.Publish(ctx, ev); err != nil {
		t.Fatal(err)
	}
	for timeout := time.After(20 * time.Second); ; {
		select {
		case said := <-sub.Events:
			m, err := events.Open(ctx, said, keys)
			if err != nil {
				t.Fatal(err)
			}
			switch m := m.(type) {
			case *events.Invoice:
				if _, err := p.Say(ctx, &events.Cancel{Head: h, Job: events.ID(ev.ID), Kind: events.KindText, Node: node.Key}); err != nil {
					t.Fatal(err)
				}
				if _, err := w.(wallet.Payer).Pay(ctx, m.Bolt11, 0); err != nil {
					t.Fatal(err)
				}
			case *events.Refusal:
				if m.Owed != 32*events.Sat {
					t.Errorf("refused with %v, %s owed", m, m.Owed.Human())
				}
				return
			case *events.Result:
				return // the work had begun before the cancellation was heard: it was delivered
			}
		case <-timeout:
			t.Fatal("the money is gone without a word")
		}
	}
}
