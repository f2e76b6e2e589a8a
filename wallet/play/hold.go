package play

import (
	"encoding/json"

	"infernet/events"
	"infernet/nips/nip47"
	"infernet/wallet"
)

// Bounds of how many blocks a payment may be held.
const (
	defaultHold = 40
	maxHold     = 2016 // two weeks of Bitcoin's
)

// makeHoldInvoice makes an invoice for a payment hash whose preimage the account keeps.
func (s *Service) makeHoldInvoice(id events.ID, client events.PubKey, raw json.RawMessage) (any, error) {
	var p nip47.Holding
	if err := read(raw, &p); err != nil {
		return nil, err
	}
	hash, err := wallet.ParseHash(p.PaymentHash)
	if err != nil {
		return nil, other("payment_hash: %v", err)
	}
	if p.MinCLTVExpiryDelta == 0 {
		p.MinCLTVExpiryDelta = defaultHold
	}
	if p.MinCLTVExpiryDelta < 1 || p.MinCLTVExpiryDelta > maxHold {
		return nil, other("min_cltv_expiry_delta %d is not 1 to %d blocks", p.MinCLTVExpiryDelta, maxHold)
	}
	return s.invoice(id, &invoice{
		Hash: hash, Account: client, Amount: events.Msat(p.Amount), Description: p.Description, DescriptionHash: p.DescriptionHash,
		Metadata: p.Metadata, Hold: p.MinCLTVExpiryDelta,
	}, p.Expiry)
}

// nothing is the result of methods that have none to give.
type nothing struct{}

// settleHoldInvoice takes a locked payment with its preimage.
func (s *Service) settleHoldInvoice(id events.ID, client events.PubKey, raw json.RawMessage) (any, *invoice, error) {
	var p nip47.Settling
	if err := read(raw, &p); err != nil {
		return nil, nil, err
	}
	r, err := wallet.ParsePreimage(p.Preimage)
	if err != nil {
		return nil, nil, other("preimage: %v", err)
	}
	v, first, err := s.book.settle(id, client, r, s.Now().Unix(), s.Height())
	if err != nil || !first {
		return nothing{}, nil, err
	}
	return nothing{}, v, nil
}

// cancelHoldInvoice gives a locked payment back.
func (s *Service) cancelHoldInvoice(id events.ID, client events.PubKey, raw json.RawMessage) (any, *invoice, error) {
	var p nip47.Cancelling
	if err := read(raw, &p); err != nil {
		return nil, nil, err
	}
	hash, err := wallet.ParseHash(p.PaymentHash)
	if err != nil {
		return nil, nil, other("payment_hash: %v", err)
	}
	v, first, err := s.book.cancel(id, client, hash, s.Now().Unix())
	if err != nil || !first {
		return nothing{}, nil, err
	}
	return nothing{}, v, nil
}
