package testnet

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/pool"
	"infernet/provider"
	"infernet/wallet"
)

// What strangers try, and what a bad moment does. Each of these once cost somebody money or work.

func (n *Net) results(job events.ID) int {
	n.T.Helper()
	found, err := n.Pool(n.ctx, events.GenerateKeys()).Query(n.ctx, nostr.Filter{Kinds: []int{events.KindText + 1000}, Tags: nostr.TagMap{"e": {string(job)}}})
	if err != nil {
		n.T.Error(err)
	}
	return len(found)
}

// spent is what a wallet with an opening balance has paid.
func spent(t *testing.T, w wallet.Wallet) events.Msat {
	t.Helper()
	have, err := w.(wallet.Balancer).Balance(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return 100_000*events.Sat - have
}

// ask publishes a request as no consumer of ours would, signed by a fresh key.
func (n *Net) ask(change func(*events.Request)) *events.Request {
	n.T.Helper()
	bid, now := 100*events.Sat, events.At(Now())
	req := &events.Request{
		Head: events.Head{At: now, Expires: now.Add(events.KeepJob)}, Kind: events.KindText, Profile: true, Deadline: now + 60, Bid: &bid,
		Inputs: []events.Input{{Value: "one two three", Type: "text"}},
	}
	change(req)
	if _, err := n.Pool(n.ctx, events.GenerateKeys()).Say(n.ctx, req); err != nil {
		n.T.Fatal(err)
	}
	return req
}

// marker has a node do one more job: what came before it has been dealt with by then.
func (n *Net) marker(node events.PubKey) {
	n.T.Helper()
	n.T.Logf("marker: %s", node[:8])
	if _, err := n.Buyer("marker-"+string(node[:8])).Do(n.ctx, Text("marker", func(o *consumer.Order) { o.Way, o.Node = consumer.Direct, node }), nil); err != nil {
		n.T.Fatal(err)
	}
}

// invoicer is a node that answers a request or an award with an invoice of its own making.
func (n *Net) invoicer(model string, receiver wallet.Receiver, amount events.Msat, payee string) *Rogue {
	return n.Rogue(model, payee, func(r *Rogue, m events.Message) {
		var job events.ID
		switch m := m.(type) {
		case *events.Award:
			job = m.Job
		case *events.Request:
			if m.Bids != nil {
				r.Offer(m, amount)
				return
			}
			job = m.ID
		default:
			return
		}
		v, err := receiver.Invoice(ctx, wallet.InvoiceRequest{Amount: amount, Description: "infernet " + string(job), Until: time.Now().Add(time.Minute)})
		if err != nil {
			n.T.Error(err)
			return
		}
		r.Say(&events.Invoice{Head: r.Head(), Job: job, To: m.Signed().Author, Amount: v.Amount, Bolt11: v.Bolt11, Pay: events.PayPrepaid, Until: events.At(v.Until)})
	})
}

// TestSealedOnlyIsNotPaidInAdvance: a direct job has no offer that says how it is paid; its order does.
func TestSealedOnlyIsNotPaidInAdvance(t *testing.T) {
	n := Start(t)
	r := n.invoicer("thief", n.Wallet("thief").(wallet.Receiver), 10*events.Sat, "")
	w := n.Wallet("buyer")
	buyer := n.Consumer("buyer", func(c *consumer.Config) { c.Wallet = w.(wallet.Payer) })
	_, err := buyer.Do(ctx, Text("hi", func(o *consumer.Order) {
		o.Way, o.Node, o.Pay = consumer.Direct, r.Keys.PublicKey(), []string{events.PaySealed}
	}), nil)
	var bad *consumer.BadInvoiceError
	if !errors.As(err, &bad) || !strings.Contains(err.Error(), "agreed was sealed") {
		t.Errorf("got %v", err)
	}
	if lost := spent(t, w); lost != 0 {
		t.Errorf("lost %s", lost.Human())
	}
}

// TestDirectJobCostsWhatWasAnnounced: a node may not ask for the whole bid when its announced price makes it less.
func TestDirectJobCostsWhatWasAnnounced(t *testing.T) {
	n := Start(t)
	r := n.invoicer("dear", n.Wallet("dear").(wallet.Receiver), 5000*events.Sat, "")
	w := n.Wallet("buyer")
	buyer := n.Consumer("buyer", func(c *consumer.Config) { c.Wallet = w.(wallet.Payer) })
	_, err := buyer.Do(ctx, Text("hi", func(o *consumer.Order) {
		o.Way, o.Node, o.MaxCost = consumer.Direct, r.Keys.PublicKey(), 5000*events.Sat
		o.Params = events.Params{param("max_tokens", "10")}
	}), nil)
	var bad *consumer.BadInvoiceError
	if !errors.As(err, &bad) || !strings.Contains(err.Error(), "agreed was up to") {
		t.Errorf("got %v", err)
	}
	if lost := spent(t, w); lost != 0 {
		t.Errorf("lost %s", lost.Human())
	}
}

// TestPayeeIsLookedUpThoughARelayIsAway: whom a node is paid by is in its announcement, which one relay has.
func TestPayeeIsLookedUpThoughARelayIsAway(t *testing.T) {
	n := Start(t)
	n.invoicer("thief", n.Wallet("thief").(wallet.Receiver), 10*events.Sat, "02"+strings.Repeat("ab", 32))
	w := n.Wallet("buyer")
	buyer := n.Consumer("buyer", func(c *consumer.Config) {
		c.Wallet = w.(wallet.Payer)
		c.Pool = pool.New(n.ctx, []string{n.URL, "ws://127.0.0.1:1"})
		t.Cleanup(func() { c.Pool.Close() })
	})
	_, err := buyer.Do(ctx, Text("hi", nil), nil)
	var bad *consumer.BadInvoiceError
	if !errors.As(err, &bad) || !strings.Contains(err.Error(), "the node announced") {
		t.Errorf("got %v", err)
	}
	if lost := spent(t, w); lost != 0 {
		t.Errorf("lost %s", lost.Human())
	}
}

// TestNobodyWorksUnlessChosen: a request that asks for no offers and names no one node would make every node work, on
// credit, and pay one.
func TestNobodyWorksUnlessChosen(t *testing.T) {
	n := Start(t)
	one, two := n.Provider("one", "echo:", nil), n.Provider("two", "echo:", nil)
	for name, req := range map[string]*events.Request{
		"sealed": n.ask(func(req *events.Request) { req.Pay = []string{events.PaySealed} }),
		"to two": n.ask(func(req *events.Request) {
			req.Pay, req.To = []string{events.PaySealed}, []events.PubKey{one.Key, two.Key}
		}),
	} {
		n.marker(one.Key)
		n.marker(two.Key)
		if worked := n.results(req.ID); worked != 0 {
			t.Errorf("%s: %d nodes worked", name, worked)
		}
	}
}

// TestAnotherModelIsNoOffer: what was asked for is what is bought.
func TestAnotherModelIsNoOffer(t *testing.T) {
	n := Start(t)
	n.Rogue("tiny", "", func(r *Rogue, m events.Message) {
		if req, ok := m.(*events.Request); ok && req.Bids != nil {
			r.Say(&events.Offer{
				Head: r.Head(), Job: req.ID, To: req.Author, Amount: 10 * events.Sat, Cap: 10 * events.Sat, Until: req.Deadline, Model: "tiny",
				Delivery: events.DeliverPlain, Pay: events.PayPrepaid, Encrypted: true,
			})
		}
	})
	_, err := n.Buyer("buyer").Do(ctx, Text("hi", func(o *consumer.Order) {
		o.Params, o.Window = events.Params{param("model", "llama-70b")}, time.Second
	}), nil)
	var none *consumer.NoOffersError
	if !errors.As(err, &none) {
		t.Errorf("got %v", err)
	}
}

// TestFloodEndsNoAuction: a node that says much is not heard instead of one that says little, and late.
func TestFloodEndsNoAuction(t *testing.T) {
	n := Start(t)
	flooded := make(chan struct{})
	n.Rogue("flood", "", func(r *Rogue, m events.Message) {
		if req, ok := m.(*events.Request); ok && req.Bids != nil {
			for i := range 2000 {
				ev, err := events.Sign(ctx, &events.Refusal{Head: r.Head(), Job: req.ID, To: req.Author, Code: events.CodeDenied, Text: fmt.Sprint(i)}, r.Keys)
				if err != nil {
					t.Error(err)
				}
				<-r.Pool.Send(ctx, ev) // refused or not
			}
			close(flooded)
		}
	})
	n.Rogue("far", "", func(r *Rogue, m events.Message) {
		switch m := m.(type) {
		case *events.Request:
			<-flooded
			r.Offer(m, 0)
		case *events.Award:
			r.Say(&events.Result{Head: r.Head(), Kind: events.KindText + 1000, Job: m.Job, To: m.Author, Status: "success", Content: "x", X: events.ContentHash("x")})
		}
	})
	if _, err := n.Buyer("buyer").Do(ctx, Text("hi", nil), nil); err != nil {
		t.Error(err)
	}
}

// TestPlainPriceIsNoOfferInAnAuction: anybody can say payment-required without an amount.
func TestPlainPriceIsNoOfferInAnAuction(t *testing.T) {
	n := Start(t)
	honest := n.Provider("honest", "echo:?first=100ms", nil)
	n.Rogue("spam", "", func(r *Rogue, m events.Message) {
		if req, ok := m.(*events.Request); ok {
			ev := &nostr.Event{Kind: events.KindFeedback, CreatedAt: nostr.Now(), Tags: nostr.Tags{{"e", string(req.ID)}, {"p", string(req.Author)}, {"status", "payment-required"}}}
			if err := r.Keys.Sign(ctx, ev); err != nil {
				t.Error(err)
			}
			r.Pool.Send(ctx, ev)
		}
	})
	got, err := n.Buyer("buyer").Do(ctx, Text("hi", func(o *consumer.Order) { o.First, o.Window = false, 3*time.Second }), nil)
	if err != nil || got.Node != honest.Key {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestBadInvoiceIsReplacedByTheRunnerUp: nothing was paid, so the next offer is ordered.
func TestBadInvoiceIsReplacedByTheRunnerUp(t *testing.T) {
	n := Start(t)
	honest := n.Provider("honest", "echo:", nil)
	n.Rogue("cheap", "", func(r *Rogue, m events.Message) {
		switch m := m.(type) {
		case *events.Request:
			if m.Bids != nil {
				r.Offer(m, events.Sat)
			}
		case *events.Award:
			r.Say(&events.Invoice{Head: r.Head(), Job: m.Job, To: m.Author, Amount: events.Sat, Bolt11: "lnbcrt1notaninvoice", Pay: events.PayPrepaid, Until: m.Until})
		}
	})
	got, err := n.Buyer("buyer").Do(ctx, Text("hi", func(o *consumer.Order) { o.First, o.Window = false, 3*time.Second }), nil)
	if err != nil || got.Node != honest.Key {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestCancelledWhileTheNodeWasAway: a relay gives the cancellation before the request, which is older.
func TestCancelledWhileTheNodeWasAway(t *testing.T) {
	n := Start(t)
	node, keys := events.GenerateKeys(), events.GenerateKeys()
	p := n.Pool(n.ctx, keys)
	now := events.At(Now())
	ev, err := p.Say(ctx, &events.Request{
		Head: events.Head{At: now - 3, Expires: now.Add(events.KeepJob)}, Kind: events.KindText, Profile: true, Deadline: now + 60,
		To: []events.PubKey{node.PublicKey()}, Encrypted: true, Inputs: []events.Input{{Value: "one two three", Type: "text"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Say(ctx, &events.Cancel{Head: events.Head{At: now, Expires: now.Add(events.KeepJob)}, Job: events.ID(ev.ID), Kind: events.KindText, Node: node.PublicKey()}); err != nil {
		t.Fatal(err)
	}
	n.Provider("node", "echo:", func(c *provider.Config) { c.Signer = node; free(c) })
	n.marker(node.PublicKey())
	if worked := n.results(events.ID(ev.ID)); worked != 0 {
		t.Error("a cancelled job was worked on")
	}
}

// TestRepricedJobIsNotWorkedOnAfterACrash: its customer has refused nothing and ordered nothing.
func TestRepricedJobIsNotWorkedOnAfterACrash(t *testing.T) {
	n := Start(t)
	address, err := n.Bank.Address(events.GenerateKeys())
	if err != nil {
		t.Fatal(err)
	}
	node := process{Role: "provider", Relay: n.URL, Dir: t.TempDir(), Wallet: address, Secret: events.GenerateKeys().Secret(), Engine: "echo:", Crash: "offered"}
	first := node.start(t)
	first.wait(t, "ready")
	keys, err := events.NewKeys(node.Secret)
	if err != nil {
		t.Fatal(err)
	}
	n.awaitNode(keys.PublicKey())
	req := n.ask(func(req *events.Request) {
		req.To, req.Encrypted, req.Pay, req.Price = []events.PubKey{keys.PublicKey()}, true, []string{events.PaySealed}, events.ID(strings.Repeat("ab", 32))
	})
	first.killed(t)
	node.Crash = ""
	node.start(t).wait(t, "ready")
	n.marker(keys.PublicKey())
	if worked := n.results(req.ID); worked != 0 {
		t.Error("a job that nobody ordered at the new price was worked on")
	}
}

// TestRefusedStaysRefused: a node that refused a job does not take it up after a restart, with another model.
func TestRefusedStaysRefused(t *testing.T) {
	n := Start(t)
	l, keys, w := n.Ledger("node"), events.GenerateKeys(), n.Wallet("node").(wallet.Receiver)
	set := func(c *provider.Config) { c.Ledger, c.Signer, c.Wallet = l, keys, w }
	node := n.Provider("node", "echo:?model=alpha", set)
	req := n.ask(func(req *events.Request) {
		req.To, req.Encrypted, req.Pay, req.Params = []events.PubKey{keys.PublicKey()}, true, []string{events.PaySealed}, events.Params{param("model", "beta")}
	})
	p := n.Pool(n.ctx, events.GenerateKeys())
	Eventually(t, "it is refused", func() bool {
		found, err := p.Query(ctx, nostr.Filter{Kinds: []int{events.KindFeedback}, Tags: nostr.TagMap{"e": {string(req.ID)}}})
		return err == nil && len(found) == 1
	})
	node.Stop()
	n.Provider("node", "echo:?model=beta", set)
	n.marker(keys.PublicKey())
	if worked := n.results(req.ID); worked != 0 {
		t.Error("a refused job was worked on after a restart")
	}
}

// TestWhatIsOwedBackIsNotAlsoDelivered: a node dies as soon as it has signed that it owes the money.
func TestWhatIsOwedBackIsNotAlsoDelivered(t *testing.T) {
	n := Start(t)
	address, err := n.Bank.Address(events.GenerateKeys())
	if err != nil {
		t.Fatal(err)
	}
	node := process{
		Role: "provider", Relay: n.URL, Dir: t.TempDir(), Wallet: address, Secret: events.GenerateKeys().Secret(), Engine: "echo:?fail=broken", Crash: "owed",
	}
	first := node.start(t)
	first.wait(t, "ready")
	keys, err := events.NewKeys(node.Secret)
	if err != nil {
		t.Fatal(err)
	}
	n.awaitNode(keys.PublicKey())
	failed := make(chan error, 1)
	buyer := n.Buyer("buyer")
	go func() {
		_, err := buyer.Do(ctx, Text("one two three", nil), nil)
		failed <- err
	}()
	first.killed(t)
	node.Crash, node.Engine = "", "echo:"
	node.start(t).wait(t, "ready")
	var refused *consumer.RefusedError
	if err := <-failed; !errors.As(err, &refused) || refused.Owed == 0 {
		t.Fatalf("got %v", err)
	}
	n.marker(keys.PublicKey())
	if worked := n.results(refused.Job); worked != 0 {
		t.Error("the work was delivered, and its price is owed back")
	}
}

// TestBadSealedResultsAreNotPaid: what a sealed result says of itself is looked at before its key is bought.
func TestBadSealedResultsAreNotPaid(t *testing.T) {
	n := Start(t)
	for name, spoil := range map[string]func(*events.Result){
		"invented use":  func(m *events.Result) { m.Usage = events.Usage{In: 1_000_000, Out: 1_000_000} },
		"other bytes":   func(m *events.Result) { m.Content = base64.StdEncoding.EncodeToString([]byte("something else")) },
		"no price":      func(m *events.Result) { m.Amount, m.Bolt11 = nil, "" },
		"another key":   func(m *events.Result) { m.Sealed.PaymentHash = strings.Repeat("ab", 32) },
		"not a success": func(m *events.Result) { m.Status = "partial" },
		"another model": func(m *events.Result) { m.Model = "tiny" },
	} {
		t.Run(name, func(t *testing.T) {
			model := strings.ReplaceAll(name, " ", "-")
			sealer := n.Wallet("rogue-" + model).(wallet.Sealer)
			n.Rogue(model, "", func(r *Rogue, m events.Message) {
				switch m := m.(type) {
				case *events.Request:
					if m.Model() == model {
						r.Say(&events.Offer{
							Head: r.Head(), Job: m.ID, To: m.Author, Amount: 10 * events.Sat, Cap: 10 * events.Sat, Until: m.Deadline, Model: model,
							Delivery: events.DeliverSealed, Pay: events.PaySealed, Encrypted: true,
						})
					}
				case *events.Award:
					key, amount := wallet.NewPreimage(), 10*events.Sat
					v, err := sealer.SealedInvoice(ctx, wallet.InvoiceRequest{Amount: amount, Description: "infernet " + string(m.Job), Until: time.Now().Add(time.Minute)}, key)
					if err != nil {
						t.Error(err)
						return
					}
					sealed, x, err := events.Seal(events.SealedFor{Job: m.Job, Node: r.Keys.PublicKey(), Customer: m.Author}, key, []byte("the answer"))
					if err != nil {
						t.Error(err)
						return
					}
					result := &events.Result{
						Head: r.Head(), Kind: events.KindText + 1000, Job: m.Job, To: m.Author, Status: "success", Model: model, Encrypted: true,
						Content: base64.StdEncoding.EncodeToString(sealed), X: x, Amount: &amount, Bolt11: v.Bolt11,
						Sealed: &events.SealedTags{Sum: events.SealedSum(sealed), PaymentHash: key.Hash().String()},
					}
					spoil(result)
					if ev, err := events.Sign(ctx, result, r.Keys); err == nil { // what cannot be signed or published is no threat
						<-r.Pool.Send(ctx, ev)
					}
				}
			})
			w := n.Wallet("buyer-" + model)
			buyer := n.Consumer("buyer-"+model, func(c *consumer.Config) { c.Wallet = w.(wallet.Payer) })
			_, err := buyer.Do(ctx, Text("hi", func(o *consumer.Order) {
				o.Params, o.Pay, o.Life = events.Params{param("model", model)}, []string{events.PaySealed}, 5*time.Second
			}), nil)
			if err == nil {
				t.Error("it was taken")
			}
			t.Log(err)
			if lost := spent(t, w); lost != 0 {
				t.Errorf("lost %s", lost.Human())
			}
		})
	}
}
