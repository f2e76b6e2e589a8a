package provider

import (
	"infernet/engine"
	"infernet/events"
)

// State is whether the node takes jobs, in a word: ready, busy, paused, closed (by its hours) or draining; and why none, if
// it takes none.
func (p *Provider) State() (state, why string) {
	if err := p.closed(); err != nil {
		state = "closed"
		switch {
		case p.draining.Load():
			state = "draining"
		case p.policy.Load().Paused:
			state = "paused"
		}
		return state, err.(*refusal).Text
	}
	if running, _, slots := p.Load(); running >= slots {
		return "busy", ""
	}
	return "ready", ""
}

// Run is a model of the engine, as it is sold.
type Run struct {
	engine.Model
	Price events.Price // now
	Sold  bool         // the owner lets it run
}

// Models are the engine's models.
func (p *Provider) Models() (all []Run) {
	y := p.policy.Load()
	for _, m := range p.models {
		all = append(all, Run{m, p.price(m.ID), y.runs(m)})
	}
	return all
}
