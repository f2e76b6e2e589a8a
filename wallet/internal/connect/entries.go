package connect

import (
	"context"
	"time"

	"infernet/events"
	"infernet/nips/nip47"
	"infernet/wallet"
)

// Entries gives all transactions of one way, page by page. What happens meanwhile is not among them.
func (c *Client) Entries(ctx context.Context, way wallet.Way, since time.Time) ([]wallet.Entry, error) {
	page := nip47.Listing{Type: nip47.Incoming, Until: time.Now().Unix(), Limit: nip47.PageSize, Unpaid: true}
	if way == wallet.Out {
		page.Type = nip47.Outgoing
	}
	if !since.IsZero() {
		page.From = since.Unix()
	}
	var all []wallet.Entry
	seen := map[wallet.Hash]bool{}
	for {
		found, err := c.Transactions(ctx, page)
		if err != nil || len(found) == 0 {
			return all, err
		}
		page.Offset += int64(len(found))
		for _, t := range found {
			hash, err := wallet.ParseHash(t.PaymentHash)
			if err != nil || t.Type != page.Type || seen[hash] { // a wallet that ignores the offset would go on for ever
				continue
			}
			seen[hash] = true
			all = append(all, entry(&t, hash))
		}
		if len(all) < int(page.Offset)/2 { // mostly repeats or strangers: it does not turn its pages
			return all, nil
		}
	}
}

func entry(t *nip47.Transaction, hash wallet.Hash) wallet.Entry {
	e := wallet.Entry{
		Hash: hash, State: wallet.Pending, Held: t.Type == nip47.Incoming && t.State == nip47.Accepted, Amount: events.Msat(t.Amount),
		Fee: events.Msat(t.FeesPaid), Description: t.Description, At: time.Unix(t.CreatedAt, 0),
	}
	e.Preimage, _ = wallet.ParsePreimage(t.Preimage)
	switch {
	case settled(t):
		e.State = wallet.Succeeded
		if t.SettledAt > 0 {
			e.At = time.Unix(t.SettledAt, 0)
		}
	case over(t):
		e.State = wallet.Failed
	}
	return e
}
