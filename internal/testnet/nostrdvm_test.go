package testnet

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/testnet/peers"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// lnbits puts the two calls of LNbits that nostr-dvm makes before a wallet of the market: make an invoice, and ask whether
// it was paid.
func (n *Net) lnbits(t *testing.T, w wallet.Receiver, b *bridge) string {
	t.Helper()
	var mu sync.Mutex
	paid := map[string]bool{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/payments", func(out http.ResponseWriter, in *http.Request) {
		var ask struct {
			Out    bool   `json:"out"`
			Amount int64  `json:"amount"` // sat
			Memo   string `json:"memo"`
		}
		if err := json.NewDecoder(in.Body).Decode(&ask); err != nil || ask.Out || in.Header.Get("X-Api-Key") != "key" {
			t.Errorf("LNbits is asked %+v, %v", ask, err)
			http.Error(out, "no", http.StatusBadRequest)
			return
		}
		invoice, err := w.Invoice(n.ctx, wallet.InvoiceRequest{Amount: events.Msat(ask.Amount) * events.Sat, Description: ask.Memo, Until: time.Now().Add(time.Minute)})
		if err != nil {
			http.Error(out, err.Error(), http.StatusInternalServerError)
			return
		}
		go func() {
			if _, err := w.Await(n.ctx, invoice.Hash); err == nil {
				mu.Lock()
				defer mu.Unlock()
				paid[invoice.Hash.String()] = true
			}
		}()
		text, err := b.mainnet(invoice.Bolt11)
		if err != nil {
			t.Error(err)
		}
		json.NewEncoder(out).Encode(map[string]string{"payment_request": text, "payment_hash": invoice.Hash.String()})
	})
	mux.HandleFunc("GET /api/v1/payments/{hash}", func(out http.ResponseWriter, in *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		json.NewEncoder(out).Encode(map[string]bool{"paid": paid[in.PathValue("hash")]})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// mainnet gives an invoice of the bank the main net's prefix, signed by a key of its own: nostr-dvm ends when it has to
// read the amount of any other. The bank refuses it, as it should; bridge pays what it stands for.
func (b *bridge) mainnet(text string) (string, error) {
	invoice, err := bolt11.Decode(text)
	if err != nil {
		return "", err
	}
	invoice.Network = bolt11.Mainnet
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stands[invoice.PaymentHash] = text
	return invoice.Encode([32]byte(wallet.NewPreimage()))
}

// bridge knows which invoice of the bank each one stands for that mainnet has made over.
type bridge struct {
	mu     sync.Mutex
	stands map[wallet.Hash]string
}

// bridged is a wallet that pays over a bridge.
type bridged struct {
	wallet.Payer
	*bridge
}

func (b bridged) Pay(ctx context.Context, text string, maxFee events.Msat) (wallet.Preimage, error) {
	if invoice, err := bolt11.Decode(text); err == nil {
		b.mu.Lock()
		text = cmp.Or(b.stands[invoice.PaymentHash], text)
		b.mu.Unlock()
	}
	return b.Payer.Pay(ctx, text, maxFee)
}

// dvm is a running nostr-dvm.
type dvm struct {
	*peer
	key   events.PubKey
	purse wallet.Wallet
	bridge
}

// nostrdvm starts the nostr-dvm of PyPI, and waits until it answers a ping. lnbits: whether it can make invoices.
func (n *Net) nostrdvm(t *testing.T, price int, lnbits bool) *dvm {
	t.Helper()
	keys := events.GenerateKeys()
	_, w := n.connection(t)
	d := &dvm{key: keys.PublicKey(), purse: w, bridge: bridge{stands: map[wallet.Hash]string{}}}
	orders := map[string]any{"relay": n.URL, "secret": keys.Secret(), "price": price}
	if lnbits {
		orders["lnbits"] = n.lnbits(t, w.(wallet.Receiver), &d.bridge)
	}
	d.peer = n.peer(t, peers.Python(t, "py/sell.py"), orders)
	me := events.GenerateKeys()
	p := n.Pool(n.ctx, me)
	pongs := p.Subscribe(n.ctx, nostr.Filter{Kinds: []int{7000}, Authors: []string{string(d.key)}})
	for range 300 { // it hears nothing that was said before it listened
		ping := &nostr.Event{Kind: 7007, CreatedAt: nostr.Now(), Tags: nostr.Tags{{"p", string(d.key)}}}
		if err := me.Sign(n.ctx, ping); err != nil {
			t.Fatal(err)
		}
		if err := p.Publish(n.ctx, ping); err != nil {
			t.Fatal(err)
		}
		select {
		case ev := <-pongs.Events:
			m, err := events.Parse(ev)
			if notice, ok := m.(*events.Notice); !ok || notice.Status != "pong" {
				t.Fatalf("it answers a ping with %v, read as %+v, %v", ev, m, err)
			}
			return d
		case <-d.done:
			d.hear("ready", nil) // fails with what it said
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatal("nostr-dvm does not answer")
	return nil
}

// TestNostrDVMSells has the real nostr-dvm sell to our consumer. Its payment-required is an offer, and paying is the award;
// its clear result has `p` twice, its encrypted one no status, its `encrypted` tag is bare.
func TestNostrDVMSells(t *testing.T) {
	t.Parallel()
	type order struct {
		name   string
		prompt string
		edit   func(*consumer.Order)
		why    string // of its failure
	}
	clear, encrypted := func(o *consumer.Order) {}, func(o *consumer.Order) { o.Encrypted = true }
	for _, c := range []struct {
		name   string
		price  int
		lnbits bool
		orders []order
	}{
		{"free", 0, false, []order{
			{"in clear", "one two three", clear, ""},
			{"encrypted", "one two three", encrypted, ""},
			{"to anybody", "one two three", func(o *consumer.Order) { o.Node = "" }, ""},
			{"fails", "fail please", clear, "node "},
			{"fails, encrypted", "fail please", encrypted, "node "},
		}},
		{"for money", 21, true, []order{
			{"in clear", "one two three", clear, ""},
			{"encrypted", "one two three", encrypted, ""},
			{"to anybody", "one two three", func(o *consumer.Order) { o.Node = "" }, ""},
			{"costs what should be free", "one two three", func(o *consumer.Order) { o.MaxCost = 0 }, "the cheapest offer is 21 sat"},
		}},
		{"for a zap", 21, false, []order{
			{"in clear", "one two three", clear, "zap of 21 sat"},
			{"encrypted", "one two three", encrypted, "zap of 21 sat"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := Start(t)
			d := n.nostrdvm(t, c.price, c.lnbits)
			n.shown(t, d)
			for _, o := range c.orders {
				t.Run(o.name, func(t *testing.T) { n.buyOf(t, d, o.prompt, o.edit, events.Msat(c.price)*events.Sat, o.why) })
			}
		})
	}
}

// shown holds what nostr-dvm publishes of itself against how we read it: alive, and none of the market's nodes.
func (n *Net) shown(t *testing.T, d *dvm) {
	t.Helper()
	p := n.Pool(n.ctx, events.GenerateKeys())
	found, err := p.Query(n.ctx, nostr.Filter{Authors: []string{string(d.key)}, Kinds: []int{events.KindHeartbeat, events.KindAnnouncement}})
	if err != nil || len(found) != 2 {
		t.Fatalf("it shows %v, %v", found, err)
	}
	for _, ev := range found {
		t.Logf("%s", ev)
		m, err := events.Parse(ev)
		if err != nil {
			t.Errorf("kind %d: %v", ev.Kind, err)
		}
		if beat, ok := m.(*events.Heartbeat); ok && !beat.Alive(time.Now()) {
			t.Errorf("its heartbeat is dead: %+v", beat)
		}
	}
	if nodes, err := n.Consumer("look", nil).Nodes(n.ctx); err != nil || len(nodes) > 0 {
		t.Errorf("it counts as a node of ours: %v, %v", nodes, err)
	}
}

// buyOf has a fresh customer of ours buy one plain job of a nostr-dvm.
func (n *Net) buyOf(t *testing.T, d *dvm, prompt string, edit func(*consumer.Order), price events.Msat, why string) {
	t.Helper()
	w := n.Wallet("buyer")
	buyer := n.Consumer("buyer-"+string(events.GenerateKeys().PublicKey()), func(c *consumer.Config) { c.Wallet = bridged{w.(wallet.Payer), &d.bridge} })
	earned := n.spent(t, d.purse)
	var told Told
	got, err := buyer.Do(ctx, Text(prompt, func(o *consumer.Order) {
		o.Way, o.Node, o.Life = consumer.Plain, d.key, 30*time.Second
		edit(o)
	}), told.Hear)
	t.Logf("heard %v: %+v, %v", told.Names(), got, err)
	for _, s := range told.steps {
		if s.Event == nil || s.Event.PubKey != string(d.key) {
			continue
		}
		t.Logf("%s", s.Event)
		times, closed := 0, events.IsEncrypted(s.Event)
		for _, tag := range s.Event.Tags {
			if tag[0] == "p" {
				times++
			}
			if tag[0] == "encrypted" && len(tag) != 1 || closed && tag[0] == "status" {
				t.Errorf("it is said to write a bare encrypted and no status, not %v", s.Event.Tags)
			}
		}
		if s.Event.Kind == 6050 && !closed && times != 2 {
			t.Errorf("it is said to write p twice, not %v", s.Event.Tags)
		}
	}
	if open, err := buyer.Unfinished(); err != nil || len(open) > 0 {
		t.Errorf("left open: %v %v", open, err)
	}
	if why != "" {
		if err == nil || !strings.Contains(err.Error(), why) || n.spent(t, w) != 0 {
			t.Errorf("got %v, want %q; %s were paid", err, why, n.spent(t, w).Human())
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if got.Text != strings.ToUpper(prompt) || got.Node != d.key || got.Paid != price {
		t.Errorf("got %q of %s for %s", got.Text, got.Node, got.Paid.Human())
	}
	if now := n.spent(t, d.purse); earned-now != price || n.spent(t, w) != price {
		t.Errorf("it earned %s, the customer spent %s", (earned - now).Human(), n.spent(t, w).Human())
	}
	want := []string{"Request", "Running", "Result"}
	if price > 0 {
		want = []string{"Request", "Offer", "Running", "Result"}
	}
	if !inOrder(told.Names(), want) {
		t.Errorf("heard %v, want %v in it", told.Names(), want)
	}
	n.oneResult(got.Job)
}
