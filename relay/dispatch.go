package relay

import (
	"encoding/json"
	"strconv"
	"sync"

	"github.com/nbd-wtf/go-nostr"
)

// index finds the subscriptions that an event may interest, by the most telling part of their filters: a publish costs
// what it matches, not how many are listening.
type index struct {
	mu   sync.RWMutex
	subs map[string]map[*subscription]struct{}
}

// subscription is one REQ of one session.
type subscription struct {
	id      string
	session *session
	filters nostr.Filters
	keys    []string
	prefix  []byte // ["EVENT","id",

	mu   sync.Mutex
	sent map[string]bool // events that went out before EOSE, stored or live; nil after it
}

func newIndex() *index { return &index{subs: map[string]map[*subscription]struct{}{}} }

// keysOf says under which keys a filter is found: those of the dimension that tells most.
func keysOf(f nostr.Filter) (keys []string) {
	list := func(prefix string, values []string) []string {
		for _, v := range values {
			keys = append(keys, prefix+v)
		}
		return keys
	}
	switch {
	case f.IDs != nil:
		return list("i", f.IDs)
	case f.Tags["e"] != nil:
		return list("e", f.Tags["e"])
	case f.Tags["p"] != nil:
		return list("p", f.Tags["p"])
	case f.Authors != nil:
		return list("a", f.Authors)
	case f.Kinds != nil:
		for _, k := range f.Kinds {
			keys = append(keys, "k"+strconv.Itoa(k))
		}
		return keys
	}
	return []string{""}
}

// add registers a subscription; remove takes it out.
func (x *index) add(s *subscription) {
	for _, f := range s.filters {
		s.keys = append(s.keys, keysOf(f)...)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, key := range s.keys {
		if x.subs[key] == nil {
			x.subs[key] = map[*subscription]struct{}{}
		}
		x.subs[key][s] = struct{}{}
	}
}

func (x *index) remove(s *subscription) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, key := range s.keys {
		delete(x.subs[key], s)
		if len(x.subs[key]) == 0 {
			delete(x.subs, key)
		}
	}
}

// dispatch hands an event to every subscription that matches. It never waits for a reader. raw is the event as it was
// received, serialised once.
func (x *index) dispatch(ev *nostr.Event, raw []byte) {
	for _, s := range x.match(ev) {
		s.live(ev, raw)
	}
}

func (x *index) match(ev *nostr.Event) (found []*subscription) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var seen map[*subscription]bool
	look := func(key string) {
		for s := range x.subs[key] {
			if seen[s] || !s.wants(ev) {
				continue
			}
			if seen == nil {
				seen = map[*subscription]bool{}
			}
			seen[s] = true
			found = append(found, s)
		}
	}
	look("i" + ev.ID)
	look("a" + ev.PubKey)
	look("k" + strconv.Itoa(ev.Kind))
	look("")
	for _, tag := range ev.Tags {
		if len(tag) > 1 && (tag[0] == "e" || tag[0] == "p") {
			look(tag[0] + tag[1])
		}
	}
	return found
}

// live sends an event that has just come, unless its reader may not see it.
func (s *subscription) live(ev *nostr.Event, raw []byte) {
	if s.session.maySee(ev) && s.first(ev.ID) {
		s.session.push(s.frame(raw))
		s.session.r.meters.live.Inc()
	}
}

func (s *subscription) frame(raw []byte) []byte {
	frame := make([]byte, 0, len(s.prefix)+len(raw)+1)
	return append(append(append(frame, s.prefix...), raw...), ']')
}

// first says whether an event goes out for the first time: until EOSE it may be found stored and come live.
func (s *subscription) first(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sent == nil {
		return true
	}
	again := s.sent[id]
	s.sent[id] = true
	return !again
}

func (s *subscription) stored() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = nil
}

func eventPrefix(id string) []byte {
	quoted, err := json.Marshal(id)
	if err != nil {
		panic(err) // a string always marshals
	}
	return append(append([]byte(`["EVENT",`), quoted...), ',')
}
