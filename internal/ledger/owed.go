package ledger

import (
	"encoding/json"
	"fmt"
	"time"

	"infernet/events"
	"infernet/wallet"
)

// Withdrawal is an invoice by which a customer asks a node for what it owes: written down before the node hears of it.
type Withdrawal struct {
	Job    events.ID // the job that was paid and failed
	Node   events.PubKey
	Bolt11 string
	Hash   wallet.Hash
	Amount events.Msat
	Until  time.Time // it can be paid until then
	Paid   bool      // the customer's own wallet has the money
	At     time.Time // when this was written
}

const withdrawals = "withdrawal" // topic of records

type withdrawal struct {
	Job    events.ID
	Node   events.PubKey
	Bolt11 string
	Amount events.Msat
	Until  int64 // unix seconds
	Paid   bool
}

// Withdraw writes a withdrawal down; what was written of the same payment hash is replaced.
func (l *Ledger) Withdraw(w Withdrawal) error {
	body, err := json.Marshal(withdrawal{w.Job, w.Node, w.Bolt11, w.Amount, w.Until.Unix(), w.Paid})
	if err != nil {
		return err
	}
	return l.Record(withdrawals, w.Hash.String(), body)
}

// Withdrawals gives all withdrawals, oldest change first.
func (l *Ledger) Withdrawals() (all []Withdrawal, err error) {
	records, err := l.Records(withdrawals, 0)
	for _, r := range records {
		var w withdrawal
		hash, err := wallet.ParseHash(r.Name)
		if err == nil {
			err = json.Unmarshal(r.Value, &w)
		}
		if err != nil {
			return nil, fmt.Errorf("withdrawal %s: %w", r.Name, err)
		}
		all = append(all, Withdrawal{w.Job, w.Node, w.Bolt11, hash, w.Amount, time.Unix(w.Until, 0), w.Paid, r.At})
	}
	return all, err
}
