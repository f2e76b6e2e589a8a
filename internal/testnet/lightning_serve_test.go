package testnet

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/testnet/lightning"
	"infernet/internal/testnet/peers"
	"infernet/nips/nip47"
	"infernet/provider"
	"infernet/wallet"
	"infernet/wallet/bolt11"
	"infernet/wallet/serve"
	"infernet/wallet/wallettest"
)

// served is a wallet service in front of an lnd.
type served struct {
	n    *Net
	keys *events.Keys
	book *serve.Book
	lnd  wallet.Wallet
	stop func()
}

func (n *Net) serve(node string) *served {
	n.T.Helper()
	book, err := serve.OpenBook(filepath.Join(n.T.TempDir(), node+".db"))
	if err != nil {
		n.T.Fatal(err)
	}
	n.T.Cleanup(func() { book.Close() })
	s := &served{n: n, keys: events.GenerateKeys(), book: book, lnd: n.lnd(node, lightning.Both)}
	s.start()
	n.T.Cleanup(func() { s.stop() })
	return s
}

func (s *served) start() {
	s.n.T.Helper()
	service, err := serve.New(serve.Config{Relays: []string{s.n.URL}, Keys: s.keys, Book: s.book, Wallet: s.lnd, Log: s.n.log.With("at", "wallet service")})
	if err != nil {
		s.n.T.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.n.ctx)
	s.stop = s.n.running("wallet service", cancel, func() error { return service.Run(ctx) })
}

// connect adds a connection and gives its address.
func (s *served) connect(change func(*serve.Connection)) nip47.URI {
	s.n.T.Helper()
	client := events.GenerateKeys()
	c := serve.Connection{Name: string(client.PublicKey()[:8]), Client: client.PublicKey(), Created: time.Now()}
	if change != nil {
		change(&c)
	}
	if err := s.book.Add(c); err != nil {
		s.n.T.Fatal(err)
	}
	return serve.Address(s.keys.PublicKey(), []string{s.n.URL}, client)
}

func (s *served) open(change func(*serve.Connection)) wallet.Wallet {
	s.n.T.Helper()
	return s.n.open("connection", s.connect(change).String())
}

// TestLightningSuiteThroughNWC runs the wallets' suite on connections to three lnds.
func TestLightningSuiteThroughNWC(t *testing.T) {
	lightning.Test(t)
	n := Start(t)
	carol, alice, dave := n.serve("carol"), n.serve("alice"), n.serve("dave")
	wallettest.Run(t, func(t *testing.T) wallettest.Wallets {
		if err := lightning.Test(t).Quiet(ctx); err != nil {
			t.Fatal(err)
		}
		return wallettest.Wallets{Payee: carol.open(nil), Payer: alice.open(nil), Stranger: dave.open(nil), Foreign: stray(t), Apart: true, Many: 20}
	})
}

// stray is an invoice of a node that nobody has heard of.
func stray(t *testing.T) string {
	t.Helper()
	v := bolt11.Invoice{
		Network: bolt11.Regtest, Amount: events.Sat, Timestamp: time.Now(), PaymentHash: wallet.NewPreimage().Hash(), PaymentSecret: &[32]byte{1},
		Description: "x", Expiry: time.Hour,
	}
	raw, err := v.Encode([32]byte{31: 9})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestLightningAlbysClient has the client of @getalby/sdk call each of its methods on connections to two lnds: it pays on the
// real network.
func TestLightningAlbysClient(t *testing.T) {
	lightning.Test(t)
	n := Start(t)
	cmd := peers.Node(t, "nwc/client.mjs")
	quiet(t, n.lnd("alice", lightning.Both))
	cmd.Env = append(cmd.Environ(), "REAL=1", "PAYER="+n.serve("alice").connect(nil).String(), "PAYEE="+n.serve("carol").connect(nil).String(), "ENCRYPTION="+nip47.NIP44)
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	t.Log(strings.TrimSpace(string(said)))
}

// TestLightningJobsThroughNWC buys by each way to pay with connections to lnds on both sides.
func TestLightningJobsThroughNWC(t *testing.T) {
	n, alice, _ := onLightning(t)
	carol := n.serve("carol")
	n.Provider("node", "echo:", func(c *provider.Config) { c.Wallet = carol.open(nil).(wallet.Receiver) })
	w := n.serve("alice").open(nil)
	buyer := n.Consumer("nwc-buyer", func(c *consumer.Config) { c.Wallet = w.(wallet.Payer) })
	for _, pay := range []string{events.PayPrepaid, events.PayHold, events.PaySealed} {
		got, err := buyer.Do(ctx, Text("one two three", func(o *consumer.Order) { o.Pay = []string{pay} }), nil)
		if err != nil || got.Pay != pay || got.Text != "one two three" {
			t.Fatalf("%s: got %+v, %v", pay, got, err)
		}
		holdsTrue(t, alice, got)
	}
}

// TestLightningBudgets holds connections to what they may: methods, each payment, each day, and an end.
func TestLightningBudgets(t *testing.T) {
	n, alice, _ := onLightning(t)
	service := n.serve("alice")
	payee := n.lnd("carol", lightning.Receive).(wallet.Receiver)
	invoice := func(amount events.Msat) *wallet.Invoice {
		v, err := payee.Invoice(ctx, wallet.InvoiceRequest{Amount: amount, Description: "x", Until: time.Now().Add(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	before := quiet(t, alice)
	for name, c := range map[string]struct {
		change func(*serve.Connection)
		want   error
	}{
		"may not pay":          {func(c *serve.Connection) { c.Methods = []string{nip47.LookupInvoice} }, wallet.ErrUnsupported},
		"too much at once":     {func(c *serve.Connection) { c.PerPayment = 9 * events.Sat }, wallet.ErrInsufficient},
		"too much for the day": {func(c *serve.Connection) { c.PerDay = 9 * events.Sat }, wallet.ErrInsufficient},
		"ended":                {func(c *serve.Connection) { c.Until = time.Now().Add(-time.Second) }, wallet.ErrUnsupported},
	} {
		if _, err := service.open(c.change).(wallet.Payer).Pay(ctx, invoice(10*events.Sat).Bolt11, 0); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	stranger := n.open("stranger", serve.Address(service.keys.PublicKey(), []string{n.URL}, events.GenerateKeys()).String())
	if _, err := stranger.(wallet.Payer).Pay(ctx, invoice(10*events.Sat).Bolt11, 0); !errors.Is(err, wallet.ErrUnsupported) {
		t.Errorf("nobody's connection: %v", err)
	}
	if left := before - quiet(t, alice); left != 0 {
		t.Errorf("%s left", left.Human())
	}

	// 40 invoices of 10 sat at once, with fees of at most 5, and room for 100: never more than that, by whatever order
	const day = 100 * events.Sat
	c := service.connect(func(c *serve.Connection) { c.PerDay = day })
	w := n.open("drained", c.String()).(wallet.Payer)
	var wait sync.WaitGroup
	var mu sync.Mutex
	paid := 0
	for range 40 {
		v := invoice(10 * events.Sat)
		wait.Go(func() {
			_, err := w.Pay(ctx, v.Bolt11, 0)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				paid++
			} else if !errors.Is(err, wallet.ErrInsufficient) {
				t.Errorf("over the budget: %v", err)
			}
		})
	}
	wait.Wait()
	left := before - quiet(t, alice)
	if left > day || left < 60*events.Sat || left != events.Msat(paid)*10*events.Sat {
		t.Errorf("%s left for %d payments, of a budget of %s", left.Human(), paid, day.Human())
	}
	t.Logf("40 invoices at once, %d paid: %s of a budget of %s", paid, left.Human(), day.Human())
}

// TestLightningServiceRestarts ends a wallet service while a payment is locked at both sides: after the restart the payee
// hears of it, takes it, and the payer's books have the preimage.
func TestLightningServiceRestarts(t *testing.T) {
	lightning.Test(t)
	n := Start(t)
	alice, carol := n.serve("alice"), n.serve("carol")
	payer, payee := alice.open(nil), carol.open(nil)
	r := wallet.NewPreimage()
	v, err := payee.(wallet.Holder).HoldInvoice(ctx, wallet.InvoiceRequest{Amount: 5 * events.Sat, Description: "x", Until: time.Now().Add(time.Minute), Blocks: 60}, r.Hash())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		got, err := payer.(wallet.Payer).Pay(ctx, v.Bolt11, 0)
		if err == nil && got != r {
			err = fmt.Errorf("another preimage, %s", got)
		}
		ended <- err
	}()
	if s, err := payee.(wallet.Receiver).Await(ctx, v.Hash); err != nil || !s.Held {
		t.Fatalf("locked %+v, %v", s, err)
	}
	alice.stop()
	carol.stop()
	alice.start()
	carol.start()
	if s, err := payee.(wallet.Receiver).Await(ctx, v.Hash); err != nil || !s.Held {
		t.Errorf("after the restart %+v, %v", s, err)
	}
	if err := payee.(wallet.Holder).Settle(ctx, r); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
