package lnd

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"infernet/events"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// pageOf is how many rows of lnd's books are asked for at once.
const pageOf = 100

// Entries reads the node's books, page by page: its invoices, or its payments.
func (w *Wallet) Entries(ctx context.Context, way wallet.Way, since time.Time) ([]wallet.Entry, error) {
	if way == wallet.Out {
		return w.paid(ctx, since)
	}
	return w.received(ctx, since)
}

// page is the query for the rows after a mark. lnd filters by when a row was made.
func page(mark int64, since time.Time, more url.Values) string {
	more.Set("index_offset", strconv.FormatInt(mark, 10))
	if !since.IsZero() {
		more.Set("creation_date_start", strconv.FormatInt(max(0, since.Unix()), 10))
	}
	return more.Encode()
}

func (w *Wallet) received(ctx context.Context, since time.Time) (all []wallet.Entry, err error) {
	for mark := int64(0); ; {
		var rows struct {
			Invoices []struct {
				invoice
				Hash []byte `json:"r_hash"`
			} `json:"invoices"`
			Last int64 `json:"last_index_offset,string"`
		}
		if err := w.get(ctx, "/v1/invoices?"+page(mark, since, url.Values{"num_max_invoices": {strconv.Itoa(pageOf)}}), &rows); err != nil {
			return nil, err
		}
		for _, v := range rows.Invoices {
			if len(v.Hash) != len(wallet.Hash{}) {
				return nil, fmt.Errorf("%w: %s lists an invoice without a hash", wallet.ErrUnavailable, w.Describe())
			}
			all = append(all, v.entry(wallet.Hash(v.Hash)))
		}
		if len(rows.Invoices) == 0 || rows.Last <= mark {
			return all, nil
		}
		mark = rows.Last
	}
}

func (v *invoice) entry(hash wallet.Hash) wallet.Entry {
	e := wallet.Entry{Hash: hash, State: wallet.Pending, Amount: events.Msat(v.Amount), Description: v.Memo, At: time.Unix(v.Created, 0)}
	switch v.State {
	case stateSettled:
		e.State, e.Amount, e.At = wallet.Succeeded, events.Msat(v.Paid), time.Unix(v.Settled, 0)
		if len(v.Preimage) == len(e.Preimage) {
			e.Preimage = wallet.Preimage(v.Preimage)
		}
	case stateAccepted:
		e.Held, e.Amount = true, events.Msat(v.Paid)
	case stateCanceled:
		e.State = wallet.Failed
	}
	return e
}

func (w *Wallet) paid(ctx context.Context, since time.Time) (all []wallet.Entry, err error) {
	for mark := int64(0); ; {
		var rows struct {
			Payments []struct {
				payment
				Hash    string `json:"payment_hash"`
				Bolt11  string `json:"payment_request"`
				Created int64  `json:"creation_date,string"`
			} `json:"payments"`
			Last int64 `json:"last_index_offset,string"`
		}
		query := page(mark, since, url.Values{"include_incomplete": {"true"}, "max_payments": {strconv.Itoa(pageOf)}})
		if err := w.get(ctx, "/v1/payments?"+query, &rows); err != nil {
			return nil, err
		}
		for _, p := range rows.Payments {
			hash, err := wallet.ParseHash(p.Hash)
			if err != nil {
				return nil, fmt.Errorf("%w: %s lists a payment without a hash", wallet.ErrUnavailable, w.Describe())
			}
			e := wallet.Entry{Hash: hash, State: wallet.Pending, Amount: events.Msat(p.Amount), Fee: events.Msat(p.Fee), At: time.Unix(p.Created, 0)}
			switch p.Status {
			case "SUCCEEDED":
				e.State = wallet.Succeeded
				e.Preimage, _ = wallet.ParsePreimage(p.Preimage)
			case "FAILED":
				e.State = wallet.Failed
			}
			if b, err := bolt11.Decode(p.Bolt11); err == nil {
				e.Description = b.Description
			}
			all = append(all, e)
		}
		if len(rows.Payments) == 0 || rows.Last <= mark {
			return all, nil
		}
		mark = rows.Last
	}
}
