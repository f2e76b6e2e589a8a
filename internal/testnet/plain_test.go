package testnet

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/pool"
	"infernet/wallet"
)

// TestPlainClientsBuy has NIP-90 clients as they are in the wild: they know nothing of the profile, read
// payment-required, pay its bolt11, and wait for the result; in clear, and encrypted as NDK and nostrdvm do.
func TestPlainClientsBuy(t *testing.T) {
	n := Start(t)
	node := n.Provider("node", "echo:", nil)
	for name, shape := range map[string]func(t *testing.T, keys *events.Keys) *nostr.Event{
		"in clear": func(*testing.T, *events.Keys) *nostr.Event {
			return &nostr.Event{Kind: 5050, Tags: nostr.Tags{
				{"i", "one two three", "prompt"}, {"param", "top-k", "40"}, {"bid", "100_000", "200000"}, {"p", string(node.Key)}, {"output", "text/plain"},
			}}
		},
		"encrypted": func(t *testing.T, keys *events.Keys) *nostr.Event {
			inside, _ := json.Marshal([][]string{{"i", "one two three", "text"}, {"bid", "100000"}, {"output", "text/plain"}})
			cipher, err := keys.Encrypt(ctx, node.Key, string(inside))
			if err != nil {
				t.Fatal(err)
			}
			return &nostr.Event{Kind: 5050, Content: cipher, Tags: nostr.Tags{{"p", string(node.Key)}, {"encrypted"}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			keys := events.GenerateKeys()
			p, w := n.Pool(ctx, keys), n.Wallet("plain")
			job := shape(t, keys)
			job.CreatedAt = nostr.Now()
			if err := keys.Sign(ctx, job); err != nil {
				t.Fatal(err)
			}
			sub := p.Subscribe(ctx, nostr.Filter{Kinds: []int{7000, 6050}, Tags: nostr.TagMap{"e": {job.ID}}})
			if err := p.Publish(ctx, job); err != nil {
				t.Fatal(err)
			}
			// what the client reads is put together here by hand, as such clients do, and not by our own parser
			open := func(ev *nostr.Event) (tags nostr.Tags, content string) {
				if ev.Tags.Find("encrypted") == nil {
					return ev.Tags, ev.Content
				}
				plain, err := keys.Decrypt(ctx, events.PubKey(ev.PubKey), ev.Content)
				if err != nil {
					t.Fatal(err)
				}
				if ev.Kind != 7000 {
					return ev.Tags, plain
				}
				if err := json.Unmarshal([]byte(plain), &tags); err != nil {
					t.Fatalf("the encrypted feedback is no tag array: %s", plain)
				}
				return append(tags, ev.Tags...), ""
			}
			var said []string
			for timeout := time.After(15 * time.Second); ; {
				select {
				case ev := <-sub.Events:
					tags, content := open(ev)
					if ev.Kind == 6050 {
						if content != "one two three" {
							t.Errorf("the result is %q", content)
						}
						if got := strings.Join(said, " "); got != "payment-required processing" {
							t.Errorf("before the result it said %q", got)
						}
						quiet := time.After(500 * time.Millisecond)
						select {
						case ev := <-sub.Events:
							t.Errorf("after the result comes kind %d %v", ev.Kind, ev.Tags)
						case <-quiet:
						}
						return
					}
					status := tags.Find("status")
					if status == nil {
						t.Fatalf("feedback without a status: %v", tags)
					}
					said = append(said, status[1])
					if status[1] == "payment-required" {
						amount := tags.Find("amount")
						if amount == nil || len(amount) < 3 || amount[1] != "32000" {
							t.Fatalf("amount %v", amount)
						}
						if _, err := w.(wallet.Payer).Pay(ctx, amount[2], 0); err != nil {
							t.Fatal(err)
						}
					}
				case <-timeout:
					t.Fatalf("no result, it said %v", said)
				}
			}
		})
	}
}

// TestPlainNodesSayOtherThings has plain nodes that do not just ask for money and deliver. The customer hears at once what
// is wrong, pays nothing, and does not wait for its deadline.
func TestPlainNodesSayOtherThings(t *testing.T) {
	t.Parallel()
	n := Start(t)
	receiver := n.Wallet("seller").(wallet.Receiver)
	plain := func(tags ...nostr.Tag) func(*Rogue, *events.Request) {
		return func(r *Rogue, req *events.Request) {
			for _, tag := range tags {
				ev := &nostr.Event{Kind: 7000, CreatedAt: nostr.Now(), Tags: nostr.Tags{{"e", string(req.ID)}, {"p", string(req.Author)}, {"status", tag[1]}}}
				if len(tag) > 2 {
					ev.Tags = append(ev.Tags, nostr.Tag{"amount", tag[2]})
				}
				if len(tag) > 3 {
					invoice, err := receiver.Invoice(ctx, wallet.InvoiceRequest{Amount: 21 * events.Sat, Description: "x", Until: time.Now().Add(time.Minute)})
					if err != nil {
						t.Error(err)
						return
					}
					ev.Tags[len(ev.Tags)-1] = append(ev.Tags[len(ev.Tags)-1], invoice.Bolt11)
				}
				if err := r.Keys.Sign(ctx, ev); err != nil {
					t.Error(err)
				}
				if err := r.Pool.Publish(ctx, ev); err != nil && !errors.Is(err, pool.ErrClosed) { // who was refused may have left
					t.Error(err)
				}
			}
		}
	}
	deliver := func(r *Rogue, req *events.Request) {
		r.Say(&events.Result{Head: r.Head(), Kind: events.KindText + 1000, Job: req.ID, To: req.Author, Status: "success", Content: "done"})
	}
	for _, c := range []struct {
		name   string
		limit  events.Msat
		answer func(*Rogue, *events.Request)
		why    string // in the error; "" if it delivers
	}{
		{"says no", 100 * events.Sat, plain(nostr.Tag{"", "error"}), "node "},
		{"says no, for free", 0, plain(nostr.Tag{"", "error"}), "node "},
		{"is too dear", 5 * events.Sat, plain(nostr.Tag{"", "payment-required", "21000", "invoice"}), "the cheapest offer is 21 sat"},
		{"costs what should be free", 0, plain(nostr.Tag{"", "payment-required", "21000", "invoice"}), "the cheapest offer is 21 sat"},
		{"wants a zap", 100 * events.Sat, plain(nostr.Tag{"", "payment-required", "21000"}), "zap of 21 sat"},
		{"speaks before its price", 100 * events.Sat, func(r *Rogue, req *events.Request) {
			plain(nostr.Tag{"", "chain-scheduled"}, nostr.Tag{"", "payment_required", "21000", "invoice"})(r, req)
			deliver(r, req)
		}, ""},
		{"is rejected and asks again", 100 * events.Sat, func(r *Rogue, req *events.Request) {
			plain(nostr.Tag{"", "payment-required", "21000", "invoice"}, nostr.Tag{"", "payment-rejected", "21000"}, nostr.Tag{"", "partial"})(r, req)
			deliver(r, req)
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			name := strings.ReplaceAll(strings.ReplaceAll(c.name, " ", "-"), ",", "")
			seller := n.Rogue(name, "", func(r *Rogue, m events.Message) {
				if req, ok := m.(*events.Request); ok && req.Names(r.Keys.PublicKey()) && len(req.To) == 1 {
					c.answer(r, req)
				}
			})
			w := n.Wallet("buyer")
			buyer := n.Consumer("buyer-"+name, func(c *consumer.Config) { c.Wallet = w.(wallet.Payer) })
			got, err := buyer.Do(ctx, Text("hello", func(o *consumer.Order) {
				o.Way, o.Node, o.MaxCost, o.Life = consumer.Plain, seller.Keys.PublicKey(), c.limit, 15*time.Second
			}), nil)
			if c.why == "" {
				if err != nil || got.Text != "done" || got.Paid != 21*events.Sat {
					t.Fatalf("got %+v, %v", got, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.why) {
				t.Errorf("got %v, want %q", err, c.why)
			}
			if have := n.spent(t, w); have != 0 {
				t.Errorf("%s were paid", have.Human())
			}
			if open, err := buyer.Unfinished(); err != nil || len(open) > 0 {
				t.Errorf("left open: %v %v", open, err)
			}
		})
	}
}
