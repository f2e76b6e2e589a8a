package audit

import (
	"context"
	"fmt"
	"time"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/wallet"
)

// Customer gives what a customer's ledger says of money: a fact for each payment that was written down. own is the key that
// jobs without one of their own were signed with; nil if there is none. What does not fit in the ledger itself is wrong.
func Customer(ctx context.Context, l *ledger.Ledger, own events.Signer) (facts []Fact, wrong []Difference, err error) {
	commitments, err := l.Commitments() // before the jobs: none is to be newer than they are
	if err != nil {
		return nil, nil, err
	}
	rows, err := l.All(ledger.Customer)
	if err != nil {
		return nil, nil, err
	}
	bought := map[events.ID]ledger.Row{}
	for _, row := range rows {
		bought[row.Job] = row
	}
	paid := map[events.ID]bool{}
	for _, c := range commitments {
		row, known := bought[c.Job]
		if !known { // one ledger may hold both sides
			if owed, err := plays(l, c.Job, ledger.Provider); err != nil {
				return nil, nil, err
			} else if owed {
				continue
			}
		}
		if row.End != "" && !c.Settled { // as it was when the job ended
			now, err := l.Commitment(c.Job)
			if err != nil {
				return nil, nil, err
			}
			if now == nil {
				continue
			}
			c = *now
		}
		paid[c.Job] = true
		f := Fact{Role: ledger.Customer, Job: c.Job, Way: wallet.Out, Hash: c.Hash, Amount: c.Amount, Expect: Open, What: "job", At: c.At}
		switch {
		case c.Settled:
			f.Expect = Paid
		case row.End != "":
			f.Expect, f.Why = Unpaid, "it ended with "+row.End
		}
		facts = append(facts, f)
		text := "a payment is written down for a job that the ledger does not know"
		if known {
			text = unreadable(signed(ctx, l, c, row.End, own))
		}
		if text != "" {
			wrong = append(wrong, Difference{Fact: f, Text: text, At: c.At})
		}
	}
	voids, err := l.Voids()
	if err != nil {
		return nil, nil, err
	}
	for _, v := range voids {
		if _, known := bought[v.Job]; !known {
			continue
		}
		paid[v.Job] = true
		facts = append(facts, Fact{
			Role: ledger.Customer, Job: v.Job, Way: wallet.Out, Hash: v.Hash, Amount: v.Amount, Expect: Unpaid, What: "given up", Why: v.Why, At: v.At,
		})
	}
	for _, row := range rows {
		if row.End != "delivered" || paid[row.Job] {
			continue
		}
		text, amount, err := unpaid(ctx, l, row.Job, own)
		if text = unreadable(text, err); text != "" {
			f := Fact{Role: ledger.Customer, Job: row.Job, Way: wallet.Out, Amount: amount, Expect: Paid, What: "job", At: row.At}
			wrong = append(wrong, Difference{Fact: f, Text: text, At: row.At})
		}
	}
	back, err := l.Withdrawals()
	if err != nil {
		return nil, nil, err
	}
	for _, w := range back {
		f := Fact{Role: ledger.Customer, Job: w.Job, Way: wallet.In, Hash: w.Hash, Amount: w.Amount, Expect: Open, What: "owed, withdrawn", At: w.At}
		switch {
		case w.Paid:
			f.Expect = Paid
		case time.Now().After(w.Until):
			f.Expect = Either
		}
		facts = append(facts, f)
	}
	return facts, wrong, nil
}

// unreadable makes a journal that does not open a difference: the rest is audited all the same.
func unreadable(text string, err error) string {
	if err != nil {
		return fmt.Sprintf("its journal cannot be read: %v", err)
	}
	return text
}

// read opens a job's journal for whoever bought it. Without that key only what is clear can be read.
func read(ctx context.Context, l *ledger.Ledger, job events.ID, own events.Signer) (said []events.Message, err error) {
	kept, err := l.Events(job)
	if err != nil {
		return nil, err
	}
	reader, err := l.Signer(job, own)
	if err != nil {
		return nil, err
	}
	for _, ev := range kept {
		var m events.Message
		if reader != nil {
			m, err = events.Open(ctx, ev, reader)
		} else {
			m, err = events.Parse(ev)
		}
		if err != nil {
			return nil, err
		}
		said = append(said, m)
	}
	return said, nil
}

// signed holds a payment against what its node signed: "" if that fits. An invoice that was only shown was paid elsewhere.
func signed(ctx context.Context, l *ledger.Ledger, c ledger.Commitment, end string, own events.Signer) (string, error) {
	_, shown, err := l.Value(c.Job, "shown")
	if err != nil {
		return "", err
	}
	said, err := read(ctx, l, c.Job, own)
	if err != nil {
		return "", err
	}
	for _, m := range said {
		receipt, ok := m.(*events.Receipt)
		if !ok || receipt.Author != c.Payee {
			continue
		}
		switch {
		case receipt.Amount != c.Amount:
			return fmt.Sprintf("the node signed that it received %s, the ledger says %s", receipt.Amount.Human(), c.Amount.Human()), nil
		case !c.Settled && !shown && end != "":
			return "the node signed that it was paid, and the ledger has no proof of payment", nil
		}
	}
	return "", nil
}

// unpaid says that a delivered job without a payment should have one: nobody opens a sealed result without.
func unpaid(ctx context.Context, l *ledger.Ledger, job events.ID, own events.Signer) (text string, amount events.Msat, err error) {
	if c, err := l.Commitment(job); c != nil || err != nil {
		return "", 0, err
	}
	said, err := read(ctx, l, job, own)
	for _, m := range said {
		if result, ok := m.(*events.Result); ok && result.Sealed != nil && result.Amount != nil {
			amount = *result.Amount
			text = "its sealed result was delivered for " + amount.Human() + ", and no payment is written down"
		}
	}
	return text, amount, err
}
