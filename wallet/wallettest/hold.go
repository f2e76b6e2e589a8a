package wallettest

import (
	"errors"
	"testing"
	"time"

	"infernet/events"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// holder gives the payee as one that locks payments, or skips the test.
func holder(t *testing.T, w wallet.Wallet) wallet.Holder {
	t.Helper()
	h, ok := w.(wallet.Holder)
	if ok {
		var err error
		if ok, err = h.Holds(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	if !ok {
		t.Skip("the wallet does not lock payments")
	}
	return h
}

const held = 40 // blocks

// lock makes a hold invoice, has the payer pay it, and waits until the payment is locked. back gets how paying ended.
func lock(t *testing.T, w Wallets, amount events.Msat) (h wallet.Holder, r wallet.Preimage, v *wallet.Invoice, back chan error) {
	t.Helper()
	h, r, back = holder(t, w.Payee), wallet.NewPreimage(), make(chan error, 1)
	ask := wallet.InvoiceRequest{Amount: amount, Description: "infernet hold", Until: time.Now().Add(time.Minute), Blocks: held}
	v, err := h.HoldInvoice(within(t), ask, r.Hash())
	if err != nil {
		t.Fatal(err)
	}
	b, err := bolt11.Decode(v.Bolt11)
	if err != nil || b.PaymentHash != r.Hash() || v.Hash != r.Hash() || b.Amount != amount || b.MinFinalCLTV != held || !b.Describes("infernet hold") {
		t.Errorf("the invoice says %+v, %v", b, err)
	}
	if again, err := h.HoldInvoice(within(t), ask, r.Hash()); err != nil || again.Bolt11 != v.Bolt11 {
		t.Errorf("asked again: another invoice, %v", err)
	}
	if err := h.Settle(within(t), r); !errors.Is(err, wallet.ErrRejected) {
		t.Errorf("settled before anything was locked: %v", err)
	}
	go func() {
		got, err := w.Payer.(wallet.Payer).Pay(within(t), v.Bolt11, 0)
		if err == nil && got != r {
			err = errors.New("another preimage came back")
		}
		back <- err
	}()
	s, err := w.Payee.(wallet.Receiver).Await(within(t), v.Hash)
	if err != nil || !s.Held || s.Hash != v.Hash || s.Amount != amount || s.Blocks < 0 || s.Blocks > held {
		t.Fatalf("locked %+v, %v", s, err)
	}
	select {
	case err := <-back:
		t.Fatalf("paying came back while the money was locked: %v", err)
	default:
	}
	if sent, err := w.Payer.(wallet.Payer).Sent(within(t), v.Hash); err != nil || sent.State != wallet.Pending || sent.Preimage != (wallet.Preimage{}) {
		t.Errorf("while it is locked it shows as %+v, %v", sent, err)
	}
	return h, r, v, back
}

func heldAndSettled(t *testing.T, w Wallets) {
	before, had := balance(t, w.Payer), balance(t, w.Payee)
	h, r, v, back := lock(t, w, 7*events.Sat)
	comesTo(t, w.Payer, before-7*events.Sat, "locked, at the payer")
	comesTo(t, w.Payee, had, "locked, at the payee")
	for range 2 {
		if err := h.Settle(within(t), r); err != nil {
			t.Fatalf("settle: %v", err)
		}
	}
	if err := <-back; err != nil {
		t.Errorf("pay: %v", err)
	}
	if err := h.Cancel(within(t), v.Hash); !errors.Is(err, wallet.ErrRejected) {
		t.Errorf("cancelled after it was settled: %v", err)
	}
	if s, err := w.Payee.(wallet.Receiver).Await(within(t), v.Hash); err != nil || s.Held || time.Since(s.At) > time.Minute {
		t.Errorf("settled %+v, %v", s, err)
	}
	if sent, err := w.Payer.(wallet.Payer).Sent(within(t), v.Hash); err != nil || sent.State != wallet.Succeeded || sent.Preimage != r {
		t.Errorf("sent %+v, %v", sent, err)
	}
	if got := pay(t, w.Payer, v); got != r {
		t.Error("paid again: another preimage")
	}
	comesTo(t, w.Payer, before-7*events.Sat, "settled, at the payer")
	comesTo(t, w.Payee, had+7*events.Sat, "settled, at the payee")
}

func heldAndCancelled(t *testing.T, w Wallets) {
	before, had := balance(t, w.Payer), balance(t, w.Payee)
	h, r, v, back := lock(t, w, 7*events.Sat)
	for range 2 {
		if err := h.Cancel(within(t), v.Hash); err != nil {
			t.Fatalf("cancel: %v", err)
		}
	}
	if err := <-back; !errors.Is(err, wallet.ErrRejected) {
		t.Errorf("pay: %v", err)
	}
	if err := h.Settle(within(t), r); !errors.Is(err, wallet.ErrExpired) {
		t.Errorf("settled after it was cancelled: %v", err)
	}
	if sent, err := w.Payer.(wallet.Payer).Sent(within(t), v.Hash); err != nil || sent.State != wallet.Failed {
		t.Errorf("sent %+v, %v", sent, err)
	}
	unpayable(t, w, v)
	comesTo(t, w.Payer, before, "cancelled, at the payer")
	comesTo(t, w.Payee, had, "cancelled, at the payee")
}

func cancelledUnpaid(t *testing.T, w Wallets) {
	h, r := holder(t, w.Payee), wallet.NewPreimage()
	before := balance(t, w.Payer)
	v, err := h.HoldInvoice(within(t), wallet.InvoiceRequest{Amount: events.Sat, Description: "x", Until: time.Now().Add(time.Minute)}, r.Hash())
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Cancel(within(t), v.Hash); err != nil {
		t.Fatal(err)
	}
	unpayable(t, w, v)
	if after := balance(t, w.Payer); after != before {
		t.Errorf("it cost %s", (before - after).Human())
	}
}

// unpayable holds a cancelled invoice to what it is.
func unpayable(t *testing.T, w Wallets, v *wallet.Invoice) {
	t.Helper()
	if _, err := w.Payee.(wallet.Receiver).Await(within(t), v.Hash); !errors.Is(err, wallet.ErrExpired) {
		t.Errorf("awaited: %v", err)
	}
	for name, payer := range map[string]wallet.Wallet{"the payer": w.Payer, "somebody else": w.Stranger} {
		if _, err := payer.(wallet.Payer).Pay(within(t), v.Bolt11, 0); !errors.Is(err, wallet.ErrRejected) {
			t.Errorf("%s pays a cancelled invoice: %v", name, err)
		}
	}
}

func heldByStrangers(t *testing.T, w Wallets) {
	h, r, v, back := lock(t, w, events.Sat)
	other := holder(t, w.Stranger)
	if err := other.Settle(within(t), r); !errors.Is(err, wallet.ErrNotFound) {
		t.Errorf("a stranger settles: %v", err)
	}
	if err := other.Cancel(within(t), v.Hash); !errors.Is(err, wallet.ErrNotFound) {
		t.Errorf("a stranger cancels: %v", err)
	}
	ask := wallet.InvoiceRequest{Amount: events.Sat, Description: "infernet hold", Until: time.Now().Add(time.Minute)}
	if _, err := other.HoldInvoice(within(t), ask, v.Hash); err == nil && !w.Apart {
		t.Error("a stranger has an invoice of the same hash")
	}
	if _, err := w.Stranger.(wallet.Payer).Pay(within(t), v.Bolt11, 0); !errors.Is(err, wallet.ErrRejected) {
		t.Errorf("somebody else pays what is locked: %v", err)
	}
	if err := h.Settle(within(t), r); err != nil {
		t.Error(err)
	}
	if err := <-back; err != nil {
		t.Errorf("pay: %v", err)
	}
}
