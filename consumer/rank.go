package consumer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"infernet/consumer/choose"
	"infernet/events"
)

// Memory is what a client remembers of the nodes it bought from. Both are called for every job, and do not wait for a disk.
type Memory interface {
	// Measured is what is known of a model at a node; any model if it is "".
	Measured(node events.PubKey, model string) choose.Measured
	// Note notes how a try ended.
	Note(choose.Outcome)
}

// measured is what is known of a model at a node.
func (c *Consumer) measured(node events.PubKey, model string) choose.Measured {
	if c.Memory == nil {
		return choose.Measured{}
	}
	return c.Memory.Measured(node, model)
}

// need is what a job allows and wants.
func (j *job) need() choose.Need {
	return choose.Need{MaxCost: j.order.MaxCost, Wallet: j.c.Wallet != nil, Require: j.order.Require}
}

// Described is a candidate with what its node announces.
func Described(n Node, kind int, model string) choose.Candidate {
	x := choose.Candidate{Node: n.Author, Name: n.Profile.Name, Model: model, GPUs: n.Profile.Market.GPUs}
	for _, m := range n.Profile.Market.Models {
		if (model == "" || m.ID == model) && slices.Contains(m.Kinds, kind) {
			x.Price, x.Context, x.Digest = m.Price, m.Context, m.Digest
			break
		}
	}
	if n.Beat != nil && n.Beat.Capacity > 0 {
		x.Load = float64(n.Beat.Load+n.Beat.Queue) / float64(n.Beat.Capacity)
	}
	return x
}

// announcedIn is how long the market is looked up for what only announcements say.
const announcedIn = 5 * time.Second

// rank orders offers, the best first, and says of each why. Nodes that run the model and made no offer are told of, too, if
// the buyer wants to know.
func (j *job) rank(ctx context.Context, offers []*events.Offer) (best []*events.Offer, all []choose.Verdict) {
	nodes := map[events.PubKey]Node{}
	if j.order.Controls.Announced() || len(j.order.Require) > 0 || j.order.Explain {
		ctx, stop := context.WithTimeout(ctx, announcedIn)
		defer stop()
		found, err := j.c.Nodes(ctx)
		if err != nil {
			j.c.Log.Warn("the nodes' announcements are not known", "err", err)
		}
		for _, n := range found {
			nodes[n.Author] = n
		}
	}
	var candidates []choose.Candidate
	trust := j.c.trusted(ctx)
	for _, o := range offers {
		x := choose.Candidate{Node: o.Author, Model: o.Model}
		if n, ok := nodes[o.Author]; ok {
			x = Described(n, j.req.Kind, o.Model)
			x.Load = 0 // an offer is news, a heartbeat is not
		}
		x.Model, x.About, x.Most, x.Measured = o.Model, o.Amount, o.Cap, j.c.measured(o.Author, o.Model)
		x.Trust = trust[o.Author].Trust
		candidates = append(candidates, x)
	}
	all = choose.Rank(candidates, j.order.Controls, j.need(), j.c.Now())
	for i, v := range all {
		if !v.Out {
			o := offers[slices.IndexFunc(offers, func(o *events.Offer) bool { return o.Author == v.Node })]
			if why := j.whyPaid(o); why != "" {
				all[i].Why += "; " + why
			}
			best = append(best, o)
		}
	}
	if j.order.Explain {
		all = append(all, j.others(nodes, all)...)
		j.tell(Step{Verdicts: all})
	}
	return best, all
}

// others are the living nodes that run the model and are no candidates, with what they said.
func (j *job) others(nodes map[events.PubKey]Node, known []choose.Verdict) (all []choose.Verdict) {
	for _, n := range nodes {
		if !n.Alive(j.c.Now()) || !runs(n, j.req.Kind, j.req.Model()) || slices.ContainsFunc(known, func(v choose.Verdict) bool { return v.Node == n.Author }) {
			continue
		}
		v := choose.Verdict{Candidate: Described(n, j.req.Kind, j.req.Model()), Out: true, Why: "it made no offer"}
		v.Measured = j.c.measured(n.Author, j.req.Model())
		if m := n.Model(j.req.Model()); m != nil {
			if v.About = j.about(*m); v.About > j.order.MaxCost {
				v.Why += fmt.Sprintf(": its prices make it about %s, at most %s may be paid", v.About.Human(), j.order.MaxCost.Human())
			}
		}
		for _, m := range j.said {
			switch m := m.(type) {
			case *events.Refusal:
				if m.Author == n.Author {
					v.Why = "it refused: " + m.Error()
				}
			case *events.Offer:
				if m.Author == n.Author {
					v.Why = fmt.Sprintf("its offer, %s by %s, does not fit", m.Cap.Human(), m.Pay)
					if !j.safe(m) {
						v.Why += ": " + j.risk(m.Author, m.Model, m.Cap).Why
					}
				}
			}
		}
		if slices.Contains(j.order.Avoid, n.Author) {
			v.Why = "it was tried before"
		}
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b choose.Verdict) int { return slices.Compare([]byte(a.Node), []byte(b.Node)) })
	return all
}

// runs says whether a node serves a kind with a model; any model if it is "".
func runs(n Node, kind int, model string) bool {
	return slices.ContainsFunc(n.Profile.Market.Models, func(m events.ModelOffer) bool {
		return (model == "" || m.ID == model) && slices.Contains(m.Kinds, kind)
	})
}

// Rank orders the living nodes that could do an order, the best first, and says of each why it won or lost: what a direct
// job chooses from. Errors: as Nodes, and *events.ParamError.
func (c *Consumer) Rank(ctx context.Context, o Order) ([]choose.Verdict, error) {
	return c.rank(ctx, o, c.Wallet != nil)
}

func (c *Consumer) rank(ctx context.Context, o Order, wallet bool) ([]choose.Verdict, error) {
	nodes, err := c.market(ctx)
	if err != nil {
		return nil, err
	}
	model, trust := (&events.Request{Params: o.Params}).Model(), c.trusted(ctx)
	var all []choose.Candidate
	for _, n := range nodes {
		if !n.Alive(c.Now()) || !runs(n, o.Kind, model) || slices.Contains(o.Avoid, n.Author) {
			continue
		}
		x := Described(n, o.Kind, model)
		if x.About, x.Most, err = c.Estimate(ctx, o, n.Announcement); err != nil {
			return nil, err
		}
		x.Measured, x.Load = c.measured(n.Author, model), max(x.Load, c.load(n))
		x.Trust = trust[n.Author].Trust
		all = append(all, x)
	}
	need := choose.Need{MaxCost: o.MaxCost, Wallet: wallet, Require: o.Require}
	ranked := choose.Rank(all, o.Controls, need, c.Now())
	if len(ranked) > 0 && ranked[0].Out && wallet { // what its node would take less than its prices for, it says itself
		need.MaxCost = events.MaxMsat
		if ranked = choose.Rank(all, o.Controls, need, c.Now()); !ranked[0].Out {
			ranked[0].Why += fmt.Sprintf(", more than the %s that may be paid", o.MaxCost.Human())
		}
	}
	return ranked, nil
}

// whyPaid adds to what is said of the nodes of a direct job how it would be paid there.
func (c *Consumer) whyPaid(ranked []choose.Verdict, o *Order) {
	stream := (&events.Request{Params: o.Params}).Stream()
	for i, v := range ranked {
		switch {
		case v.Out || v.Most == 0:
		case len(o.Pay) > 0:
			ranked[i].Why += "; paid by " + strings.Join(o.Pay, " or ") + ", as was ordered"
		default:
			rule := choose.Pay(choose.Risk{Most: min(v.Most, o.MaxCost), Stake: c.Stake, Stream: stream, Known: v.Measured})
			ranked[i].Why += "; " + rule.Of(strings.Join(rule.Ways, " or "))
		}
	}
}

// pick chooses the node of a direct job: the one named, else the best that lives and runs the model.
func (c *Consumer) pick(ctx context.Context, o *Order, tell func(Step)) (*events.Announcement, error) {
	if o.Node != "" {
		n, err := c.node(ctx, o.Node)
		return n.Announcement, err
	}
	ranked, err := c.Rank(ctx, *o)
	if err != nil {
		return nil, err
	}
	if o.Explain {
		c.whyPaid(ranked, o)
		tell(Step{Verdicts: ranked})
	}
	if len(ranked) > 0 && !ranked[0].Out {
		n, err := c.node(ctx, ranked[0].Node)
		return n.Announcement, err
	}
	none := c.Nobody(ctx, *o)
	none.Out = ranked
	for _, v := range ranked {
		if none.About == 0 || v.About < none.About {
			none.About = v.About
		}
	}
	return nil, none
}

// Nobody is the error that says that nobody does an order, with models that have a name like its.
func (c *Consumer) Nobody(ctx context.Context, o Order) *NoOffersError {
	none := &NoOffersError{Kind: o.Kind, Model: (&events.Request{Params: o.Params}).Model(), MaxCost: o.MaxCost}
	if none.Model == "" {
		return none
	}
	nodes, err := c.market(ctx)
	if err != nil {
		return none
	}
	var have []string
	for _, n := range nodes {
		for _, m := range n.Profile.Market.Models {
			if n.Alive(c.Now()) && slices.Contains(m.Kinds, o.Kind) && !slices.Contains(have, m.ID) {
				have = append(have, m.ID)
			}
		}
	}
	if slices.Contains(have, none.Model) {
		return none
	}
	if none.Near = events.Near(none.Model, have); len(none.Near) == 0 {
		none.Near = have[:min(3, len(have))]
	}
	return none
}
