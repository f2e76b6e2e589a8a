package provider

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"infernet/engine"
	"infernet/events"
)

// Policy is how a node deals. Its owner may change it while the node runs; what was promised before is kept. The zero value
// takes every job, from everybody, at any hour, for nothing.
type Policy struct {
	Prices  map[string]events.Price // by model id
	Price   events.Price            // of models that Prices does not name
	Times   []PriceTime             // hours at which prices are others: the first that fits counts
	Percent map[string]int          // what a priority multiplies the price with, low normal high; events.Priorities where unset
	Minimum events.Msat             // least that a job costs that costs anything
	Quota   Quota                   // jobs that are given away

	Open   []Window         // hours in which jobs are taken; always if none
	Models []string         // only these of the engine's models; all if none
	Limits map[string]Limit // by model id
	Slots  int              // jobs at once; what the models say, at least 1, if unset
	Paused bool             // no job is taken

	Allow []events.PubKey // only these may buy; everybody if none
	Block []events.PubKey // these may not
	Work  int             // NIP-13 bits that an unknown key brings while many wait, unless it pays first; 0: none are asked for
}

// PriceTime is a time at which prices are others.
type PriceTime struct {
	Window
	Percent int // of the price
}

// Limit bounds what one model is used for.
type Limit struct {
	Slots  int   // jobs at once; 0: as many as the node
	MaxIn  int64 // most units in of one job; 0: what the model takes
	MaxOut int64 // most units out of one job; 0: what the model gives
}

// Quota is how many jobs are given away in a day (UTC). Keys cost nothing, so all together are bounded too.
type Quota struct {
	Jobs int             // of each key; 0: none
	All  int             // of all keys together; 100 if unset
	Keys []events.PubKey // only these; everybody if none
}

// Check says what is wrong with a policy.
func (y *Policy) Check() error {
	prices := append(slices.Collect(maps.Values(y.Prices)), y.Price)
	for _, p := range prices {
		for _, part := range []events.Msat{p.Base, p.In, p.Out, p.Ms} {
			if part < 0 || part > events.MaxMsat {
				return fmt.Errorf("price: %d msat is out of bounds", part)
			}
		}
	}
	if y.Minimum < 0 || y.Minimum > events.MaxMsat {
		return fmt.Errorf("minimum: %d msat is out of bounds", y.Minimum)
	}
	for name, percent := range y.Percent {
		if _, known := events.Priorities[name]; !known || percent < 1 || percent > maxPercent {
			return fmt.Errorf("priority %q at %d percent: want low, normal or high, at 1 to %d", name, percent, maxPercent)
		}
	}
	for _, t := range y.Times {
		if t.Percent < 0 || t.Percent > maxPercent {
			return fmt.Errorf("prices at %s: %d percent is not from 0 to %d", t.Window, t.Percent, maxPercent)
		}
	}
	for model, l := range y.Limits {
		if l.Slots < 0 || l.MaxIn < 0 || l.MaxOut < 0 {
			return fmt.Errorf("limits of %s: a negative number", model)
		}
	}
	if y.Work < 0 || y.Work > 64 || y.Slots < 0 || y.Quota.Jobs < 0 || y.Quota.All < 0 {
		return fmt.Errorf("work %d, slots %d, quota %d and %d: a number is out of bounds", y.Work, y.Slots, y.Quota.Jobs, y.Quota.All)
	}
	return nil
}

// maxPercent is the most that hours or a priority multiply a price with.
const maxPercent = 10_000

// price is what a model costs at a moment.
func (y *Policy) price(model string, at time.Time) events.Price {
	price, ok := y.Prices[model]
	if !ok {
		price = y.Price
	}
	for _, t := range y.Times {
		if !t.Has(at) {
			continue
		}
		for _, part := range []*events.Msat{&price.Base, &price.In, &price.Out, &price.Ms} {
			*part = min((*part/100)*events.Msat(t.Percent)+(*part%100*events.Msat(t.Percent)+99)/100, events.MaxMsat)
		}
		break
	}
	return price
}

// percent is what a priority multiplies the price with.
func (y *Policy) percent(req *events.Request) int {
	if p, ok := y.Percent[orDefault(req.Priority, "normal")]; ok {
		return p
	}
	return req.Percent()
}

// runs says whether the owner lets a model run.
func (y *Policy) runs(m engine.Model) bool {
	return len(y.Models) == 0 || slices.Contains(y.Models, m.ID)
}

// fits holds what a job would use against the model's limits.
func (y *Policy) fits(model string, most *events.Usage) error {
	l := y.Limits[model]
	if l.MaxIn > 0 && most.In > l.MaxIn {
		return refuse(events.CodeTooLarge, "%d units in, %s takes %d here", most.In, model, l.MaxIn)
	}
	if l.MaxOut > 0 {
		most.Out = min(most.Out, l.MaxOut)
	}
	return nil
}

// Set changes the policy of a running node. It is announced at once.
func (p *Provider) Set(y Policy) error {
	if err := y.Check(); err != nil {
		return err
	}
	p.policy.Store(&y)
	slots := y.Slots
	if slots == 0 {
		slots = slotsOf(p.models)
	}
	limits := map[string]int{}
	for model, l := range y.Limits {
		limits[model] = l.Slots
	}
	p.queue.set(slots, limits)
	p.turn()
	return nil
}

// Policy is the policy in force. It is not to be changed.
func (p *Provider) Policy() *Policy { return p.policy.Load() }

func slotsOf(models []engine.Model) int {
	slots := 1
	for _, m := range models {
		slots = max(slots, m.Slots)
	}
	return slots
}

// turn has the board look again at what it shows.
func (p *Provider) turn() {
	select {
	case p.turned <- struct{}{}:
	default:
	}
}

// closed says why no job is taken now; nil if one is.
func (p *Provider) closed() error {
	y := p.policy.Load()
	if p.draining.Load() {
		return refuse(events.CodeUnavailable, "the node is shutting down")
	}
	if y.Paused {
		return refuse(events.CodeUnavailable, "the node is paused")
	}
	in, next := within(y.Open, p.Now())
	if in {
		return nil
	}
	if next.IsZero() {
		return refuse(events.CodeUnavailable, "the node takes no jobs")
	}
	return refuse(events.CodeUnavailable, "the node opens at %s", next.UTC().Format(time.RFC3339))
}
