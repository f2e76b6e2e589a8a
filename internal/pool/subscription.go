package pool

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// eoseIn is how long a relay may take to say what it has stored, before it is not waited for any more.
const eoseIn = 5 * time.Second

// maxWaiting is how many events wait for a reader. A reader that falls further behind loses the newest ones: they are
// not remembered as seen, so that a reconnect brings the stored ones again.
const maxWaiting = 65_536

// Subscription is a stream of events from all relays of a pool.
type Subscription struct {
	// Events are verified and come once, however many relays have them. Closed when the subscription's context ends.
	Events <-chan *nostr.Event
	// EOSE is closed once every relay has sent what it had stored, or has not within 5 s.
	EOSE <-chan struct{}

	p       *Pool
	id      string
	filters nostr.Filters
	seen    *recent
	events  chan *nostr.Event
	eose    chan struct{}

	mu      sync.Mutex
	closed  bool
	waiting []*nostr.Event
	wake    chan struct{}
	stored  map[*conn]bool // relays that have said EOSE once
	pending map[*conn]bool // relays whose EOSE is awaited
}

// Subscribe asks every relay for events, stored and to come, until ctx ends.
func (p *Pool) Subscribe(ctx context.Context, filters ...nostr.Filter) *Subscription {
	s := &Subscription{
		p: p, filters: filters, seen: newRecent(10_000), events: make(chan *nostr.Event, 64), eose: make(chan struct{}),
		wake: make(chan struct{}, 1), stored: map[*conn]bool{}, pending: map[*conn]bool{},
	}
	s.Events, s.EOSE = s.events, s.eose
	for _, c := range p.conns {
		s.pending[c] = true
	}
	p.mu.Lock()
	p.next++
	s.id = strconv.Itoa(p.next)
	p.subs[s.id] = s
	for _, c := range p.conns {
		c.mu.Lock()
		c.enqueue(s.request(c))
		c.mu.Unlock()
	}
	p.mu.Unlock()
	p.wait.Go(func() { s.pump(ctx) })
	return s
}

// Query collects what is stored, until every relay has sent it or ctx ends.
func (p *Pool) Query(ctx context.Context, filters ...nostr.Filter) ([]*nostr.Event, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := p.Subscribe(ctx, filters...)
	var found []*nostr.Event
	for {
		select {
		case ev, ok := <-s.Events:
			if !ok {
				return found, context.Cause(ctx)
			}
			found = append(found, ev)
		case <-s.EOSE:
			return append(found, s.rest()...), nil
		}
	}
}

// rest takes what was delivered before EOSE and not read yet.
func (s *Subscription) rest() (found []*nostr.Event) {
	for {
		select {
		case ev, ok := <-s.events:
			if !ok {
				return found
			}
			found = append(found, ev)
			continue
		default:
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, ev := range s.waiting {
			if len(found) == 0 || found[len(found)-1].ID != ev.ID { // the pump may have handed it over already
				found = append(found, ev)
			}
		}
		s.waiting = nil
		return found
	}
}

// request is the REQ for one relay. After a reconnect it asks from shortly before the relay was last heard.
func (s *Subscription) request(c *conn) []byte {
	s.mu.Lock()
	again := s.stored[c]
	s.mu.Unlock()
	parts := []any{"REQ", s.id}
	for _, f := range s.filters {
		if again {
			since := nostr.Timestamp(c.heard.Add(-lookBack).Unix())
			if f.Since == nil || *f.Since < since {
				f.Since = &since
			}
			f.Limit = 0
		}
		parts = append(parts, f)
	}
	body, err := json.Marshal(parts)
	if err != nil {
		s.p.log.Error("cannot write a filter", "err", err)
	}
	return body
}

// deliver passes an event on to its subscription, once, if its signature holds.
func (p *Pool) deliver(id string, ev *nostr.Event, c *conn) {
	p.mu.Lock()
	s := p.subs[id]
	p.mu.Unlock()
	if s == nil || s.seen.has(ev.ID) {
		return
	}
	if !s.filters.Match(ev) {
		p.log.Warn("the relay sent what was not asked for", "relay", c.url, "id", ev.ID)
		return
	}
	if p.known.has(ev.ID) && ev.CheckID() {
		s.push(ev)
		return
	}
	if err := events.Verify(ev); err != nil {
		p.log.Warn("the relay sent a forged event", "relay", c.url, "id", ev.ID, "err", err)
		return
	}
	p.known.add(ev.ID)
	s.push(ev)
}

// push queues an event for the reader; the connection never waits for one.
func (s *Subscription) push(ev *nostr.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.waiting) >= maxWaiting || !s.seen.add(ev.ID) {
		return
	}
	if len(s.waiting) == 0 {
		select {
		case s.events <- ev: // straight to the reader
			return
		default:
		}
	}
	s.waiting = append(s.waiting, ev)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// pump feeds a slow reader, and ends the subscription with its context.
func (s *Subscription) pump(ctx context.Context) {
	timer := time.AfterFunc(eoseIn, func() {
		for _, c := range s.p.conns {
			s.noStored(c, false)
		}
	})
	defer timer.Stop()
	if len(s.p.conns) == 0 {
		s.noStored(nil, false)
	}
	for {
		select {
		case <-ctx.Done():
			s.end()
			return
		case <-s.p.ctx.Done():
			s.end()
			return
		case <-s.wake:
		}
		for ev := s.head(); ev != nil; ev = s.head() {
			select {
			case s.events <- ev:
				s.pop()
			case <-ctx.Done():
				s.end()
				return
			case <-s.p.ctx.Done():
				s.end()
				return
			}
		}
	}
}

// head is the first event that waits. It stays first until it is read, so that none overtakes it.
func (s *Subscription) head() *nostr.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		return nil
	}
	return s.waiting[0]
}

func (s *Subscription) pop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) > 0 {
		s.waiting = s.waiting[1:]
	}
}

func (s *Subscription) end() {
	s.p.mu.Lock()
	delete(s.p.subs, s.id)
	s.p.mu.Unlock()
	body, err := json.Marshal([]string{"CLOSE", s.id})
	if err == nil {
		for _, c := range s.p.conns {
			c.mu.Lock()
			c.enqueue(body)
			c.mu.Unlock()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting, s.closed = nil, true
	close(s.events)
}

func (p *Pool) eose(id string, c *conn) {
	p.mu.Lock()
	s := p.subs[id]
	p.mu.Unlock()
	if s != nil {
		s.noStored(c, true)
	}
}

// noStored notes that a relay has nothing stored left to send, or is not waited for any more.
func (s *Subscription) noStored(c *conn, said bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if said {
		s.stored[c] = true
	}
	if len(s.pending) == 0 && c != nil {
		return
	}
	delete(s.pending, c)
	if len(s.pending) == 0 {
		select {
		case <-s.eose:
		default:
			close(s.eose)
		}
	}
}
