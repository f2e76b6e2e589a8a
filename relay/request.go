package relay

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

const maxSubID = 64 // characters (NIP-01)

// request answers a REQ: it registers first and then asks the store, so that nothing falls between.
func (s *session) request(ctx context.Context, m *nostr.ReqEnvelope) {
	if why := s.refuseRequest(m); why != "" {
		s.push(frame("CLOSED", m.SubscriptionID, why))
		return
	}
	sub := &subscription{
		id: m.SubscriptionID, session: s, filters: m.Filters, prefix: eventPrefix(m.SubscriptionID), sent: map[string]bool{},
	}
	s.unsubscribe(sub.id) // the same id again takes its place
	s.mu.Lock()
	s.subs[sub.id] = sub
	s.mu.Unlock()
	s.r.index.add(sub)
	s.r.meters.subs.Inc()
	found, ok := s.r.find(ctx, m.Filters, s.shows())
	if !ok {
		return
	}
	for i, h := range found {
		found[i] = hit{}
		if !sub.first(h.id) {
			continue
		}
		raw := s.r.store.raw(h)
		if raw == nil {
			continue
		}
		if !s.out.wait(ctx, sub.frame(raw)) {
			return
		}
		s.r.meters.old.Inc()
	}
	sub.stored()
	s.out.wait(ctx, frame("EOSE", sub.id))
}

// maxQueries is how many queries run at once. More wait for their turn.
var maxQueries = max(8, 2*runtime.GOMAXPROCS(0))

// find runs a query when its turn comes. One that takes long lets those go first that have waited meanwhile. It says false
// if the connection ends before.
func (r *Relay) find(ctx context.Context, filters nostr.Filters, show func(*nostr.Event) bool) (found []hit, ok bool) {
	ok = r.inTurn(ctx, func(pause func() bool) { found = r.store.query(ctx, filters, r.terms().MaxLimit, show, pause) })
	return found, ok
}

// inTurn does what reads the store when its turn comes. It is to call pause now and then, and to end when that says false.
func (r *Relay) inTurn(ctx context.Context, read func(pause func() bool)) bool {
	select {
	case r.querying <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	began, ended := time.Now(), false
	pause := func() bool {
		if time.Since(began) < slice {
			return true
		}
		<-r.querying
		select {
		case r.querying <- struct{}{}:
		case <-ctx.Done():
			ended = true
		}
		began = time.Now()
		return !ended
	}
	read(pause)
	if !ended {
		<-r.querying
	}
	return !ended
}

func (s *session) refuseRequest(m *nostr.ReqEnvelope) string {
	terms := s.r.terms()
	s.mu.Lock()
	n, again := len(s.subs), s.subs[m.SubscriptionID] != nil
	s.mu.Unlock()
	if !again && n >= terms.MaxSubs {
		return fmt.Sprintf("rate-limited: %d subscriptions on one connection, no more", terms.MaxSubs)
	}
	return s.refuseFilters(m)
}

// refuseFilters is what holds for every question about what is stored.
func (s *session) refuseFilters(m *nostr.ReqEnvelope) string {
	terms := s.r.terms()
	s.mu.Lock()
	known := len(s.authed) > 0
	s.mu.Unlock()
	switch {
	case m.SubscriptionID == "" || len(m.SubscriptionID) > maxSubID:
		return fmt.Sprintf("invalid: a subscription's id has 1 to %d characters", maxSubID)
	case len(m.Filters) == 0:
		return "invalid: no filter"
	case len(m.Filters) > terms.MaxFilters:
		return fmt.Sprintf("invalid: %d filters, at most %d", len(m.Filters), terms.MaxFilters)
	}
	for _, f := range m.Filters {
		if why := searches(f); why != "" {
			return why
		}
		if terms.PrivateJobs && !known && asksForAnswers(f) {
			return "auth-required: encrypted jobs are shown to their two parties"
		}
	}
	return ""
}

// asksForAnswers says whether a filter is what a party to a job asks with: by job or by key, for kinds that travel
// encrypted. Who asks so unknown would miss what is private, and not know it.
func asksForAnswers(f nostr.Filter) bool {
	if f.Tags["e"] == nil && f.Tags["p"] == nil {
		return false
	}
	if f.Kinds == nil {
		return true
	}
	for _, kind := range f.Kinds {
		switch {
		case !events.IsMarket(kind):
		case kind == events.KindCancel || hasAddress(kind): // always in clear
		default:
			return true
		}
	}
	return false
}

func (s *session) unsubscribe(id string) {
	s.mu.Lock()
	sub := s.subs[id]
	delete(s.subs, id)
	s.mu.Unlock()
	if sub != nil {
		s.r.index.remove(sub)
		s.r.meters.subs.Dec()
	}
}

// shows is what a question's answer may hold; nil for everything.
func (s *session) shows() func(*nostr.Event) bool {
	if s.r.terms().PrivateJobs || len(s.r.rules.now.Load().BannedKeys) > 0 {
		return s.maySee
	}
	return nil
}

// maySee says whether the client may read an event: those of banned keys are nobody's, encrypted jobs are their two parties' where the operator wants it.
func (s *session) maySee(ev *nostr.Event) bool {
	if !s.r.visible(ev) {
		return false
	}
	if !s.r.terms().PrivateJobs || !events.IsMarket(ev.Kind) || !events.IsEncrypted(ev) {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.authed[ev.PubKey] {
		return true
	}
	for _, tag := range ev.Tags {
		if len(tag) > 1 && tag[0] == "p" && s.authed[tag[1]] {
			return true
		}
	}
	return false
}
