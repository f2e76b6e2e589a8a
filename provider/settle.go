package provider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/wallet"
)

// settle publishes the result until a relay has it, waits for the payment of a sealed one, and signs the receipt.
func (p *Provider) settle(ctx context.Context, j *job) error {
	ctx, cancel := context.WithDeadline(ctx, j.req.Keep().Time()) // nobody can want the result after that
	defer cancel()
	if err := p.publish(ctx, j, j.said[j.result.ID], true); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return p.owe(ctx, j, refuse(events.CodeUnavailable, "no relay takes the result: %v", err))
	}
	p.Step(j.req.ID, "delivered")
	if !j.req.Profile {
		return nil // after the result a plain customer hears nothing more
	}
	paid := j.paid
	switch j.terms.Pay {
	case events.PaySealed:
		settled, err := p.awaitSealed(ctx, j)
		if err != nil {
			return err
		}
		paid = settled.Amount
	case events.PayHold:
		if err := p.takeHeld(ctx, j); err != nil {
			return err
		}
		paid = j.invoice.Amount
		p.Step(j.req.ID, "settled")
	case events.PayCredit:
		cost, err := p.draw(ctx, j)
		if err != nil {
			return err
		}
		paid = cost
	}
	if paid > 0 {
		p.customers.remember(j.req.Author)
	}
	return p.say(ctx, j, &events.Receipt{
		Head: events.Head{At: events.At(p.Now()), Expires: j.req.Deadline.Add(events.KeepReceipt)},
		Job:  j.req.ID, To: j.req.Author, Result: j.result.ID, Amount: paid,
	}, true)
}

func (p *Provider) awaitSealed(ctx context.Context, j *job) (wallet.Settlement, error) {
	r, err := p.preimage(j)
	if err != nil {
		return wallet.Settlement{}, err
	}
	settled, err := p.Wallet.Await(ctx, r.Hash())
	if err == nil && settled.Held { // a wallet that takes no preimages: it locks, and the key is told it now
		if err = p.take(ctx, r); err == nil {
			return settled, nil
		}
	}
	if errors.Is(err, wallet.ErrExpired) {
		p.countUnpaid(j)
		return settled, errUnpaid
	}
	return settled, err
}

// countUnpaid remembers that a customer had work done and did not pay.
func (p *Provider) countUnpaid(j *job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.unpaid) >= maxUnpaid {
		clear(p.unpaid)
	}
	p.unpaid[j.req.Author]++
}

// maxUnpaid is how many keys that did not pay are remembered before all are forgiven.
const maxUnpaid = 10_000

// owe ends a job that was paid for and could not be done. What failed by the node's own fault is owed back, in words
// that the node signs; a customer that cancelled pays for what was begun. Money that is only locked goes back at once,
// whoever's fault it was. ctx ends with the node: then the job goes on after its next start.
func (p *Provider) owe(ctx context.Context, j *job, why error) error {
	if ctx.Err() != nil {
		return why
	}
	if j.terms.Pay == events.PayHold {
		if err := p.letGo(ctx, j, why); err != nil {
			return err
		}
	}
	if errors.Is(why, errCancelled) {
		return why
	}
	var refused *refusal
	if !errors.As(why, &refused) && !errors.As(refusalOf(why), &refused) {
		return why
	}
	no := &events.Refusal{
		Head: p.head(j), Job: j.req.ID, To: j.req.Author, Code: refused.Code, Text: refused.Text, Owed: j.paid, Encrypted: j.req.Encrypted,
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := p.say(ctx, j, no, true); err != nil {
		return fmt.Errorf("%w (and the customer could not be told: %w)", why, err)
	}
	if j.terms.Pay == events.PayHold {
		return fmt.Errorf("%v: the locked money is let go", why)
	}
	return fmt.Errorf("%v: %s owed back", why, j.paid.Human()) // said; not to be refused again
}

// remember keeps an event of this run at hand, as the journal does for the next.
func (j *job) remember(ev *nostr.Event) {
	if j.said == nil {
		j.said = map[events.ID]*nostr.Event{}
	}
	j.said[events.ID(ev.ID)] = ev
}
