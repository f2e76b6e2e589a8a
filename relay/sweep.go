package relay

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/relay/eventlog"
)

// expiration is when an event expires (NIP-40), if it does.
func expiration(ev *nostr.Event) (at nostr.Timestamp, ok bool) {
	tag := ev.Tags.Find("expiration")
	if tag == nil {
		return 0, false
	}
	n, err := strconv.ParseInt(tag[1], 10, 64)
	return nostr.Timestamp(n), err == nil
}

func expired(ev *nostr.Event, now nostr.Timestamp) bool {
	at, ok := expiration(ev)
	return ok && at <= now
}

// sweepEachMinute removes what has expired, until ctx ends.
func (s *store) sweepEachMinute(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		s.sweep(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sweep marks as deleted what has expired; from the disk it goes with its segment.
func (s *store) sweep(ctx context.Context) {
	for all := range slices.Chunk(s.log.Expired(nostr.Timestamp(s.now().Unix())), 1000) {
		if ctx.Err() != nil {
			return
		}
		s.log.Do(eventlog.Write{Check: func(t *eventlog.Turn) error {
			for _, at := range all {
				t.Kill(at)
			}
			return nil
		}})
	}
}
