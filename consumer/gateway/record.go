package gateway

import (
	"errors"
	"math"
	"sync"
	"time"

	"infernet/consumer"
	"infernet/consumer/choose"
	"infernet/events"
)

// record is what this gateway has measured of the nodes it bought from, and which of them have a pause (a circuit breaker).
type record struct {
	now func() time.Time

	mu sync.Mutex
	of map[recordKey]*seen
}

// recordKey is one model at one node.
type recordKey struct {
	node  events.PubKey
	model string
}

type seen struct {
	choose.Measured
	inRow int // failures in a row
}

func newRecord(now func() time.Time) *record { return &record{now: now, of: map[recordKey]*seen{}} }

// fresh is how much the newest job counts.
const fresh = 0.2

// pauses of a node that fails: doubled with each failure in a row.
const (
	shortPause = 2 * time.Second
	longPause  = 5 * time.Minute
)

func (r *record) measured(node events.PubKey, model string) choose.Measured {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.of[recordKey{node, model}]; s != nil {
		return s.Measured
	}
	return choose.Measured{}
}

func (r *record) entry(node events.PubKey, model string) *seen {
	key := recordKey{node, model}
	s := r.of[key]
	if s == nil {
		s = &seen{}
		r.of[key] = s
	}
	return s
}

// did notes a job that was delivered.
func (r *record) did(node events.PubKey, model string, first, took time.Duration, out int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.entry(node, model)
	s.Jobs++
	s.inRow, s.Until, s.Why = 0, time.Time{}, ""
	s.Failed *= 1 - fresh
	if first > 0 {
		s.First = time.Duration(mix(float64(s.First), float64(first)))
		if rest := took - first; out > 1 && rest > 0 {
			s.Rate = mix(s.Rate, float64(out-1)/rest.Seconds())
		}
	}
}

func mix(old, now float64) float64 {
	if old == 0 {
		return now
	}
	return (1-fresh)*old + fresh*now
}

// failed notes a failure that was the node's, and gives it a pause.
func (r *record) failed(node events.PubKey, model string, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.entry(node, model)
	s.Jobs++
	s.inRow++
	s.Failed = s.Failed*(1-fresh) + fresh
	pause := time.Duration(float64(shortPause) * math.Pow(2, float64(min(s.inRow, 20)-1)))
	s.Until, s.Why = r.now().Add(min(pause, longPause)), why.Error()
}

// blame says which node a failure speaks against: whoever fell silent, sent something wrong or is not able to.
func blame(err error) bool {
	var (
		refused  *consumer.RefusedError
		vanished *consumer.VanishedError
		invoice  *consumer.BadInvoiceError
		result   *consumer.BadResultError
	)
	switch {
	case errors.As(err, &vanished), errors.As(err, &invoice), errors.As(err, &result):
		return true
	case errors.As(err, &refused):
		return elsewhere(refused.Code)
	}
	return false
}

// elsewhere says whether another node may do what one refused.
func elsewhere(code string) bool {
	switch code {
	case "", events.CodeUnavailable, events.CodeRateLimited, events.CodeUnsupportedModel, events.CodePriceChanged, events.CodeExpired, events.CodeConflict,
		events.CodePOW, events.CodeDenied:
		return true
	}
	return false
}
