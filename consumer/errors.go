package consumer

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"infernet/consumer/choose"
	"infernet/events"
)

var errDeadline = errors.New("the job's deadline is over")

// NoOffersError says that nobody wants the job at that price.
type NoOffersError struct {
	Kind    int
	Model   string
	MaxCost events.Msat
	Near    []string          // models there are with a name like it
	Refused []*events.Refusal // what nodes said
	Dear    []*events.Offer   // offers above MaxCost
	Zaps    []*events.Offer   // plain offers without an invoice: their nodes want to be zapped (NIP-57)
	Risky   []*events.Offer   // offers that would be paid in a way that risks too much
	Risk    string            // why it does
	About   events.Msat       // what the cheapest announced price makes of the job, roughly; 0 if nobody announces one
	Out     []choose.Verdict  // nodes that could do it and were not taken
	Quiet   events.PubKey     // a living node that announces the job for as little, and has said nothing of it; "" if there is none
	Window  time.Duration     // how long an auction collected offers; 0 if it was none
}

func (e *NoOffersError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "no provider offers kind %d", e.Kind)
	if e.Model != "" {
		fmt.Fprintf(&b, " with model %q", e.Model)
	}
	fmt.Fprintf(&b, " for up to %s", e.MaxCost.Human())
	if len(e.Near) > 0 {
		fmt.Fprintf(&b, "; there is %s", strings.Join(e.Near, ", "))
	}
	if e.Quiet != "" && e.Window > 0 {
		fmt.Fprintf(&b, "; node %s is alive but made no offer within %s", short(e.Quiet), e.Window)
	}
	if e.About > e.MaxCost {
		fmt.Fprintf(&b, "; announced prices make it about %s", e.About.Human())
	}
	for _, r := range e.Refused {
		fmt.Fprintf(&b, "; %s says %s", short(r.Author), r.Error())
	}
	for _, v := range e.Out {
		if v.Out {
			fmt.Fprintf(&b, "; node %s is not taken: %s", short(v.Node), v.Why)
		}
	}
	if len(e.Dear) > 0 {
		fmt.Fprintf(&b, "; the cheapest offer is %s", e.Dear[0].Cap.Human())
	}
	if len(e.Risky) > 0 {
		fmt.Fprintf(&b, "; node %s wants %s by %s: %s", short(e.Risky[0].Author), e.Risky[0].Cap.Human(), e.Risky[0].Pay, e.Risk)
	}
	if len(e.Zaps) > 0 {
		fmt.Fprintf(&b, "; %s wants a zap of %s, only invoices are paid here", short(e.Zaps[0].Author), e.Zaps[0].Cap.Human())
	}
	return b.String()
}

// RefusedError says that the chosen node said no, or failed.
type RefusedError struct {
	*events.Refusal
	Node events.PubKey
}

func (e *RefusedError) Error() string {
	s := fmt.Sprintf("node %s: %s", short(e.Node), e.Refusal.Error())
	if e.Owed > 0 {
		s += fmt.Sprintf(" (it owes %s back)", e.Owed.Human())
	}
	return s
}

// VanishedError says that the chosen node fell silent, or has not delivered by the job's deadline.
type VanishedError struct {
	Job   events.ID
	Node  events.PubKey
	Life  time.Duration // how long the job had until its deadline, if that has passed; 0 if the node fell silent before
	State events.State
	Paid  events.Msat // what it was paid before; the ledger keeps the payment and Resume the job
	Held  bool        // what it was paid is only locked: it comes back unless the node takes it
}

func (e *VanishedError) Error() string {
	switch {
	case e.Held:
		return fmt.Sprintf("node %s fell silent; the %s locked for it come back unless it delivers", short(e.Node), e.Paid.Human())
	case e.Life > 0 && e.Paid > 0:
		return fmt.Sprintf("node %s was paid %s, and the deadline of %s passed before it delivered", short(e.Node), e.Paid.Human(), e.Life)
	case e.Life > 0:
		return fmt.Sprintf("the deadline of %s passed before node %s delivered", e.Life, short(e.Node))
	case e.Paid > 0:
		return fmt.Sprintf("node %s was paid %s and fell silent", short(e.Node), e.Paid.Human())
	}
	return fmt.Sprintf("node %s fell silent", short(e.Node))
}

// CancelledError says that the customer has cancelled the job, and that no result came before.
type CancelledError struct {
	Job  events.ID
	Node events.PubKey
	Paid events.Msat // what the node was paid in advance, and keeps
	Held bool        // what it was paid is only locked, and comes back
	Back events.Msat // what was locked for it, and is back
}

func (e *CancelledError) Error() string {
	if e.Back > 0 {
		return fmt.Sprintf("job %s was cancelled; the %s locked for node %s are back", short(e.Job), e.Back.Human(), short(e.Node))
	}
	if e.Held {
		return fmt.Sprintf("job %s was cancelled; the %s locked for node %s come back", short(e.Job), e.Paid.Human(), short(e.Node))
	}
	if e.Paid > 0 {
		return fmt.Sprintf("job %s was cancelled; node %s was paid %s in advance and keeps it", short(e.Job), short(e.Node), e.Paid.Human())
	}
	return fmt.Sprintf("job %s was cancelled", short(e.Job))
}

// LeftError says that the customer left a job for which money is out. Resume goes on with it.
type LeftError struct {
	Job  events.ID
	Node events.PubKey
	Paid events.Msat
	Sure bool  // the wallet said that it has paid
	Held bool  // the money is only locked, and the job was cancelled: it comes back
	Back bool  // the money was only locked, the job was cancelled, and it is back: the job is over
	Why  error // what the customer's context ended with
}

func (e *LeftError) Error() string {
	if e.Back {
		return fmt.Sprintf("interrupted: job %s was cancelled, the %s locked for node %s are back", short(e.Job), e.Paid.Human(), short(e.Node))
	}
	if e.Held {
		return fmt.Sprintf("interrupted: job %s was cancelled, the %s locked for node %s come back", short(e.Job), e.Paid.Human(), short(e.Node))
	}
	if e.Sure {
		return fmt.Sprintf("interrupted: node %s was paid %s for job %s, which goes on", short(e.Node), e.Paid.Human(), short(e.Job))
	}
	return fmt.Sprintf("interrupted: %s for node %s and job %s may be paid already", e.Paid.Human(), short(e.Node), short(e.Job))
}

func (e *LeftError) Unwrap() error { return e.Why }

// BadInvoiceError says why an invoice was not paid. Nothing was sent.
type BadInvoiceError struct {
	Node events.PubKey
	Why  string
	Ours bool // what is in the way is this side's: the wallet, or the network it is of
}

func (e *BadInvoiceError) Error() string {
	return fmt.Sprintf("invoice of node %s not paid: %s", short(e.Node), e.Why)
}

// BadResultError says why a result is not what its node promised.
type BadResultError struct {
	Node events.PubKey
	Why  string
	Paid events.Msat
}

func (e *BadResultError) Error() string {
	return fmt.Sprintf("result of node %s refused: %s", short(e.Node), e.Why)
}

// short is a key or an id as people can compare it.
func short[T ~string](key T) string { return string(key[:min(8, len(key))]) }
