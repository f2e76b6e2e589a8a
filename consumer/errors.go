package consumer

import (
	"errors"
	"fmt"
	"strings"

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
	About   events.Msat       // what the cheapest announced price makes of the job, roughly; 0 if nobody announces one
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
	if e.About > e.MaxCost {
		fmt.Fprintf(&b, "; announced prices make it about %s", e.About.Human())
	}
	for _, r := range e.Refused {
		fmt.Fprintf(&b, "; %s says %s", short(r.Author), r.Error())
	}
	if len(e.Dear) > 0 {
		fmt.Fprintf(&b, "; the cheapest offer is %s", e.Dear[0].Cap.Human())
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

// VanishedError says that the chosen node fell silent.
type VanishedError struct {
	Node  events.PubKey
	State events.State
	Paid  events.Msat // what it was paid before; the ledger keeps the payment and Resume the job
	Held  bool        // what it was paid is only locked: it comes back unless the node takes it
}

func (e *VanishedError) Error() string {
	if e.Held {
		return fmt.Sprintf("node %s fell silent; the %s locked for it come back unless it delivers", short(e.Node), e.Paid.Human())
	}
	if e.Paid > 0 {
		return fmt.Sprintf("node %s was paid %s and fell silent", short(e.Node), e.Paid.Human())
	}
	return fmt.Sprintf("node %s fell silent", short(e.Node))
}

// BadInvoiceError says why an invoice was not paid. Nothing was sent.
type BadInvoiceError struct {
	Node events.PubKey
	Why  string
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

// short is a key as people can compare it.
func short(key events.PubKey) string { return string(key[:min(8, len(key))]) }
