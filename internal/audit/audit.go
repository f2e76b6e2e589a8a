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
	Either Expect = "either" // nobody waits for it any more: it came, or did not
)

// Fact is one payment that a ledger knows.
type Fact struct {
	Role   ledger.Role
	Job    events.ID
	Way    wallet.Way
	Hash   wallet.Hash // zero if a payment should be there and is not
	Amount events.Msat // without fees
	Expect Expect
	What   string    // in words: "prepaid", "hold"
	Why    string    // for Unpaid: how its job ended
	At     time.Time // when the ledger wrote down its job, or the payment
}

// Difference is one thing that does not fit.
type Difference struct {
	Fact           // as far as a ledger knows it; else Way, Hash and Amount are the wallet's
	Text    string // what does not fit
	At      time.Time
	Outside bool // the wallet has it, no ledger here does, and nothing says that it is the market's
}

// Sum adds payments up.
type Sum struct {
	Payments int         `json:"payments"`
	Amount   events.Msat `json:"amount_msat"`
	Fees     events.Msat `json:"fees_msat"`
}

func (s *Sum) add(e wallet.Entry) { s.Payments++; s.Amount += e.Amount; s.Fees += e.Fee }

// Books are what a wallet shows: for each way that it shows, what came or went.
type Books map[wallet.Way][]wallet.Entry

// Scope is what is held against each other.
type Scope struct {
	Facts []Fact               // what the ledgers say that this wallet belongs to
	Known []Fact               // what other ledgers here say: what they know of belongs to a job
	Apps  map[wallet.Hash]bool // what connections of the wallet's own service paid or were paid
	Books Books
	Since time.Time // what is older is not judged; zero: everything is
}

// Report is what an audit of one wallet found.
type Report struct {
	In, Out     Sum // of jobs, settled
	Jobs        int // that moved money
	Files       Sum // what keeping files cost, or brought: these payments name no job
	Apps        Sum // what went through connections of the wallet's own service
	Open        []Fact
	Differences []Difference // oldest first
}

type place struct {
	way  wallet.Way
	hash wallet.Hash
}

type side struct {
	role ledger.Role
	job  events.ID
	way  wallet.Way
}

// Compare holds a wallet's books against what ledgers know of it. A way that the wallet does not show is not judged.
func Compare(s Scope) *Report {
	r := &Report{}
	entries := map[place]wallet.Entry{}
	for way, list := range s.Books {
		for _, e := range list {
			entries[place{way, e.Hash}] = e
		}
	}
	jobs, paid := map[events.ID]bool{}, map[side]int{}
	for _, f := range s.Facts {
		_, shown := s.Books[f.Way]
		if !shown || f.At.Before(s.Since) {
			continue
		}
		e, there := entries[place{f.Way, f.Hash}]
		if text := f.differs(e, there); text != "" {
			r.differ(f, text, e.At)
		}
		if there && e.State == wallet.Succeeded {
			r.count(f.Way, e)
			at := side{f.Role, f.Job, f.Way}
			if f.Job == "" { // out of an account: as often as its owner wants
				continue
			}
			jobs[f.Job] = true
			if paid[at]++; paid[at] == 2 {
				r.differ(f, "the job was paid for more than once", e.At)
			}
		}
		if f.Expect == Open {
			r.Open = append(r.Open, f)
		}
	}
	r.Jobs = len(jobs)
	r.strays(s)
	slices.SortStableFunc(r.Differences, func(a, b Difference) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Hash.String(), b.Hash.String()))
	})
	return r
}

func (r *Report) differ(f Fact, text string, at time.Time) {
	if at.IsZero() {
		at = f.At
	}
	r.Differences = append(r.Differences, Difference{Fact: f, Text: text, At: at})
}

func (r *Report) count(way wallet.Way, e wallet.Entry) {
	if way == wallet.In {
		r.In.add(e)
	} else {
		r.Out.add(e)
	}
}

// moved is what a way does to money, in words.
var moved = map[wallet.Way]string{wallet.In: "received", wallet.Out: "paid"}

// differs says what does not fit between a fact and the wallet's entry; "" if all does.
func (f *Fact) differs(e wallet.Entry, there bool) string {
	if !there {
		e.State = wallet.Failed
	}
	amount, done := f.Amount.Human(), moved[f.Way]
	switch {
	case f.Expect == Paid && !there:
		return fmt.Sprintf("the ledger says that %s was %s, the wallet knows nothing of it", amount, done)
	case f.Expect == Paid && e.State == wallet.Failed:
		return fmt.Sprintf("the ledger says that %s was %s, the wallet that it failed", amount, done)
	case f.Expect == Paid && e.State == wallet.Pending:
		return fmt.Sprintf("the ledger says that %s was %s, the wallet that it is not yet", amount, done)
	case f.Expect == Paid && e.Amount != f.Amount:
		return fmt.Sprintf("the ledger says that %s was %s, the wallet %s", amount, done, e.Amount.Human())
	case f.Expect == Unpaid && e.State == wallet.Succeeded:
		return fmt.Sprintf("the wallet says that %s was %s, the ledger that it was not: %s", e.Amount.Human(), done, f.Why)
	case f.Expect == Unpaid && e.State == wallet.Pending && (e.Held || f.Way == wallet.Out):
		return fmt.Sprintf("%s is still locked, though the job has ended: %s", e.Amount.Human(), f.Why)
	}
	return ""
}

// ours finds the job in the description of an invoice (PROTOCOL §4).
var ours = regexp.MustCompile(`^infernet (?:[a-z]+ )?([0-9a-f]{64})$`)

// files begins the description of an invoice for keeping a file.
const files = "infernet: keep "

// strays finds what the wallet has and no ledger knows. What one wallet here paid to another for a job that one of the
// ledgers knows has its job: a node that tries itself keeps no customer's ledger.
func (r *Report) strays(s Scope) {
	known, bought := map[place]bool{}, map[wallet.Hash]bool{}
	for _, f := range slices.Concat(s.Facts, s.Known) {
		known[place{f.Way, f.Hash}] = true
		bought[f.Hash] = true
	}
	for way, list := range s.Books {
		for _, e := range list {
			switch {
			case known[place{way, e.Hash}] || e.At.Before(s.Since):
			case e.State != wallet.Succeeded && !e.Held && (way == wallet.In || e.State != wallet.Pending): // nothing has moved
			case bought[e.Hash]:
				if e.State == wallet.Succeeded {
					r.count(way, e)
				}
			case s.Apps[e.Hash]:
				if e.State == wallet.Succeeded {
					r.Apps.add(e)
				}
			case strings.HasPrefix(e.Description, files):
				if e.State == wallet.Succeeded {
					r.Files.add(e)
				}
			default:
				r.stray(way, e)
			}
		}
	}
}

func (r *Report) stray(way wallet.Way, e wallet.Entry) {
	d := Difference{Fact: Fact{Way: way, Hash: e.Hash, Amount: e.Amount}, At: e.At}
	done := moved[way]
	if e.State == wallet.Pending {
		done = "locked"
	}
	if m := ours.FindStringSubmatch(e.Description); m != nil {
		d.Job = events.ID(m[1])
		d.Text = fmt.Sprintf("%s was %s for a job that no ledger here knows", e.Amount.Human(), done)
	} else {
		d.Outside = true
		d.Text = fmt.Sprintf("%s was %s for no job; the invoice says %q", e.Amount.Human(), done, e.Description)
	}
	r.Differences = append(r.Differences, d)
}
