package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"infernet/consumer"
	"infernet/events"
)

// rosterFor is how long a look at the market is good for. While it grows old, the next one is fetched beside.
const (
	rosterFor  = 20 * time.Second
	rosterSoon = 5 * time.Second
)

// roster is the market's living nodes, as they were seen a moment ago.
type roster struct {
	c   *consumer.Consumer
	now func() time.Time

	asking sync.Mutex // one look at a time

	mu      sync.Mutex
	nodes   []consumer.Node
	at      time.Time
	looking bool
}

func newRoster(c *consumer.Consumer, now func() time.Time) *roster { return &roster{c: c, now: now} }

// living gives the nodes that are alive.
func (r *roster) living(ctx context.Context) ([]consumer.Node, error) {
	nodes, age := r.last()
	switch {
	case age >= rosterFor || len(nodes) == 0:
		var err error
		if nodes, err = r.look(ctx, age); err != nil {
			return nil, err
		}
	case age >= rosterSoon:
		r.lookBeside()
	}
	now := r.now()
	return slices.DeleteFunc(slices.Clone(nodes), func(n consumer.Node) bool { return !n.Alive(now) }), nil
}

func (r *roster) last() ([]consumer.Node, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.nodes, r.now().Sub(r.at)
}

// look asks the relays, unless somebody else has while this caller waited.
func (r *roster) look(ctx context.Context, age time.Duration) ([]consumer.Node, error) {
	r.asking.Lock()
	defer r.asking.Unlock()
	if nodes, now := r.last(); now < age && len(nodes) > 0 {
		return nodes, nil
	}
	nodes, err := r.c.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.nodes, r.at = nodes, r.now()
	r.mu.Unlock()
	return nodes, nil
}

// lookBeside asks the relays while callers go on with what is known.
func (r *roster) lookBeside() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.looking {
		return
	}
	r.looking = true
	go func() {
		ctx, stop := context.WithTimeout(context.Background(), 5*time.Second)
		defer stop()
		_, age := r.last()
		r.look(ctx, age) // what fails is tried again by who needs it
		r.mu.Lock()
		r.looking = false
		r.mu.Unlock()
	}()
}

// forget makes the next caller look again: what is known has proved wrong.
func (r *roster) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = time.Time{}
}

// models are the ids of the models that serve a kind; of any kind if it is 0.
func models(nodes []consumer.Node, kind int) (ids []string) {
	for _, n := range nodes {
		for _, m := range n.Profile.Market.Models {
			if (kind == 0 || slices.Contains(m.Kinds, kind)) && !slices.Contains(ids, m.ID) {
				ids = append(ids, m.ID)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

// runs says whether a node serves a kind with a model; any model if it is "".
func runs(n consumer.Node, kind int, model string) bool {
	return slices.ContainsFunc(n.Profile.Market.Models, func(m events.ModelOffer) bool {
		return (model == "" || m.ID == model) && slices.Contains(m.Kinds, kind)
	})
}
