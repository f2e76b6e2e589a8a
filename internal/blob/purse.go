package blob

import (
	"context"
	"fmt"
	"sync"
	"time"

	"infernet/events"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// Purse pays file servers that ask for it (BUD-07), from a wallet, up to a bound. Its methods may be called at the same time.
type Purse struct {
	Wallet func(ctx context.Context) (wallet.Payer, error) // asked once there is something to pay
	Most   events.Msat                                     // for all uploads together, without what sending costs

	mu    sync.Mutex
	spent events.Msat
}

// DearError says that a server asks for more than may be paid.
type DearError struct {
	Asked events.Msat
	Left  events.Msat // that may still be paid
	Most  events.Msat // that may be paid altogether
}

func (e *DearError) Error() string {
	return fmt.Sprintf("the server asks %s for the upload, at most %s may be paid", e.Asked.Human(), e.Left.Human())
}

// Pay pays an invoice for an upload. What may have been paid counts against the bound. Errors: *DearError, the wallet's.
func (p *Purse) Pay(ctx context.Context, text string, _ int64) (r wallet.Preimage, err error) {
	invoice, err := bolt11.Decode(text)
	switch {
	case err != nil:
		return r, fmt.Errorf("the server's invoice: %w", err)
	case invoice.Amount <= 0:
		return r, fmt.Errorf("the server's invoice names no amount")
	case invoice.Expired(time.Now()):
		return r, fmt.Errorf("the server's invoice: %w", wallet.ErrExpired)
	}
	if err := p.take(invoice.Amount); err != nil {
		return r, err
	}
	w, err := p.Wallet(ctx)
	if err != nil {
		p.take(-invoice.Amount)
		return r, err
	}
	if r, err = w.Pay(ctx, text, max(invoice.Amount/100, 5*events.Sat)); err != nil {
		return r, err
	}
	if r.Hash() != wallet.Hash(invoice.PaymentHash) {
		return r, fmt.Errorf("the wallet says that it paid, but its preimage does not fit the invoice")
	}
	return r, nil
}

func (p *Purse) take(amount events.Msat) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if left := p.Most - p.spent; amount > left {
		return &DearError{amount, left, p.Most}
	}
	p.spent += amount
	return nil
}

// Spent is what was paid, or may have been.
func (p *Purse) Spent() events.Msat {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spent
}
