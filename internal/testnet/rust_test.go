package testnet

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/testnet/peers"
	"infernet/wallet"
)

// vector is one event of events/testdata/vectors/messages.json, with the secret key that reads it.
type vector struct {
	Name    string          `json:"name"`
	Signer  string          `json:"signer,omitempty"`
	Peer    string          `json:"peer,omitempty"`
	Event   *nostr.Event    `json:"event"`
	Message json.RawMessage `json:"message,omitempty"`
}

func vectors(t *testing.T) (all []vector) {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("..", "..", "events", "testdata", "vectors", "messages.json"))
	if err == nil {
		err = json.Unmarshal(body, &all)
	}
	if err != nil || len(all) < 20 {
		t.Fatalf("%d vectors, %v", len(all), err)
	}
	return all
}

// ours is every event that our own parties published in a market with an auction, a sealed one and a plain job.
func (n *Net) ours(t *testing.T) []*nostr.Event {
	t.Helper()
	p := n.Pool(n.ctx, events.GenerateKeys())
	found, err := p.Query(n.ctx, nostr.Filter{Kinds: []int{5050, 6050, 7000, 11998, 31990, 13194}})
	if err != nil || len(found) < 10 {
		t.Fatalf("%d events, %v", len(found), err)
	}
	return found
}

// TestRustNostrAgrees has rust-nostr verify what we sign and open what we encrypt, and reads what it signs, builds and
// encrypts.
func TestRustNostrAgrees(t *testing.T) {
	t.Parallel()
	n := Start(t)
	n.Provider("node", "echo:", nil)
	buyer := n.Buyer("buyer")
	for _, pay := range []string{events.PayPrepaid, events.PaySealed} {
		if _, err := buyer.Do(ctx, Text("one two three", func(o *consumer.Order) { o.Pay = []string{pay} }), nil); err != nil {
			t.Fatal(err)
		}
	}
	type check struct {
		Name   string       `json:"name"`
		Event  *nostr.Event `json:"event"`
		Secret string       `json:"secret,omitempty"`
		opened bool
	}
	var checks []check
	for _, v := range vectors(t) {
		checks = append(checks, check{"vector " + v.Name, v.Event, v.Peer, v.Peer != ""})
	}
	for _, ev := range n.ours(t) {
		checks = append(checks, check{Name: "live " + ev.ID, Event: ev})
	}
	forged := *checks[0].Event
	forged.Content += " "
	checks = append(checks, check{Name: "forged", Event: &forged})
	node := events.GenerateKeys()
	invoice, err := n.Wallet("node-2").(wallet.Receiver).Invoice(ctx, wallet.InvoiceRequest{Amount: 32 * events.Sat, Description: "x", Until: time.Now().Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	rust := n.peer(t, peers.Node(t, "js/rust.mjs"), map[string]any{"events": checks, "node": node.PublicKey(), "bolt11": invoice.Bolt11})

	verified, opened := 0, 0
	for _, c := range checks {
		var got struct {
			Name, Plain, Error string
			Verified, Same     bool
		}
		rust.hear("checked", &got)
		if c.Name == "forged" {
			if got.Verified {
				t.Error("it verifies a forged event: the check checks nothing")
			}
			continue
		}
		if !got.Verified || !got.Same || got.Error != "" {
			t.Errorf("%s: %+v", c.Name, got)
			continue
		}
		verified++
		if c.opened {
			keys, err := events.NewKeys(c.Secret)
			if err != nil {
				t.Fatal(err)
			}
			if plain, err := keys.Decrypt(ctx, events.PubKey(c.Event.PubKey), c.Event.Content); err != nil || plain != got.Plain {
				t.Errorf("%s: it opens to %q, for us to %q, %v", c.Name, got.Plain, plain, err)
			}
			opened++
		}
	}
	t.Logf("rust-nostr verified %d events and opened %d", verified, opened)
	if opened < 5 {
		t.Errorf("only %d were encrypted", opened)
	}

	want := map[string]func(m events.Message) bool{
		"request":                   func(m events.Message) bool { return m.(*events.Request).Prompt() == "one two three" },
		"encrypted request":         func(m events.Message) bool { return m.(*events.Request).Prompt() == "one two three" },
		"encrypted request, NIP-04": func(m events.Message) bool { return m.(*events.Request).Prompt() == "one two three" },
		"payment-required": func(m events.Message) bool {
			o := m.(*events.Offer)
			return o.Plain && o.Amount == 32_000 && o.Bolt11 == invoice.Bolt11
		},
		"processing": func(m events.Message) bool { return m.(*events.Running).Plain },
		"error":      func(m events.Message) bool { return strings.Contains(m.(*events.Refusal).Text, "no such model") },
		"partial":    func(m events.Message) bool { return m.(*events.Notice).Status == "partial" },
	}
	for range want {
		var made struct {
			Name  string
			Event *nostr.Event
		}
		rust.hear("made", &made)
		if err := events.Verify(made.Event); err != nil {
			t.Errorf("%s: %v", made.Name, err)
		}
		m, err := events.Open(ctx, made.Event, node)
		if err != nil || !want[made.Name](m) {
			t.Errorf("%s %v reads as %+v, %v", made.Name, made.Event, m, err)
		}
	}
	rust.hear("done", nil)
}

// TestRustNostrBuys has a client made of the nostr-sdk of PyPI buy from our node, and pay by that library's own NIP-47.
func TestRustNostrBuys(t *testing.T) {
	t.Parallel()
	n := Start(t)
	node := n.Provider("node", "echo:", nil)
	address, w := n.connection(t)
	client := n.peer(t, peers.Python(t, "py/buy.py"), map[string]any{
		"relay": n.URL, "wallet": address, "node": node.Key, "jobs": []map[string]any{
			{"name": "in clear", "prompt": "one two three"}, {"name": "encrypted", "prompt": "one two three", "encrypted": true},
		},
	})
	for range 2 {
		var got struct {
			Name, Content, Preimage string
			Said                    []string
			Amount                  int64
		}
		client.hear("job", &got)
		if said := strings.Join(got.Said, ", "); got.Content != "one two three" || said != "payment-required, processing" || got.Amount != 32_000 || len(got.Preimage) != 64 {
			t.Errorf("it heard %+v", got)
		}
	}
	if have := n.spent(t, w); have != 64*events.Sat {
		t.Errorf("the client spent %s", have.Human())
	}
}
