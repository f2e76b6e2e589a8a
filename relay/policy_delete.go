package relay

import (
	"context"
	"strconv"
	"strings"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/relay/eventlog"
)

// refuseDeleted refuses what its author has deleted, unless no deletion may remove it: on another relay it may have come
// before its deletion.
func (r *Relay) refuseDeleted(ctx context.Context, ev *nostr.Event) (bool, string) {
	if buried(r.store.log, ev) && !r.keeps(ctx, ev) {
		return true, errDeleted.Error()
	}
	return false, ""
}

// deletion is what a deletion (NIP-09) takes away.
type deletion struct {
	ids       []string
	addresses []eventlog.Address
}

// deletion reads what a deletion may take away. Only the author's own events go, and none that a party to an awarded job
// relies on; a job's request always stays, so that a cancelled job can be read.
func (r *Relay) deletion(ctx context.Context, ev *nostr.Event) (d deletion) {
	for _, tag := range ev.Tags {
		switch {
		case len(tag) < 2:
		case tag[0] == "e" && r.mayDelete(ctx, tag[1], ev.PubKey):
			d.ids = append(d.ids, tag[1])
		case tag[0] == "a":
			if at, ok := deletable(tag[1], ev.PubKey); ok {
				d.addresses = append(d.addresses, at)
			}
		}
	}
	return d
}

func (d deletion) carryOut(t *eventlog.Turn, ev *nostr.Event) {
	bury(t, d.ids, ev.PubKey)
	for _, at := range d.addresses {
		buryAddress(t, at, ev.CreatedAt)
	}
}

func (r *Relay) mayDelete(ctx context.Context, id, author string) bool {
	if !isHex64(id) {
		return false
	}
	ev := r.store.find(ctx, id)
	return ev == nil || ev.PubKey == author && ev.Kind != nostr.KindDeletion && !r.keeps(ctx, ev)
}

// deletable reads an address. Regular events have none: `a 7000:<key>:` would be every award at once.
func deletable(target, author string) (at eventlog.Address, ok bool) {
	parts := strings.SplitN(target, ":", 3)
	if len(parts) != 3 || parts[1] != author {
		return at, false
	}
	kind, err := strconv.Atoi(parts[0])
	key, isKey := rawID(author)
	if err != nil || !isKey || kind == events.KindReview {
		return at, false // a review goes by its id, where its job can be looked at
	}
	return eventlog.AddressOf(kind, key, parts[2])
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
