package lnd

import (
	"context"
	"fmt"

	"infernet/events"
	"infernet/wallet"
)

// letsGo is how many blocks before a locked payment would time out on the chain lnd itself cancels it
// (invoices.holdexpirydelta, if it was not set to something else).
const letsGo = 12

// Holds says whether the wallet can lock payments: every lnd can, if the macaroon allows invoices at all.
func (w *Wallet) Holds(context.Context) (bool, error) { return true, nil }

// HoldInvoice makes an invoice for a payment hash; the same again if it is asked again.
func (w *Wallet) HoldInvoice(ctx context.Context, ask wallet.InvoiceRequest, hash wallet.Hash) (*wallet.Invoice, error) {
	params := w.adding(ask)
	params.Hash = b64(hash[:])
	return w.add(ctx, "/v2/invoices/hodl", params, hash)
}

// held is a locked payment: all its parts together, and the blocks until the first of them is let go.
func (w *Wallet) held(ctx context.Context, hash wallet.Hash, v *invoice) (wallet.Settlement, error) {
	s := wallet.Settlement{Hash: hash, Amount: events.Msat(v.Paid), Held: true}
	info, err := w.Info(ctx)
	if err != nil {
		return s, err
	}
	for _, part := range v.HTLCs {
		if part.State != stateAccepted {
			continue
		}
		left := int(max(1, part.ExpiryHeight-info.Height-letsGo))
		if s.Blocks == 0 || left < s.Blocks {
			s.Blocks = left
		}
	}
	return s, nil
}

// Settle takes a locked payment.
func (w *Wallet) Settle(ctx context.Context, r wallet.Preimage) error {
	err := w.post(ctx, "/v2/invoices/settle", map[string]string{"preimage": b64(r[:])}, &struct{}{})
	switch {
	case says(err, "invoice already settled"):
		return nil
	case says(err, "invoice already canceled"):
		return fmt.Errorf("%w: %w", wallet.ErrExpired, err)
	case says(err, "invoice still open"):
		return fmt.Errorf("%w: nothing is locked yet: %w", wallet.ErrRejected, err)
	}
	return notFound(err)
}

// Cancel gives a locked payment back, or sees to it that none is locked.
func (w *Wallet) Cancel(ctx context.Context, hash wallet.Hash) error {
	err := w.post(ctx, "/v2/invoices/cancel", map[string]string{"payment_hash": b64(hash[:])}, &struct{}{})
	switch {
	case says(err, "invoice already canceled"):
		return nil
	case says(err, "invoice already settled"):
		return fmt.Errorf("%w: it was settled: %w", wallet.ErrRejected, err)
	}
	return notFound(err)
}
