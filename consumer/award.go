package consumer

import (
	"context"
	"slices"
	"time"

	"infernet/events"
)

// answerIn is how long a node has to answer an award, or a direct job.
const answerIn = 15 * time.Second

// award tells the chosen node, in an auction. Elsewhere the request itself, or the payment, is the award.
func (j *job) award(ctx context.Context) error {
	j.payee = j.c.payeeOf(ctx, j.node)
	j.fly()
	if j.turn.IsZero() && !j.recalled {
		j.turn = j.c.Now()
	}
	if j.offer != nil && j.offer.Plain {
		return j.c.Ledger.Keep(j.req.ID, j.offers[j.offer.ID])
	}
	if j.offer == nil || j.req.Bids == nil || j.awarded() {
		return nil
	}
	return j.say(ctx, &events.Award{
		Head: events.Head{At: events.At(j.c.Now()), Expires: j.req.Keep()}, Job: j.req.ID, Offer: j.offer.ID, Node: j.node,
		Amount: j.offer.Amount, Until: min(events.At(j.c.Now().Add(j.c.AnswerIn)), j.req.Deadline),
	}, j.offers[j.offer.ID])
}

// awarded says whether an award went out before a crash: a job is awarded once.
func (j *job) awarded() bool {
	for _, m := range j.said {
		if _, ok := m.(*events.Award); ok && m.Signed().Author == j.req.Author {
			return true
		}
	}
	return false
}

// answerBy is when a chosen node that says nothing counts as a no-show.
func (j *job) answerBy() time.Time {
	for _, m := range j.said {
		if award, ok := m.(*events.Award); ok && award.Author == j.req.Author {
			return award.Until.Time()
		}
	}
	if j.req.Bids == nil && j.req.Profile {
		return j.asked.Add(j.c.AnswerIn)
	}
	return j.req.Deadline.Time()
}

// runnerUp is the next offer to order from, when the chosen node did not show up and nothing was paid; else nil.
func (j *job) runnerUp(err error) *events.Offer {
	if j.committed {
		return nil
	}
	next := j.rest
	switch err := err.(type) {
	case *VanishedError, *BadInvoiceError, *BadResultError:
	case *RefusedError:
		if err.Code == events.CodePriceChanged { // a fresh offer comes with it
			next = slices.DeleteFunc(j.fitting(), func(o *events.Offer) bool { return o.Author != j.node })
		} else if !again(err.Code) {
			return nil
		}
	default:
		return nil
	}
	now := events.At(j.c.Now())
	for _, o := range next {
		if !o.Plain && now < o.Until && now < j.req.Deadline {
			return o
		}
	}
	return nil
}

// again says whether another node may do better.
func again(code string) bool {
	switch code {
	case events.CodeUnavailable, events.CodeRateLimited, events.CodeExpired, events.CodeConflict, events.CodeUnsupportedModel:
		return true
	}
	return false
}

// order takes up a runner-up's offer: a new encrypted job of the same key to that one node. The first job was awarded
// once and stays so.
func (c *Consumer) order(ctx context.Context, old *job, offer *events.Offer) (*job, error) {
	j := &job{c: c, order: old.order, signer: old.signer, watch: old.watch, began: old.began, offer: offer, node: offer.Author, offers: old.offers, after: old.req.ID}
	for _, o := range old.rest {
		if o.Author != offer.Author {
			j.rest = append(j.rest, o)
		}
	}
	req := *old.req
	req.Head = events.Head{At: events.At(c.Now()), Expires: old.req.Keep()}
	req.Bids, req.Models = nil, nil
	req.To, req.Encrypted = []events.PubKey{offer.Author}, true
	req.Order, req.Retry = offer.ID, old.req.ID
	req.Address, req.Price, req.Bid = "", "", &offer.Cap // the offer's price holds
	j.req, j.order.Retry, j.order.Race = &req, old.req.ID, old.race()
	var secret []byte
	if keys, ok := old.signer.(*events.Keys); ok && c.Signer == nil {
		secret = []byte(keys.Secret())
	}
	if err := old.inLedger(); err != nil {
		return nil, err
	}
	j.tell(Step{Job: old.req.ID, Note: "node " + short(old.node) + " does not deliver, ordering from " + short(offer.Author)})
	return j, j.open(ctx, secret)
}
