package audit

import (
	"context"
	"fmt"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/wallet"
)

// Customer gives what a customer's ledger says of money: a fact for each payment that was written down. own is the key that
// jobs without one of their own were signed with; nil if there is none.
func Customer(ctx context.Context, l *ledger.Ledger, own events.Signer) (facts []Fact, wrong []Difference, err error) {
	rows, err := l.All(ledger.Customer)
	if err != nil {
		return nil, nil, err
	}
	ends, known := map[events.ID]string{}, map[events.ID]bool{}
	for _, row := range rows {
		ends[row.Job], known[row.Job] = row.End, true
	}
	commitments, err := l.Commitments()
	if err != nil {
		return nil, nil, err
	}
	for _, c := range commitments {
		f := Fact{Role: ledger.Customer, Job: c.Job, Way: wallet.Out, Hash: c.Hash, Amount: c.Amount, Expect: Open, What: "job"}
		switch end := ends[c.Job]; {
		case c.Settled:
			f.Expect = Paid
		case end != "":
			f.Expect, f.Why = Unpaid, "it ended with "+end
		}
		facts = append(facts, f)
		if !known[c.Job] {
			wrong = append(wrong, Difference{Fact: f, Text: "a payment is written down for a job that the ledger does not know", At: c.At})
			continue
		}
		text, err := receiptDiffers(ctx, l, c, own)
		if err != nil {
			return nil, nil, fmt.Errorf("job %s: %w", c.Job, err)
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
		facts = append(facts, Fact{
			Role: ledger.Customer, Job: v.Job, Way: wallet.Out, Hash: v.Hash, Amount: v.Amount, Expect: Unpaid, What: "job", Why: v.Why,
		})
	}
	return facts, wrong, nil
}

// receiptDiffers holds a payment against what its node signed.
func receiptDiffers(ctx context.Context, l *ledger.Ledger, c ledger.Commitment, own events.Signer) (string, error) {
	kept, err := l.Events(c.Job)
	if err != nil {
		return "", err
	}
	reader := own
	if secret, _, err := l.Value(c.Job, "key"); err != nil {
		return "", err
	} else if len(secret) > 0 {
		if reader, err = events.NewKeys(string(secret)); err != nil {
			return "", err
		}
	}
	if reader == nil {
		return "", nil
	}
	for _, ev := range kept {
		m, err := events.Open(ctx, ev, reader)
		if err != nil {
			return "", fmt.Errorf("journal: %w", err)
		}
		receipt, ok := m.(*events.Receipt)
		if !ok || receipt.Author != c.Payee {
			continue
		}
		switch {
		case receipt.Amount != c.Amount:
			return fmt.Sprintf("the node signed that it received %s, the ledger says %s", receipt.Amount.Human(), c.Amount.Human()), nil
		case !c.Settled:
			return "the node signed that it was paid, and the ledger has no proof of payment", nil
		}
	}
	return "", nil
}
