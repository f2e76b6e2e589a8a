//go:build cgo

package breez

import (
	"context"
	"errors"
	"fmt"
	"sync"

	sdk "github.com/breez/breez-sdk-go/breez_sdk"

	"infernet/events"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// Pay pays an invoice, once: what the SDK's books know is not sent again. The SDK bounds fees for all payments alike, so maxFee
// has to allow them.
func (w *Wallet) Pay(ctx context.Context, raw string, maxFee events.Msat) (none wallet.Preimage, err error) {
	b, err := bolt11.Decode(raw)
	switch {
	case err != nil:
		return none, fmt.Errorf("%w: %w", wallet.ErrRejected, err)
	case b.Amount == 0:
		return none, fmt.Errorf("%w: the invoice names no amount", wallet.ErrRejected)
	case maxFee < max(b.Amount/100, feeExempt):
		return none, fmt.Errorf("%w: the way may cost %s, and Breez's fees are bounded by 1 %%, at least %s, only", wallet.ErrRejected, maxFee.Human(), feeExempt.Human())
	}
	defer w.alone(b.PaymentHash)()
	for sent := false; ; {
		p, err := w.sdk.PaymentByHash(b.PaymentHash.String())
		if err != nil {
			return none, away(err)
		}
		switch {
		case p != nil && p.PaymentType != sdk.PaymentTypeSent:
			return none, fmt.Errorf("%w: it is an invoice of this very wallet", wallet.ErrRejected)
		case p != nil && p.Status == sdk.PaymentStatusComplete:
			return preimage(p, b.PaymentHash)
		case p != nil && p.Status == sdk.PaymentStatusPending:
			if err := w.pause(ctx); err != nil {
				return none, fmt.Errorf("%w: %w", wallet.ErrInFlight, err)
			}
			continue
		case sent:
			return none, fmt.Errorf("%w: it was sent, and the books do not show it", wallet.ErrUnavailable)
		case b.Expired(w.now()):
			return none, wallet.ErrExpired
		}
		if info, err := w.sdk.NodeInfo(); err == nil && events.Msat(info.MaxPayableMsat) < b.Amount {
			return none, fmt.Errorf("%w: it can pay %s now", wallet.ErrInsufficient, events.Msat(info.MaxPayableMsat).Human())
		}
		if _, err := w.sdk.SendPayment(sdk.SendPaymentRequest{Bolt11: raw}); err != nil {
			if err = w.refused(b, err); err != nil {
				return none, err
			}
		}
		sent = true
	}
}

// alone lets one caller at a time pay an invoice, until it says done.
func (w *Wallet) alone(hash wallet.Hash) (done func()) {
	w.mu.Lock()
	one := w.paying[hash]
	if one == nil {
		one = &sync.Mutex{}
		w.paying[hash] = one
	}
	w.mu.Unlock()
	one.Lock()
	return one.Unlock
}

// refused is what an error of the SDK means; nil if its books have to say. Only what is sure to have sent nothing, and what the
// books do not know or call failed, is a failure for good.
func (w *Wallet) refused(b *bolt11.Invoice, err error) error {
	var sure error
	switch {
	case errors.Is(err, sdk.ErrSendPaymentErrorAlreadyPaid):
		return nil
	case errors.Is(err, sdk.ErrSendPaymentErrorInvoiceExpired):
		sure = wallet.ErrExpired
	case errors.Is(err, sdk.ErrSendPaymentErrorRouteNotFound), errors.Is(err, sdk.ErrSendPaymentErrorRouteTooExpensive),
		errors.Is(err, sdk.ErrSendPaymentErrorPaymentFailed), errors.Is(err, sdk.ErrSendPaymentErrorInvalidAmount),
		errors.Is(err, sdk.ErrSendPaymentErrorInvalidInvoice), errors.Is(err, sdk.ErrSendPaymentErrorInvalidNetwork):
		sure = wallet.ErrRejected
	default: // a timeout, no connection, or anything else
		return fmt.Errorf("%w: breez: %w", wallet.ErrUnavailable, err)
	}
	p, asked := w.sdk.PaymentByHash(b.PaymentHash.String())
	switch {
	case asked != nil:
		return fmt.Errorf("%w: breez said %v, and not what became of the payment", wallet.ErrUnavailable, err)
	case p != nil && p.Status != sdk.PaymentStatusFailed:
		return nil
	}
	return fmt.Errorf("%w: breez: %w", sure, err)
}

func preimage(p *sdk.Payment, hash wallet.Hash) (r wallet.Preimage, err error) {
	if ln, ok := p.Details.(sdk.PaymentDetailsLn); ok {
		r, err = wallet.ParsePreimage(ln.Data.PaymentPreimage)
	}
	if err != nil || r.Hash() != hash {
		return r, fmt.Errorf("%w: breez: its preimage does not fit the invoice", wallet.ErrUnavailable)
	}
	return r, nil
}

// Sent says what became of a payment, by the SDK's books.
func (w *Wallet) Sent(_ context.Context, hash wallet.Hash) (wallet.Payment, error) {
	p, err := w.sdk.PaymentByHash(hash.String())
	switch {
	case err != nil:
		return wallet.Payment{}, away(err)
	case p == nil || p.PaymentType != sdk.PaymentTypeSent:
		return wallet.Payment{}, wallet.ErrNotFound
	}
	out := wallet.Payment{Hash: hash, State: state(p.Status), Amount: events.Msat(p.AmountMsat), Fee: events.Msat(p.FeeMsat)}
	if out.State == wallet.Succeeded {
		out.Preimage, err = preimage(p, hash)
	}
	return out, err
}
