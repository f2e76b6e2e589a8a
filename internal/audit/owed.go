package audit

import (
	"context"

	"infernet/events"
	"infernet/internal/ledger"
)

// Owing is what a node has signed that it owes for a job.
type Owing struct {
	Job      events.ID
	Customer events.PubKey
	Amount   events.Msat
	At       events.Unix // when it was signed
	Paying   bool        // a withdrawal is under way
	Paid     events.Msat // what was paid out: then nothing more is owed
}

// Owed lists what a node owes, oldest job first. signer reads what the node said encrypted.
func Owed(ctx context.Context, l *ledger.Ledger, signer events.Signer) (all []Owing, err error) {
	rows, err := l.All(ledger.Provider)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		j, err := nodeJob(ctx, l, signer, row)
		if err != nil {
			return nil, err
		}
		if j.owed == 0 {
			continue
		}
		o := Owing{Job: row.Job, Customer: j.customer, Amount: j.owed, At: j.owedAt}
		c, err := l.Commitment(row.Job)
		if err != nil {
			return nil, err
		}
		if c != nil && c.Settled {
			o.Paid = c.Amount
		} else if c != nil {
			o.Paying = true
		}
		all = append(all, o)
	}
	return all, nil
}
