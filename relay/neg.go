package relay

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mailru/easyjson"
	"github.com/nbd-wtf/go-nostr"

	"infernet/relay/eventlog"
	"infernet/relay/reconcile"
)

// Bounds of what comparing with this relay may cost (NIP-77). An event is 40 bytes of a comparison.
const (
	maxNegs       = 4                // comparisons of one connection at once
	maxNegEvents  = 500_000          // events of one
	maxNegsEvents = 2_000_000        // events of all that are open
	negIdle       = time.Minute      // between two messages of one
	negLife       = 10 * time.Minute // of one
)

// neg is one comparison of a client's events with ours.
type neg struct {
	server *reconcile.Server
	opened time.Time
	idle   *time.Timer
}

// negs counts what the comparisons of all connections hold.
type negs struct {
	mu     sync.Mutex
	events int
}

// take takes room for events, if there is so much.
func (n *negs) take(events int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.events+events > maxNegsEvents {
		return false
	}
	n.events += events
	return true
}

func (n *negs) give(events int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events -= events
}

// negotiate handles a message of NIP-77; it says false if it is none.
func (s *session) negotiate(ctx context.Context, body []byte) bool {
	if i := bytes.IndexByte(body, '"'); i < 0 || !bytes.HasPrefix(body[i+1:], []byte("NEG-")) {
		return false
	}
	var parts []json.RawMessage
	var label, id, message string
	if json.Unmarshal(body, &parts) != nil || len(parts) < 2 || json.Unmarshal(parts[0], &label) != nil || json.Unmarshal(parts[1], &id) != nil {
		return false
	}
	if id == "" || len(id) > maxSubID {
		s.push(frame("NEG-ERR", cut(id, maxSubID), fmt.Sprintf("invalid: a subscription's id has 1 to %d characters", maxSubID)))
		return true
	}
	switch {
	case label == "NEG-OPEN" && len(parts) == 4 && json.Unmarshal(parts[3], &message) == nil:
		s.closeNeg(id)
		var f nostr.Filter
		if err := easyjson.Unmarshal(parts[2], &f); err != nil {
			s.push(frame("NEG-ERR", id, "invalid: not a filter"))
			return true
		}
		if s.openNeg(ctx, id, f) {
			s.answerNeg(id, message)
		}
	case label == "NEG-MSG" && len(parts) == 3 && json.Unmarshal(parts[2], &message) == nil:
		s.answerNeg(id, message)
	case label == "NEG-CLOSE":
		s.closeNeg(id)
	default:
		return false
	}
	return true
}

// openNeg gathers what a filter finds, and keeps it for the comparison.
func (s *session) openNeg(ctx context.Context, id string, f nostr.Filter) bool {
	why := s.refuseFilters(&nostr.ReqEnvelope{SubscriptionID: id, Filters: nostr.Filters{f}})
	s.mu.Lock()
	open := len(s.negs)
	s.mu.Unlock()
	switch {
	case why != "":
	case f.Search != "":
		why = "unsupported: a search is not compared"
	case open >= maxNegs:
		why = fmt.Sprintf("rate-limited: %d comparisons on one connection, no more; close one with NEG-CLOSE", maxNegs)
	}
	if why != "" {
		s.push(frame("NEG-ERR", id, why))
		return false
	}
	var items []reconcile.Item
	var all bool
	if !s.r.inTurn(ctx, func(pause func() bool) { items, all = s.r.store.items(ctx, f, s.shows(), pause) }) {
		return false
	}
	s.tokens -= float64(len(items)) / countedPerMessage
	if !all {
		s.push(frame("NEG-ERR", id, fmt.Sprintf("blocked: this filter finds more than %d events; bound it by since and until", maxNegEvents), maxNegEvents))
		return false
	}
	n := &neg{server: reconcile.NewServer(reconcile.NewSet(items)), opened: time.Now()}
	if !s.r.negs.take(n.server.Size) {
		s.push(frame("NEG-ERR", id, "blocked: too much is being compared with this relay; try again in a minute"))
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left {
		s.r.negs.give(n.server.Size)
		return false
	}
	n.idle = time.AfterFunc(negIdle, func() {
		if s.endNeg(id, n) {
			s.push(frame("NEG-ERR", id, "closed: you took too long to respond"))
		}
	})
	s.negs[id] = n
	return true
}

// answerNeg answers one message of a comparison.
func (s *session) answerNeg(id, message string) {
	s.mu.Lock()
	n := s.negs[id]
	s.mu.Unlock()
	if n == nil {
		s.push(frame("NEG-ERR", id, "closed: this comparison is not open"))
		return
	}
	if left := negLife - time.Since(n.opened); left < negIdle {
		n.idle.Reset(max(left, 0))
	} else {
		n.idle.Reset(negIdle)
	}
	s.tokens -= float64(n.server.Size) / countedPerMessage // the rest of the set is digested for each answer
	answer, err := n.server.Answer(message)
	if err != nil {
		s.closeNeg(id)
		s.push(frame("NEG-ERR", id, "invalid: "+err.Error()))
		return
	}
	s.push(frame("NEG-MSG", id, answer))
}

func (s *session) closeNeg(id string) {
	s.mu.Lock()
	n := s.negs[id]
	s.mu.Unlock()
	if n != nil {
		s.endNeg(id, n)
	}
}

// endNeg ends a comparison; it says false if it has ended before.
func (s *session) endNeg(id string, n *neg) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.negs[id] != n {
		return false
	}
	delete(s.negs, id)
	n.idle.Stop()
	s.r.negs.give(n.server.Size)
	return true
}

// leaveNegs ends all comparisons of a connection, for good.
func (s *session) leaveNegs() {
	s.mu.Lock()
	s.left = true
	all := make([]string, 0, len(s.negs))
	for id := range s.negs {
		all = append(all, id)
	}
	s.mu.Unlock()
	for _, id := range all {
		s.closeNeg(id)
	}
}

// items gives what a filter finds as it is compared: time and id. It says false if that is more than one comparison takes.
func (s *store) items(ctx context.Context, f nostr.Filter, show func(*nostr.Event) bool, pause func() bool) (items []reconcile.Item, all bool) {
	if f.LimitZero {
		return nil, true
	}
	limit, now := f.Limit, nostr.Timestamp(s.now().Unix())
	f.Limit = 0
	for _, ev := range s.underWay(f) {
		if id, ok := rawID(ev.ID); ok && !expired(ev, now) && (show == nil || show(ev)) {
			items = append(items, reconcile.Item{At: int64(ev.CreatedAt), ID: id})
		}
	}
	ended := false
	s.log.Query(ctx, eventlog.Search{Filter: f, Bytes: 1, Pause: func() bool {
		if len(items) > 2*maxNegEvents { // an event that is found by two values of a tag comes twice
			items = newestOnce(items)
		}
		ended = len(items) > 2*maxNegEvents || !pause()
		return !ended
	}, Keep: func(found *eventlog.Found) bool {
		if found.Expires > now && (show == nil || show(found.Event())) {
			items = append(items, reconcile.Item{At: int64(found.At), ID: found.ID})
		}
		return false
	}})
	items = newestOnce(items)
	if limit > 0 {
		items = items[:min(limit, len(items))]
	}
	return items, !ended && len(items) <= maxNegEvents
}

// newestOnce orders items as a relay gives events, each once.
func newestOnce(items []reconcile.Item) []reconcile.Item {
	slices.SortFunc(items, func(a, b reconcile.Item) int {
		return cmp.Or(cmp.Compare(b.At, a.At), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return slices.Compact(items)
}
