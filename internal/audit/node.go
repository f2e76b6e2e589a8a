package audit

import (
	"context"
	"encoding/json"
	"fmt"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// Node gives what a node's ledger says of money: a fact for each invoice of each job. signer reads what the node said
// encrypted. What in the ledger alone does not fit are differences.
func Node(ctx context.Context, l *ledger.Ledger, signer events.Signer) (facts []Fact, wrong []Difference, err error) {
	rows, err := l.All(ledger.Provider)
	if err != nil {
		return nil, nil, err
	}
	claims, err := l.Claims()
	if err != nil {
		return nil, nil, err
	}
	for _, row := range rows {
		j, err := nodeJob(ctx, l, signer, row)
		if err != nil {
			return nil, nil, fmt.Errorf("job %s: %w", row.Job, err)
		}
		for hash := range j.asked {
			j.claimed = j.claimed || claims[hash] == row.Job
		}
		found := j.facts()
		facts = append(facts, found...)
		if len(found) == 0 && j.result && j.terms.Amount > 0 && row.End == "delivered" {
			wrong = append(wrong, Difference{
				Fact: Fact{Role: ledger.Provider, Job: row.Job, Way: wallet.In, Amount: j.terms.Amount, What: j.terms.Pay},
				Text: "it was delivered for " + j.terms.Amount.Human() + ", and no invoice was made for it", At: row.At,
			})
		}
	}
	return facts, wrong, nil
}

// sold is what the journal has of a job that this node did.
type sold struct {
	ledger.Row
	terms struct {
		Pay    string
		Amount events.Msat
	}
	asked   map[wallet.Hash]events.Msat // what its invoices ask for
	claimed bool                        // the node began to work for one of them
	result  bool
	letGo   bool // what was locked went back
	receipt *events.Receipt
	owed    events.Msat
}

func nodeJob(ctx context.Context, l *ledger.Ledger, signer events.Signer, row ledger.Row) (*sold, error) {
	j := &sold{Row: row, asked: map[wallet.Hash]events.Msat{}}
	terms, ok, err := l.Value(row.Job, "terms")
	if err == nil && ok {
		err = json.Unmarshal(terms, &j.terms)
	}
	if err != nil {
		return nil, err
	}
	if _, j.letGo, err = l.Value(row.Job, "let go"); err != nil {
		return nil, err
	}
	sealed, _, err := l.Value(row.Job, "sealed invoice")
	if err != nil {
		return nil, err
	}
	j.ask(string(sealed))
	kept, err := l.Events(row.Job)
	if err != nil {
		return nil, err
	}
	for _, ev := range kept {
		m, err := events.Open(ctx, ev, signer)
		if err != nil {
			return nil, fmt.Errorf("journal: %w", err)
		}
		if m.Signed().Author != signer.PublicKey() {
			continue
		}
		switch m := m.(type) {
		case *events.Invoice:
			j.ask(m.Bolt11)
		case *events.Offer:
			j.ask(m.Bolt11)
		case *events.Result:
			j.result = true
			j.ask(m.Bolt11)
		case *events.Receipt:
			j.receipt = m
		case *events.Refusal:
			j.owed = max(j.owed, m.Owed)
		}
	}
	return j, nil
}

func (j *sold) ask(raw string) {
	if b, err := bolt11.Decode(raw); err == nil {
		j.asked[b.PaymentHash] = b.Amount
	}
}

// facts says for each invoice what must have become of it. A receipt or a debt is the node's own word that it was paid; work
// in advance begins on the wallet's word only.
func (j *sold) facts() (facts []Fact) {
	for hash, amount := range j.asked {
		f := Fact{Role: ledger.Provider, Job: j.Job, Way: wallet.In, Hash: hash, Amount: amount, Expect: Open, What: j.terms.Pay}
		switch {
		case j.receipt != nil:
			f.Expect, f.Amount = Paid, j.receipt.Amount
		case j.owed > 0:
			f.Expect, f.Amount, f.What = Paid, j.owed, j.terms.Pay+", owed back"
		case j.terms.Pay == events.PayPrepaid && j.claimed:
			f.Expect = Paid
		case j.letGo:
			f.Expect, f.Why = Unpaid, "the locked money was let go"
		case j.End != "":
			f.Expect, f.Why = Unpaid, "it ended with "+j.End
		}
		facts = append(facts, f)
	}
	return facts
}
