package lnd

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"infernet/events"
	"infernet/wallet"
)

// invoice is lnd's view of one; unset fields stand for zero.
type invoice struct {
	Memo     string `json:"memo"`
	Bolt11   string `json:"payment_request"`
	Amount   int64  `json:"value_msat,string"`
	Paid     int64  `json:"amt_paid_msat,string"`
	Created  int64  `json:"creation_date,string"`
	Settled  int64  `json:"settle_date,string"`
	Expiry   int64  `json:"expiry,string"`
	State    string `json:"state"`
	Preimage []byte `json:"r_preimage"`
	HTLCs    []struct {
		State        string `json:"state"`
		ExpiryHeight int64  `json:"expiry_height"`
	} `json:"htlcs"`
}

// States of invoices.
const (
	stateOpen     = "OPEN"
	stateAccepted = "ACCEPTED"
	stateSettled  = "SETTLED"
	stateCanceled = "CANCELED"
)

// Texts of errors, which have no codes of their own.
const (
	saysNoInvoice  = "unable to locate invoice"
	saysNoInvoices = "there are no existing invoices"
	saysDuplicate  = "invoice with payment hash already exists"
)

// notFound gives both of lnd's ways to say that an invoice is not its own one meaning.
func notFound(err error) error {
	if says(err, saysNoInvoice, saysNoInvoices) {
		return fmt.Errorf("%w: %w", wallet.ErrNotFound, err)
	}
	return err
}

// adding are the params of both ways to make an invoice.
type adding struct {
	Memo     string `json:"memo"`
	Amount   int64  `json:"value_msat,string"`
	Expiry   int64  `json:"expiry,string"`
	Blocks   int    `json:"cltv_expiry,string,omitempty"`
	Private  bool   `json:"private,omitempty"`
	Hash     string `json:"hash,omitempty"`       // of a hold invoice
	Preimage string `json:"r_preimage,omitempty"` // chosen
}

func (w *Wallet) adding(ask wallet.InvoiceRequest) adding {
	life := max(1, int64(time.Until(ask.Until).Round(time.Second)/time.Second))
	return adding{Memo: ask.Description, Amount: int64(ask.Amount), Expiry: life, Blocks: ask.Blocks, Private: w.private}
}

// Invoice makes an invoice.
func (w *Wallet) Invoice(ctx context.Context, ask wallet.InvoiceRequest) (*wallet.Invoice, error) {
	return w.make(ctx, ask, wallet.NewPreimage())
}

// SealedInvoice makes an invoice for a preimage that the caller chose; asked again for the same, it gives the same invoice.
func (w *Wallet) SealedInvoice(ctx context.Context, ask wallet.InvoiceRequest, r wallet.Preimage) (*wallet.Invoice, error) {
	return w.make(ctx, ask, r)
}

func (w *Wallet) make(ctx context.Context, ask wallet.InvoiceRequest, r wallet.Preimage) (*wallet.Invoice, error) {
	params := w.adding(ask)
	params.Preimage = b64(r[:])
	return w.add(ctx, "/v1/invoices", params, r.Hash())
}

// add makes an invoice for a hash. If it is there already, from a request whose answer was lost, it is given again.
func (w *Wallet) add(ctx context.Context, path string, params adding, hash wallet.Hash) (*wallet.Invoice, error) {
	err := w.post(ctx, path, params, &struct{}{})
	if err != nil && !says(err, saysDuplicate) {
		return nil, err
	}
	v, found := w.lookup(ctx, hash)
	if found != nil {
		return nil, found
	}
	if err != nil && v.Memo != params.Memo {
		return nil, err // made for something else
	}
	return &wallet.Invoice{
		Bolt11: v.Bolt11, Hash: hash, Amount: events.Msat(v.Amount), Until: time.Unix(v.Created+v.Expiry, 0),
	}, nil
}

// lookup asks the node's books for an invoice of its own.
func (w *Wallet) lookup(ctx context.Context, hash wallet.Hash) (*invoice, error) {
	v := &invoice{}
	return v, notFound(w.get(ctx, "/v1/invoice/"+hex.EncodeToString(hash[:]), v))
}

// Await listens to the invoice's own stream, whose first word is how it stands. A node that is away is asked again.
func (w *Wallet) Await(ctx context.Context, hash wallet.Hash) (wallet.Settlement, error) {
	for again := againMin; ; again = min(2*again, againMax) {
		s, err := w.await(ctx, hash)
		if !errors.Is(err, wallet.ErrUnavailable) {
			return s, err
		}
		select {
		case <-ctx.Done():
			return s, context.Cause(ctx)
		case <-w.life.Done():
			return s, fmt.Errorf("%w: it was closed", wallet.ErrUnavailable)
		case <-time.After(again):
			w.log.Debug("the node is away, listens again", "err", err)
		}
	}
}

// How long to wait before a node that is away is asked again.
const (
	againMin = 100 * time.Millisecond
	againMax = 5 * time.Second
)

func (w *Wallet) await(ctx context.Context, hash wallet.Hash) (wallet.Settlement, error) {
	if _, err := w.lookup(ctx, hash); err != nil { // of an unknown one the stream would say nothing, for ever
		return wallet.Settlement{}, err
	}
	next, end, err := w.stream(ctx, http.MethodGet, "/v2/invoices/subscribe/"+inPath(hash), nil)
	if err != nil {
		return wallet.Settlement{}, notFound(err)
	}
	defer end()
	for {
		var v invoice
		err := next(&v)
		switch {
		case errors.Is(err, io.EOF):
			return wallet.Settlement{}, fmt.Errorf("%w: %s says no more", wallet.ErrUnavailable, w.Describe())
		case err != nil:
			return wallet.Settlement{}, notFound(err)
		}
		switch v.State {
		case stateSettled:
			return wallet.Settlement{Hash: hash, Amount: events.Msat(v.Paid), At: time.Unix(v.Settled, 0)}, nil
		case stateAccepted:
			return w.held(ctx, hash, &v)
		case stateCanceled:
			return wallet.Settlement{}, wallet.ErrExpired
		}
	}
}

// Preimage is the preimage of an invoice of its own that is paid. Errors: ErrNotFound, ErrRejected if it is not paid.
func (w *Wallet) Preimage(ctx context.Context, hash wallet.Hash) (wallet.Preimage, error) {
	v, err := w.lookup(ctx, hash)
	if err != nil {
		return wallet.Preimage{}, err
	}
	if v.State != stateSettled || len(v.Preimage) != 32 || wallet.Preimage(v.Preimage).Hash() != hash {
		return wallet.Preimage{}, fmt.Errorf("%w: it is not paid", wallet.ErrRejected)
	}
	return wallet.Preimage(v.Preimage), nil
}
