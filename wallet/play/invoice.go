package play

import (
	"database/sql"
	"errors"

	"infernet/events"
	"infernet/nips/nip47"
	"infernet/wallet"
)

// invoice is one invoice of the service, and its payment.
type invoice struct {
	Hash            wallet.Hash
	Preimage        wallet.Preimage // zero while only the account knows it
	Account         events.PubKey   // who is paid
	Amount          events.Msat
	Bolt11          string
	Description     string
	DescriptionHash string
	Metadata        nip47.Metadata // what the payee wrote beside it
	Created         int64
	Expires         int64

	Hold     int64 // blocks that a payment may be held; 0: it is no hold invoice
	Accepted int64 // when the payment was locked
	Deadline int64 // the block before which it must be settled
	Undone   int64 // when it was cancelled, or lapsed

	Settled int64
	Payer   events.PubKey
	Note    nip47.Metadata // what the payer wrote beside it
}

// transaction is the invoice as one of its two parties sees it, at now.
func (v *invoice) transaction(way string, now int64) nip47.Transaction {
	t := nip47.Transaction{
		Type: way, State: nip47.Pending, Invoice: v.Bolt11, Description: v.Description, DescriptionHash: v.DescriptionHash,
		PaymentHash: v.Hash.String(), Amount: int64(v.Amount), CreatedAt: v.Created, ExpiresAt: v.Expires, SettledAt: v.Settled,
		Metadata: v.Metadata,
	}
	if way == nip47.Outgoing {
		t.CreatedAt, t.Metadata = v.paid(), v.Note
	}
	switch {
	case v.Settled > 0:
		t.State, t.Preimage = nip47.Settled, v.Preimage.String()
	case v.Undone > 0:
		t.State = nip47.Failed
	case v.Accepted > 0 && way == nip47.Incoming: // its payer cannot tell it from a payment under way
		t.State, t.SettleDeadline = nip47.Accepted, v.Deadline
	case v.Accepted == 0 && now >= v.Expires:
		t.State = nip47.Expired
	}
	return t
}

// paid is when the payer paid.
func (v *invoice) paid() int64 {
	if v.Accepted > 0 {
		return v.Accepted
	}
	return v.Settled
}

const columns = "hash, preimage, account, amount, bolt11, description, description_hash, metadata, created, expires, hold, accepted, deadline, undone, settled, payer, note"

const selectInvoice = "select " + columns + " from invoices"

// scan reads an invoice; nil if there is none.
func scan(row interface{ Scan(...any) error }) (*invoice, error) {
	v := &invoice{}
	var hash, preimage string
	err := row.Scan(&hash, &preimage, &v.Account, &v.Amount, &v.Bolt11, &v.Description, &v.DescriptionHash, &v.Metadata, &v.Created, &v.Expires,
		&v.Hold, &v.Accepted, &v.Deadline, &v.Undone, &v.Settled, &v.Payer, &v.Note)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err == nil {
		v.Hash, err = wallet.ParseHash(hash)
	}
	if err == nil && preimage != "" {
		v.Preimage, err = wallet.ParsePreimage(preimage)
	}
	return v, err
}
