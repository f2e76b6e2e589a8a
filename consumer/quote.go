package consumer

import (
	"context"
	"fmt"
	"slices"

	"infernet/consumer/choose"
	"infernet/events"
)

// Part is a part of what a job costs.
type Part struct {
	Name  string      `json:"name"`            // base, in, out, priority, minimum
	Units int64       `json:"units,omitempty"` // of in and out
	Price events.Msat `json:"price_msat"`      // for 1000 units; of base, the amount itself
	Cost  events.Msat `json:"cost_msat"`
}

// Quote is what a job would cost, before it is submitted: at the node that would get it now, and at the others.
type Quote struct {
	Node  events.PubKey
	Model string
	Low   events.Msat // if the answer has one unit; where the longest answer is paid for in advance, About is paid all the same
	About events.Msat // with the longest answer that is allowed, and as many units in as the text is likely to have
	Most  events.Msat // what is never exceeded: with as many units in as there are bytes
	Fee   events.Msat // most that the way there may cost in addition
	Parts []Part      // of About
	All   []choose.Verdict
}

// Quote says what an order would cost, without submitting anything. Errors: *NoOffersError if nobody can do it, and as Rank.
func (c *Consumer) Quote(ctx context.Context, o Order) (*Quote, error) {
	all, err := c.Rank(ctx, o)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 || all[0].Out {
		none := c.Nobody(ctx, o)
		none.Out = all
		return nil, none
	}
	first := all[0]
	n, err := c.node(ctx, first.Node)
	if err != nil {
		return nil, err
	}
	for range o.Files {
		o.Inputs = append(slices.Clip(o.Inputs), events.Input{Value: fmt.Sprintf("%064d", 0), Type: "blob"})
	}
	q := &Quote{Node: first.Node, Model: first.Model, About: first.About, Most: first.Most, All: all}
	o.Way, o.Node, o.MaxCost = Direct, first.Node, events.MaxMsat
	j := &job{c: c, order: o}
	if err := j.build(ctx); err != nil {
		return nil, err
	}
	use, market := j.likely(), n.Profile.Market
	for _, m := range market.Models {
		if want := j.req.Model(); want != "" && m.ID != want || !slices.Contains(m.Kinds, o.Kind) {
			continue
		}
		q.Model = m.ID
		q.Parts = parts(market, m.Price, use, j.req.Priority)
		if low, err := market.Cost(m.Price, events.Usage{In: use.In, Out: min(use.Out, 1)}, j.req.Priority); err == nil {
			q.Low = min(low.CeilSat(), q.About)
		}
		break
	}
	if q.Most > 0 {
		q.Fee = c.MaxFee(q.Most)
	}
	return q, nil
}

// parts are what a cost is made of.
func parts(market *events.Market, p events.Price, use events.Usage, priority string) (all []Part) {
	add := func(name string, units int64, price, cost events.Msat) {
		if cost != 0 {
			all = append(all, Part{name, units, price, cost})
		}
	}
	each := func(units int64, price events.Msat) events.Msat {
		cost, err := events.Price{Out: price}.Cost(events.Usage{Out: units}, 100)
		if err != nil {
			return events.MaxMsat
		}
		return cost
	}
	add("base", 0, p.Base, p.Base)
	add("in", use.In, p.In, each(use.In, p.In))
	add("out", use.Out, p.Out, each(use.Out, p.Out))
	plain, err := p.Cost(use, 100)
	if err != nil {
		return all
	}
	if with, err := p.Cost(use, market.PercentOf(priority)); err == nil {
		add("priority", 0, 0, with-plain)
		plain = with
	}
	if plain > 0 && plain < market.Minimum {
		add("minimum", 0, market.Minimum, market.Minimum-plain)
	}
	return all
}
