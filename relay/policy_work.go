package relay

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip13"
)

// demand decides how much work (NIP-13) unknown customers bring. While few ask, none. When more ask than WorkFrom a second, a
// bit more each second, until those that bring it are no more; then a bit less. So a flood pays for itself, and an honest
// customer some milliseconds.
type demand struct {
	mu     sync.Mutex
	bits   int
	since  time.Time
	passed int // requests of unknown customers that came in since
}

// firstBits is where it begins: a thousand hashes are nothing for one job.
const firstBits = 10

// now gives the bits that are asked for, at most most.
func (d *demand) now(at time.Time, from float64, most int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.turn(at, from, most)
	return d.bits
}

// turn takes what happened in the last second into account.
func (d *demand) turn(at time.Time, from float64, most int) {
	past := at.Sub(d.since)
	if past >= 0 && past < time.Second {
		return
	}
	seconds := past.Seconds()
	switch rate := float64(d.passed) / max(seconds, 1); {
	case past < 0: // the clock was set back
	case rate > from:
		d.bits = min(max(d.bits+1, firstBits), most)
	case rate < from/2:
		d.bits -= int(min(seconds, 64))
	}
	if d.bits < firstBits {
		d.bits = 0
	}
	d.since, d.passed = at, 0
}

// pass counts a request that came in. One second's worth above the rate is enough: the next is asked for more at once.
func (d *demand) pass(at time.Time, from float64, most int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.turn(at, from, most)
	if d.passed++; float64(d.passed) > from {
		d.bits, d.passed = min(max(d.bits+1, firstBits), most), 0
		d.since = at
	}
}

// refuseWork asks unknown customers for work while many of them ask: for requests of every kind (NIP-90).
func (r *Relay) refuseWork(ctx context.Context, ev *nostr.Event) (bool, string) {
	terms := r.terms()
	if terms.Work <= 0 || ev.Kind < 5000 || ev.Kind >= 6000 || importing(ctx) || r.known(ctx, ev) {
		return false, ""
	}
	now := r.Now()
	if want := r.demand.now(now, terms.WorkFrom, terms.Work); want > 0 {
		if bits := nip13.CommittedDifficulty(ev); bits < want {
			return true, fmt.Sprintf("pow: %d bits are asked of customers that are not known here while many ask, this has %d", want, bits)
		}
	}
	r.demand.pass(now, terms.WorkFrom, terms.Work)
	return false, ""
}

// known says whether a customer has a name to lose: the operator or a node that was announced, by the event's own key or by one
// that its connection has proved, or one that the operator has let in.
func (r *Relay) known(ctx context.Context, ev *nostr.Event) bool {
	is := func(key string) bool { return r.trusts(key) || r.knows(key) }
	return is(ev.PubKey) || slices.ContainsFunc(authedOf(ctx), is)
}
