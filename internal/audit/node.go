package audit

import (
	"context"
	"encoding/json"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// Node gives what a node's ledger says of money: a fact for each invoice of each job. signer reads what the node said
// encrypted. What does not fit in the ledger itself is wrong.
func Node(ctx context.Context, l *ledger.Ledger, signer events.Signer) (facts []Fact, wrong []Difference, err error) {
	rows, err := l.All(ledger.Provider)
	if err != nil {
		return nil, nil, err
	}
	differ := func(f Fact, text string) { wrong = append(wrong, Difference{Fact: f, Text: text, At: f.At}) }
	var jobs []*sold
	for _, row := range rows {
		j, err := nodeJob(ctx, l, signer, row)
		if err != nil {
			differ(Fact{Role: ledger.Provider, Job: row.Job, Way: wallet.In, At: row.At}, unreadable("", err))
		}
		jobs = append(jobs, j)
	}
	claims, err := l.Claims() // after the journals: what they rely on is there
	if err != nil {
		return nil, nil, err
	}
	for _, j := range jobs {
		for hash := range j.asked {
			j.claimed = j.claimed || claims[hash] == j.Job
		}
		found := j.facts()
		facts = append(facts, found...)
		if text := j.unpaid(len(found)); text != "" {
			differ(Fact{Role: ledger.Provider, Job: j.Job, Way: wallet.In, Amount: j.terms.Amount, Expect: Paid, What: j.terms.Pay, At: j.At}, text)
		}
	}
	for hash, job := range claims {
		rows, err := l.Rows(job)
		if err != nil {
			return nil, nil, err
		}
		if len(rows) == 0 {
			differ(Fact{Role: ledger.Provider, Job: job, Way: wallet.In, Hash: hash, Expect: Paid}, "a payment bought a job that the ledger does not know")
		}
	}
	owed, err := withdrawn(l)
	return append(facts, owed...), wrong, err
}

// withdrawn gives what the node has paid out, or is about to, of what it owed.
func withdrawn(l *ledger.Ledger) (facts []Fact, err error) {
	commitments, err := l.Commitments()
	if err != nil {
		return nil, err
	}
	voids, err := l.Voids()
	if err != nil {
		return nil, err
	}
	for _, c := range commitments {
		f := Fact{Role: ledger.Provider, Job: c.Job, Way: wallet.Out, Hash: c.Hash, Amount: c.Amount, Expect: Open, What: "owed, withdrawn", At: c.At}
		if c.Settled {
			f.Expect = Paid
		}
		facts = append(facts, f)
	}
	for _, v := range voids {
		facts = append(facts, Fact{
			Role: ledger.Provider, Job: v.Job, Way: wallet.Out, Hash: v.Hash, Amount: v.Amount, Expect: Unpaid, What: "owed, given up", Why: v.Why, At: v.At,
		})
	}
	owed := facts[:0]
	for _, f := range facts {
		is, err := plays(l, f.Job, ledger.Provider)
		if err != nil {
			return nil, err
		}
		if is {
			owed = append(owed, f)
		}
	}
	return owed, nil
}

// plays says whether a job has a role in a ledger.
func plays(l *ledger.Ledger, job events.ID, role ledger.Role) (bool, error) {
	rows, err := l.Rows(job)
	for _, row := range rows {
		if row.Role == role {
			return true, err
		}
	}
	return false, err
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
	moved   bool // it moved its customer's account
	receipt *events.Receipt
	owed    events.Msat
	owedAt  events.Unix // when it was signed

	customer events.PubKey
}

// nodeJob reads a job's journal. With an error comes what could be read before it.
func nodeJob(ctx context.Context, l *ledger.Ledger, signer events.Signer, row ledger.Row) (*sold, error) {
	j := &sold{Row: row, asked: map[wallet.Hash]events.Msat{}}
	terms, ok, err := l.Value(row.Job, "terms")
	if err == nil && ok {
		err = json.Unmarshal(terms, &j.terms)
	}
	if err != nil {
		return j, err
	}
	if _, j.letGo, err = l.Value(row.Job, "let go"); err != nil {
		return j, err
	}
	seq, err := l.Moved(row.Job)
	if err != nil {
		return j, err
	}
	j.moved = seq > 0
	sealed, _, err := l.Value(row.Job, "sealed invoice")
	if err != nil {
		return j, err
	}
	j.ask(string(sealed))
	kept, err := l.Events(row.Job)
	if err != nil {
		return j, err
	}
	for _, ev := range kept {
		if events.ID(ev.ID) == row.Job {
			j.customer = events.PubKey(ev.PubKey)
		}
		if ev.PubKey != string(signer.PublicKey()) {
			continue
		}
		m, err := events.Open(ctx, ev, signer)
		if err != nil {
			return j, err
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
			if m.Owed > 0 {
				j.owed, j.owedAt = max(j.owed, m.Owed), m.At
			}
		}
	}
	return j, nil
}

func (j *sold) ask(raw string) {
	if b, err := bolt11.Decode(raw); err == nil {
		j.asked[b.PaymentHash] = b.Amount
	}
}

// unpaid says why the job should have brought money, and did not; "" if it did, or need not.
func (j *sold) unpaid(invoices int) string {
	switch {
	case j.terms.Pay == events.PayCredit:
		if j.receipt != nil && j.receipt.Amount > 0 && !j.moved {
			return "a receipt of " + j.receipt.Amount.Human() + " is signed, and nothing was drawn from an account for it"
		}
	case invoices == 0 && j.result && j.terms.Amount > 0 && j.End == "delivered":
		return "it was delivered for " + j.terms.Amount.Human() + ", and no invoice was made for it"
	case j.receipt != nil && j.receipt.Amount > 0 && !j.claimed:
		return "a receipt of " + j.receipt.Amount.Human() + " is signed, and the ledger has claimed no payment for it"
	}
	return ""
}

// facts says for each invoice what must have become of it. A receipt or a debt is the node's own word that it was paid; work
// in advance begins on the wallet's word only.
func (j *sold) facts() (facts []Fact) {
	for hash, amount := range j.asked {
		f := Fact{Role: ledger.Provider, Job: j.Job, Way: wallet.In, Hash: hash, Amount: amount, Expect: Open, What: j.terms.Pay, At: j.At}
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
