package pool

import (
	"cmp"
	"context"
	"slices"

	"github.com/nbd-wtf/go-nostr"
)

// Collected is what relays had stored.
type Collected struct {
	Events []*nostr.Event
	Silent []string // relays that have not answered: what only they have is missing
}

// Collect collects what is stored, until every relay that is connected has sent it (Subscription.EOSE) or ctx ends.
func (p *Pool) Collect(ctx context.Context, filters ...nostr.Filter) (Collected, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := p.Subscribe(ctx, filters...)
	var found Collected
	for {
		select {
		case ev, ok := <-s.Events:
			if !ok {
				found.Silent = s.Silent()
				return found, cmp.Or(context.Cause(ctx), context.Cause(p.ctx))
			}
			found.Events = append(found.Events, ev)
		case <-s.EOSE:
			found.Events, found.Silent = append(found.Events, s.rest()...), s.Silent()
			return found, nil
		}
	}
}

// Query is Collect for who can do with what there is. Relays that are connected and have not answered are logged; those that
// are away are in Status.
func (p *Pool) Query(ctx context.Context, filters ...nostr.Filter) ([]*nostr.Event, error) {
	found, err := p.Collect(ctx, filters...)
	if err != nil {
		return found.Events, err
	}
	for _, r := range p.Status() {
		if r.Connected && slices.Contains(found.Silent, r.URL) {
			p.log.Warn("the relay is there and has not answered: what only it has is missing", "relay", r.URL)
		}
	}
	return found.Events, nil
}
