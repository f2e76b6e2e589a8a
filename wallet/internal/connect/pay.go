package connect

import (
	"context"
	"errors"
	"fmt"

	"infernet/events"
	"infernet/nips/nip47"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// Pay pays an invoice. Two calls for one invoice share one payment.
func (c *Client) Pay(ctx context.Context, raw string, maxFee events.Msat) (wallet.Preimage, error) {
	invoice, err := bolt11.Decode(raw)
	if err != nil {
		return wallet.Preimage{}, fmt.Errorf("%w: %w", wallet.ErrRejected, err)
	}
	hash := invoice.PaymentHash
	c.mu.Lock()
	under := c.paying[hash]
	if under == nil {
		under = &paying{done: make(chan struct{})}
		c.paying[hash] = under
		c.mu.Unlock()
		under.preimage, under.err = c.pay(ctx, raw, hash)
		c.mu.Lock()
		delete(c.paying, hash)
		c.mu.Unlock()
		close(under.done)
		return under.preimage, under.err
	}
	c.mu.Unlock()
	select {
	case <-under.done:
		return under.preimage, under.err
	case <-ctx.Done():
		return wallet.Preimage{}, fmt.Errorf("%w: %w", wallet.ErrInFlight, context.Cause(ctx))
	}
}

// pay asks the wallet once. Whatever else than a preimage comes back, the wallet's own books decide what it means.
func (c *Client) pay(ctx context.Context, raw string, hash wallet.Hash) (wallet.Preimage, error) {
	var paid nip47.Paid
	err := c.call(ctx, answerIn, nip47.PayInvoice, nip47.Paying{Invoice: raw}, &paid)
	if err == nil {
		r, err := wallet.ParsePreimage(paid.Preimage)
		if err != nil || r.Hash() != hash {
			return r, fmt.Errorf("%w: the wallet's preimage does not fit the invoice", wallet.ErrUnavailable)
		}
		return r, nil
	}
	if errors.Is(err, wallet.ErrInsufficient) {
		return wallet.Preimage{}, err
	}
	sent, asked := c.Sent(ctx, hash)
	switch {
	case asked == nil && sent.State == wallet.Succeeded:
		return sent.Preimage, nil
	case asked == nil && sent.State == wallet.Pending:
		return wallet.Preimage{}, fmt.Errorf("%w: %w", wallet.ErrInFlight, err)
	case errors.Is(err, wallet.ErrUnavailable):
		return wallet.Preimage{}, err // the request may still arrive: nobody knows
	}
	return wallet.Preimage{}, rejected(err)
}

// rejected says that a payment failed for good, unless the error already does.
func rejected(err error) error {
	if errors.Is(err, wallet.ErrRejected) || errors.Is(err, wallet.ErrExpired) {
		return err
	}
	return fmt.Errorf("%w: %w", wallet.ErrRejected, err)
}

// Sent says what became of a payment.
func (c *Client) Sent(ctx context.Context, hash wallet.Hash) (wallet.Payment, error) {
	p := wallet.Payment{Hash: hash}
	t, err := c.lookup(ctx, hash)
	if err != nil {
		return p, err
	}
	if t.Type != "outgoing" {
		return p, wallet.ErrNotFound
	}
	p.Amount, p.Fee = events.Msat(t.Amount), events.Msat(t.FeesPaid)
	switch {
	case t.State == "failed" || t.State == "expired":
		p.State = wallet.Failed
	case t.SettledAt > 0 || t.State == "settled":
		p.State = wallet.Succeeded
		if p.Preimage, err = wallet.ParsePreimage(t.Preimage); err != nil || p.Preimage.Hash() != hash {
			return p, fmt.Errorf("%w: the wallet's preimage does not fit", wallet.ErrUnavailable)
		}
	default:
		p.State = wallet.Pending
	}
	return p, nil
}
