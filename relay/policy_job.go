package relay

import (
	"context"
	"fmt"
	"time"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip13"

	"infernet/events"
)

// Limits for one key and one job. Encrypted feedback may be anything, an offer or a receipt, so all feedback counts alike: a
// node that was chosen needs a lease each minute of a long job, any other says little.
const (
	maxOffers    = 2    // in clear
	maxSaid      = 64   // messages of a key that was not chosen
	maxSaidAfter = 4096 // and of one that was, or whose job it is
)

// refuseJob holds the rules of a job: one award, answers only from those it names, few offers. Correctness never
// depends on it; it spares everybody the noise. It is the last policy: what it passes counts from then on, so that two
// awards at the same time are one.
func (r *Relay) refuseJob(ctx context.Context, ev *nostr.Event) (bool, string) {
	m, about := jobOf(ctx, ev)
	if about == "" || ev.Kind == events.KindCancel || ev.Kind == events.KindReview {
		return false, ""
	}
	if _, request := m.(*events.Request); request {
		return false, ""
	}
	f := r.jobs.facts(ctx, about)
	f.mu.Lock()
	defer f.mu.Unlock()
	if why := f.refuse(m, ev.Kind, r.Now()); why != "" {
		return true, why
	}
	f.learn(m, ev.Kind)
	return false, ""
}

func (f *facts) refuse(m events.Message, kind int, now time.Time) string {
	author := m.Signed().Author
	if f.author != "" && author != f.author && len(f.to) > 0 && !f.names(author) {
		return "blocked: the job is addressed to others"
	}
	switch m := m.(type) {
	case *events.Award:
		if f.author == author && f.award != "" && f.award != m.ID {
			return "blocked: job already awarded " + string(f.award)
		}
	case *events.Offer:
		if f.offers[author] >= maxOffers {
			return fmt.Sprintf("rate-limited: %d offers for one job, no more", maxOffers)
		}
	}
	if most := f.most(author, now); kind == events.KindFeedback && f.said[author] >= most {
		return fmt.Sprintf("rate-limited: %d messages about one job, no more", most)
	}
	return ""
}

// most is how many messages a key may say about the job. Of one without bids that names nobody, only its customer knows who
// was paid: whoever it is needs a lease each minute.
func (f *facts) most(author events.PubKey, now time.Time) int {
	switch {
	case f.chosen(author) || author == f.author:
		return maxSaidAfter
	case f.direct && len(f.to) == 0:
		minutes := int(now.Sub(f.since).Minutes())
		return min(maxSaid+max(minutes, 0), maxSaidAfter)
	}
	return maxSaid
}

// refusePow asks unknown keys for work before they offer (NIP-13), where the operator wants it. An encrypted message
// may be an offer. Whom a job names or has chosen need not work to answer.
func (r *Relay) refusePow(ctx context.Context, ev *nostr.Event) (bool, string) {
	most := r.terms().OfferPow
	if most <= 0 || importing(ctx) || ev.Kind != events.KindFeedback {
		return false, ""
	}
	m, about := jobOf(ctx, ev)
	if _, award := m.(*events.Award); award || about == "" || r.knows(ev.PubKey) {
		return false, ""
	}
	if f := r.jobs.facts(ctx, about); f.party(m.Signed().Author) {
		return false, ""
	}
	if bits := nip13.CommittedDifficulty(ev); bits < most {
		return true, fmt.Sprintf("pow: a key that is not known here needs %d bits, this has %d", most, bits)
	}
	return false, ""
}

// knows says whether a node was announced here a while ago.
func (r *Relay) knows(key string) bool {
	at, ok := r.store.met(key)
	return ok && r.Now().Sub(at) >= r.terms().KnownAfter
}

// jobOf reads an event of a job; the job is "" if it is none.
func jobOf(ctx context.Context, ev *nostr.Event) (events.Message, events.ID) {
	if !events.IsMarket(ev.Kind) {
		return nil, ""
	}
	m, err := parse(ctx, ev)
	if err != nil {
		return nil, ""
	}
	about, ok := m.(events.About)
	if !ok {
		return m, ""
	}
	return m, about.About()
}
