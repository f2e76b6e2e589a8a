package testnet

import (
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/consumer"
	"infernet/events"
	"infernet/provider"
	"infernet/wallet"
)

// TestLeaseIsRenewedWhileAJobRuns watches a job that takes longer than its first lease.
func TestLeaseIsRenewedWhileAJobRuns(t *testing.T) {
	n := Start(t)
	n.Provider("slow", "echo:?delay=500ms", func(c *provider.Config) { c.Price, c.LeaseFor = events.Price{}, 4*time.Second })
	var told Told
	if _, err := n.Buyer("buyer").Do(ctx, Text(strings.Repeat("word ", 12), nil), told.Hear); err != nil {
		t.Fatal(err)
	}
	running := 0
	for _, name := range told.Names() {
		if name == "Running" {
			running++
		}
	}
	if running < 2 {
		t.Errorf("the lease was said %d times", running)
	}
}

// TestLeaseThatRunsOutIsANoShow has a free node that begins and falls silent: the next offer is ordered.
func TestLeaseThatRunsOutIsANoShow(t *testing.T) {
	n := Start(t)
	n.Rogue("sleeper", "", func(r *Rogue, m events.Message) {
		switch m := m.(type) {
		case *events.Request:
			if m.Bids != nil {
				r.Offer(m, 0)
			}
		case *events.Award:
			r.Say(&events.Running{Head: r.Head(), Job: m.Job, To: m.Author, Lease: r.Head().At + 1})
		}
	})
	honest := n.Provider("honest", "echo:", nil)
	buyer := n.Buyer("buyer")
	got, err := buyer.Do(ctx, Text("one two", func(o *consumer.Order) { o.First, o.Window = false, 3*time.Second }), nil)
	if err != nil || got.Node != honest.Key {
		t.Fatalf("got %+v, %v", got, err)
	}
}

// TestAwardsThatDoNotFitAreRefused awards offers that are not there, or too late, or for another sum.
func TestAwardsThatDoNotFitAreRefused(t *testing.T) {
	n := Start(t)
	node := n.Provider("node", "echo:", func(c *provider.Config) { c.OfferFor = 3 * time.Second })
	for _, c := range []struct {
		name  string
		spoil func(a *events.Award, o *events.Offer)
		late  bool
		code  string
	}{
		{"another offer", func(a *events.Award, _ *events.Offer) { a.Offer = events.ID(strings.Repeat("ab", 32)) }, false, events.CodeConflict},
		{"another amount", func(a *events.Award, _ *events.Offer) { a.Amount = events.Sat }, false, events.CodeConflict},
		{"over already", func(a *events.Award, _ *events.Offer) { a.Until = a.At - 1 }, false, events.CodeExpired},
		{"too late", func(*events.Award, *events.Offer) {}, true, events.CodeExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys := events.GenerateKeys()
			p := n.Pool(ctx, keys)
			now := events.At(Now())
			h := events.Head{At: now, Expires: now.Add(events.KeepJob)}
			bid := 100 * events.Sat
			ev, err := events.Sign(ctx, &events.Request{
				Head: h, Kind: events.KindText, Profile: true, Deadline: now + 60, Bid: &bid, Bids: &events.Auction{Seconds: 1, Mode: "auto"},
				Inputs: []events.Input{{Value: "one two three", Type: "text"}},
			}, keys)
			if err != nil {
				t.Fatal(err)
			}
			sub := p.Subscribe(ctx, nostr.Filter{Kinds: []int{events.KindFeedback}, Tags: nostr.TagMap{"e": {ev.ID}}})
			if err := p.Publish(ctx, ev); err != nil {
				t.Fatal(err)
			}
			for timeout := time.After(15 * time.Second); ; {
				select {
				case said := <-sub.Events:
					m, err := events.Open(ctx, said, keys)
					if err != nil {
						t.Fatal(err)
					}
					switch m := m.(type) {
					case *events.Offer:
						if c.late { // until the node has forgotten the offer
							<-time.After(time.Until(m.Until.Time()) + 1500*time.Millisecond)
						}
						at := events.At(Now())
						a := &events.Award{Head: events.Head{At: at, Expires: h.Expires}, Job: events.ID(ev.ID), Offer: m.ID, Node: node.Key, Amount: m.Amount, Until: at + 30}
						c.spoil(a, m)
						if _, err := p.Say(ctx, a); err != nil {
							t.Fatal(err)
						}
					case *events.Refusal:
						if m.Code != c.code {
							t.Errorf("refused with %v, want %s", m, c.code)
						}
						return
					case *events.Invoice, *events.Running:
						t.Fatalf("the award was taken: %T", m)
					}
				case <-timeout:
					t.Fatal("no answer")
				}
			}
		})
	}
}

// TestARunawayCustomerIsBounded opens more jobs from one key than a node serves at once.
func TestARunawayCustomerIsBounded(t *testing.T) {
	n := Start(t)
	node := n.Provider("node", "echo:?delay=1s", func(c *provider.Config) { c.Price, c.PerKey = events.Price{}, 2 })
	keys := events.GenerateKeys()
	greedy := n.Consumer("greedy", func(c *consumer.Config) { c.Signer = keys; c.Wallet = n.Wallet("greedy").(wallet.Payer) })
	done := make(chan error, 6)
	for range 6 {
		go func() {
			_, err := greedy.Do(ctx, Text("one two three", direct(node, nil)), nil)
			done <- err
		}()
	}
	refused := 0
	for range 6 {
		if err := <-done; err != nil {
			if !strings.Contains(err.Error(), events.CodeRateLimited) {
				t.Errorf("got %v", err)
			}
			refused++
		}
	}
	if refused == 0 || refused > 4 { // four came while two were open, and fewer if one had ended
		t.Errorf("%d of 6 were refused", refused)
	}
}
