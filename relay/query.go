package relay

import (
	"cmp"
	"context"
	"encoding/hex"
	"slices"
	"time"

	"github.com/mailru/easyjson"
	"github.com/nbd-wtf/go-nostr"

	"infernet/relay/eventlog"
)

// A query first finds which events make up its answer, then reads them again, one by one, as they are sent: of an answer
// no more than a little is in memory, however large it is and however slowly its reader reads.

// hit is an event that a query has found.
type hit struct {
	id    string
	at    nostr.Timestamp
	found eventlog.Found
	ev    *nostr.Event // one that is under way
	score int          // of a search
}

// keptBytes is how much of one answer is kept, and not read again.
const keptBytes = 512 << 10

func (h hit) newer(than hit) int {
	return cmp.Or(cmp.Compare(than.at, h.at), cmp.Compare(h.id, than.id))
}

func newestFirst(a, b *nostr.Event) int {
	return cmp.Or(cmp.Compare(b.CreatedAt, a.CreatedAt), cmp.Compare(a.ID, b.ID))
}

// raw is the JSON of what was found; nil if it has gone meanwhile.
func (s *store) raw(h hit) []byte {
	if h.ev != nil {
		raw, _ := easyjson.Marshal(h.ev)
		return raw
	}
	if !s.log.Alive(h.found.Ref) {
		return nil
	}
	if h.found.Raw != nil {
		return h.found.Raw
	}
	raw, _ := s.log.Read(h.found.Ref)
	return raw
}

// event is what was found; nil if it has gone meanwhile.
func (s *store) event(h hit) *nostr.Event {
	if h.ev != nil {
		return h.ev
	}
	raw := s.raw(h)
	var ev nostr.Event
	if raw == nil || easyjson.Unmarshal(raw, &ev) != nil {
		return nil
	}
	return &ev
}

// query gives what filters find, newest first, of one second the lower id first (NIP-01): in the log and under way,
// nothing expired, at most limit for each filter. show says what may be given; nil for everything. pause is called now and
// then, and may let others go first; false ends the query.
func (s *store) query(ctx context.Context, filters nostr.Filters, limit int, show func(*nostr.Event) bool, pause func() bool) (all []hit) {
	seen, kept := map[string]bool{}, keptBytes
	for _, f := range filters {
		if f.LimitZero {
			continue
		}
		if f.Limit <= 0 || f.Limit > limit {
			f.Limit = limit
		}
		for _, h := range s.search(ctx, f, show, pause) {
			if seen[h.id] {
				continue
			}
			seen[h.id] = true
			if kept -= len(h.found.Raw); kept < 0 {
				h.found.Raw = nil
			}
			all = append(all, h)
		}
	}
	if len(filters) > 1 {
		slices.SortFunc(all, hit.newer)
	}
	return all
}

// search gives what one filter finds, at most its limit.
func (s *store) search(ctx context.Context, f nostr.Filter, show func(*nostr.Event) bool, pause func() bool) (all []hit) {
	if f.Search != "" {
		return s.searched(ctx, f, show, pause)
	}
	now := nostr.Timestamp(s.now().Unix())
	for _, ev := range s.underWay(f) { // before the log: else an event may move there unseen
		if !expired(ev, now) && (show == nil || show(ev)) {
			all = append(all, hit{id: ev.ID, at: ev.CreatedAt, ev: ev})
		}
	}
	under := len(all)
	for _, found := range s.log.Query(ctx, eventlog.Search{Filter: f, Bytes: keptBytes, Pause: pause, Keep: func(found *eventlog.Found) bool {
		if found.Expires <= now {
			return false
		}
		return show == nil || show(found.Event())
	}}) {
		id := hex.EncodeToString(found.ID[:])
		if !slices.ContainsFunc(all[:under], func(h hit) bool { return h.id == id }) {
			all = append(all, hit{id: id, at: found.At, found: found})
		}
	}
	if under > 0 {
		slices.SortFunc(all, hit.newer)
	}
	return all[:min(len(all), f.Limit)]
}

// slice is how long a query runs before others have their turn.
const slice = 5 * time.Millisecond
