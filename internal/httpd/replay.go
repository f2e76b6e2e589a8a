package httpd

import (
	"errors"
	"sync"
	"time"
)

// replay remembers the signatures of events for as long as they could be shown again. It forgets with the process: of what was signed
// before it began, it cannot know, and lets none in.
type replay struct {
	began time.Time // whole seconds, as an event's time

	mu     sync.Mutex
	seen   map[string]time.Time // signature: when it can be forgotten
	ofKey  map[string]int       // how many of them are one key's
	owner  map[string]string    // signature: key
	tidied time.Time
}

// Bounds of what is remembered. Rather than forget, it lets nobody in: one key first.
const (
	maxSeen    = 200_000
	maxSeenKey = 5_000 // in two minutes
)

var (
	errSeen  = errors.New("this signature was used before; sign each request anew")
	errEarly = errors.New("signed before this server started; sign anew")
	errFull  = errors.New("too many signed requests at once; use an app key")
)

func newReplay(now time.Time) *replay {
	return &replay{began: now.Truncate(time.Second), seen: map[string]time.Time{}, ofKey: map[string]int{}, owner: map[string]string{}}
}

// first takes an event, once.
func (p *replay) first(sig, key string, at, until, now time.Time) error {
	if at.Before(p.began) {
		return errEarly
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.tidied) >= time.Second {
		p.tidy(now)
	}
	switch _, again := p.seen[sig]; {
	case again:
		return errSeen
	case len(p.seen) >= maxSeen || p.ofKey[key] >= maxSeenKey:
		return errFull
	}
	p.seen[sig], p.owner[sig] = until, key
	p.ofKey[key]++
	return nil
}

// tidy forgets what can no longer be shown.
func (p *replay) tidy(now time.Time) {
	p.tidied = now
	for sig, until := range p.seen {
		if until.After(now) {
			continue
		}
		key := p.owner[sig]
		delete(p.seen, sig)
		delete(p.owner, sig)
		if p.ofKey[key]--; p.ofKey[key] == 0 {
			delete(p.ofKey, key)
		}
	}
}
