package testnet

import (
	"slices"
	"strings"
	"testing"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/testnet/peers"
)

// TestNDKBuys has a client made of NDK's own classes buy from our node.
func TestNDKBuys(t *testing.T) {
	t.Parallel()
	n := Start(t)
	node := n.Provider("node", "echo:", nil)
	address, w := n.connection(t)
	type job struct {
		Name      string `json:"name"`
		Node      string `json:"node"`
		Prompt    string `json:"prompt"`
		Encrypted bool   `json:"encrypted"`
	}
	client := n.peer(t, peers.Node(t, "js/ndk-buy.mjs"), map[string]any{"relay": n.URL, "wallet": address, "jobs": []job{
		{"in clear", string(node.Key), "one two three", false}, {"encrypted", string(node.Key), "one two three", true},
	}})
	for range 2 {
		var got struct {
			Name, ID, Content, Status, About, Request, Preimage string
			Said                                                []string
			Amount                                              int64
		}
		client.hear("job", &got)
		clear := got.Name == "in clear"
		if got.Content != "one two three" || got.About != got.ID || clear && (got.Status != "success" || got.Request != got.ID) {
			t.Errorf("%s: the result is %+v", got.Name, got)
		}
		if said := strings.Join(got.Said, ", "); said != "payment-required, processing" || got.Amount != 32_000 || len(got.Preimage) != 64 {
			t.Errorf("%s: it heard %s and paid %d", got.Name, said, got.Amount)
		}
	}
	if have := n.spent(t, w); have != 64*events.Sat {
		t.Errorf("the client spent %s", have.Human())
	}
}

// ndkSeller starts a provider made of NDK, which ends itself at the step vanish if that is not empty, takes so long to work, and waits until it listens.
func (n *Net) ndkSeller(t *testing.T, price events.Msat, vanish string, works time.Duration) (seller *peer, key events.PubKey, earnings func() events.Msat) {
	t.Helper()
	address, w := n.connection(t)
	keys := events.GenerateKeys()
	seller = n.peer(t, peers.Node(t, "js/ndk-sell.mjs"), map[string]any{
		"relay": n.URL, "wallet": address, "secret": keys.Secret(), "price": price, "vanish": vanish, "works": works.Milliseconds(),
	})
	seller.hear("ready", nil)
	return seller, keys.PublicKey(), func() events.Msat { return -n.spent(t, w) }
}

// TestNDKSells has a provider made of NDK's own classes sell to our consumer: it says payment_required, and a status that
// the NIP does not have.
func TestNDKSells(t *testing.T) {
	t.Parallel()
	n := Start(t)
	for _, c := range []struct {
		name  string
		price events.Msat
		edit  func(*consumer.Order)
	}{
		{"free, in clear", 0, func(o *consumer.Order) { o.MaxCost = 0 }},
		{"free, encrypted", 0, func(o *consumer.Order) { o.MaxCost, o.Encrypted = 0, true }},
		{"paid, in clear", 21_000, func(o *consumer.Order) {}},
		{"paid, encrypted", 21_000, func(o *consumer.Order) { o.Encrypted = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			seller, key, earned := n.ndkSeller(t, c.price, "", 0)
			var told Told
			got, err := n.Buyer("buyer-"+string(key[:8])).Do(ctx, Text("one two three", func(o *consumer.Order) {
				o.Way, o.Node = consumer.Plain, key
				c.edit(o)
			}), told.Hear)
			seller.hear("delivered", nil)
			if err != nil {
				t.Fatalf("%v, heard %v", err, told.Names())
			}
			t.Logf("heard %v, got %q for %s", told.Names(), got.Text, got.Paid.Human())
			if got.Text != "eerht owt eno" || got.Node != key || got.Paid != c.price || earned() != c.price {
				t.Errorf("got %q for %s, the seller earned %s", got.Text, got.Paid.Human(), earned().Human())
			}
			want := []string{"Request", "Offer", "Running", "Notice", "Result"}
			if c.price == 0 {
				want = slices.Delete(want, 1, 2)
			}
			if !inOrder(told.Names(), want) {
				t.Errorf("heard %v, want %v in it", told.Names(), want)
			}
		})
	}
}
