// Package audit holds the books against each other: what a ledger and the signed events in its journal say of money, and what
// the wallet says. Every satoshi in or out has its job, every job its payment; what does not fit is a difference.
//
// It only reads. Node and Customer make facts of a ledger, Compare holds a wallet's own books against them.
package audit

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/wallet"
)

// Expect is what must have become of a payment, if the ledger is right.
type Expect string

// What a ledger expects of a wallet.
const (
	Paid   Expect = "paid"
	Unpaid Expect = "unpaid" // it failed, came back, or was never sent
	Open   Expect = "open"   // its job has no end yet: either may be
)

// Fact is one payment that a ledger knows.
type Fact struct {
	Role   ledger.Role
	Job    events.ID
	Way    wallet.Way
	Hash   wallet.Hash
	Amount events.Msat // without fees
	Expect Expect
	What   string // in words: "prepaid", "owed, withdrawn"
	Why    string // for Unpaid: how its job ended
}

// Difference is one thing that does not fit.
type Difference struct {
	Fact           // as far as a ledger knows it; else Way, Hash and Amount are the wallet's
	Text    string // what does not fit
	At      time.Time
	Without bool // the wallet has it, no ledger here does, and nothing says that it is the market's
}

// Sum adds payments up.
type Sum struct {
	Payments int         `json:"payments"`
	Amount   events.Msat `json:"amount_msat"`
	Fees     events.Msat `json:"fees_msat"`
}

func (s *Sum) add(e wallet.Entry) { s.Payments++; s.Amount += e.Amount; s.Fees += e.Fee }

// Report is what an audit of one wallet found.
type Report struct {
	In, Out     Sum // of jobs, settled
	Jobs        int // that moved money
	Files       Sum // what keeping files cost, or brought: these payments name no job
	Open        []Fact
	Differences []Difference
}

// Add takes in what another audit found.
func (r *Report) Add(d ...Difference) { r.Differences = append(r.Differences, d...) }

// Books are what a wallet shows: for each way that it shows, what came or went.
type Books map[wallet.Way][]wallet.Entry

type place struct {
	way  wallet.Way
	hash wallet.Hash
}

// Compare holds a wallet's books against what ledgers know of it. A way that the wallet does not show is not judged.
func Compare(facts []Fact, books Books) *Report {
	r := &Report{}
	entries := map[place]wallet.Entry{}
	for way, list := range books {
		for _, e := range list {
			entries[place{way, e.Hash}] = e
		}
	}
	known, jobs := map[place]bool{}, map[events.ID]bool{}
	paid := map[string]int{}
	for _, f := range facts {
		at := place{f.Way, f.Hash}
		known[at] = true
		if _, shown := books[f.Way]; !shown {
			continue
		}
		e, there := entries[at]
		if text := f.differs(e, there); text != "" {
			r.Add(Difference{Fact: f, Text: text, At: e.At})
		}
		if there && e.State == wallet.Succeeded {
			r.count(f.Way, e)
			jobs[f.Job] = true
			if paid[fmt.Sprint(f.Role, f.Job, f.Way, f.What)]++; paid[fmt.Sprint(f.Role, f.Job, f.Way, f.What)] == 2 {
				r.Add(Difference{Fact: f, Text: "the job was paid for more than once", At: e.At})
			}
		}
		if f.Expect == Open {
			r.Open = append(r.Open, f)
		}
	}
	r.Jobs = len(jobs)
	for way, list := range books {
		for _, e := range list {
			if !known[place{way, e.Hash}] && (e.State == wallet.Succeeded || e.Held) {
				r.stray(way, e)
			}
		}
	}
	slices.SortStableFunc(r.Differences, func(a, b Difference) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Hash.String(), b.Hash.String()))
	})
	return r
}

func (r *Report) count(way wallet.Way, e wallet.Entry) {
	if way == wallet.In {
		r.In.add(e)
	} else {
		r.Out.add(e)
	}
}

// differs says what does not fit between a fact and the wallet's entry; "" if all does.
func (f *Fact) differs(e wallet.Entry, there bool) string {
	if !there {
		e.State = wallet.Failed
	}
	arrived := map[wallet.Way]string{wallet.In: "received", wallet.Out: "paid"}[f.Way]
	switch {
	case f.Expect == Paid && !there:
		return fmt.Sprintf("the ledger says that %s was %s, the wallet knows nothing of it", f.Amount.Human(), arrived)
	case f.Expect == Paid && e.State == wallet.Failed:
		return fmt.Sprintf("the ledger says that %s was %s, the wallet that it failed", f.Amount.Human(), arrived)
	case f.Expect == Paid && e.State == wallet.Pending:
		return fmt.Sprintf("the ledger says that %s was %s, the wallet that it is not yet", f.Amount.Human(), arrived)
	case f.Expect == Paid && e.Amount != f.Amount:
		return fmt.Sprintf("the ledger says that %s was %s, the wallet %s", f.Amount.Human(), arrived, e.Amount.Human())
	case f.Expect == Unpaid && e.State == wallet.Succeeded:
		return fmt.Sprintf("the wallet says that %s was %s, the ledger that it was not: %s", e.Amount.Human(), arrived, f.Why)
	case f.Expect == Unpaid && e.State == wallet.Pending && (e.Held || f.Way == wallet.Out):
		return fmt.Sprintf("%s is still locked, though the job has ended: %s", e.Amount.Human(), f.Why)
	}
	return ""
}

// ours finds the job in the description of an invoice (PROTOCOL §4).
var ours = regexp.MustCompile(`^infernet (?:[a-z]+ )?([0-9a-f]{64})$`)

// stray is a payment that no ledger knows.
func (r *Report) stray(way wallet.Way, e wallet.Entry) {
	d := Difference{Fact: Fact{Way: way, Hash: e.Hash, Amount: e.Amount}, At: e.At}
	if strings.HasPrefix(e.Description, "infernet: keep ") && e.State == wallet.Succeeded {
		r.Files.add(e)
		return
	}
	if m := ours.FindStringSubmatch(e.Description); m != nil {
		d.Job = events.ID(m[1])
		d.Text = fmt.Sprintf("%s for job %s, and no ledger here knows of it", map[wallet.Way]string{wallet.In: "received", wallet.Out: "paid"}[way], d.Job)
	} else {
		d.Without = true
		d.Text = fmt.Sprintf("it belongs to no job; its invoice says %q", e.Description)
	}
	r.Add(d)
}
