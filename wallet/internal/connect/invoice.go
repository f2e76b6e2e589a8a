package connect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"infernet/events"
	"infernet/nips/nip47"
	"infernet/wallet"
)

// Invoice makes an invoice.
func (c *Client) Invoice(ctx context.Context, ask wallet.InvoiceRequest) (*wallet.Invoice, error) {
	return c.Make(ctx, ask, "")
}

// Make makes an invoice, with a preimage in hex if the service takes one.
func (c *Client) Make(ctx context.Context, ask wallet.InvoiceRequest, preimage string) (*wallet.Invoice, error) {
	var t nip47.Transaction
	err := c.ask(ctx, nip47.MakeInvoice, nip47.Invoicing{Amount: int64(ask.Amount), Description: ask.Description, Preimage: preimage, Expiry: seconds(ask)}, &t)
	if err != nil {
		if r, bad := wallet.ParsePreimage(preimage); bad == nil {
			return c.made(ctx, ask, r.Hash(), err)
		}
		return nil, err
	}
	return invoiceOf(&t)
}

func seconds(ask wallet.InvoiceRequest) int64 {
	return max(1, int64(time.Until(ask.Until).Round(time.Second)/time.Second))
}

// made finds the invoice for a chosen hash that an earlier request made, whose answer was lost. It may be of another
// amount: work that is done again may come out shorter or longer.
func (c *Client) made(ctx context.Context, ask wallet.InvoiceRequest, hash wallet.Hash, why error) (*wallet.Invoice, error) {
	t, err := c.lookup(ctx, hash)
	if errors.Is(err, wallet.ErrUnavailable) {
		return nil, fmt.Errorf("%w: %v", err, why) // whether it exists is not known: to be asked again
	}
	if err != nil || t.Type == nip47.Outgoing || t.Invoice == "" || t.Description != ask.Description {
		return nil, why
	}
	return invoiceOf(t)
}

func invoiceOf(t *nip47.Transaction) (*wallet.Invoice, error) {
	hash, err := wallet.ParseHash(t.PaymentHash)
	if err != nil {
		return nil, fmt.Errorf("the wallet's invoice: payment hash: %w", err)
	}
	return &wallet.Invoice{Bolt11: t.Invoice, Hash: hash, Amount: events.Msat(t.Amount), Until: time.Unix(t.ExpiresAt, 0)}, nil
}

// Holds says whether the wallet can lock payments.
func (c *Client) Holds(ctx context.Context) (bool, error) {
	info, err := c.Info(ctx)
	if err != nil {
		return false, err
	}
	for _, method := range []string{nip47.MakeHoldInvoice, nip47.SettleHoldInvoice, nip47.CancelHoldInvoice, nip47.LookupInvoice} {
		if !slices.Contains(info.Methods, method) {
			return false, nil
		}
	}
	return true, nil
}

// HoldInvoice makes an invoice for a payment hash; the same again if it is asked again.
func (c *Client) HoldInvoice(ctx context.Context, ask wallet.InvoiceRequest, hash wallet.Hash) (*wallet.Invoice, error) {
	var t nip47.Transaction
	err := c.ask(ctx, nip47.MakeHoldInvoice, nip47.Holding{
		Amount: int64(ask.Amount), Description: ask.Description, Expiry: seconds(ask), PaymentHash: hash.String(), MinCLTVExpiryDelta: int64(ask.Blocks),
	}, &t)
	if err != nil {
		return c.made(ctx, ask, hash, err)
	}
	v, err := invoiceOf(&t)
	if err == nil && v.Hash != hash {
		return nil, fmt.Errorf("%w: the wallet ignored the chosen payment hash", wallet.ErrUnsupported)
	}
	return v, err
}

// Settle takes a locked payment. When the wallet says no, its books say whether it was settled already.
func (c *Client) Settle(ctx context.Context, r wallet.Preimage) error {
	err := c.ask(ctx, nip47.SettleHoldInvoice, nip47.Settling{Preimage: r.String()}, &struct{}{})
	if err == nil {
		return nil
	}
	t, asked := c.lookup(ctx, r.Hash())
	switch {
	case asked != nil:
		return worst(err, asked)
	case settled(t):
		return nil
	case over(t):
		return fmt.Errorf("%w: %v", wallet.ErrExpired, err)
	}
	return passing(err)
}

// passing is for what the wallet failed to do by trouble of its own: the same may be asked for again.
func passing(err error) error {
	if no := (*nip47.Error)(nil); errors.As(err, &no) && no.Code == nip47.CodeInternal {
		return fmt.Errorf("%w: %w", wallet.ErrUnavailable, err)
	}
	return err
}

// Cancel gives a locked payment back, or sees to it that none is locked.
func (c *Client) Cancel(ctx context.Context, hash wallet.Hash) error {
	err := c.ask(ctx, nip47.CancelHoldInvoice, nip47.Cancelling{PaymentHash: hash.String()}, &struct{}{})
	if err == nil {
		return nil
	}
	t, asked := c.lookup(ctx, hash)
	switch {
	case asked != nil:
		return worst(err, asked)
	case settled(t):
		return fmt.Errorf("%w: it was settled: %v", wallet.ErrRejected, err)
	case over(t):
		return nil
	}
	return passing(err)
}

// worst is what is said of a method that the books could not confirm: if they are silent, nobody knows.
func worst(err, asked error) error {
	if errors.Is(asked, wallet.ErrNotFound) {
		return asked
	}
	if errors.Is(asked, wallet.ErrUnavailable) {
		return fmt.Errorf("%w: %v", asked, err)
	}
	return err
}

// settled says whether a payment arrived. Not every wallet tells when, nor names the state.
func settled(t *nip47.Transaction) bool { return t.SettledAt > 0 || t.State == nip47.Settled }

// over says whether a transaction can never be settled any more.
func over(t *nip47.Transaction) bool { return t.State == nip47.Failed || t.State == nip47.Expired }
