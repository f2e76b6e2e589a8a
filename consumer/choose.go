package consumer

import (
	"context"
	"slices"
	"time"

	"infernet/consumer/choose"
	"infernet/events"
)

// choose collects offers while the auction lasts and picks one. In a direct job the node is chosen already; in a plain
// one paying an offer takes it.
func (j *job) choose(ctx context.Context) error {
	if j.committed || j.node != "" && j.req.Profile {
		return nil
	}
	if err := j.collect(ctx); err != nil {
		return err
	}
	offers := j.fitting()
	if len(offers) == 0 {
		if at := j.answered(); at != nil { // a plain node that works for free, or says no
			j.node = at.Node
			return nil
		}
		if j.node != "" && len(j.fold().Offers) == 0 {
			return &VanishedError{Node: j.node, State: events.StateNoShow}
		}
		return j.noOffers(ctx)
	}
	if !offers[0].Plain {
		var why []choose.Verdict
		if offers, why = j.rank(ctx, offers); len(offers) == 0 {
			return &NoOffersError{Kind: j.req.Kind, Model: j.req.Model(), MaxCost: j.order.MaxCost, Out: why}
		}
	}
	pick := offers[0]
	if j.order.Choose != nil {
		var err error
		if pick, err = j.order.Choose(offers); err != nil {
			return err
		}
	}
	j.take(pick)
	j.rest = slices.DeleteFunc(offers, func(o *events.Offer) bool { return o.Author == pick.Author })
	return nil
}

// answered is the node that has begun, delivered or said no without waiting for a choice, as plain ones do; nil if none has.
func (j *job) answered() *events.Engagement {
	if at := j.fold().Best; at != nil && at.State != events.StateAwarded && at.State != events.StateNoShow {
		return at
	}
	return nil
}

// settled says whether more offers are of no use: one fits, or a node has answered, or the only one asked is too dear.
func (j *job) settled() bool {
	return slices.ContainsFunc(j.fitting(), j.good) || j.answered() != nil || j.node != "" && len(j.fold().Offers) > 0
}

// good says whether an offer is of a node that a control does not exclude, and that has no pause.
func (j *job) good(o *events.Offer) bool {
	x := choose.Candidate{Node: o.Author, Model: o.Model, About: o.Amount, Most: o.Cap, Measured: j.c.measured(o.Author, o.Model)}
	controls := choose.Controls{Only: j.order.Controls.Only, Ignore: j.order.Controls.Ignore}
	return !choose.Rank([]choose.Candidate{x}, controls, choose.Need{MaxCost: events.MaxMsat, Wallet: true}, j.c.Now())[0].Out && !j.c.Now().Before(x.Until)
}

// maxOffers is how many offers a customer reads before it chooses.
const maxOffers = 256

// collect waits for offers until the auction's window is over, or the first fits and that is enough.
func (j *job) collect(ctx context.Context) error {
	until := j.req.Deadline.Time()
	if j.req.Bids != nil {
		until = j.asked.Add(time.Duration(j.req.Bids.Seconds) * time.Second)
	}
	first := j.req.Bids == nil || j.req.Bids.Mode == "first"
	for len(j.offers) < maxOffers && !(first && j.settled()) { // what fits may have come while the customer was away
		if m, err := j.next(ctx, until); m == nil || err != nil {
			return err
		}
	}
	return nil
}

// fitting are the live offers that the order allows, cheapest first, one for each node.
func (j *job) fitting() (fit []*events.Offer) {
	now, seen := events.At(j.c.Now()), map[events.PubKey]bool{}
	for _, o := range j.fold().Offers {
		if !seen[o.Author] && !slices.Contains(j.order.Avoid, o.Author) && o.Cap <= j.order.MaxCost && (o.Cap == 0 || j.c.Wallet != nil) && j.fits(o, now) {
			seen[o.Author] = true
			fit = append(fit, o)
		}
	}
	return fit
}

// fits says whether an offer is one of the job's way, of its model, and to be paid and delivered as the order allows.
func (j *job) fits(o *events.Offer, now events.Unix) bool {
	if o.Plain || !j.req.Profile {
		return o.Plain && !j.req.Profile && (o.Bolt11 != "" || o.Cap == 0)
	}
	if want := j.req.Model(); want != "" && o.Model != want || now > o.Until {
		return false
	}
	ways := j.order.Pay
	if len(ways) == 0 {
		ways = payWays
	}
	return j.safe(o) && (o.Pay == events.PayFree && o.Cap == 0 || slices.Contains(ways, o.Pay)) && (o.Pay == events.PaySealed) == (o.Delivery == events.DeliverSealed)
}

// take makes an offer the chosen one, and asks meanwhile which Lightning key its node announced.
func (j *job) take(o *events.Offer) {
	j.offer, j.node = o, o.Author
}

func (j *job) noOffers(ctx context.Context) error {
	e := &NoOffersError{Kind: j.req.Kind, Model: j.req.Model(), MaxCost: j.order.MaxCost}
	if j.req.Bids != nil {
		e.Window = time.Duration(j.req.Bids.Seconds) * time.Second
	}
	for _, m := range j.said {
		if r, ok := m.(*events.Refusal); ok {
			e.Refused = append(e.Refused, r)
		}
	}
	for _, o := range j.fold().Offers {
		switch {
		case o.Cap > j.order.MaxCost:
			e.Dear = append(e.Dear, o)
		case !j.safe(o):
			e.Risky, e.Risk = append(e.Risky, o), j.risk(o.Author, o.Model, o.Cap).Why
		case o.Plain && o.Cap > 0 && o.Bolt11 == "":
			e.Zaps = append(e.Zaps, o)
		}
	}
	nodes, err := j.c.Nodes(ctx)
	if err != nil {
		return e
	}
	var models []string
	runs := false
	for _, n := range nodes {
		for _, m := range n.Profile.Market.Models {
			if !n.Alive(j.c.Now()) || !slices.Contains(m.Kinds, j.req.Kind) {
				continue
			}
			if !slices.Contains(models, m.ID) {
				models = append(models, m.ID)
			}
			if e.Model == "" || m.ID == e.Model {
				runs = true
				about := j.about(m)
				if e.About == 0 || about < e.About {
					e.About = about
				}
				if j.quiet(n, about) {
					e.Quiet = n.Author
				}
			}
		}
	}
	if runs || e.Model == "" {
		return e
	}
	if e.Near = events.Near(e.Model, models); len(e.Near) == 0 {
		e.Near = models[:min(3, len(models))]
	}
	return e
}

// quiet says whether a living node, at whose prices the job costs about so much, would be expected to have made an offer, and
// has said nothing.
func (j *job) quiet(n Node, about events.Msat) bool {
	switch {
	case j.heard[n.Author] > 0, n.Beat.Status == "draining", len(j.order.Require) > 0, slices.Contains(j.order.Avoid, n.Author):
		return false
	case len(j.order.Only) > 0 && !slices.Contains(j.order.Only, n.Author):
		return false
	case about == 0:
		return true
	}
	return about <= j.order.MaxCost && j.c.Wallet != nil && slices.ContainsFunc(n.Profile.Market.Pay, func(way string) bool { return slices.Contains(j.ways(), way) })
}

// framing is how many units a model's own frame around a prompt may take.
const framing = 256

// most is the most that a node's announced prices can make of the job: a unit is never less than a byte.
func (j *job) most(node *events.Announcement) (most events.Msat) {
	use := events.Usage{In: int64(len(j.req.Event().String())) + framing + j.req.Unread(), Out: events.Kinds[j.req.Kind].OutUnit}
	if n, ok := j.req.Params.Int("max_tokens"); ok {
		use.Out = n
	}
	want := j.req.Model()
	for _, m := range node.Profile.Market.Models {
		if want != "" && m.ID != want || !slices.Contains(m.Kinds, j.req.Kind) {
			continue
		}
		cost, err := node.Profile.Market.Cost(m.Price, use, j.req.Priority)
		if err != nil || m.Price.Ms > 0 { // how long it takes is the node's to say
			return events.MaxMsat
		}
		most = max(most, cost.CeilSat())
	}
	return most
}

// likely is what the job is likely to use, with the longest answer that it allows.
func (j *job) likely() events.Usage {
	use := events.Usage{In: int64(len(j.req.Prompt()))/3 + 10 + j.req.Unread(), Out: events.Kinds[j.req.Kind].OutUnit}
	if n, ok := j.req.Params.Int("max_tokens"); ok {
		use.Out = n
	}
	return use
}

// about is roughly what the job would cost at an announced price: nodes that find a bid too low say nothing.
func (j *job) about(m events.ModelOffer) events.Msat {
	cost, err := m.Price.Cost(j.likely(), j.req.Percent())
	if err != nil {
		return events.MaxMsat
	}
	return cost.CeilSat()
}
