package provider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"infernet/events"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// invoiceFor is how long a customer has to pay, if the deadline allows.
const invoiceFor = 2 * time.Minute

// prepaid asks for payment and waits until this node's own wallet says that it came. Nothing else starts work.
func (p *Provider) prepaid(ctx context.Context, j *job) (wallet.Settlement, error) {
	var none wallet.Settlement
	hash, err := p.ask(ctx, j)
	if err != nil {
		return none, err
	}
	paid, err := p.Wallet.Await(ctx, hash)
	switch {
	case errors.Is(err, wallet.ErrExpired):
		return none, errUnpaid
	case err == nil && paid.Held:
		return none, errors.New("the wallet says that an invoice of its own is held")
	}
	return paid, err
}

// ask publishes the job's invoice: one for each job, sent again unchanged.
func (p *Provider) ask(ctx context.Context, j *job) (wallet.Hash, error) {
	if asked := j.asked(); asked != nil {
		invoice, err := bolt11.Decode(asked.bolt11)
		if err != nil {
			return wallet.Hash{}, fmt.Errorf("journal: invoice: %w", err)
		}
		return invoice.PaymentHash, p.again(ctx, j, asked.id)
	}
	until := min(events.At(p.Now().Add(invoiceFor)), j.req.Deadline-events.Unix(p.eta()/time.Second))
	ask := wallet.InvoiceRequest{Amount: j.terms.Amount, Description: description(j.req.ID), Until: until.Time()}
	var invoice *wallet.Invoice
	err := p.bill(ctx, func() (err error) {
		if j.terms.Pay == events.PayHold {
			invoice, err = p.holdInvoice(ctx, j, ask)
		} else {
			invoice, err = p.Wallet.Invoice(ctx, ask)
		}
		return err
	})
	if err != nil {
		return wallet.Hash{}, refuse(events.CodeUnavailable, "no invoice: %v", err)
	}
	if !j.req.Profile { // to a plain client, a price with an invoice is the offer, and paying it the award
		j.offer = &events.Offer{
			Head: p.head(j), Job: j.req.ID, To: j.req.Author, Plain: true, Amount: invoice.Amount, Cap: invoice.Amount,
			Bolt11: invoice.Bolt11, Text: "This job costs " + invoice.Amount.Human() + ".", Encrypted: j.req.Encrypted,
		}
		return invoice.Hash, p.say(ctx, j, j.offer, false)
	}
	j.invoice = &events.Invoice{
		Head: p.head(j), Job: j.req.ID, To: j.req.Author, Amount: invoice.Amount, Bolt11: invoice.Bolt11,
		Pay: j.terms.Pay, Until: events.At(invoice.Until), Encrypted: j.req.Encrypted,
	}
	return invoice.Hash, p.say(ctx, j, j.invoice, false)
}

// billIn is how long a wallet that is away is waited for, before the customer is told that it gives no invoice.
const billIn = 20 * time.Second

// bill has the wallet make an invoice, again while it does not answer: one whose answer was lost is paid by nobody.
func (p *Provider) bill(ctx context.Context, invoice func() error) (err error) {
	bounded, cancel := context.WithTimeout(ctx, billIn)
	defer cancel()
	p.insist(bounded, func() error {
		err = invoice()
		return err
	})
	return err
}

type asked struct {
	id     events.ID
	bolt11 string
}

// asked is the invoice of an earlier run; nil if there is none.
func (j *job) asked() *asked {
	switch {
	case j.invoice != nil:
		return &asked{j.invoice.ID, j.invoice.Bolt11}
	case j.offer != nil && j.offer.Bolt11 != "":
		return &asked{j.offer.ID, j.offer.Bolt11}
	}
	return nil
}

// description binds an invoice to its job: one that was resold shows.
func description(job events.ID) string { return "infernet " + string(job) }

// preimage is the key that a sealed result is sold by: drawn once for each job.
func (p *Provider) preimage(j *job) (wallet.Preimage, error) {
	fresh := wallet.NewPreimage()
	kept, err := p.Ledger.Put(j.req.ID, "preimage", fresh[:])
	if err != nil {
		return fresh, fmt.Errorf("journal: %w", err)
	}
	return wallet.Preimage(kept), nil
}
