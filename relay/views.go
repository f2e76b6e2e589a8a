package relay

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/httpd"
	"infernet/relay/market"
)

// Where the market can be looked at over HTTP, by anybody.
const (
	MarketPath  = "/api/v1/relay/market"
	NodePath    = "/api/v1/relay/market/nodes/{node}"
	HistoryPath = "/api/v1/relay/market/history"
)

// viewFor is how long a view is shown before it is made anew.
const viewFor = 5 * time.Second

// maxShown is how many events of one filter a view is made of, and how many nodes it shows.
const (
	maxShown = 50_000
	maxNodes = 2000
)

// views are what the relay's events show of the market.
type views struct {
	history *market.History

	mu   sync.Mutex
	last *market.View
	made time.Time
}

func (r *Relay) openViews() (err error) {
	path := ""
	if r.Dir != "" {
		path = filepath.Join(r.Dir, "market.jsonl")
	}
	if r.views.history, err = market.OpenHistory(path, r.Now()); err != nil {
		r.views.history, _ = market.OpenHistory("", r.Now())
	}
	return err
}

// gather gives what filters find. What banned keys said is not looked at, nor are encrypted jobs where they are for their parties.
func (r *Relay) gather(ctx context.Context, filters nostr.Filters) (all []*nostr.Event, err error) {
	private := r.terms().PrivateJobs
	show := func(ev *nostr.Event) bool { return r.visible(ev) && !(private && events.IsEncrypted(ev)) }
	ok := r.inTurn(ctx, func(pause func() bool) {
		for _, h := range r.store.query(ctx, filters, maxShown, show, pause) {
			if ev := r.store.event(h); ev != nil {
				all = append(all, ev)
			}
		}
	})
	if !ok {
		return nil, errors.Join(errors.New("the question was given up"), ctx.Err())
	}
	return all, nil
}

// Market is what the relay's events show of the market now; it may be five seconds old.
func (r *Relay) Market(ctx context.Context) (*market.View, error) {
	r.views.mu.Lock() // who comes meanwhile waits for the same view
	defer r.views.mu.Unlock()
	now := r.Now()
	if r.views.last != nil && now.Sub(r.views.made).Abs() < viewFor {
		return r.views.last, nil
	}
	found, err := r.gather(ctx, market.Asked(now))
	if err != nil {
		return nil, err
	}
	about := market.About(found, now)
	if len(about) > 0 {
		said, err := r.gather(ctx, about)
		if err != nil {
			return nil, err
		}
		found = append(found, said...)
	}
	v := market.Look(found, now)
	v.Nodes = v.Nodes[:min(len(v.Nodes), maxNodes)]
	r.views.last, r.views.made = v, now
	return v, nil
}

// Known is what the relay's events show of a node, and how each thing is known.
func (r *Relay) Known(ctx context.Context, node events.PubKey) ([]market.Fact, error) {
	now := r.Now()
	found, err := r.gather(ctx, market.AskedOf(node, now))
	if err != nil {
		return nil, err
	}
	jobs := market.JobsOf(found)
	if len(jobs) > 0 {
		asked, err := r.gather(ctx, jobs)
		if err != nil {
			return nil, err
		}
		found = append(found, asked...)
	}
	met := events.Unix(0)
	if at, ok := r.store.met(string(node)); ok {
		met = events.At(at)
	}
	return market.Known(node, found, met, now), nil
}

// sampleEach keeps history until ctx ends.
func (r *Relay) sampleEach(ctx context.Context) {
	for {
		wait := max(market.SampleEach-r.Now().Sub(r.views.history.Last().Time()), time.Second)
		select {
		case <-time.After(min(wait, market.SampleEach)):
		case <-ctx.Done():
			return
		}
		if err := r.sample(ctx); err != nil && ctx.Err() == nil {
			r.Log.Warn("the market's history misses a moment", "err", err)
		}
	}
}

// sample adds the market of now to its history.
func (r *Relay) sample(ctx context.Context) error {
	v, err := r.Market(ctx)
	if err != nil {
		return err
	}
	since := nostr.Timestamp(max(int64(r.views.history.Last()), r.Now().Add(-market.SampleEach).Unix()))
	var jobs, results tally
	asked, given := nostr.Filter{Since: &since}, nostr.Filter{Since: &since}
	for kind := range events.Kinds {
		asked.Kinds, given.Kinds = append(asked.Kinds, kind), append(given.Kinds, kind+1000)
	}
	if !r.inTurn(ctx, func(pause func() bool) {
		r.store.count(ctx, nostr.Filters{asked}, &jobs, nil, pause)
		r.store.count(ctx, nostr.Filters{given}, &results, nil, pause)
	}) {
		return ctx.Err()
	}
	return r.views.history.Add(market.SampleOf(v, jobs.total(), results.total()))
}

// mountViews puts the market into the listener.
func (r *Relay) mountViews(door *httpd.Server) {
	rules := httpd.Rules{Access: httpd.Anyone, AnyHost: true, AnyOrigin: true}
	op := func(path, id, summary, text string, fails ...int) httpd.Operation {
		return httpd.Operation{Method: "GET", Path: path, ID: id, Group: "market", Summary: summary, Text: text, Fails: fails, Rules: rules}
	}
	type view struct{ Body *market.View }
	httpd.Handle(door, op(MarketPath, "relayMarket", "Nodes, models, prices and open jobs, as the relay's events show them", "At most five seconds old. Prices are msat for 1000 units in and 1000 out."),
		func(ctx context.Context, _ *struct{}) (*view, error) {
			v, err := r.Market(ctx)
			return &view{v}, err
		})
	type named struct {
		Node string `path:"node" pattern:"^[0-9a-f]{64}$" doc:"the node's key, hex"`
	}
	type known struct {
		Body struct {
			Facts []market.Fact `json:"facts" nullable:"false"`
		}
	}
	httpd.Handle(door, op(NodePath, "relayMarketNode", "What is known of a node, and how each thing is known", "What a node claims and what strangers say of each other ranks nothing."),
		func(ctx context.Context, in *named) (*known, error) {
			out := &known{}
			var err error
			out.Body.Facts, err = r.Known(ctx, events.PubKey(in.Node))
			return out, err
		})
	type asked struct {
		Since int64  `query:"since" minimum:"0" doc:"unix seconds; all 30 days if missing"`
		Until int64  `query:"until" minimum:"0"`
		Model string `query:"model" maxLength:"200" doc:"only this model's prices"`
		Limit int    `query:"limit" minimum:"1" maximum:"5000" default:"500" doc:"samples, evenly spread"`
	}
	type samples struct {
		Body struct {
			Samples []market.Sample `json:"samples" nullable:"false" doc:"the oldest first"`
		}
	}
	httpd.Handle(door, op(HistoryPath, "relayMarketHistory", "How the market was, for charts", "A sample every ten minutes, for 30 days."),
		func(_ context.Context, in *asked) (*samples, error) {
			out := &samples{}
			out.Body.Samples = r.views.history.Between(events.Unix(in.Since), events.Unix(in.Until), in.Model, in.Limit)
			return out, nil
		})
}
