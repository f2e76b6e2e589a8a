package relay

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// unlessAdmitted makes a policy a hook that holds once for each event.
func unlessAdmitted(policy func(context.Context, *nostr.Event) (bool, string)) func(context.Context, *nostr.Event) (bool, string) {
	return func(ctx context.Context, ev *nostr.Event) (bool, string) {
		if isAdmitted(ctx) {
			return false, ""
		}
		return policy(ctx, ev)
	}
}

// refuseShape refuses tags that no reader expects. It comes first: khatru dies of a bare d tag.
func (r *Relay) refuseShape(_ context.Context, ev *nostr.Event) (bool, string) {
	if ev.Kind < 0 || ev.Kind > 65535 {
		return true, fmt.Sprintf("invalid: kind %d", ev.Kind)
	}
	if len(ev.Tags) > 2000 {
		return true, fmt.Sprintf("invalid: %d tags, at most 2000", len(ev.Tags))
	}
	for i, tag := range ev.Tags {
		if len(tag) == 0 || tag[0] == "" {
			return true, fmt.Sprintf("invalid: tag %d is empty", i)
		}
		if tag[0] == "d" && len(tag) < 2 {
			return true, "invalid: tag \"d\" has no value"
		}
	}
	return false, ""
}

// refuseTime refuses events of the future, which could never be replaced, and expired ones.
func (r *Relay) refuseTime(_ context.Context, ev *nostr.Event) (bool, string) {
	now := nostr.Timestamp(r.Now().Unix())
	if ev.CreatedAt < 0 || ev.CreatedAt > now+nostr.Timestamp(events.MaxFuture/time.Second) {
		return true, fmt.Sprintf("invalid: created_at %d is not a time up to now, %d", ev.CreatedAt, now)
	}
	if expired(ev, now) {
		return true, "invalid: the event has expired"
	}
	return false, ""
}

// expiration is when an event expires (NIP-40); 0 if it does not.
func expiration(ev *nostr.Event) nostr.Timestamp {
	tag := ev.Tags.Find("expiration")
	if tag == nil {
		return 0
	}
	at, err := strconv.ParseInt(tag[1], 10, 64)
	if err != nil {
		return 0
	}
	return nostr.Timestamp(at)
}

// refuseDeleted refuses what its author has deleted.
func (r *Relay) refuseDeleted(_ context.Context, ev *nostr.Event) (bool, string) {
	if r.store.buried(ev) {
		return true, "blocked: this event was deleted by its author"
	}
	return false, ""
}

// delete carries out a deletion (NIP-09). Only the author's own events go, and none that a party to an awarded job
// relies on; a job's request always stays, so that a cancelled job can be read.
func (r *Relay) delete(ctx context.Context, ev *nostr.Event) {
	for _, tag := range ev.Tags {
		if len(tag) < 2 {
			continue
		}
		var err error
		switch tag[0] {
		case "e":
			target := r.store.find(ctx, tag[1])
			if target != nil && (target.PubKey != ev.PubKey || target.Kind == nostr.KindDeletion || r.keeps(ctx, target)) {
				continue
			}
			err = r.store.bury(ctx, tag[1], ev.PubKey)
		case "a":
			parts := strings.SplitN(tag[1], ":", 3)
			kind, bad := strconv.Atoi(parts[0])
			if bad != nil || len(parts) != 3 || parts[1] != ev.PubKey || kind == events.KindReview {
				continue
			}
			err = r.store.buryAddress(ctx, kind, ev.PubKey, parts[2], ev.CreatedAt)
		}
		if err != nil {
			r.Log.Error("cannot delete", "target", tag[1], "err", err)
		}
	}
}

// keeps says whether a deletion leaves an event: requests, and what was said about an awarded job.
func (r *Relay) keeps(ctx context.Context, ev *nostr.Event) bool {
	if _, request := events.Kinds[ev.Kind]; request {
		return true
	}
	if !events.IsMarket(ev.Kind) {
		return false
	}
	m, err := events.Parse(ev)
	if err != nil {
		return false
	}
	about, ok := m.(events.About)
	return ok && r.jobs.facts(ctx, about.About()).engaged()
}
