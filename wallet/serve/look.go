package serve

import (
	"encoding/json"

	"infernet/nips/nip47"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// Bounds of one page of transactions: an answer has to travel in one event.
const (
	maxPage      = 100
	maxPageBytes = 40_000
)

// lookupInvoice shows a connection its own invoice, or one that it has paid.
func (s *Service) lookupInvoice(from asked) (any, error) {
	var p nip47.Looking
	if err := read(from.Params, &p); err != nil {
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
	for _, way := range []string{nip47.Outgoing, nip47.Incoming} {
		t, err := find(s.Book.db, way, hash)
		if err != nil {
			return nil, err
		}
		if t != nil && t.Client == from.client {
			return t.shown(), nil
		}
	}
	return nil, &nip47.Error{Code: nip47.CodeNotFound, Message: "no invoice of yours and no payment of yours has this hash"}
}

// shown is a transaction as its connection sees it: what is only reserved for a fee is not a fee yet.
func (t *transaction) shown() nip47.Transaction {
	if t.Type == nip47.Outgoing && t.State == nip47.Pending {
		t.FeesPaid = 0
	}
	return t.Transaction
}

// listTransactions shows a connection what it was paid and what it paid, the newest first.
func (s *Service) listTransactions(from asked) (any, error) {
	var p nip47.Listing
	if err := read(from.Params, &p); err != nil {
		return nil, err
	}
	if p.Until == 0 {
		p.Until = s.Now().Unix()
	}
	if p.Limit == 0 {
		p.Limit = nip47.PageSize
	}
	switch {
	case p.Limit < 0 || p.Offset < 0 || p.From < 0 || p.Until < 0:
		return nil, other("from, until, limit and offset are 0 or more")
	case p.Type != "" && p.Type != nip47.Incoming && p.Type != nip47.Outgoing:
		return nil, other("type %q is neither %s nor %s", p.Type, nip47.Incoming, nip47.Outgoing)
	}
	found, err := s.Book.list(selectTransaction+` where client = ? and created between ? and ? and (? or state = 'settled') and (? = '' or way = ?)
		order by created desc, hash, way limit ? offset ?`, string(from.client), p.From, p.Until, p.Unpaid, p.Type, p.Type, min(p.Limit, maxPage), p.Offset)
	if err != nil {
		return nil, err
	}
	page := nip47.Transactions{Transactions: []nip47.Transaction{}}
	size := 0
	for _, t := range found {
		body, err := json.Marshal(t.Transaction)
		if err != nil {
			return nil, err
		}
		if size += len(body); size > maxPageBytes && len(page.Transactions) > 0 {
			break
		}
		page.Transactions = append(page.Transactions, t.shown())
	}
	return page, nil
}
