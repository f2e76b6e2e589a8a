package lnd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"infernet/events"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// payment is lnd's view of one.
type payment struct {
	Status   string `json:"status"`
	Preimage string `json:"payment_preimage"`
	Amount   int64  `json:"value_msat,string"`
	Fee      int64  `json:"fee_msat,string"`
	Why      string `json:"failure_reason"`
}

// trying is how long lnd looks for other ways when one fails. What is locked by then stays until it is taken or lapses.
const trying = 60 * time.Second

// maxParts is into how many parts a payment may be split.
const maxParts = 16

// Pay has the node pay. The node keeps by its hash what it has paid or is paying: a second request finds the first.
func (w *Wallet) Pay(ctx context.Context, raw string, maxFee events.Msat) (wallet.Preimage, error) {
	invoice, err := bolt11.Decode(raw)
	if err != nil {
		return wallet.Preimage{}, fmt.Errorf("%w: %w", wallet.ErrRejected, err)
	}
	if invoice.Amount == 0 {
		return wallet.Preimage{}, fmt.Errorf("%w: the invoice names no amount", wallet.ErrRejected)
	}
	p, err := w.last(ctx, http.MethodPost, "/v2/router/send", map[string]any{
		"payment_request": raw, "timeout_seconds": int(trying / time.Second), "fee_limit_msat": fmt.Sprint(int64(maxFee)),
		"no_inflight_updates": true, "max_parts": maxParts,
	})
	if says(err, "payment is in transition", "invoice is already paid", "payment already exists") {
		p, err = w.last(ctx, http.MethodGet, "/v2/router/track/"+inPath(invoice.PaymentHash)+"?no_inflight_updates=true", nil)
	}
	switch {
	case err == nil:
		return p.outcome(invoice)
	case ctx.Err() != nil:
		return wallet.Preimage{}, fmt.Errorf("%w: nobody waits for it any more: %w", wallet.ErrInFlight, context.Cause(ctx))
	case errors.Is(err, wallet.ErrUnavailable):
		return wallet.Preimage{}, err
	}
	return w.unpaid(ctx, invoice, err)
}

// unpaid has the node's books confirm a no: it may be said of one request while another one's payment is under way.
func (w *Wallet) unpaid(ctx context.Context, invoice *bolt11.Invoice, no error) (wallet.Preimage, error) {
	sent, err := w.Sent(ctx, invoice.PaymentHash)
	switch {
	case err == nil && sent.State == wallet.Succeeded:
		return sent.Preimage, nil
	case err == nil && sent.State == wallet.Pending:
		return wallet.Preimage{}, fmt.Errorf("%w: %w", wallet.ErrInFlight, no)
	case err != nil && errors.Is(err, wallet.ErrUnavailable):
		return wallet.Preimage{}, fmt.Errorf("%w: it said %v, and not what became of the payment", wallet.ErrUnavailable, no)
	}
	return wallet.Preimage{}, refused(no, invoice)
}

// last follows a payment until it has an end.
func (w *Wallet) last(ctx context.Context, method, path string, params any) (*payment, error) {
	next, end, err := w.stream(ctx, method, path, params)
	if err != nil {
		return nil, err
	}
	defer end()
	for {
		p := &payment{}
		switch err := next(p); {
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("%w: %s says no more of the payment", wallet.ErrUnavailable, w.Describe())
		case err != nil:
			return nil, err
		case p.Status == "SUCCEEDED" || p.Status == "FAILED":
			return p, nil
		}
	}
}

// outcome is how a payment ended.
func (p *payment) outcome(invoice *bolt11.Invoice) (wallet.Preimage, error) {
	if p.Status == "SUCCEEDED" {
		r, err := wallet.ParsePreimage(p.Preimage)
		if err != nil || r.Hash() != invoice.PaymentHash {
			return r, fmt.Errorf("%w: the node's preimage does not fit the invoice", wallet.ErrUnavailable)
		}
		return r, nil
	}
	why := wallet.ErrRejected
	switch {
	case p.Why == "FAILURE_REASON_INSUFFICIENT_BALANCE":
		why = wallet.ErrInsufficient
	case invoice.Expired(time.Now()):
		why = wallet.ErrExpired
	}
	return wallet.Preimage{}, fmt.Errorf("%w: %s", why, p.reason())
}

// reason says in people's words why a payment failed; all money is back then.
func (p *payment) reason() string {
	switch p.Why {
	case "FAILURE_REASON_NO_ROUTE":
		return "no way leads to the payee for this amount and fee; a channel to a well connected node makes one, or a larger --max-fee"
	case "FAILURE_REASON_TIMEOUT":
		return fmt.Sprintf("no way to the payee was found in %s; try again later", trying)
	case "FAILURE_REASON_INCORRECT_PAYMENT_DETAILS":
		return "the payee does not take it: its invoice is cancelled, expired or paid already"
	case "FAILURE_REASON_INSUFFICIENT_BALANCE":
		return "the node's side of its channels is too small for it"
	case "FAILURE_REASON_CANCELED":
		return "it was cancelled at the node"
	}
	return "lnd says " + p.Why
}

// refused is the meaning of a no before anything was sent.
func refused(err error, invoice *bolt11.Invoice) error {
	switch {
	case says(err, "invoice expired"), invoice.Expired(time.Now()):
		return fmt.Errorf("%w: %w", wallet.ErrExpired, err)
	case says(err, "insufficient"):
		return fmt.Errorf("%w: %w", wallet.ErrInsufficient, err)
	}
	return fmt.Errorf("%w: %w", wallet.ErrRejected, err)
}

// Sent says what became of a payment, from the node's books.
func (w *Wallet) Sent(ctx context.Context, hash wallet.Hash) (wallet.Payment, error) {
	sent := wallet.Payment{Hash: hash}
	ctx, cancel := context.WithTimeout(ctx, askIn)
	defer cancel()
	next, end, err := w.stream(ctx, http.MethodGet, "/v2/router/track/"+inPath(hash), nil)
	if err == nil {
		defer end()
		p := &payment{}
		if err = next(p); err == nil {
			return p.sent(hash)
		}
	}
	switch {
	case says(err, "payment isn't initiated"):
		err = wallet.ErrNotFound
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("%w: %s says nothing of it", wallet.ErrUnavailable, w.Describe())
	}
	return sent, err
}

func (p *payment) sent(hash wallet.Hash) (wallet.Payment, error) {
	sent := wallet.Payment{Hash: hash, State: wallet.Pending, Amount: events.Msat(p.Amount), Fee: events.Msat(p.Fee)}
	switch p.Status {
	case "FAILED":
		sent.State = wallet.Failed
	case "SUCCEEDED":
		sent.State = wallet.Succeeded
		var err error
		if sent.Preimage, err = wallet.ParsePreimage(p.Preimage); err != nil || sent.Preimage.Hash() != hash {
			return sent, fmt.Errorf("%w: the node's preimage does not fit", wallet.ErrUnavailable)
		}
	}
	return sent, nil
}
