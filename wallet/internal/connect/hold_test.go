package connect_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"infernet/nips/nip47"
	"infernet/wallet"
)

// TestHoldsOverLostAnswers is the table of what a wallet may say, or not say, to make_hold_invoice, settle and cancel: its
// books decide what a lost answer or a no means.
func TestHoldsOverLostAnswers(t *testing.T) {
	t.Parallel()
	r := wallet.NewPreimage()
	book := func(state string) says {
		return result(nip47.Transaction{Type: nip47.Incoming, State: state, PaymentHash: r.Hash().String(), Amount: 5000, Description: "x", Invoice: "lnbcrt1", ExpiresAt: 1_900_000_000})
	}
	ask := wallet.InvoiceRequest{Amount: 5000, Description: "x", Until: time.Now().Add(time.Hour), Blocks: 40}
	nothing, unknown := result(struct{}{}), no(nip47.CodeNotFound)
	var wait sync.WaitGroup
	for name, c := range map[string]struct {
		method string
		says   []says
		lookup []says
		want   error
	}{
		"made":                                  {nip47.MakeHoldInvoice, []says{book(nip47.Pending)}, nil, nil},
		"made, the first answer is lost":        {nip47.MakeHoldInvoice, []says{nil, no(nip47.CodeOther)}, []says{book(nip47.Pending)}, nil},
		"made, and silence after":               {nip47.MakeHoldInvoice, []says{nil, no(nip47.CodeOther)}, []says{nil}, wallet.ErrUnavailable},
		"not made":                              {nip47.MakeHoldInvoice, []says{no(nip47.CodeRestricted)}, []says{unknown}, wallet.ErrUnsupported},
		"settled":                               {nip47.SettleHoldInvoice, []says{nothing}, nil, nil},
		"settled, the first answer is lost":     {nip47.SettleHoldInvoice, []says{nil, no(nip47.CodeOther)}, []says{book(nip47.Settled)}, nil},
		"settled, all answers are lost":         {nip47.SettleHoldInvoice, []says{nil}, []says{book(nip47.Settled)}, nil},
		"settled too early":                     {nip47.SettleHoldInvoice, []says{no(nip47.CodePaymentFailed)}, []says{book(nip47.Pending)}, wallet.ErrRejected},
		"settled too late":                      {nip47.SettleHoldInvoice, []says{no(nip47.CodeOther)}, []says{book(nip47.Failed)}, wallet.ErrExpired},
		"settled, silence":                      {nip47.SettleHoldInvoice, []says{nil}, []says{nil}, wallet.ErrUnavailable},
		"settled, a no and silence":             {nip47.SettleHoldInvoice, []says{no(nip47.CodeOther)}, []says{nil}, wallet.ErrUnavailable},
		"settled, still locked":                 {nip47.SettleHoldInvoice, []says{nil}, []says{book(nip47.Accepted)}, wallet.ErrUnavailable},
		"cancelled":                             {nip47.CancelHoldInvoice, []says{nothing}, nil, nil},
		"cancelled, the first answer is lost":   {nip47.CancelHoldInvoice, []says{nil, no(nip47.CodeOther)}, []says{book(nip47.Failed)}, nil},
		"cancelled after it was settled":        {nip47.CancelHoldInvoice, []says{no(nip47.CodePaymentFailed)}, []says{book(nip47.Settled)}, wallet.ErrRejected},
		"cancelled, never heard of it":          {nip47.CancelHoldInvoice, []says{no(nip47.CodeOther)}, []says{unknown}, wallet.ErrNotFound},
		"cancelled, and the wallet is in knots": {nip47.CancelHoldInvoice, []says{nil}, []says{book(nip47.Accepted)}, wallet.ErrUnavailable},
	} {
		s := newScripted(t, map[string][]says{c.method: c.says, nip47.LookupInvoice: c.lookup})
		h := client(t, s.uri)
		wait.Go(func() {
			var err error
			switch c.method {
			case nip47.MakeHoldInvoice:
				var v *wallet.Invoice
				if v, err = h.HoldInvoice(within(t, time.Minute), ask, r.Hash()); err == nil && (v.Hash != r.Hash() || v.Amount != 5000) {
					t.Errorf("%s: %+v", name, v)
				}
			case nip47.SettleHoldInvoice:
				err = h.Settle(within(t, time.Minute), r)
			case nip47.CancelHoldInvoice:
				err = h.Cancel(within(t, time.Minute), r.Hash())
			}
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
		})
	}
	wait.Wait()
}

// TestALockedPaymentSaysHowLong counts the blocks that are left, where the wallet says enough.
func TestALockedPaymentSaysHowLong(t *testing.T) {
	t.Parallel()
	r := wallet.NewPreimage()
	for name, c := range map[string]struct {
		deadline, height int64
		blocks           int
	}{
		"much":      {1040, 1000, 40},
		"nothing":   {1000, 1040, 1},
		"no word":   {0, 1000, 0},
		"no height": {1040, 0, 0},
	} {
		s := newScripted(t, map[string][]says{
			nip47.LookupInvoice: {result(nip47.Transaction{Type: nip47.Incoming, State: nip47.Accepted, PaymentHash: r.Hash().String(), Amount: 5000, SettleDeadline: c.deadline})},
			nip47.GetInfo:       {result(nip47.Info{BlockHeight: c.height})},
		})
		got, err := client(t, s.uri).Await(within(t, time.Minute), r.Hash())
		if err != nil || !got.Held || got.Blocks != c.blocks || got.Amount != 5000 || !got.At.IsZero() {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestWhatAWalletSaysItCan asks wallets whether they lock payments.
func TestWhatAWalletSaysItCan(t *testing.T) {
	t.Parallel()
	all := []string{nip47.MakeHoldInvoice, nip47.SettleHoldInvoice, nip47.CancelHoldInvoice, nip47.LookupInvoice}
	for can, methods := range map[bool][]string{true: all, false: all[1:]} {
		s := newScripted(t, map[string][]says{nip47.GetInfo: {result(nip47.Info{Methods: methods})}})
		if got, err := client(t, s.uri).Holds(within(t, time.Minute)); err != nil || got != can {
			t.Errorf("%v: %v, %v", methods, got, err)
		}
	}
	s := newScripted(t, map[string][]says{nip47.ListTransactions: {result(nip47.Transactions{Transactions: []nip47.Transaction{{Amount: 1}, {Amount: 2}}})}})
	if got, err := client(t, s.uri).Transactions(within(t, time.Minute), nip47.Listing{Unpaid: true}); err != nil || len(got) != 2 {
		t.Errorf("listed %+v, %v", got, err)
	}
}
