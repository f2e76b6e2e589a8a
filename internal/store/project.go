package store

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/wallet/bolt11"
)

// maxInput is how much of a customer's text the history shows, in bytes.
const maxInput = 400

// jobOf computes a job's row from its journal. It depends on the journal alone, not on the time: a lost store comes back
// as it was. signer is the node's; a customer's keys are in the ledger. Without the key, what is encrypted stays closed.
func jobOf(ctx context.Context, l *ledger.Ledger, row ledger.Row, signer events.Signer) (Job, error) {
	j := Job{ID: row.Job, Role: row.Role, Seq: row.Seq, At: events.At(row.At), End: row.End}
	kept, err := l.Events(row.Job)
	if err != nil {
		return j, err
	}
	if row.Role == ledger.Customer {
		secret, _, err := l.Value(row.Job, "key")
		if err != nil {
			return j, err
		}
		if keys, err := events.NewKeys(string(secret)); err == nil {
			signer = keys
		}
	}
	commitment, err := l.Commitment(row.Job)
	if err != nil {
		return j, err
	}
	if row.Role == ledger.Customer && commitment != nil {
		j.Peer, j.Paid, j.Sure = commitment.Payee, commitment.Amount, commitment.Settled
	}
	for _, ev := range kept {
		m, err := open(ctx, ev, signer)
		if err != nil {
			continue // of a later version, perhaps: the rest is still worth a row
		}
		if err := j.read(l, m); err != nil {
			return j, err
		}
		if result, ok := m.(*events.Result); ok && row.Role == ledger.Customer && !result.Closed {
			switch {
			case result.Sealed == nil:
				j.Output, _ = result.Split(result.Content) // without the keys of its files
			case commitment != nil && commitment.Settled:
				j.Output, _ = result.Split(unsealed(result, commitment))
			}
		}
	}
	return j, nil
}

func open(ctx context.Context, ev *nostr.Event, signer events.Signer) (events.Message, error) {
	if signer == nil {
		return events.Parse(ev)
	}
	return events.Open(ctx, ev, signer)
}

// read takes from a message what the row shows.
func (j *Job) read(l *ledger.Ledger, m events.Message) error {
	customer := j.Role == ledger.Customer
	switch m := m.(type) {
	case *events.Request:
		j.Kind, j.Model = m.Kind, or(j.Model, m.Model())
		if !customer {
			j.Peer = m.Author
			return nil
		}
		if len(m.To) == 1 && j.Peer == "" {
			j.Peer = m.To[0]
		}
		if len(m.Inputs) > 0 && m.Inputs[0].Type == "text" {
			j.Input = cut(m.Inputs[0].Value)
		}
	case *events.Closed:
		if !customer {
			j.Peer = m.Author
		}
	case *events.Offer:
		j.Model = or(m.Model, j.Model)
		if m.Bolt11 != "" {
			return j.received(l, m.Bolt11, m.Amount)
		}
	case *events.Award:
		if customer && j.Peer == "" {
			j.Peer = m.Node
		}
	case *events.Invoice:
		if m.Pay == events.PayHold { // locked is not received: the receipt will say
			return nil
		}
		return j.received(l, m.Bolt11, m.Amount)
	case *events.Result:
		j.Done, j.Model = m.At, or(m.Model, j.Model)
		j.In, j.Out, j.Ms = m.Usage.In, m.Usage.Out, m.Usage.Ms
		if customer && j.Peer == "" {
			j.Peer = m.Author
		}
	case *events.Refusal:
		j.Done, j.Owed = m.At, m.Owed
	case *events.Receipt:
		if !customer {
			j.Paid, j.Sure = m.Amount, true
		}
	}
	return nil
}

// received notes what a node was paid: an invoice counts once the ledger has claimed its payment for this job.
func (j *Job) received(l *ledger.Ledger, text string, amount events.Msat) error {
	if j.Role != ledger.Provider {
		return nil
	}
	invoice, err := bolt11.Decode(text)
	if err != nil {
		return nil
	}
	claimed, err := l.Claimed(invoice.PaymentHash)
	if err == nil && claimed == j.ID {
		j.Paid, j.Sure = amount, true
	}
	return err
}

// unsealed opens a sealed result that was paid for; "" if it does not open.
func unsealed(m *events.Result, c *ledger.Commitment) string {
	sealed, err := base64.StdEncoding.DecodeString(m.Content)
	if err != nil {
		return ""
	}
	text, err := events.Unseal(events.SealedFor{Job: m.Job, Node: m.Author, Customer: m.To}, c.Preimage, sealed, m.X)
	if err != nil {
		return ""
	}
	return string(text)
}

func or(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// cut shortens a text, between two characters.
func cut(text string) string {
	if len(text) <= maxInput {
		return text
	}
	return strings.ToValidUTF8(text[:maxInput], "") + "…"
}

// trouble names the job that could not be read.
func trouble(id events.ID, err error) error { return fmt.Errorf("history of job %s: %w", id, err) }
