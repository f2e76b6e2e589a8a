// Package wallettest holds every wallet to what package wallet promises. Begin with Run.
package wallettest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"infernet/events"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// Wallets are what the suite needs: one that is paid, one that pays, and one of a stranger, with money in the second.
type Wallets struct {
	Payee    wallet.Wallet
	Payer    wallet.Wallet
	Stranger wallet.Wallet
	Foreign  string // an invoice that nobody here can pay, for 1 sat
	Many     int    // payments at once; 50 if unset
	Apart    bool   // they are of different services: what one of them knows, another does not
}

// Run runs the suite; open opens fresh wallets for each test.
func Run(t *testing.T, open func(t *testing.T) Wallets) {
	for name, test := range map[string]func(*testing.T, Wallets){
		"an invoice says what was asked":          saysWhatWasAsked,
		"pay, and await before and after":         payAndAwait,
		"an invoice is paid once":                 paidOnce,
		"two calls for one invoice pay it once":   paidOnceAtOnce,
		"an expired invoice cannot be paid":       expires,
		"not enough money":                        notEnough,
		"what the wallet does not know":           unknown,
		"garbage and foreign invoices":            garbage,
		"a stranger's invoices are nobody else's": strangers,
		"many payments at once":                   many,
		"its books show what came and went":       books,
		"a chosen preimage":                       sealed,
		"locked, then settled":                    heldAndSettled,
		"locked, then cancelled":                  heldAndCancelled,
		"cancelled before it is paid":             cancelledUnpaid,
		"a hold invoice is only its own wallet's": heldByStrangers,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func invoice(t *testing.T, w wallet.Wallet, amount events.Msat) *wallet.Invoice {
	t.Helper()
	v, err := w.(wallet.Receiver).Invoice(within(t), wallet.InvoiceRequest{Amount: amount, Description: "infernet test", Until: time.Now().Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func balance(t *testing.T, w wallet.Wallet) events.Msat {
	t.Helper()
	b, ok := w.(wallet.Balancer)
	if !ok {
		t.Skip("the wallet does not say its balance")
	}
	have, err := b.Balance(within(t))
	if err != nil {
		t.Fatal(err)
	}
	return have
}

// comesTo waits until a balance is what it should be: a network books a moment after a payment has its end.
func comesTo(t *testing.T, w wallet.Wallet, want events.Msat, what string) {
	t.Helper()
	have := balance(t, w)
	for until := time.Now().Add(10 * time.Second); have != want && time.Now().Before(until); have = balance(t, w) {
		time.Sleep(10 * time.Millisecond)
	}
	if have != want {
		t.Errorf("%s: the balance is %s, not %s", what, have.Human(), want.Human())
	}
}

func pay(t *testing.T, w wallet.Wallet, v *wallet.Invoice) wallet.Preimage {
	t.Helper()
	r, err := w.(wallet.Payer).Pay(within(t), v.Bolt11, 10*events.Sat)
	if err != nil {
		t.Fatal(err)
	}
	if r.Hash() != v.Hash {
		t.Fatal("the preimage is another invoice's")
	}
	return r
}

func saysWhatWasAsked(t *testing.T, w Wallets) {
	until := time.Now().Add(90 * time.Second)
	v, err := w.Payee.(wallet.Receiver).Invoice(within(t), wallet.InvoiceRequest{Amount: 21 * events.Sat, Description: "infernet ü", Until: until})
	if err != nil {
		t.Fatal(err)
	}
	b, err := bolt11.Decode(v.Bolt11)
	if err != nil {
		t.Fatal(err)
	}
	if b.Amount != 21*events.Sat || v.Amount != b.Amount || b.PaymentHash != v.Hash || !b.Describes("infernet ü") {
		t.Errorf("the invoice says %+v", b)
	}
	for name, at := range map[string]time.Time{"the wallet": v.Until, "the invoice": b.Expires()} {
		if d := at.Sub(until); d < -2*time.Second || d > 2*time.Second {
			t.Errorf("%s says that it expires %s later than asked", name, d)
		}
	}
}

func payAndAwait(t *testing.T, w Wallets) {
	before, had := balance(t, w.Payer), balance(t, w.Payee)
	v := invoice(t, w.Payee, 5*events.Sat)
	type outcome struct {
		wallet.Settlement
		error
	}
	early := make(chan outcome, 1)
	go func() {
		s, err := w.Payee.(wallet.Receiver).Await(within(t), v.Hash)
		early <- outcome{s, err}
	}()
	r := pay(t, w.Payer, v)
	for _, got := range []outcome{<-early, func() outcome {
		s, err := w.Payee.(wallet.Receiver).Await(within(t), v.Hash)
		return outcome{s, err}
	}()} {
		if got.error != nil || got.Hash != v.Hash || got.Amount != v.Amount || time.Since(got.At) > time.Minute {
			t.Errorf("settled %+v, %v", got.Settlement, got.error)
		}
	}
	sent, err := w.Payer.(wallet.Payer).Sent(within(t), v.Hash)
	if err != nil || sent.State != wallet.Succeeded || sent.Preimage != r || sent.Amount != v.Amount {
		t.Errorf("sent %+v, %v", sent, err)
	}
	comesTo(t, w.Payer, before-v.Amount-sent.Fee, "paid")
	comesTo(t, w.Payee, had+v.Amount, "was paid")
}

func paidOnce(t *testing.T, w Wallets) {
	v := invoice(t, w.Payee, 5*events.Sat)
	first := pay(t, w.Payer, v)
	before := balance(t, w.Payer)
	again, err := w.Payer.(wallet.Payer).Pay(within(t), v.Bolt11, 0)
	if err != nil || again != first {
		t.Errorf("paid again: %v, %v", again, err)
	}
	if after := balance(t, w.Payer); after != before {
		t.Errorf("the second time cost %s", (before - after).Human())
	}
	if _, err := w.Stranger.(wallet.Payer).Pay(within(t), v.Bolt11, 0); !errors.Is(err, wallet.ErrRejected) {
		t.Errorf("somebody else paid it too: %v", err)
	}
}

func paidOnceAtOnce(t *testing.T, w Wallets) {
	v := invoice(t, w.Payee, 5*events.Sat)
	before := balance(t, w.Payer)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			if r, err := w.Payer.(wallet.Payer).Pay(within(t), v.Bolt11, 0); err != nil || r.Hash() != v.Hash {
				t.Errorf("%v", err)
			}
		})
	}
	wait.Wait()
	comesTo(t, w.Payer, before-v.Amount, "four calls for one invoice")
}

func expires(t *testing.T, w Wallets) {
	v, err := w.Payee.(wallet.Receiver).Invoice(within(t), wallet.InvoiceRequest{Amount: events.Sat, Description: "short", Until: time.Now().Add(time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Payee.(wallet.Receiver).Await(within(t), v.Hash); !errors.Is(err, wallet.ErrExpired) {
		t.Errorf("awaited: %v", err)
	}
	before := balance(t, w.Payer)
	if _, err := w.Payer.(wallet.Payer).Pay(within(t), v.Bolt11, 0); !errors.Is(err, wallet.ErrRejected) && !errors.Is(err, wallet.ErrExpired) {
		t.Errorf("paid: %v", err)
	}
	if after := balance(t, w.Payer); after != before {
		t.Errorf("it cost %s", (before - after).Human())
	}
}

func notEnough(t *testing.T, w Wallets) {
	have := balance(t, w.Payer)
	v := invoice(t, w.Payee, have.CeilSat()+events.Sat)
	if _, err := w.Payer.(wallet.Payer).Pay(within(t), v.Bolt11, 0); !errors.Is(err, wallet.ErrInsufficient) {
		t.Errorf("got %v", err)
	}
	if after := balance(t, w.Payer); after != have {
		t.Errorf("it cost %s", (have - after).Human())
	}
}

func unknown(t *testing.T, w Wallets) {
	hash := wallet.NewPreimage().Hash()
	if _, err := w.Payee.(wallet.Receiver).Await(within(t), hash); !errors.Is(err, wallet.ErrNotFound) {
		t.Errorf("awaited: %v", err)
	}
	if _, err := w.Payer.(wallet.Payer).Sent(within(t), hash); !errors.Is(err, wallet.ErrNotFound) {
		t.Errorf("sent: %v", err)
	}
	v := invoice(t, w.Payee, events.Sat)
	if _, err := w.Payer.(wallet.Payer).Sent(within(t), v.Hash); !errors.Is(err, wallet.ErrNotFound) {
		t.Errorf("not paid yet: %v", err)
	}
}

func garbage(t *testing.T, w Wallets) {
	before := balance(t, w.Payer)
	for _, raw := range []string{"", "lnbcrt1garbage", w.Foreign} {
		if _, err := w.Payer.(wallet.Payer).Pay(within(t), raw, 0); !errors.Is(err, wallet.ErrRejected) {
			t.Errorf("%q: %v", raw, err)
		}
	}
	if after := balance(t, w.Payer); after != before {
		t.Errorf("it cost %s", (before - after).Human())
	}
}

func strangers(t *testing.T, w Wallets) {
	v := invoice(t, w.Payee, events.Sat)
	pay(t, w.Payer, v)
	if _, err := w.Stranger.(wallet.Receiver).Await(within(t), v.Hash); !errors.Is(err, wallet.ErrNotFound) {
		t.Errorf("awaited: %v", err)
	}
	if _, err := w.Stranger.(wallet.Payer).Sent(within(t), v.Hash); !errors.Is(err, wallet.ErrNotFound) {
		t.Errorf("sent: %v", err)
	}
}

func many(t *testing.T, w Wallets) {
	n := w.Many
	if n == 0 {
		n = 50
	}
	before, had := balance(t, w.Payer), balance(t, w.Payee)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() { // a busy wallet may be slow to answer: it is asked again, as all its users do
			ctx := within(t)
			ask := wallet.InvoiceRequest{Amount: events.Msat(1+i) * events.Sat, Description: "infernet test", Until: time.Now().Add(time.Minute)}
			v, err := w.Payee.(wallet.Receiver).Invoice(ctx, ask)
			for errors.Is(err, wallet.ErrUnavailable) && ctx.Err() == nil {
				v, err = w.Payee.(wallet.Receiver).Invoice(ctx, ask)
			}
			if err != nil {
				t.Error(err)
				return
			}
			r, err := w.Payer.(wallet.Payer).Pay(ctx, v.Bolt11, 0)
			for errors.Is(err, wallet.ErrUnavailable) && ctx.Err() == nil {
				r, err = w.Payer.(wallet.Payer).Pay(ctx, v.Bolt11, 0)
			}
			if err != nil || r.Hash() != v.Hash {
				t.Errorf("paid with %s, %v", r, err)
				return
			}
			if _, err := w.Payee.(wallet.Receiver).Await(within(t), v.Hash); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	sum := events.Msat(n*(n+1)/2) * events.Sat
	comesTo(t, w.Payer, before-sum, "sent")
	comesTo(t, w.Payee, had+sum, "came")
}

func sealed(t *testing.T, w Wallets) {
	s, ok := w.Payee.(wallet.Sealer)
	if !ok {
		t.Skip("the wallet draws its preimages itself")
	}
	r := wallet.NewPreimage()
	ask := wallet.InvoiceRequest{Amount: events.Sat, Description: "sealed", Until: time.Now().Add(time.Minute)}
	v, err := s.SealedInvoice(within(t), ask, r)
	if err != nil {
		t.Fatal(err)
	}
	if v.Hash != r.Hash() {
		t.Fatal("the invoice has another hash")
	}
	if again, err := s.SealedInvoice(within(t), ask, r); err == nil && again.Bolt11 != v.Bolt11 {
		t.Error("a second invoice was made for one preimage")
	}
	if got := pay(t, w.Payer, v); got != r {
		t.Error("paying reveals another preimage")
	}
}

// books holds the lists of both sides to what was paid, over more than one page.
func books(t *testing.T, w Wallets) {
	payee, listed := w.Payee.(wallet.Lister)
	payer, lists := w.Payer.(wallet.Lister)
	if !listed || !lists {
		t.Skip("the wallet does not show its books")
	}
	began := time.Now().Add(-2 * time.Second)
	unpaid := invoice(t, w.Payee, 3*events.Sat)
	paid := map[wallet.Hash]wallet.Preimage{}
	for range 23 {
		v := invoice(t, w.Payee, 2*events.Sat)
		paid[v.Hash] = pay(t, w.Payer, v)
	}
	for way, list := range map[wallet.Way]wallet.Lister{wallet.In: payee, wallet.Out: payer} {
		found, err := list.Entries(within(t), way, began)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[wallet.Hash]int{}
		for _, e := range found {
			r, ours := paid[e.Hash]
			switch seen[e.Hash]++; {
			case seen[e.Hash] > 1:
				t.Errorf("%s: %s is listed twice", way, e.Hash)
			case e.Hash == unpaid.Hash && (way == wallet.Out || e.State == wallet.Succeeded):
				t.Errorf("%s: what nobody paid is %s", way, e.State)
			case ours && (e.State != wallet.Succeeded || e.Amount != 2*events.Sat || e.Description != "infernet test" || e.At.Before(began) || e.Held):
				t.Errorf("%s: the books say %+v", way, e)
			case ours && e.Preimage != (wallet.Preimage{}) && e.Preimage != r:
				t.Errorf("%s: another preimage", way)
			}
		}
		for hash := range paid {
			if seen[hash] == 0 {
				t.Errorf("%s: %s is missing", way, hash)
			}
		}
	}
}
