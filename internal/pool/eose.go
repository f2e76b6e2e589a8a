package pool

import "time"

// Patience with relays that are asked for what they have stored.
const (
	eoseIn = 5 * time.Second        // with one that is connected and does not say
	grace  = 300 * time.Millisecond // with those that are not connected, once all others have said
)

// answer is what one relay has said to a subscription.
type answer int

const (
	nothing answer = iota
	said           // EOSE: all that it had stored has come
	refused        // CLOSED
)

func (p *Pool) eose(id string, c *conn) {
	p.mu.Lock()
	s := p.subs[base(id)]
	p.mu.Unlock()
	if s == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, body := range s.hearEOSE(id, c) {
		c.enqueue(body)
	}
}

// closed hears that a relay has closed a subscription.
func (p *Pool) closed(id string, c *conn, why answer) {
	p.mu.Lock()
	s := p.subs[base(id)]
	p.mu.Unlock()
	if s == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if id == s.id {
		s.lost(c, why)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.at[c]; at.page != nil && at.page.id == id {
		at.page = nil // what is live goes on; the next connection asks from the same loss
	}
}

// lost hears that a relay sends nothing more. The caller holds c.mu.
func (s *Subscription) lost(c *conn, why answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.at[c]
	if at.gone(c.heard); at.answer == nothing {
		at.answer = why
	}
	s.settle()
}

// settle looks whether the wait is over. The caller holds s.mu.
func (s *Subscription) settle() {
	said, open, away := s.count()
	switch {
	case open+away == 0:
		s.enough()
	case open > 0 || said == 0:
		s.haltGrace()
	case s.grace == nil && !s.closed:
		s.grace = time.AfterFunc(grace, s.graceOver)
	}
}

// count tells how many relays have answered, how many are connected and have not, and how many are neither.
func (s *Subscription) count() (have, open, away int) {
	for _, at := range s.at {
		switch {
		case at.answer == said:
			have++
		case at.answer == refused:
		case at.there:
			open++
		default:
			away++
		}
	}
	return have, open, away
}

func (s *Subscription) graceOver() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if have, open, _ := s.count(); have > 0 && open == 0 {
		s.enough()
	}
}

func (s *Subscription) haltGrace() {
	if s.grace != nil {
		s.grace.Stop()
		s.grace = nil
	}
}

func (s *Subscription) stopGrace() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.haltGrace()
}

// enough ends the wait for what is stored.
func (s *Subscription) enough() { s.over.Do(func() { close(s.eose) }) }

// Silent are the relays that have not sent what they had stored: they are away, slow, or have refused.
func (s *Subscription) Silent() (urls []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.p.conns {
		if s.at[c].answer != said {
			urls = append(urls, c.url)
		}
	}
	return urls
}
