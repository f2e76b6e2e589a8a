//go:build cgo

package breez

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	sdk "github.com/breez/breez-sdk-go/breez_sdk"

	"infernet/events"
	"infernet/internal/durable"
	"infernet/wallet"
)

// book remembers which invoices were made here, and until when they can be paid: the SDK tells of paid ones only.
type book struct{ *durable.DB }

func openBook(path string) (*book, error) {
	db, err := durable.Open(path, durable.Schema{Version: 1, Tables: `
create table invoices (hash text primary key, amount integer not null, until integer not null) without rowid;`})
	if err != nil {
		return nil, fmt.Errorf("breez: book %s: %w", path, err)
	}
	return &book{db}, nil
}

// Invoice makes an invoice.
func (w *Wallet) Invoice(_ context.Context, ask wallet.InvoiceRequest) (*wallet.Invoice, error) {
	return w.invoice(ask, nil)
}

// SealedInvoice makes an invoice for a preimage.
func (w *Wallet) SealedInvoice(_ context.Context, ask wallet.InvoiceRequest, r wallet.Preimage) (*wallet.Invoice, error) {
	made, err := w.invoice(ask, &r)
	if err == nil && made.Hash != r.Hash() {
		err = fmt.Errorf("%w: breez: it ignored the chosen preimage", wallet.ErrUnsupported)
	}
	return made, err
}

func (w *Wallet) invoice(ask wallet.InvoiceRequest, r *wallet.Preimage) (*wallet.Invoice, error) {
	if ask.Amount < events.Sat || ask.Amount%events.Sat != 0 {
		return nil, fmt.Errorf("breez: an invoice of %s: a whole number of satoshi, at least one", ask.Amount.Human())
	}
	life := ask.Until.Sub(w.now())
	if life < time.Second {
		return nil, fmt.Errorf("%w: breez: the invoice would have expired at once", wallet.ErrExpired)
	}
	seconds := uint32(min(life/time.Second, 1<<31))
	req := sdk.ReceivePaymentRequest{AmountMsat: uint64(ask.Amount), Description: ask.Description, Expiry: &seconds}
	if r != nil {
		key := append([]byte{}, r[:]...)
		req.Preimage = &key
	}
	made, err := w.sdk.ReceivePayment(req)
	if err != nil {
		return nil, away(err)
	}
	if fee := made.OpeningFeeMsat; fee != nil && *fee > 0 { // what arrives would be less than the invoice asks for
		return nil, fmt.Errorf("breez: a channel would have to be opened for it, which costs %s of what is paid; receive that much once with another program of Breez's first", events.Msat(*fee).Human())
	}
	hash, err := hashOf(made.LnInvoice.PaymentHash)
	if err != nil {
		return nil, err
	}
	v := &wallet.Invoice{
		Bolt11: made.LnInvoice.Bolt11, Hash: hash, Amount: ask.Amount,
		Until: time.Unix(int64(made.LnInvoice.Timestamp+made.LnInvoice.Expiry), 0),
	}
	_, err = w.book.Exec("insert or ignore into invoices (hash, amount, until) values (?, ?, ?)", hash.String(), int64(v.Amount), v.Until.Unix())
	return v, err
}

// Await waits until an invoice of this wallet is paid.
func (w *Wallet) Await(ctx context.Context, hash wallet.Hash) (wallet.Settlement, error) {
	var until int64
	err := w.book.QueryRow("select until from invoices where hash = ?", hash.String()).Scan(&until)
	if errors.Is(err, sql.ErrNoRows) {
		return wallet.Settlement{}, wallet.ErrNotFound
	}
	if err != nil {
		return wallet.Settlement{}, err
	}
	for {
		over := w.now().Unix() > until // before the books are asked: what came in time is there then
		p, err := w.sdk.PaymentByHash(hash.String())
		switch {
		case err != nil:
			w.log.Warn("the SDK does not say whether an invoice was paid, asks again", "err", err)
		case p != nil && p.PaymentType == sdk.PaymentTypeReceived && p.Status == sdk.PaymentStatusComplete:
			return wallet.Settlement{Hash: hash, Amount: events.Msat(p.AmountMsat), At: time.Unix(p.PaymentTime, 0)}, nil
		case over && (p == nil || p.Status == sdk.PaymentStatusFailed):
			return wallet.Settlement{}, wallet.ErrExpired
		}
		if err := w.pause(ctx); err != nil {
			return wallet.Settlement{}, err
		}
	}
}

// pageOf is how many payments are asked for at once.
const pageOf = 100

// Entries lists what came or went.
func (w *Wallet) Entries(ctx context.Context, way wallet.Way, since time.Time) (all []wallet.Entry, err error) {
	filter, failed, limit := []sdk.PaymentTypeFilter{sdk.PaymentTypeFilterReceived}, true, uint32(pageOf)
	if way == wallet.Out {
		filter[0] = sdk.PaymentTypeFilterSent
	}
	req := sdk.ListPaymentsRequest{Filters: &filter, IncludeFailures: &failed, Limit: &limit}
	if !since.IsZero() {
		from := since.Unix()
		req.FromTimestamp = &from
	}
	for offset := uint32(0); ctx.Err() == nil; offset += limit {
		req.Offset = &offset
		page, err := w.sdk.ListPayments(req)
		if err != nil {
			return nil, away(err)
		}
		for _, p := range page {
			if e, ok := entry(p); ok {
				all = append(all, e)
			}
		}
		if len(page) < pageOf {
			return all, nil
		}
	}
	return nil, context.Cause(ctx)
}

// entry is a payment as books have it; ok is false for what is no Lightning payment.
func entry(p sdk.Payment) (e wallet.Entry, ok bool) {
	ln, ok := p.Details.(sdk.PaymentDetailsLn)
	if !ok {
		return e, false
	}
	if e.Hash, _ = hashOf(ln.Data.PaymentHash); e.Hash == (wallet.Hash{}) {
		return e, false
	}
	e.State, e.Amount, e.Fee, e.At = state(p.Status), events.Msat(p.AmountMsat), events.Msat(p.FeeMsat), time.Unix(p.PaymentTime, 0)
	e.Preimage, _ = wallet.ParsePreimage(ln.Data.PaymentPreimage)
	if p.Description != nil {
		e.Description = *p.Description
	}
	return e, true
}

func state(s sdk.PaymentStatus) wallet.PaymentState {
	switch s {
	case sdk.PaymentStatusComplete:
		return wallet.Succeeded
	case sdk.PaymentStatusFailed:
		return wallet.Failed
	}
	return wallet.Pending
}
