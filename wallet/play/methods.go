package play

import (
	"encoding/json"
	"fmt"
	"time"

	"infernet/events"
	"infernet/nips/nip47"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

func other(format string, args ...any) error {
	return &nip47.Error{Code: nip47.CodeOther, Message: fmt.Sprintf(format, args...)}
}

func failed(format string, args ...any) error {
	return &nip47.Error{Code: nip47.CodePaymentFailed, Message: fmt.Sprintf(format, args...)}
}

// read reads a method's params; none are as good as empty ones.
func read(raw json.RawMessage, to any) error {
	if len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, to); err != nil {
		return other("params: %v", err)
	}
	return nil
}

// makeInvoice makes a signed invoice for an account, with the caller's preimage or a fresh one.
func (s *Service) makeInvoice(id events.ID, client events.PubKey, raw json.RawMessage) (any, error) {
	var p nip47.Invoicing
	if err := read(raw, &p); err != nil {
		return nil, err
	}
	preimage := wallet.NewPreimage()
	if p.Preimage != "" {
		var err error
		if preimage, err = wallet.ParsePreimage(p.Preimage); err != nil {
			return nil, other("preimage: %v", err)
		}
	}
	return s.invoice(id, &invoice{
		Hash: preimage.Hash(), Preimage: preimage, Account: client, Amount: events.Msat(p.Amount), Description: p.Description,
		DescriptionHash: p.DescriptionHash, Metadata: p.Metadata,
	}, p.Expiry)
}

// invoice signs an invoice and writes it down. expiry is in seconds; an hour if it is none.
func (s *Service) invoice(id events.ID, v *invoice, expiry int64) (any, error) {
	if v.Amount <= 0 || v.Amount > events.MaxMsat {
		return nil, other("amount %d is not 1 to %d msat", int64(v.Amount), int64(events.MaxMsat))
	}
	life := time.Duration(expiry) * time.Second
	if expiry <= 0 || expiry > 365*24*3600 {
		life = bolt11.DefaultExpiry
	}
	if len(v.Metadata) > nip47.MaxMetadata {
		v.Metadata = ""
	}
	secret := [32]byte(wallet.NewPreimage())
	now := s.Now().Truncate(time.Second)
	b := bolt11.Invoice{
		Network: bolt11.Regtest, Amount: v.Amount, Timestamp: now, PaymentHash: v.Hash, PaymentSecret: &secret,
		Description: v.Description, Expiry: life, MinFinalCLTV: uint64(v.Hold),
	}
	if v.DescriptionHash != "" {
		hash, err := wallet.ParseHash(v.DescriptionHash)
		if err != nil {
			return nil, other("description_hash: %v", err)
		}
		b.DescriptionHash = (*[32]byte)(&hash)
	}
	var err error
	if v.Bolt11, err = b.Encode(s.node); err != nil {
		return nil, other("%v", err)
	}
	v.Created, v.Expires = now.Unix(), now.Add(life).Unix()
	stored, err := s.book.add(id, v)
	if err != nil {
		return nil, err
	}
	return stored.transaction(nip47.Incoming, now.Unix()), nil
}

// payInvoice pays one of the service's own invoices. Paying it again, by the same account, gives the same preimage and
// moves nothing. The payment of a hold invoice is answered later.
func (s *Service) payInvoice(id events.ID, client events.PubKey, raw json.RawMessage) (any, *invoice, error) {
	var p nip47.Paying
	if err := read(raw, &p); err != nil {
		return nil, nil, err
	}
	b, err := bolt11.Decode(p.Invoice)
	if err != nil {
		return nil, nil, failed("%v", err)
	}
	if b.Payee != s.Payee() {
		return nil, nil, failed("play money pays only invoices of this play-money service, this one is of %x", b.Payee)
	}
	if p.Amount != 0 && events.Msat(p.Amount) != b.Amount {
		return nil, nil, failed("the invoice asks for %d msat, not %d", b.Amount, p.Amount)
	}
	if len(p.Metadata) > nip47.MaxMetadata {
		p.Metadata = ""
	}
	v, first, err := s.book.pay(payment{
		request: id, payer: client, hash: b.PaymentHash, text: p.Invoice, note: p.Metadata, opening: s.Opening, now: s.Now().Unix(), height: s.Height(),
	})
	if err != nil {
		return nil, nil, err
	}
	if !first {
		return answerTo(v), nil, nil
	}
	return answerTo(v), v, nil
}

// later stands for the answer to a payment that is locked: it comes when its payee settles or cancels.
type later wallet.Hash

func answerTo(v *invoice) any {
	if v.Settled == 0 {
		return later(v.Hash)
	}
	return nip47.Paid{Preimage: v.Preimage.String()}
}

// lookupInvoice shows an account its own invoice, or one that it has paid.
func (s *Service) lookupInvoice(client events.PubKey, raw json.RawMessage) (any, error) {
	var p nip47.Looking
	if err := read(raw, &p); err != nil {
		return nil, err
	}
	hash, err := wallet.ParseHash(p.PaymentHash)
	if p.PaymentHash == "" {
		var b *bolt11.Invoice
		if b, err = bolt11.Decode(p.Invoice); err == nil {
			hash = b.PaymentHash
		}
	}
	if err != nil {
		return nil, other("%v", err)
	}
	v, err := s.book.find(hash)
	if err != nil {
		return nil, err
	}
	switch {
	case v != nil && v.Payer == client:
		return v.transaction(nip47.Outgoing, s.Now().Unix()), nil
	case v != nil && v.Account == client:
		return v.transaction(nip47.Incoming, s.Now().Unix()), nil
	}
	return nil, &nip47.Error{Code: nip47.CodeNotFound, Message: "no invoice of yours and no payment of yours has this hash"}
}
