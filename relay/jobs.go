package relay

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// jobs remembers of each job what admission asks for; what it has forgotten it reads from the store.
type jobs struct {
	store *store

	mu  sync.Mutex
	all map[events.ID]*facts
}

// facts are what admission knows of one job.
type facts struct {
	mu     sync.Mutex
	author events.PubKey // "" if the request is not here
	to     []events.PubKey
	since  time.Time
	direct bool // the request has no bids: paying it is the award, which a relay does not see
	award  events.ID
	node   events.PubKey // whom the award names
	offers map[events.PubKey]int
	said   map[events.PubKey]int // all feedback, offers among it
}

// engaged says whether parties may rely on what was said about the job.
func (f *facts) engaged() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.award != "" || f.direct
}

// party says whether the request or its award names a key, or it is its author's.
func (f *facts) party(key events.PubKey) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return key == f.author || f.names(key) || f.chosen(key)
}

func (f *facts) names(key events.PubKey) bool { return slices.Contains(f.to, key) }

func (f *facts) chosen(key events.PubKey) bool { return key == f.node || f.direct && f.names(key) }

func newJobs(s *store) *jobs { return &jobs{store: s, all: map[events.ID]*facts{}} }

const (
	maxFacts = 50_000 // jobs that are remembered, before all are forgotten
	maxRead  = 10_000 // messages about one job that are read again
)

// facts gives what is known of a job.
func (j *jobs) facts(ctx context.Context, id events.ID) *facts {
	j.mu.Lock()
	if f := j.all[id]; f != nil {
		j.mu.Unlock()
		return f
	}
	if len(j.all) >= maxFacts {
		clear(j.all)
	}
	f := &facts{offers: map[events.PubKey]int{}, said: map[events.PubKey]int{}}
	f.mu.Lock() // who asks meanwhile waits; other jobs go on
	defer f.mu.Unlock()
	j.all[id] = f
	j.mu.Unlock()
	if ev := j.store.find(ctx, string(id)); ev != nil {
		f.read(ev)
	}
	said := nostr.Filter{Kinds: []int{events.KindFeedback}, Tags: nostr.TagMap{"e": {string(id)}}}
	all := j.store.query(ctx, nostr.Filters{said}, maxRead, nil, nil)
	for _, h := range slices.Backward(all) { // the oldest award first: that is the one which holds
		if ev := j.store.event(h); ev != nil {
			f.read(ev)
		}
	}
	return f
}

// note hears of a request that was admitted: what was known of its job before is read anew, with its author.
func (j *jobs) note(ctx context.Context, ev *nostr.Event) {
	if _, request := events.Kinds[ev.Kind]; !request {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.all, events.ID(ev.ID))
}

// forget lets the facts of an event's job be read anew: the event is not stored.
func (j *jobs) forget(ev *nostr.Event) {
	m, err := events.Parse(ev)
	if err != nil {
		return
	}
	if about, ok := m.(events.About); ok {
		j.mu.Lock()
		defer j.mu.Unlock()
		delete(j.all, about.About())
	}
}

func (f *facts) read(ev *nostr.Event) {
	if m, err := events.Parse(ev); err == nil {
		f.learn(m, ev.Kind)
	}
}

func (f *facts) learn(m events.Message, kind int) {
	if kind == events.KindFeedback {
		f.said[m.Signed().Author]++
	}
	switch m := m.(type) {
	case *events.Request:
		f.author, f.to, f.since = m.Author, m.To, m.At.Time()
		f.direct = m.Bids == nil
	case *events.Award:
		if m.Author == f.author && f.award == "" {
			f.award, f.node = m.ID, m.Node
		}
	case *events.Offer:
		f.offers[m.Author]++
	}
}
