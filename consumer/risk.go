package consumer

import (
	"slices"

	"infernet/consumer/choose"
	"infernet/events"
)

// Where the order names no way to pay, choose.Pay is the rule. Before anybody has offered it says in which order ways are
// asked for, and which are taken it says of each offer, by what that may cost and by what is known of its node.

// auto says whether the way to pay is chosen here.
func (j *job) auto() bool { return len(j.order.Pay) == 0 && j.req.Profile && j.order.MaxCost > 0 }

// risk is the rule for a node (nobody, if it is not known yet) and the most that the job may cost there.
func (j *job) risk(node events.PubKey, model string, most events.Msat) choose.Payment {
	r := choose.Risk{Most: most, Stake: j.c.Stake, Stream: j.req.Stream()}
	if node != "" {
		r.Known = j.c.measured(node, model)
	}
	return choose.Pay(r)
}

// asksFor are the ways that an open request names, preferred first. What is paid in advance stands last where it may be too
// much: the offer will say.
func (j *job) asksFor() []string {
	ways := j.risk("", "", j.order.MaxCost).Ways
	for _, way := range payWays {
		if !slices.Contains(ways, way) && !(way == events.PaySealed && j.req.Stream()) {
			ways = append(slices.Clip(ways), way)
		}
	}
	return ways
}

// safe says whether an offer's way to pay is one that the rule, or the order, takes.
func (j *job) safe(o *events.Offer) bool {
	return o.Pay == events.PayFree && o.Cap == 0 || !j.auto() || slices.Contains(j.risk(o.Author, o.Model, o.Cap).Ways, o.Pay)
}

// whyPaid says why an offer is paid as it is; "" if nothing is.
func (j *job) whyPaid(o *events.Offer) string {
	if o.Pay == events.PayFree || o.Cap == 0 {
		return ""
	}
	if !j.auto() {
		return "paid by " + o.Pay + ", as was ordered"
	}
	return j.risk(o.Author, o.Model, o.Cap).Of(o.Pay)
}
