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

// makeInvoice makes a signed invoice for an account, with the caller's preimage or a fresh one.
func (s *Service) makeInvoice(id events.ID, client events.PubKey, raw json.RawMessage) (any, error) {
	var p nip47.Invoicing
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, other("params: %v", err)
	}
	if p.Amount <= 0 || events.Msat(p.Amount) > events.MaxMsat {
		return nil, other("amount %d is not 1 to %d msat", p.Amount, int64(events.MaxMsat))
	}
	preimage := wallet.NewPreimage()
	if p.Preimage != "" {
		var err error
		if preimage, err = wallet.ParsePreimage(p.Preimage); err != nil {
			return nil, other("preimage: %v", err)
		}
	}
	expiry := time.Duration(p.Expiry) * time.Second
	if p.Expiry <= 0 || p.Expiry > 365*24*3600 {
		expiry = bolt11.DefaultExpiry
	}
	secret := [32]byte(wallet.NewPreimage())
	now := s.Now().Truncate(time.Second)
	b := bolt11.Invoice{
		Network: bolt11.Regtest, Amount: events.Msat(p.Amount), Timestamp: now, PaymentHash: preimage.Hash(), PaymentSecret: &secret,
		Description: p.Description, Expiry: expiry,
	}
	if p.DescriptionHash != "" {
		hash, err := wallet.ParseHash(p.DescriptionHash)
		if err != nil {
			return nil, other("description_hash: %v", err)
		}
		b.DescriptionHash = (*[32]byte)(&hash)
	}
	text, err := b.Encode(s.node)
	if err != nil {
		return nil, other("%v", err)
	}
	v := &invoice{
		Hash: preimage.Hash(), Preimage: preimage, Account: client, Amount: b.Amount, Bolt11: text, Description: p.Description,
		Created: now.Unix(), Expires: now.Add(expiry).Unix(),
	}
	stored, err := s.book.add(id, v)
	if err != nil {
		return nil, err
	}
	return stored.transaction("incoming"), nil
}

// payInvoice pays one of the service's own invoices. Paying it again, by the same account, gives the same preimage and
// moves nothing.
func (s *Service) payInvoice(id events.ID, client events.PubKey, raw json.RawMessage) (any, *invoice, error) {
	var p nip47.Paying
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, nil, other("params: %v", err)
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
	v, first, err := s.book.pay(id, client, b.PaymentHash, p.Invoice, s.Opening, s.Now().Unix())
	if err != nil {
		return nil, nil, err
	}
	if !first {
		return nip47.Paid{Preimage: v.Preimage.String()}, nil, nil
	}
	return nip47.Paid{Preimage: v.Preimage.String()}, v, nil
}

// lookupInvoice shows an account its own invoice, or one that it has paid.
func (s *Service) lookupInvoice(client events.PubKey, raw json.RawMessage) (any, error) {
	var p nip47.Looking
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, other("params: %v", err)
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
		return v.transaction("outgoing"), nil
	case v != nil && v.Account == client:
		return v.transaction("incoming"), nil
	}
	return nil, &nip47.Error{Code: nip47.CodeNotFound, Message: "no invoice of yours and no payment of yours has this hash"}
}
