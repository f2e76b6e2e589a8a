package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"infernet/events"
)

// maxTries is how many nodes a direct job is tried at, one after the other.
const maxTries = 3

// withModel is the order for another model.
func (o Order) withModel(model string) Order {
	o.Params = slices.Clone(o.Params)
	if i := slices.IndexFunc(o.Params, func(p events.Param) bool { return p.Name == "model" }); i >= 0 {
		o.Params[i] = events.Param{Name: "model", Values: []string{model}}
	} else {
		o.Params = append(o.Params, events.Param{Name: "model", Values: []string{model}})
	}
	return o
}

// anyModel buys the first of the order's models that somebody delivers.
func (c *Consumer) anyModel(ctx context.Context, o Order, watch func(Step)) (*Delivery, error) {
	fallback := o.Fallback
	o.Fallback = nil
	for {
		got, job, err := c.anyNode(ctx, o, watch)
		if err == nil || len(fallback) == 0 || ctx.Err() != nil || !c.free(job, err) {
			return got, err
		}
		if watch != nil {
			watch(Step{Job: job, Note: fmt.Sprintf("%v; tries %s", err, fallback[0])})
		}
		o, fallback = o.withModel(fallback[0]), fallback[1:]
		o.Retry = job
	}
}

// anyNode buys an order; a direct one, if its node was not named and fails before it has cost anything, at the next best.
func (c *Consumer) anyNode(ctx context.Context, o Order, watch func(Step)) (got *Delivery, last events.ID, err error) {
	for try := 1; ; try++ {
		at := events.PubKey("")
		got, err = c.once(ctx, o, func(s Step) {
			if s.Job != "" {
				last = s.Job
			}
			if req, ok := s.Message.(*events.Request); ok && len(req.To) == 1 {
				at = req.To[0]
			}
			if watch != nil {
				watch(s)
			}
		})
		if err == nil || o.Way != Direct || o.Node != "" || o.Hedge > 0 || at == "" || try == maxTries || ctx.Err() != nil || !Blames(err) || !c.free(last, err) {
			return got, last, err
		}
		c.Log.Info("a node failed, tries the next", "job", last, "node", at, "err", err)
		first := err
		o.Avoid, o.Retry = append(slices.Clone(o.Avoid), at), last
		if ranked, rankErr := c.Rank(ctx, o); rankErr != nil || len(ranked) == 0 || ranked[0].Out || ranked[0].About > o.MaxCost {
			return nil, last, first
		}
		if watch != nil {
			watch(Step{Job: last, Note: fmt.Sprintf("%v; asks the next node", err)})
		}
	}
}

// once buys an order once, or twice at the same time if it is hedged.
func (c *Consumer) once(ctx context.Context, o Order, watch func(Step)) (*Delivery, error) {
	if o.Hedge > 0 {
		return c.hedged(ctx, o, watch)
	}
	return c.worked(ctx, o, watch)
}

// free says whether a job has failed without costing anything: then another may be bought in its place.
func (c *Consumer) free(job events.ID, err error) bool {
	var (
		none     *NoOffersError
		vanished *VanishedError
	)
	switch {
	case errors.As(err, &none):
	case errors.As(err, &vanished) && vanished.Life > 0: // there is no time left
		return false
	case !Blames(err):
		return false
	}
	if job == "" {
		return true
	}
	paid, err := c.Ledger.Commitment(job)
	return err == nil && paid == nil
}
