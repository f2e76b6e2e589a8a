package relay

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

const (
	maxTags  = 2000
	maxItems = 255 // of one tag
)

// refuseShape refuses tags that no reader expects. It comes first.
func (r *Relay) refuseShape(_ context.Context, ev *nostr.Event) (bool, string) {
	if ev.Kind < 0 || ev.Kind > math.MaxUint16 {
		return true, fmt.Sprintf("invalid: kind %d", ev.Kind)
	}
	if len(ev.Tags) > maxTags {
		return true, fmt.Sprintf("invalid: %d tags, at most %d", len(ev.Tags), maxTags)
	}
	for i, tag := range ev.Tags {
		if len(tag) == 0 || tag[0] == "" {
			return true, fmt.Sprintf("invalid: tag %d is empty", i)
		}
		if len(tag) > maxItems {
			return true, fmt.Sprintf("invalid: tag %d has %d items, at most %d", i, len(tag), maxItems)
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

// refuseMarket refuses messages of the market that do not follow their grammar.
func (r *Relay) refuseMarket(ctx context.Context, ev *nostr.Event) (bool, string) {
	if !events.IsMarket(ev.Kind) {
		return false, ""
	}
	if _, err := parse(ctx, ev); err != nil {
		return true, "invalid: " + err.Error()
	}
	return false, ""
}
