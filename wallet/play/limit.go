package play

import (
	"time"

	"infernet/events"
)

// How many requests one account may make: at once, and each second after.
const (
	burst     = 500
	perSecond = 50
)

// maxCounted is how many accounts are counted before all are forgiven.
const maxCounted = 10_000

// limit counts the requests of each account.
type limit struct{ used map[events.PubKey]bucket }

type bucket struct {
	left float64
	at   time.Time
}

// allow says whether one more request of an account is answered.
func (l *limit) allow(client events.PubKey, now time.Time) bool {
	if l.used == nil || len(l.used) >= maxCounted {
		l.used = map[events.PubKey]bucket{}
	}
	b, ok := l.used[client]
	if !ok {
		b = bucket{burst, now}
	}
	b.left = min(burst, b.left+max(0, now.Sub(b.at).Seconds())*perSecond)
	b.at = now
	if ok = b.left >= 1; ok {
		b.left--
	}
	l.used[client] = b
	return ok
}
