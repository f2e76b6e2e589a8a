package play

import (
	"encoding/json"

	"infernet/events"
	"infernet/nips/nip47"
)

// Bounds of one page of transactions: an answer has to travel in one event.
const (
	maxPage      = 100
	maxPageBytes = 40_000
)

// list gives an account's transactions, the newest first. A page is cut where it would not fit into an event.
func (b *book) list(account events.PubKey, p nip47.Listing, now int64) (nip47.Transactions, error) {
	page := nip47.Transactions{Transactions: []nip47.Transaction{}}
	// both sides of each invoice, each with the time at which its party had to do with it
	rows, err := b.db.Query(`
		select way, at, `+columns+` from (
			select 'incoming' as way, created as at, * from invoices where account = ?1
			union all
			select 'outgoing' as way, max(accepted, settled * (accepted = 0)) as at, * from invoices where payer = ?1)
		where at between ?2 and ?3 and (?4 or settled > 0) and (?5 = '' or way = ?5)
		order by at desc, hash, way limit ?6 offset ?7`,
		string(account), p.From, p.Until, p.Unpaid, p.Type, p.Limit, p.Offset)
	if err != nil {
		return page, err
	}
	defer rows.Close()
	for size := 0; rows.Next(); {
		var way string
		var at int64
		v, err := scan(prefixed{rows, []any{&way, &at}})
		if err != nil {
			return page, err
		}
		t := v.transaction(way, now)
		body, err := json.Marshal(t)
		if err != nil {
			return page, err
		}
		if size += len(body); size > maxPageBytes && len(page.Transactions) > 0 {
			break
		}
		page.Transactions = append(page.Transactions, t)
	}
	return page, rows.Err()
}

// prefixed is a row with some columns before those of an invoice.
type prefixed struct {
	row    interface{ Scan(...any) error }
	before []any
}

func (p prefixed) Scan(to ...any) error { return p.row.Scan(append(p.before, to...)...) }

// listTransactions shows an account what it was paid and what it paid.
func (s *Service) listTransactions(client events.PubKey, raw json.RawMessage) (any, error) {
	var p nip47.Listing
	if err := read(raw, &p); err != nil {
		return nil, err
	}
	now := s.Now().Unix()
	if p.Until == 0 {
		p.Until = now
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
	p.Limit = min(p.Limit, maxPage)
	return s.book.list(client, p, now)
}
