package provider

import (
	"context"
	"encoding/base64"
	"fmt"

	"infernet/events"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// sealResult sells the result by its key: the content becomes the sealed bytes, and the invoice's preimage opens them.
func (p *Provider) sealResult(ctx context.Context, j *job, m *events.Result) error {
	r, err := p.preimage(j)
	if err != nil {
		return err
	}
	amount, err := j.terms.cost(m.Usage)
	if err != nil {
		return err
	}
	amount = max(min(amount, j.terms.Cap), events.Sat) // no invoice asks for less
	sealed, x, err := events.Seal(events.SealedFor{Job: j.req.ID, Node: p.me, Customer: j.req.Author}, r, []byte(m.Content))
	if err != nil {
		return refuse(events.CodeTooLarge, "%v", err)
	}
	invoice, err := p.sealedInvoice(ctx, j, amount, r)
	if err != nil {
		return err
	}
	m.Content, m.X, m.Encrypted = base64.StdEncoding.EncodeToString(sealed), x, true
	m.Sealed = &events.SealedTags{Sum: events.SealedSum(sealed), PaymentHash: r.Hash().String()}
	asks, err := bolt11.Decode(invoice)
	if err != nil {
		return fmt.Errorf("sealed invoice: %w", err)
	}
	if asks.Amount > j.terms.Cap {
		return fmt.Errorf("sealed invoice: it asks for %s, agreed was up to %s", asks.Amount.Human(), j.terms.Cap.Human())
	}
	m.Amount, m.Bolt11 = &asks.Amount, invoice // of an earlier run, if that made the invoice and died
	return nil
}

// sealedInvoice makes the invoice for the job's preimage, once: a wallet refuses a second one for the same hash.
func (p *Provider) sealedInvoice(ctx context.Context, j *job, amount events.Msat, r wallet.Preimage) (string, error) {
	if kept, ok, err := p.Ledger.Value(j.req.ID, "sealed invoice"); err != nil || ok {
		return string(kept), err
	}
	ask := wallet.InvoiceRequest{Amount: amount, Description: description(j.req.ID), Until: p.Now().Add(p.SealedFor)}
	var invoice *wallet.Invoice
	err := error(refuse(events.CodeUnavailable, "the wallet here cannot sell by a key"))
	if sealer, ok := p.Wallet.(wallet.Sealer); ok {
		err = p.bill(ctx, func() (err error) {
			invoice, err = sealer.SealedInvoice(ctx, ask, r)
			return err
		})
	} else if p.holds {
		err = p.bill(ctx, func() (err error) {
			invoice, err = p.Wallet.(wallet.Holder).HoldInvoice(ctx, ask, r.Hash())
			return err
		})
	}
	if err != nil {
		return "", fmt.Errorf("sealed invoice: %w", err)
	}
	kept, err := p.Ledger.Put(j.req.ID, "sealed invoice", []byte(invoice.Bolt11))
	return string(kept), err
}
