package relay

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// refuseDeleted refuses what its author has deleted, unless no deletion may remove it: on another relay it may have come
// before its deletion.
func (r *Relay) refuseDeleted(ctx context.Context, ev *nostr.Event) (bool, string) {
	if r.store.buried(ev) && !r.keeps(ctx, ev) {
		return true, errDeleted.Error()
	}
	return false, ""
}

// delete carries out a deletion (NIP-09). Only the author's own events go, and none that a party to an awarded job
// relies on; a job's request always stays, so that a cancelled job can be read.
func (r *Relay) delete(ctx context.Context, ev *nostr.Event) {
	var ids []string
	var failed error
	for _, tag := range ev.Tags {
		switch {
		case len(tag) < 2:
		case tag[0] == "e" && r.mayDelete(ctx, tag[1], ev.PubKey):
			ids = append(ids, tag[1])
		case tag[0] == "a":
			failed = errors.Join(failed, r.deleteAddress(ctx, tag[1], ev))
		}
	}
	if len(ids) > 0 {
		failed = errors.Join(failed, r.store.bury(ctx, ids, ev.PubKey))
	}
	if failed != nil {
		r.Log.Error("cannot delete", "deletion", ev.ID, "err", failed)
	}
}

func (r *Relay) mayDelete(ctx context.Context, id, author string) bool {
	if !isHex64(id) {
		return false
	}
	ev := r.store.find(ctx, id)
	return ev == nil || ev.PubKey == author && ev.Kind != nostr.KindDeletion && !r.keeps(ctx, ev)
}

// deleteAddress deletes what has an address. Regular events have none: `a 7000:<key>:` would be every award at once.
func (r *Relay) deleteAddress(ctx context.Context, target string, ev *nostr.Event) error {
	parts := strings.SplitN(target, ":", 3)
	if len(parts) != 3 || parts[1] != ev.PubKey {
		return nil
	}
	kind, err := strconv.Atoi(parts[0])
	if err != nil || !hasAddress(kind) || kind == events.KindReview {
		return nil // a review goes by its id, where its job can be looked at
	}
	return r.store.buryAddress(ctx, addressFrom(kind, ev.PubKey, parts[2]), ev.CreatedAt)
}

// keeps says whether a deletion leaves an event: requests, and what was said about an awarded job.
func (r *Relay) keeps(ctx context.Context, ev *nostr.Event) bool {
	if _, request := events.Kinds[ev.Kind]; request {
		return true
	}
	if !events.IsMarket(ev.Kind) || ev.Kind == events.KindCancel {
		return false
	}
	m, err := events.Parse(ev)
	if err != nil {
		return false
	}
	about, ok := m.(events.About)
	return ok && r.jobs.facts(ctx, about.About()).engaged()
}
