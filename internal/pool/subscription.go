package pool

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// maxWaiting is how many events wait for a reader. A reader that falls further behind loses the newest ones: they are
// not remembered as seen, so that a reconnect brings the stored ones again.
const maxWaiting = 65_536

// Subscription is a stream of events from all relays of a pool.
type Subscription struct {
	// Events are verified and come once, however many relays have them. Closed when the subscription's context ends.
	Events <-chan *nostr.Event
	// EOSE is closed once every relay that is connected has sent what it had stored, 300 ms later if others are not
	// connected, and after 5 s at the latest. Silent says which have not.
	EOSE <-chan struct{}

	p       *Pool
	id      string
	filters nostr.Filters
	seen    *recent
	events  chan *nostr.Event
	eose    chan struct{}
	over    sync.Once // eose is closed

	mu      sync.Mutex
	closed  bool
	waiting []*nostr.Event
	wake    chan struct{}
	at      map[*conn]*progress
	pages   int
	grace   *time.Timer // runs while nothing but relays that are not connected is missing
}

// Subscribe asks every relay for events, stored and to come, until ctx ends.
//
// What was missed while a relay was away is asked for from 6 minutes before the loss. Not to be had are: events whose
// created_at is further back than that (their author's clock is more than 5 minutes behind, or they were held back), of
// one second more events than the relay gives at once, ephemeral ones, and what is more than 64,000 events back.
func (p *Pool) Subscribe(ctx context.Context, filters ...nostr.Filter) *Subscription {
	s := &Subscription{
		p: p, filters: filters, seen: newRecent(50_000), events: make(chan *nostr.Event, 64), eose: make(chan struct{}),
		wake: make(chan struct{}, 1), at: map[*conn]*progress{},
	}
	s.Events, s.EOSE = s.events, s.eose
	for _, c := range p.conns {
		s.at[c] = &progress{}
	}
	p.mu.Lock()
	p.next++
	s.id = strconv.Itoa(p.next)
	p.subs[s.id] = s
	for _, c := range p.conns {
		c.mu.Lock()
		if c.ws != nil {
			c.enqueue(s.request(c))
		}
		c.mu.Unlock()
	}
	p.mu.Unlock()
	s.mu.Lock()
	s.settle()
	s.mu.Unlock()
	p.mu.Lock()
	over := p.over
	if !over {
		p.wait.Go(func() { s.pump(ctx) })
	}
	p.mu.Unlock()
	if over { // nobody waits for it any more: it ends here
		s.pump(ctx)
	}
	return s
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

// deliver passes an event on to its subscription, once, if its signature holds.
func (p *Pool) deliver(id string, ev *nostr.Event, c *conn) {
	p.mu.Lock()
	s := p.subs[base(id)]
	p.mu.Unlock()
	if s == nil {
		return
	}
	if !s.filters.Match(ev) {
		p.log.Warn("the relay sent what was not asked for", "relay", c.url, "id", ev.ID)
		return
	}
	if s.counts(id, ev, c); s.seen.has(ev.ID) {
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
	timer := time.AfterFunc(s.p.eoseIn, s.enough)
	defer timer.Stop()
	defer s.stopGrace()
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
	s.mu.Lock()
	s.waiting, s.closed = nil, true
	close(s.events)
	s.mu.Unlock()
	for _, c := range s.p.conns {
		c.mu.Lock()
		c.enqueue(closing(s.id))
		s.mu.Lock()
		if p := s.at[c].page; p != nil && p.id != "" {
			c.enqueue(closing(p.id))
		}
		s.mu.Unlock()
		c.mu.Unlock()
	}
}
