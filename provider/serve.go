package provider

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/wallet"
)

// serve does one job, from the request to the receipt. Each step first looks into the journal whether it was done
// before a crash, and writes it there before it is said on a relay: serving a job again is how it is resumed. life ends
// with the node, ctx also when the customer cancels.
func (p *Provider) serve(life, ctx context.Context, j *job) error {
	if j.refused != nil { // before a crash, and nothing is done for it after that
		return errors.Join(errRefused, p.publish(life, j, j.said[j.refused.ID], true))
	}
	if j.req.Kind == events.KindAccount {
		return p.account(life, j)
	}
	ctx, cancel := context.WithDeadlineCause(ctx, j.req.Deadline.Time(), errDeadline)
	defer cancel()
	if err := p.agree(ctx, j); err != nil {
		return cause(ctx, err)
	}
	if err := p.charge(life, ctx, j); err != nil {
		return cause(life, err)
	}
	if ctx.Err() != nil && j.result == nil && life.Err() == nil {
		return p.owe(life, j, early(context.Cause(ctx)))
	}
	if err := p.work(ctx, j); err != nil {
		return p.owe(life, j, cause(ctx, err))
	}
	return p.settle(life, j)
}

var (
	errDeadline  = errors.New("the deadline is over")
	errNoAward   = errors.New("not awarded")
	errUnpaid    = errors.New("not paid in time")
	errStandDown = errors.New("another node does it")
	errRefused   = errors.New("it was refused")
)

// early says that a paid job ended before its work began.
func early(why error) error { return refuse(events.CodeExpired, "%v before the work began", why) }

// cause says why a step ended: what ended the context, if that did.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// agree comes to terms with the customer: a quote, and in an auction an offer and its award.
func (p *Provider) agree(ctx context.Context, j *job) error {
	if j.terms == nil {
		terms, err := p.quote(ctx, j)
		if err != nil {
			return p.reprice(ctx, j, err)
		}
		j.terms = terms
	}
	if !j.req.Profile && j.terms.Pay == events.PayFree {
		if err := p.standDown(ctx, j); err != nil {
			return err
		}
	}
	if err := p.track(j); err != nil {
		return err
	}
	if j.req.Bids == nil {
		return nil
	}
	if err := p.makeOffer(ctx, j); err != nil {
		return err
	}
	return p.awaitAward(ctx, j)
}

// reprice answers a direct job at a price that holds no more with a fresh offer, which the customer may order by.
// Every other refusal it leaves as it is.
func (p *Provider) reprice(ctx context.Context, j *job, why error) error {
	var changed *refusal
	if !errors.As(why, &changed) || changed.Code != events.CodePriceChanged {
		return why
	}
	asked := *j.req
	asked.Price = ""
	terms, err := p.quote(ctx, &job{req: &asked, ev: j.ev})
	if err != nil {
		return err
	}
	j.terms = terms
	if err := p.makeOffer(ctx, j); err != nil { // the journal has the offer, and no job that would be resumed
		return err
	}
	p.sayNo(ctx, j, changed)
	return p.awaitAward(ctx, j) // it cannot come, but the offer lives as long
}

// makeOffer publishes the node's offer, encrypted unless the auction is open.
func (p *Provider) makeOffer(ctx context.Context, j *job) error {
	if j.offer != nil {
		return p.again(ctx, j, j.offer.ID)
	}
	t := j.terms
	offer := &events.Offer{
		Head: p.head(j), Job: j.req.ID, To: j.req.Author, Amount: t.Amount, Cap: t.Cap, Model: t.Model, ETA: p.eta().Milliseconds(),
		Until: min(events.At(p.Now().Add(p.OfferFor)), j.req.Deadline), Delivery: t.Deliver, Pay: t.Pay, Encrypted: j.req.Bids == nil || !j.req.Bids.Open,
	}
	ev, err := events.Sign(ctx, offer, p.Signer)
	if err != nil {
		return err
	}
	if err := p.Ledger.Keep(j.req.ID, ev); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	j.offer = offer
	p.mu.Lock()
	p.offers[offer.ID] = j // before it is published: the award may be faster than the OK
	p.mu.Unlock()
	p.Step(j.req.ID, "offered")
	return p.publish(ctx, j, ev, false)
}

// awaitAward waits for the customer's choice while the offer holds.
func (p *Provider) awaitAward(ctx context.Context, j *job) error {
	if j.award != nil {
		return nil
	}
	ctx, cancel := context.WithDeadlineCause(ctx, j.offer.Until.Time().Add(time.Second), errNoAward)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case award := <-j.awards:
			if award.Author != j.req.Author {
				continue
			}
			j.award = award.Award
			if err := p.checkAward(ctx, j); err != nil {
				return err
			}
			if err := p.write(ctx, func() error { return p.Ledger.Keep(j.req.ID, award.ev) }); err != nil {
				return fmt.Errorf("journal: %w", err)
			}
			p.Step(j.req.ID, "awarded")
			return nil
		}
	}
}

// checkAward holds an award against the offer, by this node's own clock.
func (p *Provider) checkAward(ctx context.Context, j *job) error {
	now := events.At(p.Now())
	switch a := j.award; {
	case a.Offer != j.offer.ID:
		return refuse(events.CodeConflict, "the offer here is %s, the award takes %s", j.offer.ID, a.Offer)
	case a.Amount != j.offer.Amount:
		return refuse(events.CodeConflict, "the offer is %s, the award %s", j.offer.Amount.Human(), a.Amount.Human())
	case now > j.offer.Until || now > a.Until:
		return refuse(events.CodeExpired, "the award came too late")
	}
	if j.terms.Pay == events.PaySealed {
		if err := p.checkAlone(ctx, j); err != nil {
			return err
		}
	}
	return p.use(j.offer.ID, j)
}

// checkAlone refuses work on credit for a job that was awarded to somebody else too: ten nodes would work, one be paid.
func (p *Provider) checkAlone(ctx context.Context, j *job) error {
	said, err := p.Pool.Query(ctx, nostr.Filter{
		Kinds: []int{events.KindFeedback}, Authors: []string{string(j.req.Author)}, Tags: nostr.TagMap{"e": {string(j.req.ID)}},
	})
	if err != nil {
		return err
	}
	for _, ev := range said {
		if m, err := events.Parse(ev); err == nil {
			if award, ok := m.(*events.Award); ok && award.Node != p.me {
				return refuse(events.CodeConflict, "the job is awarded to %s too", award.Node)
			}
		}
	}
	return nil
}

// charge sees to it that the job is paid, or its money locked, or that it may be done without: then it is started, once. It
// does not stop with ctx, for a cancellation or the deadline: an invoice that is out may still be paid, and what is paid is
// worked for or owed back. Only what is locked can be let go at once.
func (p *Provider) charge(life, ctx context.Context, j *job) error {
	if j.result != nil { // made before a crash, so it was paid for before
		if j.terms.Pay == events.PayPrepaid {
			j.paid = j.terms.Amount
		}
		return nil
	}
	var hash *wallet.Hash
	switch j.terms.Pay {
	case events.PayPrepaid:
		paid, err := p.prepaid(life, j)
		if err != nil {
			return err
		}
		hash, j.paid = &paid.Hash, paid.Amount
		p.Step(j.req.ID, "paid")
	case events.PayHold:
		locked, err := p.lock(life, ctx, j)
		if err != nil {
			return err
		}
		hash = &locked.Hash
		p.Step(j.req.ID, "held")
	case events.PaySealed:
		r, err := p.preimage(j)
		if err != nil {
			return err
		}
		h := r.Hash()
		hash = &h
	case events.PayCredit:
		if err := p.reserve(life, j); err != nil {
			return err
		}
	}
	return p.start(life, j, hash)
}

// start claims the payment and the job, both once and durably. A job of the journal was started before the crash.
func (p *Provider) start(ctx context.Context, j *job, hash *wallet.Hash) error {
	j.gift = false // it is used
	if j.begun != nil {
		return nil
	}
	first := false
	err := p.write(ctx, func() (err error) {
		first, err = p.Ledger.Begin(j.req.ID, hash)
		return err
	})
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if !first && !j.resumed {
		return errUsed
	}
	p.Step(j.req.ID, "started")
	return nil
}

// standDown waits a little before an open plain job is done for free, and leaves it to another node that begins.
func (p *Provider) standDown(ctx context.Context, j *job) error {
	if len(j.req.To) > 0 || p.StandDown <= 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, rand.N(p.StandDown))
	defer cancel()
	others := p.Pool.Subscribe(ctx, nostr.Filter{
		Kinds: []int{events.KindFeedback, j.req.Kind + 1000}, Tags: nostr.TagMap{"e": {string(j.req.ID)}},
	})
	for ev := range others.Events {
		m, err := events.Parse(ev)
		if err != nil || m.Signed().Author == p.me {
			continue
		}
		switch m.(type) {
		case *events.Running, *events.Result:
			return errStandDown
		}
	}
	return nil
}

// again publishes a message of an earlier run as it was.
func (p *Provider) again(ctx context.Context, j *job, id events.ID) error {
	ev := j.said[id]
	if ev == nil {
		return fmt.Errorf("journal: event %s is missing", id)
	}
	return p.publish(ctx, j, ev, false)
}

// refuseUnknownAward answers an award of an offer that this node does not know, or that holds no more. An award that was
// taken is in the journal and is not answered again.
func (p *Provider) refuseUnknownAward(ctx context.Context, m *events.Award) {
	kept, err := p.Ledger.Events(m.Job)
	if err != nil || events.At(p.Now()) > m.Until || !p.strayAnswer() {
		return
	}
	for _, ev := range kept {
		if ev.Kind == events.KindFeedback && ev.PubKey == string(m.Author) {
			return
		}
	}
	req := &events.Request{Head: events.Head{ID: m.Job, Author: m.Author}, Deadline: m.Until}
	p.sayNo(ctx, &job{req: req, award: m}, refuse(events.CodeExpired, "there is no offer %s here", m.Offer))
}

// maxStrays is how many awards of unknown offers are answered in a minute: anybody can invent them.
const maxStrays = 60

func (p *Provider) strayAnswer() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if minute := p.Now().Unix() / 60; minute != p.minute {
		p.minute, p.strays = minute, 0
	}
	p.strays++
	return p.strays <= maxStrays
}

// sayNo publishes a refusal. Nothing depends on it, so the journal does without.
func (p *Provider) sayNo(ctx context.Context, j *job, why *refusal) {
	no := &events.Refusal{
		Head: p.head(j), Job: j.req.ID, To: j.req.Author, Code: why.Code, Text: why.Text, Encrypted: j.req.Encrypted,
	}
	ev, err := events.Sign(ctx, no, p.Signer)
	if err == nil {
		err = p.publish(ctx, j, ev, false)
	}
	if err != nil {
		p.Log.Warn("cannot say no", "job", j.req.ID, "err", err)
	}
}
