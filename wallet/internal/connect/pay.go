package connect

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"infernet/events"
	"infernet/nips/nip47"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// paying is a payment under way, for all who wait for it.
type paying struct {
	done     chan struct{}
	pending  atomic.Bool // the wallet's books have it
	preimage wallet.Preimage
	err      error
}

// Pay pays an invoice. Calls for one invoice share one payment, which goes on when those who wait for it give up, until
// Close. A payment that is locked is waited for until its payee takes it or it comes back.
func (c *Client) Pay(ctx context.Context, raw string, maxFee events.Msat) (wallet.Preimage, error) {
	invoice, err := bolt11.Decode(raw)
	if err != nil {
		return wallet.Preimage{}, fmt.Errorf("%w: %w", wallet.ErrRejected, err)
	}
	if invoice.Amount == 0 {
		return wallet.Preimage{}, fmt.Errorf("%w: the invoice names no amount", wallet.ErrRejected)
	}
	hash := invoice.PaymentHash
	c.mu.Lock()
	under := c.paying[hash]
	if under == nil {
		under = &paying{done: make(chan struct{})}
		c.paying[hash] = under
		go func() {
			under.preimage, under.err = c.finish(ctx, raw, invoice, under)
			c.mu.Lock()
			delete(c.paying, hash)
			c.mu.Unlock()
			close(under.done)
		}()
	}
	c.mu.Unlock()
	select {
	case <-under.done:
		return under.preimage, under.err
	case <-ctx.Done():
		if under.pending.Load() {
			return wallet.Preimage{}, fmt.Errorf("%w: nobody waits for it any more: %w", wallet.ErrInFlight, context.Cause(ctx))
		}
		return wallet.Preimage{}, fmt.Errorf("%w: nobody waits for its answer any more: %w", wallet.ErrUnavailable, context.Cause(ctx))
	}
}

// finish pays, whether or not the first caller still waits: the others would hear of its impatience otherwise.
func (c *Client) finish(ctx context.Context, raw string, invoice *bolt11.Invoice, under *paying) (wallet.Preimage, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	go func() {
		select {
		case <-c.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	return c.pay(ctx, raw, invoice, under)
}

// pay asks the wallet once. Whatever else than a preimage comes back, the wallet's own books decide what it means: a no may
// be the answer to a second request while the first one is still under way. What is under way is waited for.
func (c *Client) pay(ctx context.Context, raw string, invoice *bolt11.Invoice, under *paying) (wallet.Preimage, error) {
	at := side{nip47.Outgoing, invoice.PaymentHash}
	w := c.watch(at)
	defer func() { c.unwatch(at, w) }()
	bounded, cancel := context.WithTimeout(ctx, answerIn)
	defer cancel()
	q, err := c.request(bounded, answerIn, nip47.PayInvoice, nip47.Paying{Invoice: raw})
	if err != nil {
		return wallet.Preimage{}, failed(err, invoice)
	}
	defer c.drop(q)
	var paid nip47.Paid
	err = c.reply(ctx, bounded, q, &paid)
	if no := (*nip47.Error)(nil); errors.As(err, &no) && no.Code == nip47.CodeUnsupportedEncryption && c.scheme.refused(q.scheme) {
		return c.pay(ctx, raw, invoice, under)
	}
	for poll := pollMin; ; poll = min(poll*2, pollMax) {
		if err == nil {
			if r, bad := wallet.ParsePreimage(paid.Preimage); bad == nil && r.Hash() == invoice.PaymentHash {
				return r, nil
			}
			err = fmt.Errorf("%w: the wallet's preimage does not fit the invoice", wallet.ErrUnavailable)
		}
		sent, asked := c.Sent(ctx, invoice.PaymentHash)
		switch {
		case asked == nil && sent.State == wallet.Succeeded:
			return sent.Preimage, nil
		case asked == nil && sent.State == wallet.Pending:
			under.pending.Store(true)
		case asked == nil && under.pending.Load(): // it failed after it was under way: it came back
			return wallet.Preimage{}, fmt.Errorf("%w: it came back: %v", wallet.ErrRejected, err)
		case errors.Is(err, wallet.ErrUnavailable):
			return wallet.Preimage{}, err // the request may still arrive: nobody knows
		case asked == nil, errors.Is(asked, wallet.ErrNotFound), !errors.Is(asked, wallet.ErrUnavailable) && refused(err):
			return wallet.Preimage{}, failed(err, invoice)
		default:
			return wallet.Preimage{}, fmt.Errorf("%w: it said %v, and not what became of the payment", wallet.ErrUnavailable, err)
		}
		timer := time.NewTimer(poll)
		select {
		case resp := <-q.heard:
			paid = nip47.Paid{}
			err = q.read(resp, &paid)
		case <-w.told: // its books have the preimage
			w = c.watch(at)
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return wallet.Preimage{}, fmt.Errorf("%w: %w", wallet.ErrInFlight, context.Cause(ctx))
		}
		timer.Stop()
	}
}

// refused says whether an answer is a clear no, rather than trouble inside the wallet.
func refused(err error) bool {
	return errors.Is(err, wallet.ErrInsufficient) || errors.Is(err, wallet.ErrRejected) || errors.Is(err, wallet.ErrUnsupported)
}

// failed says that a payment failed for good, and why, as far as callers tell the reasons apart.
func failed(err error, invoice *bolt11.Invoice) error {
	switch {
	case errors.Is(err, wallet.ErrInsufficient):
		return err
	case invoice.Expired(time.Now()):
		return fmt.Errorf("%w: %w", wallet.ErrExpired, err)
	case errors.Is(err, wallet.ErrRejected):
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
	if t.Type != nip47.Outgoing {
		return p, wallet.ErrNotFound
	}
	p.Amount, p.Fee = events.Msat(t.Amount), events.Msat(t.FeesPaid)
	switch {
	case over(t):
		p.State = wallet.Failed
	case settled(t):
		p.State = wallet.Succeeded
		if p.Preimage, err = wallet.ParsePreimage(t.Preimage); err != nil || p.Preimage.Hash() != hash {
			return p, fmt.Errorf("%w: the wallet's preimage does not fit", wallet.ErrUnavailable)
		}
	default:
		p.State = wallet.Pending
	}
	return p, nil
}
