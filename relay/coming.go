package relay

import (
	"sync"

	"github.com/nbd-wtf/go-nostr"
)

// coming are the events under way: each is taken once, however many bring it, and all of them hear how it went.
type coming struct {
	mu     sync.Mutex
	all    map[string]*pending
	recent map[string]struct{} // ephemeral events taken lately: no disk remembers them
	older  map[string]struct{}
}

// pending is an event between its arrival and its OK.
type pending struct {
	ev       *nostr.Event
	admitted bool     // the policies have passed it: it is delivered, and found by queries
	waiting  []answer // who else has brought it
}

// answer hears how an event went: what an OK says.
type answer func(ok bool, reason string)

func newComing() coming { return coming{all: map[string]*pending{}, recent: map[string]struct{}{}} }

// recentIDs is how many ephemeral events are remembered at least.
const recentIDs = 20_000

const duplicate = "duplicate: the relay has this event"

// begin takes an event on. If another connection has brought it, done hears what becomes of it: a duplicate of what is
// not on the disk yet must not be called stored.
func (s *store) begin(ev *nostr.Event, done answer) (first bool) {
	s.mu.Lock()
	if p := s.all[ev.ID]; p != nil {
		p.waiting = append(p.waiting, done)
		s.mu.Unlock()
		return false
	}
	_, known := s.recent[ev.ID]
	if !known {
		_, known = s.older[ev.ID]
	}
	if !known {
		s.all[ev.ID] = &pending{ev: ev}
	}
	s.mu.Unlock()
	if known {
		done(true, duplicate)
		return false
	}
	// of an address, replace looks for the version that holds; ephemeral ones are nowhere
	if !nostr.IsEphemeralKind(ev.Kind) && !hasAddress(ev.Kind) && s.has(ev.ID) {
		s.end(ev, true, duplicate)
		done(true, duplicate)
		return false
	}
	return true
}

// admit makes an event visible to queries, before it is on the disk.
func (c *coming) admit(ev *nostr.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all[ev.ID].admitted = true
}

// end ends what begin began, and answers the others that brought the event.
func (c *coming) end(ev *nostr.Event, ok bool, reason string) {
	c.mu.Lock()
	waiting := c.all[ev.ID].waiting
	delete(c.all, ev.ID)
	if ok && nostr.IsEphemeralKind(ev.Kind) {
		if len(c.recent) >= recentIDs {
			c.older, c.recent = c.recent, make(map[string]struct{}, recentIDs)
		}
		c.recent[ev.ID] = struct{}{}
	}
	c.mu.Unlock()
	if ok {
		reason = duplicate
	}
	for _, done := range waiting {
		done(ok, reason)
	}
}

// admitted is an event under way that the policies have passed.
func (c *coming) admitted(id string) *nostr.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.all[id]; p != nil && p.admitted {
		return p.ev
	}
	return nil
}

// underWay gives the events under way that a filter finds. Of an address only the disk knows which version holds.
func (c *coming) underWay(f nostr.Filter) (found []*nostr.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.all {
		if p.admitted && !nostr.IsEphemeralKind(p.ev.Kind) && !hasAddress(p.ev.Kind) && f.Matches(p.ev) {
			found = append(found, p.ev)
		}
	}
	return found
}
