package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"rsc.io/qr"

	"infernet/events"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// drawQR draws a QR code with half blocks: light on a dark terminal, two modules in each character, with the margin of four
// modules that cameras need.
func drawQR(to io.Writer, text string) error {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return fmt.Errorf("QR code: %w", err)
	}
	const margin = 4
	var b strings.Builder
	for y := -margin; y < code.Size+margin; y += 2 {
		for x := -margin; x < code.Size+margin; x++ {
			above, below := code.Black(x, y), code.Black(x, y+1) || y+1 >= code.Size+margin
			switch {
			case above && below:
				b.WriteByte(' ')
			case above:
				b.WriteString("▄")
			case below:
				b.WriteString("▀")
			default:
				b.WriteString("█")
			}
		}
		b.WriteByte('\n')
	}
	_, err = io.WriteString(to, b.String())
	return err
}

// qrScheme is the wallet that is no wallet: invoices are shown, and paid from elsewhere.
const qrScheme = "qr:"

// qrPayer shows an invoice and lets anybody pay it, from a phone for instance. It never learns the preimage: what the job
// needs is that its node's own wallet was paid. So nothing that the preimage opens can be bought with it.
type qrPayer struct {
	show func(raw string, v *bolt11.Invoice)
	now  func() time.Time
}

var (
	_ wallet.Wallet = (*qrPayer)(nil)
	_ wallet.Shower = (*qrPayer)(nil)
)

func (a *app) newQRPayer() *qrPayer {
	return &qrPayer{now: time.Now, show: func(raw string, v *bolt11.Invoice) {
		if a.json {
			a.object(a.Err, map[string]any{"bolt11": raw, "amount_msat": v.Amount, "until": v.Expires().Unix()})
			return
		}
		drawQR(a.Err, "LIGHTNING:"+strings.ToUpper(raw)) // capitals make a smaller code
		fmt.Fprintf(a.Err, "lightning:%s\npay %s from any wallet, before %s\n", raw, v.Amount.Human(), v.Expires().Local().Format("15:04:05"))
	}}
}

// Describe says what it is, for people.
func (q *qrPayer) Describe() string { return "whoever pays the shown invoice" }

// Close does nothing.
func (q *qrPayer) Close() error { return nil }

// Pay shows the invoice and waits until it has expired, or nobody waits any more. That it was paid, the job's node says.
func (q *qrPayer) Pay(ctx context.Context, raw string, _ events.Msat) (wallet.Preimage, error) {
	v, err := bolt11.Decode(raw)
	if err != nil {
		return wallet.Preimage{}, fmt.Errorf("%w: %w", wallet.ErrRejected, err)
	}
	if !v.Expired(q.now()) {
		q.show(raw, v)
	}
	select {
	case <-ctx.Done():
		return wallet.Preimage{}, fmt.Errorf("%w: it was shown; whether anybody paid it, only its payee knows", wallet.ErrInFlight)
	case <-time.After(v.Expires().Add(shownFor).Sub(q.now())):
	}
	return wallet.Preimage{}, fmt.Errorf("%w, and its node does not say that anybody paid it", wallet.ErrExpired)
}

// shownFor is how long after its end a payment of the last moment may still be heard of.
const shownFor = 5 * time.Second

// Shows says that this payer only shows.
func (q *qrPayer) Shows() {}

// Sent says that nobody here knows.
func (q *qrPayer) Sent(context.Context, wallet.Hash) (wallet.Payment, error) {
	return wallet.Payment{}, errors.Join(wallet.ErrUnavailable, errors.New("invoices that were shown are paid from elsewhere"))
}
