package play_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/pool"
	"infernet/nips/nip47"
	"infernet/relay"
	"infernet/wallet"
	"infernet/wallet/play"
)

// wire is a client of the service that a test writes by hand.
type wire struct {
	t       *testing.T
	ctx     context.Context
	keys    *events.Keys
	service string
	pool    *pool.Pool
	heard   <-chan *nostr.Event
}

func newWire(t *testing.T, b bank, relays ...string) *wire {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	service, _ := events.NewKeys(b.Secret)
	keys := events.GenerateKeys()
	p := pool.New(ctx, append(relays, b.Relay), pool.WithSigner(keys))
	t.Cleanup(func() { cancel(); p.Close() })
	sub := p.Subscribe(ctx, nostr.Filter{Kinds: []int{nip47.KindResponse, nip47.KindNotification, nip47.KindNotification04}, Tags: nostr.TagMap{"p": {string(keys.PublicKey())}}})
	<-sub.EOSE
	return &wire{t, ctx, keys, string(service.PublicKey()), p, sub.Events}
}

// ask sends a request, with an encryption tag that may be another than what it is encrypted by.
func (w *wire) ask(by, says, method string, params any) (id string) {
	w.t.Helper()
	raw, _ := json.Marshal(params)
	body, _ := json.Marshal(nip47.Request{Method: method, Params: raw})
	cipher, err := nip47.Encrypt(by, w.keys.Secret(), w.service, string(body))
	if err != nil {
		w.t.Fatal(err)
	}
	ev := nip47.Envelope{Kind: nip47.KindRequest, To: w.service, Encryption: says, Content: cipher}.Event()
	if says == "" {
		ev.Tags = nostr.Tags{{"p", w.service}}
	}
	if err := w.keys.Sign(w.ctx, ev); err != nil {
		w.t.Fatal(err)
	}
	if err := w.pool.Publish(w.ctx, ev); err != nil {
		w.t.Fatal(err)
	}
	return ev.ID
}

// answer waits for what is said next, of a kind, and opens it by a scheme.
func (w *wire) answer(kind int, scheme string, to any) {
	w.t.Helper()
	for {
		select {
		case ev := <-w.heard:
			if ev.Kind != kind {
				continue
			}
			plain, err := nip47.Decrypt(scheme, w.keys.Secret(), w.service, ev.Content)
			if err != nil {
				w.t.Fatalf("kind %d does not open by %s: %v", kind, scheme, err)
			}
			if err := json.Unmarshal([]byte(plain), to); err != nil {
				w.t.Fatal(err)
			}
			return
		case <-w.ctx.Done():
			w.t.Fatalf("no kind %d", kind)
		}
	}
}

// TestAnswersComeByTheEncryptionOfTheirRequest asks by each scheme, by none, and by one that nobody knows.
func TestAnswersComeByTheEncryptionOfTheirRequest(t *testing.T) {
	b := newBank(t)
	b.run(t)
	w := newWire(t, b)
	for name, c := range map[string]struct{ by, says, code string }{
		"NIP-44":                {nip47.NIP44, nip47.NIP44, ""},
		"NIP-04":                {nip47.NIP04, nip47.NIP04, ""},
		"NIP-04, not named":     {nip47.NIP04, "", ""},
		"one of tomorrow":       {nip47.NIP44, "nip99", nip47.CodeUnsupportedEncryption},
		"one that is not named": {nip47.NIP44, "", ""},
	} {
		w.ask(c.by, c.says, nip47.GetBalance, struct{}{})
		var resp nip47.Response
		w.answer(nip47.KindResponse, c.by, &resp)
		if c.code == "" && (resp.Error != nil || string(resp.Result) != `{"balance":100000000}`) || c.code != "" && (resp.Error == nil || resp.Error.Code != c.code) {
			t.Errorf("%s: %+v %s", name, resp.Error, resp.Result)
		}
	}
}

// TestBothPartiesAreNotified hears of one payment on both sides, by both encryptions.
func TestBothPartiesAreNotified(t *testing.T) {
	b := newBank(t)
	b.run(t)
	payer, payee := newWire(t, b), newWire(t, b)
	payee.ask(nip47.NIP44, nip47.NIP44, nip47.MakeInvoice, nip47.Invoicing{Amount: 5000})
	var made nip47.Response
	payee.answer(nip47.KindResponse, nip47.NIP44, &made)
	var v nip47.Transaction
	if err := json.Unmarshal(made.Result, &v); err != nil {
		t.Fatal(err)
	}
	payer.ask(nip47.NIP44, nip47.NIP44, nip47.PayInvoice, nip47.Paying{Invoice: v.Invoice})
	for _, c := range []struct {
		w    *wire
		says string
	}{{payee, nip47.PaymentReceived}, {payer, nip47.PaymentSent}} {
		schemes := map[int]string{nip47.KindNotification: nip47.NIP44, nip47.KindNotification04: nip47.NIP04}
		for len(schemes) > 0 {
			select {
			case ev := <-c.w.heard:
				scheme, ok := schemes[ev.Kind]
				if !ok {
					continue
				}
				delete(schemes, ev.Kind)
				plain, err := nip47.Decrypt(scheme, c.w.keys.Secret(), c.w.service, ev.Content)
				var n nip47.Notification
				if err != nil || json.Unmarshal([]byte(plain), &n) != nil || n.Type != c.says || n.Notification.PaymentHash != v.PaymentHash || n.Notification.Preimage == "" {
					t.Errorf("by %s it hears %s, %v", scheme, plain, err)
				}
			case <-c.w.ctx.Done():
				t.Fatalf("no %s by %v", c.says, schemes)
			}
		}
	}
}

// TestSeveralRelays has service and wallets meet on two relays, of which one goes away: each request is carried out once, and
// what is under way goes on.
func TestSeveralRelays(t *testing.T) {
	b := newBank(t)
	second, stopSecond := startRelay(t)
	keys, _ := events.NewKeys(b.Secret)
	s, err := play.NewService(play.Config{Relays: []string{second, b.Relay}, Keys: keys, Path: b.Path})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	b.await(t)
	open := func() wallet.Wallet {
		address, err := s.Address(events.GenerateKeys())
		if err != nil {
			t.Fatal(err)
		}
		u, _ := url.Parse(address)
		w, err := play.Open(context.Background(), u, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(w.(*play.Wallet).Relays()); n != 2 {
			t.Fatalf("the address %s names %d relays", address, n)
		}
		t.Cleanup(func() { w.Close() })
		return w
	}
	payer, payee := open(), open()
	within, end := context.WithTimeout(context.Background(), time.Minute)
	defer end()
	pay := func() {
		t.Helper()
		v, err := payee.(wallet.Receiver).Invoice(within, wallet.InvoiceRequest{Amount: 3 * events.Sat, Until: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := payer.(wallet.Payer).Pay(within, v.Bolt11, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := payee.(wallet.Receiver).Await(within, v.Hash); err != nil {
			t.Fatal(err)
		}
	}
	pay()
	r := wallet.NewPreimage()
	held, err := payee.(wallet.Holder).HoldInvoice(within, wallet.InvoiceRequest{Amount: events.Sat, Until: time.Now().Add(time.Hour)}, r.Hash())
	if err != nil {
		t.Fatal(err)
	}
	paid := make(chan error, 1)
	go func() {
		_, err := payer.(wallet.Payer).Pay(within, held.Bolt11, 0)
		paid <- err
	}()
	if s, err := payee.(wallet.Receiver).Await(within, held.Hash); err != nil || !s.Held {
		t.Fatalf("locked %+v, %v", s, err)
	}
	stopSecond()
	pay()
	if err := payee.(wallet.Holder).Settle(within, r); err != nil {
		t.Fatal(err)
	}
	if err := <-paid; err != nil {
		t.Errorf("what was locked before: %v", err)
	}
	if have, err := payer.(wallet.Balancer).Balance(within); err != nil || have != (100_000-7)*events.Sat {
		t.Errorf("the payer has %s, %v", have.Human(), err)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

func startRelay(t *testing.T) (url string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := relay.Open(ctx, relay.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return r.URL(), stop
}

// TestLockedMoneySurvivesKills kills the service with SIGKILL again and again while payments are locked, taken and let go:
// each ends as its payee wanted, and the books are right.
func TestLockedMoneySurvivesKills(t *testing.T) {
	b := newBank(t)
	payer, payee := b.account(t, nil), b.account(t, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	stopped, kills := b.killed(t, ctx)
	insist := func(what string, call func() error) error {
		for {
			err := call()
			if err == nil || !errors.Is(err, wallet.ErrUnavailable) && !errors.Is(err, wallet.ErrInFlight) {
				return err
			}
			if ctx.Err() != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
		}
	}
	n := 8 // payments
	if os.Getenv("INFERNET_LONG") != "" {
		n = 80
	}
	taken := events.Msat(0)
	for i := range n {
		r := wallet.NewPreimage()
		ask := wallet.InvoiceRequest{Amount: 3 * events.Sat, Until: time.Now().Add(time.Hour), Blocks: 2000}
		var v *wallet.Invoice
		if err := insist("invoice", func() (err error) { v, err = payee.(wallet.Holder).HoldInvoice(ctx, ask, r.Hash()); return err }); err != nil {
			t.Fatal(err)
		}
		paid := make(chan error, 1)
		go func() {
			paid <- insist("pay", func() error { _, err := payer.(wallet.Payer).Pay(ctx, v.Bolt11, 0); return err })
		}()
		if s, err := payee.(wallet.Receiver).Await(ctx, v.Hash); err != nil || !s.Held {
			t.Fatalf("locked %+v, %v", s, err)
		}
		if i%2 == 0 {
			taken += v.Amount
			if err := insist("settle", func() error { return payee.(wallet.Holder).Settle(ctx, r) }); err != nil {
				t.Fatalf("settle: %v", err)
			}
			if err := <-paid; err != nil {
				t.Fatalf("pay: %v", err)
			}
			continue
		}
		if err := insist("cancel", func() error { return payee.(wallet.Holder).Cancel(ctx, v.Hash) }); err != nil {
			t.Fatalf("cancel: %v", err)
		}
		if err := <-paid; !errors.Is(err, wallet.ErrRejected) {
			t.Fatalf("pay: %v", err)
		}
	}
	cancel()
	<-stopped
	s, _ := b.run(t)
	again := context.Background()
	if have, err := payer.(wallet.Balancer).Balance(again); err != nil || have != 100_000*events.Sat-taken {
		t.Errorf("the payer has %s, %v", have.Human(), err)
	}
	if have, err := payee.(wallet.Balancer).Balance(again); err != nil || have != 100_000*events.Sat+taken {
		t.Errorf("the payee has %s, %v", have.Human(), err)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	t.Logf("%d kills", *kills)
}
