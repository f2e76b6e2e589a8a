package provider

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"infernet/events"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// A job may be paid by a hold invoice: the money is locked before the work, taken after a relay has stored the result, and
// let go on an error, when the customer cancels, or when the node is not done in time.

const (
	maxLease  = 600 * time.Second // the longest lease, and the longest that money is kept locked for work
	leastLeft = 28                // blocks that must be left when a payment is locked, to be surely able to take it
	asksLeft  = 52                // blocks that are asked for: a wallet lets go up to 12 before the payment would time out
)

// canHold asks the wallet whether it can lock payments.
func (p *Provider) canHold(ctx context.Context) (bool, error) {
	h, ok := p.Wallet.(wallet.Holder)
	if !ok {
		return false, nil
	}
	can, err := h.Holds(ctx)
	if err != nil {
		return false, fmt.Errorf("ask the wallet whether it locks payments: %w", err)
	}
	if slices.Contains(p.Pay, events.PayHold) && !can {
		return false, fmt.Errorf("pay: the wallet does not lock payments, so jobs cannot be paid by %s", events.PayHold)
	}
	return can, nil
}

// holdInvoice makes the invoice for the job's preimage, which customers accept only within bounds.
func (p *Provider) holdInvoice(ctx context.Context, j *job, ask wallet.InvoiceRequest) (*wallet.Invoice, error) {
	r, err := p.preimage(j)
	if err != nil {
		return nil, err
	}
	ask.Blocks = asksLeft
	invoice, err := p.Wallet.(wallet.Holder).HoldInvoice(ctx, ask, r.Hash())
	if err != nil {
		return nil, err
	}
	b, err := bolt11.Decode(invoice.Bolt11)
	if err == nil && (b.MinFinalCLTV < events.MinHoldBlocks || b.MinFinalCLTV > events.MaxHoldBlocks) {
		err = fmt.Errorf("the wallet wants %d blocks to hold a payment, not %d to %d", b.MinFinalCLTV, events.MinHoldBlocks, events.MaxHoldBlocks)
	}
	return invoice, err
}

// lock asks for the payment and waits until the wallet has locked it. When ctx ends before, the invoice is let go: it
// cannot be paid any more, and what was locked at the same moment goes back.
func (p *Provider) lock(life, ctx context.Context, j *job) (wallet.Settlement, error) {
	var none wallet.Settlement
	if _, gone, err := p.Ledger.Value(j.req.ID, "let go"); err != nil || gone {
		if err == nil { // before a crash: not to be worked for again
			err = p.owe(life, j, refuse(events.CodeUnavailable, "the job failed before the node was restarted"))
		}
		return none, err
	}
	hash, err := p.ask(life, j)
	if err != nil {
		return none, err
	}
	held, err := p.Wallet.Await(ctx, hash)
	switch {
	case errors.Is(err, wallet.ErrExpired):
		return none, errUnpaid
	case err != nil && ctx.Err() != nil && life.Err() == nil:
		return none, p.owe(life, j, early(context.Cause(ctx)))
	case err != nil:
		return none, err
	case held.Held && held.Blocks > 0 && held.Blocks < leastLeft:
		return none, p.owe(life, j, refuse(events.CodeUnavailable, "the payment is locked for %d blocks only, %d are needed", held.Blocks, leastLeft))
	}
	until := binary.BigEndian.AppendUint64(nil, uint64(p.Now().Add(p.HoldFor).Unix()))
	err = p.write(life, func() (err error) {
		until, err = p.Ledger.Put(j.req.ID, "held until", until)
		return err
	})
	if err != nil {
		return none, fmt.Errorf("journal: %w", err)
	}
	j.heldTil = time.Unix(int64(binary.BigEndian.Uint64(until)), 0)
	return held, nil
}

// whileHeld bounds the work by how long the job's money may be kept locked.
func (p *Provider) whileHeld(ctx context.Context, j *job) (context.Context, context.CancelFunc) {
	if j.heldTil.IsZero() {
		return context.WithCancel(ctx)
	}
	late := refuse(events.CodeUnavailable, "not done in the %s that money is kept locked for", p.HoldFor)
	return context.WithTimeoutCause(ctx, j.heldTil.Sub(p.Now()), late)
}

// leaseUntil is when a lease that is said now ends.
func (p *Provider) leaseUntil(j *job) events.Unix {
	until := events.At(p.Now().Add(p.LeaseFor))
	if !j.heldTil.IsZero() {
		until = min(until, events.At(j.heldTil))
	}
	return until
}

// takeHeld takes the locked payment, now that the result is published.
func (p *Provider) takeHeld(ctx context.Context, j *job) error {
	r, err := p.preimage(j)
	if err == nil {
		err = p.take(ctx, r)
	}
	if errors.Is(err, wallet.ErrExpired) {
		return fmt.Errorf("%w: the locked money went back before it was taken", errUnpaid)
	}
	return err
}

// take settles a locked payment; a wallet that is away is asked again.
func (p *Provider) take(ctx context.Context, r wallet.Preimage) error {
	return p.insist(ctx, func() error { return p.Wallet.(wallet.Holder).Settle(ctx, r) })
}

// letGo gives the locked payment back. That it is going to is written down first: the job must not run again.
func (p *Provider) letGo(ctx context.Context, j *job, why error) error {
	r, err := p.preimage(j)
	if err != nil {
		return err
	}
	err = p.write(ctx, func() error {
		_, err := p.Ledger.Put(j.req.ID, "let go", []byte(why.Error()))
		return err
	})
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	err = p.insist(ctx, func() error { return p.Wallet.(wallet.Holder).Cancel(ctx, r.Hash()) })
	if errors.Is(err, wallet.ErrNotFound) {
		return nil // no invoice was made
	}
	if err == nil && errors.Is(why, errCancelled) && !j.heldTil.IsZero() {
		p.countUnpaid(j) // who has work done and takes the money back again and again is served no more
	}
	return err
}

// insist calls again while nobody knows what the wallet did.
func (p *Provider) insist(ctx context.Context, call func() error) error {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		err := call()
		if !errors.Is(err, wallet.ErrUnavailable) || ctx.Err() != nil {
			return err
		}
		p.Log.Warn("the wallet is away, asks again", "err", err)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}
