package relay

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip13"

	"infernet/events"
)

// refuseMarket refuses messages of the market that do not follow their grammar.
func (r *Relay) refuseMarket(_ context.Context, ev *nostr.Event) (bool, string) {
	if !events.IsMarket(ev.Kind) {
		return false, ""
	}
	if _, err := events.Parse(ev); err != nil {
		return true, "invalid: " + err.Error()
	}
	return false, ""
}

// maxOffers is how many offers a node may make for one job, and maxClosed how many of its messages about one job may be
// encrypted: an offer, an invoice, leases, a receipt.
const (
	maxOffers = 2
	maxClosed = 64
)

// refuseJob holds the rules of a job: one award, answers only from those it names, few offers. Correctness never
// depends on it; it spares everybody the noise.
func (r *Relay) refuseJob(ctx context.Context, ev *nostr.Event) (bool, string) {
	if !events.IsMarket(ev.Kind) {
		return false, ""
	}
	m, err := events.Parse(ev)
	if err != nil {
		return false, ""
	}
	about, ok := m.(events.About)
	if !ok || ev.Kind == events.KindCancel || ev.Kind == events.KindReview {
		return false, ""
	}
	if _, request := m.(*events.Request); request {
		return false, ""
	}
	f := r.jobs.facts(ctx, about.About())
	author := m.Signed().Author
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.author != "" && author != f.author && len(f.to) > 0 && !slices.Contains(f.to, author) {
		return true, "blocked: the job is addressed to others"
	}
	switch m.(type) {
	case *events.Award:
		if f.author == author && f.award != "" && f.award != m.Signed().ID {
			return true, "blocked: job already awarded " + string(f.award)
		}
	case *events.Offer:
		if f.offers[author] >= maxOffers {
			return true, fmt.Sprintf("rate-limited: %d offers for one job, no more", maxOffers)
		}
	case *events.Closed:
		if ev.Kind == events.KindFeedback && f.closed[author] >= maxClosed {
			return true, fmt.Sprintf("rate-limited: %d messages about one job, no more", maxClosed)
		}
	}
	return false, ""
}

// refusePow asks unknown keys for work before they offer (NIP-13), where the operator wants it.
func (r *Relay) refusePow(ctx context.Context, ev *nostr.Event) (bool, string) {
	if r.OfferPow <= 0 || ev.Kind != events.KindFeedback {
		return false, ""
	}
	m, err := events.Parse(ev)
	if err != nil {
		return false, ""
	}
	if _, award := m.(*events.Award); award || r.knows(ctx, ev.PubKey) {
		return false, ""
	}
	if about, ok := m.(events.About); ok {
		if f := r.jobs.facts(ctx, about.About()); f.author == m.Signed().Author || slices.Contains(f.to, m.Signed().Author) {
			return false, ""
		}
	}
	if bits := nip13.CommittedDifficulty(ev); bits < r.OfferPow {
		return true, fmt.Sprintf("pow: a key that is not known here needs %d bits, this has %d", r.OfferPow, bits)
	}
	return false, ""
}

// knows says whether a node has been announced here for a while.
func (r *Relay) knows(ctx context.Context, key string) bool {
	for _, ev := range r.store.ask(ctx, nostr.Filter{Kinds: []int{events.KindAnnouncement}, Authors: []string{key}, Limit: 1}) {
		if r.Now().Sub(ev.CreatedAt.Time()) >= r.KnownAfter {
			return true
		}
	}
	return false
}

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
	award  events.ID
	direct bool // the request is an award
	offers map[events.PubKey]int
	closed map[events.PubKey]int
}

func (f *facts) engaged() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.award != "" || f.direct
}

// known says whether the request has been seen.
func (f *facts) known() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.author != ""
}

func newJobs(s *store) *jobs { return &jobs{store: s, all: map[events.ID]*facts{}} }

// maxFacts is how many jobs are remembered before all are forgotten.
const maxFacts = 50_000

func (j *jobs) facts(ctx context.Context, id events.ID) *facts {
	j.mu.Lock()
	defer j.mu.Unlock()
	if f := j.all[id]; f != nil && f.known() {
		return f
	}
	f := newFacts()
	if ev := j.store.find(ctx, string(id)); ev != nil {
		f.learn(ev)
		for _, said := range j.store.ask(ctx, nostr.Filter{Kinds: []int{events.KindFeedback}, Tags: nostr.TagMap{"e": {string(id)}}, Limit: 500}) {
			f.learn(said)
		}
	}
	if old := j.all[id]; old != nil && !f.known() {
		return old
	}
	j.put(id, f)
	return f
}

// note learns from an event that was admitted.
func (j *jobs) note(ev *nostr.Event) {
	if !events.IsMarket(ev.Kind) {
		return
	}
	m, err := events.Parse(ev)
	if err != nil {
		return
	}
	about, ok := m.(events.About)
	if !ok {
		return
	}
	_, request := m.(*events.Request)
	j.mu.Lock()
	f := j.all[about.About()]
	if f == nil && request { // a new job: nothing is stored about it
		f = newFacts()
		j.put(about.About(), f)
	}
	j.mu.Unlock()
	if f != nil {
		f.learn(ev)
	}
}

// put remembers facts; the caller holds j.mu.
func (j *jobs) put(id events.ID, f *facts) {
	if len(j.all) >= maxFacts {
		clear(j.all)
	}
	j.all[id] = f
}

func newFacts() *facts {
	return &facts{offers: map[events.PubKey]int{}, closed: map[events.PubKey]int{}}
}

func (f *facts) learn(ev *nostr.Event) {
	m, err := events.Parse(ev)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch m := m.(type) {
	case *events.Request:
		f.author, f.to = m.Author, m.To
		f.direct = m.Bids == nil && len(m.To) == 1
	case *events.Award:
		if m.Author == f.author && f.award == "" {
			f.award = m.ID
		}
	case *events.Offer:
		f.offers[m.Author]++
	case *events.Closed:
		if m.Kind == events.KindFeedback {
			f.closed[m.Author]++
		}
	}
}
