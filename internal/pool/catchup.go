package pool

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nbd-wtf/go-nostr"
)

// lookBack is how far before the loss of a connection a relay is asked again: events carry their authors' clocks, which may
// be 5 minutes behind ours, and a minute is for the way. What comes twice for it is passed on once.
const lookBack = 5*time.Minute + time.Minute

// What was missed comes in pages, because relays give so many events at once and no more.
const (
	pageSize = 500
	wholeIn  = 20  // an answer of fewer events is whole: no relay's limit is so low
	maxPages = 128 // of one filter, before what is still missing is left
)

// progress is how far a subscription has come with one relay. upTo stays where the last connection was lost until the
// relay has, on another, sent all that came since. Subscription.mu guards it.
type progress struct {
	stored bool // upTo is something to go on from
	upTo   time.Time
	live   bool // on this connection all has come, and comes as long as it lasts
	page   *page
	answer answer
	there  bool // it was asked on a connection that is still there
}

// page is the part of what was missed that is asked for.
type page struct {
	id     string // of the subscription at the relay; "" for the first part, which all filters ask for at once
	filter int
	number int
	until  *nostr.Timestamp
	times  []nostr.Timestamp // created_at of what came
}

// request is the REQ for one relay, as a connection begins or the relay has come to know us. The caller holds c.mu.
func (s *Subscription) request(c *conn) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.at[c]
	at.there, at.live, at.page = true, false, nil
	s.settle()
	filters := slices.Clone(s.filters)
	if at.stored {
		at.page = &page{}
		for i := range filters {
			filters[i] = at.missed(filters[i])
		}
	}
	return s.req(s.id, filters...)
}

func (s *Subscription) req(id string, filters ...nostr.Filter) []byte {
	parts := []any{"REQ", id}
	for _, f := range filters {
		parts = append(parts, f)
	}
	body, err := json.Marshal(parts)
	if err != nil {
		s.p.log.Error("cannot write a filter", "err", err)
	}
	return body
}

// missed is a filter for what came since the loss.
func (at *progress) missed(f nostr.Filter) nostr.Filter {
	since := nostr.Timestamp(at.upTo.Add(-lookBack).Unix())
	if f.Since == nil || *f.Since < since {
		f.Since = &since
	}
	f.Limit, f.LimitZero = 0, false
	return f
}

// gone notes the loss of a connection, or that the relay closed the subscription: up to then nothing is missing, if all
// had come.
func (at *progress) gone(heard time.Time) {
	if at.live {
		at.stored, at.upTo = true, heard
	}
	at.there, at.live, at.page = false, false, nil
}

// counts notes an event of the page that is awaited.
func (s *Subscription) counts(id string, ev *nostr.Event, c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.at[c].page; p != nil && s.pageID(p) == id {
		p.times = append(p.times, ev.CreatedAt)
	}
}

func (s *Subscription) pageID(p *page) string {
	if p.id == "" {
		return s.id
	}
	return p.id
}

// base is the subscription that an id at a relay belongs to.
func base(id string) string {
	before, _, _ := strings.Cut(id, ".")
	return before
}

// hearEOSE hears that a relay has sent what it had: at first that is all, after a reconnect it is a page. The next page is
// asked for with an id of its own, so that what is live goes on. It gives what to tell the relay.
func (s *Subscription) hearEOSE(id string, c *conn) (say [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.at[c]
	switch {
	case s.closed || !at.there || at.live:
		return nil
	case at.page == nil && id == s.id:
		at.live, at.answer = true, said
		s.settle()
		return nil
	case at.page == nil || s.pageID(at.page) != id:
		return nil
	}
	if at.page.id != "" {
		say = append(say, closing(id))
	}
	more := at.page.next(s.filters, nostr.Timestamp(at.upTo.Add(-lookBack).Unix()))
	if more != nil && more.number >= maxPages {
		s.p.log.Warn("more was missed than is asked for", "relay", c.url, "filter", s.filters[more.filter], "before", more.until.Time())
		more = more.skip(s.filters)
	}
	if at.page = more; more == nil {
		at.live, at.answer = true, said
		s.settle()
		return say
	}
	s.pages++
	more.id = s.id + "." + strconv.Itoa(s.pages)
	f := at.missed(s.filters[more.filter])
	f.Limit = pageSize
	if more.until != nil && (f.Until == nil || *more.until < *f.Until) {
		f.Until = more.until
	}
	return append(say, s.req(more.id, f))
}

// next is the page after this one; nil once all have come.
func (p *page) next(filters nostr.Filters, since nostr.Timestamp) *page {
	switch whole := len(p.times) < wholeIn; {
	case p.id == "" && whole:
		return nil
	case p.id == "" && len(filters) > 1: // which filter was cut, and where, cannot be told: each begins again
		return &page{}
	case whole:
		return p.skip(filters)
	}
	// An event that comes live may be old, and is not where the page ends: a twentieth is asked for again.
	slices.Sort(p.times)
	until := p.times[len(p.times)/20]
	if p.until != nil && until >= *p.until {
		until = p.times[0]
	}
	if p.until != nil && until >= *p.until { // all in one second, and perhaps more than the relay gives
		until = *p.until - 1
	}
	if until < since {
		return p.skip(filters)
	}
	return &page{filter: p.filter, number: p.number + 1, until: &until}
}

// skip goes to the next filter.
func (p *page) skip(filters nostr.Filters) *page {
	if p.filter+1 >= len(filters) {
		return nil
	}
	return &page{filter: p.filter + 1}
}

func closing(id string) []byte {
	body, err := json.Marshal([]string{"CLOSE", id})
	if err != nil {
		panic(err) // strings always marshal
	}
	return body
}
