package testnet

import (
	"slices"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/pool"
	"infernet/provider"
	"infernet/wallet"
)

// TestASlowNodeIsHedged buys from the cheapest node, which is slow: the same job goes to another, tagged retry, and only
// that one is paid. The slow node hears that it is not wanted any more.
func TestASlowNodeIsHedged(t *testing.T) {
	for _, pay := range []string{events.PaySealed, events.PayFree, events.PayHold} {
		for _, way := range []string{consumer.Auction, consumer.Direct} {
			t.Run(pay+" "+way, func(t *testing.T) {
				n := Start(t)
				free := func(c *provider.Config) {
					if pay == events.PayFree {
						c.Price = events.Price{}
					}
				}
				low, high := events.GenerateKeys(), events.GenerateKeys()
				if high.PublicKey() < low.PublicKey() {
					low, high = high, low
				}
				// the slow one is first by its price, and by its key where both are free
				slow := n.Provider("slow", "echo:?first=1m", func(c *provider.Config) { c.Signer, c.Price.In, c.Price.Out = low, 0, 0; free(c) })
				quick := n.Provider("quick", "echo:", func(c *provider.Config) { c.Signer = high; free(c) })
				w := n.Wallet("buyer")
				l := n.Ledger("buyer")
				buyer := n.Consumer("buyer", func(c *consumer.Config) { c.Wallet, c.Ledger = w.(wallet.Payer), l })
				order := Text("Spell lantern", func(o *consumer.Order) {
					o.Way, o.First, o.Window, o.Hedge, o.Pay = way, false, time.Second, 200*time.Millisecond, []string{pay}
				})
				if pay == events.PayFree {
					order.Pay, order.MaxCost = nil, 0
					if way == consumer.Auction { // both are free: the lower key is taken
						order.Choose = func(offers []*events.Offer) (*events.Offer, error) {
							if i := slices.IndexFunc(offers, func(o *events.Offer) bool { return o.Author == slow.Key }); i >= 0 {
								return offers[i], nil
							}
							return offers[0], nil
						}
					}
				}
				var told Told
				got, err := buyer.Do(ctx, order, told.Hear)
				if err != nil {
					t.Fatal(err)
				}
				if got.Node != quick.Key || got.Text != "Spell lantern" {
					t.Errorf("got %q of %s", got.Text, got.Node)
				}
				rows, err := l.Jobs(ledger.Customer, 10)
				if err != nil || len(rows) != 2 || rows[0].Job != got.Job || rows[0].End != "delivered" || rows[1].End == "" || rows[1].End == "delivered" {
					t.Fatalf("the ledger has %+v, %v", rows, err)
				}
				if c, err := l.Commitment(rows[1].Job); err != nil || c != nil {
					t.Errorf("the loser has a commitment: %+v, %v", c, err)
				}
				kept, err := l.Events(got.Job)
				if err != nil || len(kept) == 0 {
					t.Fatal(err)
				}
				retry := got.Result.Job == got.Job
				for _, ev := range kept {
					if m, err := events.Parse(ev); err == nil {
						if req, ok := m.(*events.Request); ok && !req.Encrypted {
							retry = req.Retry == rows[1].Job
						}
					}
				}
				if !retry {
					t.Errorf("the second job is not tagged retry %s", rows[1].Job)
				}
				p := pool.New(ctx, []string{n.URL})
				defer p.Close()
				Eventually(t, "the slow job is cancelled", func() bool {
					found, err := p.Query(ctx, nostr.Filter{Kinds: []int{events.KindCancel}, Tags: nostr.TagMap{"e": {string(rows[1].Job)}}})
					return err == nil && len(found) == 1
				})
				if have, err := w.(wallet.Balancer).Balance(ctx); err != nil || have != 100_000*events.Sat-got.Paid {
					t.Errorf("the wallet has %s after %s, %v", have.Human(), got.Paid.Human(), err)
				}
			})
		}
	}
}

// TestOfAPairOneIsPaid has both nodes ready at nearly the same time, again and again: one is paid, the money fits.
func TestOfAPairOneIsPaid(t *testing.T) {
	n := Start(t)
	for _, name := range []string{"a", "b", "c"} {
		n.Provider(name, "echo:?first=120ms", nil)
	}
	w := n.Wallet("buyer")
	l := n.Ledger("buyer")
	buyer := n.Consumer("buyer", func(c *consumer.Config) { c.Wallet, c.Ledger = w.(wallet.Payer), l })
	var paid events.Msat
	seconds := 0
	for i := range 12 {
		pay := []string{events.PaySealed, events.PayPrepaid}[i%2]
		order := Text("Spell lantern", func(o *consumer.Order) {
			o.Way, o.Hedge, o.Pay, o.Life = consumer.Direct, time.Duration(1+i*3)*time.Millisecond, []string{pay}, 20*time.Second
		})
		got, err := buyer.Do(ctx, order, nil)
		if err != nil {
			t.Fatalf("job %d: %v", i, err)
		}
		paid += got.Paid
		if got.Result.Job != got.Job {
			t.Error("another job's result")
		}
	}
	rows, err := l.Jobs(ledger.Customer, 100)
	if err != nil {
		t.Fatal(err)
	}
	committed, lost := 0, 0
	for _, r := range rows {
		c, err := l.Commitment(r.Job)
		if err != nil {
			t.Fatal(err)
		}
		if c != nil {
			committed++
		} else {
			seconds++
			if r.End != "another node was first" {
				continue // it was cancelled before it got so far
			}
			lost++
			if _, err := buyer.Resume(ctx, r.Job, nil); err == nil { // as after a crash
				t.Errorf("job %s, which lost, was delivered", r.Job)
			}
		}
	}
	if committed != 12 {
		t.Errorf("%d payments for 12 orders", committed)
	}
	if have, err := w.(wallet.Balancer).Balance(ctx); err != nil || have != 100_000*events.Sat-paid {
		t.Errorf("the wallet has %s after %s, %v", have.Human(), paid.Human(), err)
	}
	t.Logf("12 orders, %d second jobs, %d payments, %d tried to pay and were too late", seconds, committed, lost)
}
