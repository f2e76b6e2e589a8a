package consumer

import (
	"context"
	"errors"
	"time"

	"infernet/consumer/choose"
	"infernet/events"
)

// note notes how the job's node did, as far as that is the node's doing.
func (j *job) note(ctx context.Context, d *Delivery, err error) {
	if j.node == "" || j.turn.IsZero() {
		return
	}
	now := j.c.Now()
	o := choose.Outcome{Node: j.node, Model: j.model(), At: now, Said: j.quote(), Paid: j.paid}
	switch {
	case err == nil:
		if o.Model == "" {
			o.Model = d.Model
		}
		if j.recalled {
			break // nobody watched
		}
		span := now.Sub(j.turn)
		if o.Took = span; j.offer != nil {
			o.ETA = time.Duration(j.offer.ETA) * time.Millisecond
		}
		if !j.firstAt.IsZero() {
			o.First = j.firstAt.Sub(j.turn)
			span -= o.First
		}
		if out := d.Usage.Out; out > 1 && span > 0 {
			o.Rate = float64(out-1) / span.Seconds()
		}
	case ctx.Err() != nil || errors.Is(err, errLost):
		if !j.firstAt.IsZero() || j.recalled {
			return
		}
		o.Silent, o.Said, o.Paid = now.Sub(j.turn), 0, 0
	case Blames(err):
		var invoice *BadInvoiceError
		var result *BadResultError
		o.Failed, o.Lied = err.Error(), errors.As(err, &invoice) || errors.As(err, &result)
	default:
		return
	}
	if j.c.Memory != nil {
		j.c.Memory.Note(o)
	}
	j.review(ctx, o, d, err)
}

// quote is what the job was to cost at its node: by the offer, or by what it announced.
func (j *job) quote() events.Msat {
	if j.offer != nil {
		return j.offer.Amount
	}
	return j.quoted
}

// Blames says whether a failure speaks against the node: it fell silent, sent something wrong, or is not able to.
func Blames(err error) bool {
	var (
		refused  *RefusedError
		vanished *VanishedError
		invoice  *BadInvoiceError
		result   *BadResultError
	)
	switch {
	case errors.As(err, &invoice):
		return !invoice.Ours
	case errors.As(err, &vanished), errors.As(err, &result):
		return true
	case errors.As(err, &refused):
		return Elsewhere(refused.Code)
	}
	return false
}

// Elsewhere says whether another node may do what one refused.
func Elsewhere(code string) bool {
	switch code {
	case "", events.CodeUnavailable, events.CodeRateLimited, events.CodeUnsupportedModel, events.CodePriceChanged, events.CodeExpired, events.CodeConflict,
		events.CodePOW, events.CodeDenied, events.CodeUnderbid:
		return true
	}
	return false
}
