// Package sync brings two relays to the same events (NIP-77). It holds the two against each other and carries over what is
// missing; it keeps no events of its own, and what the two have in common costs next to nothing.
//
// What was carried over stays, so a sync that was cut goes on where it was. Begin with Run.
package sync

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/relay/reconcile"
)

// Config says what is synced. Ours and Theirs alone are needed; with neither Up nor Down nothing is carried over, only counted.
type Config struct {
	Ours, Theirs string         // relays, ws://… or wss://…
	Filter       nostr.Filter   // which events; all if unset
	Up, Down     bool           // from ours to theirs; from theirs to ours
	Signer       events.Signer  // answers relays that ask who one is (NIP-42); nobody if unset
	Patience     time.Duration  // how long an answer is waited for; 30 s if unset
	Tries        int            // connections in a row that break before anything was carried over; 5 if unset
	Tell         func(Progress) // hears how it goes; may be nil
}

// Progress is how far a sync is.
type Progress struct {
	Down    int            `json:"down"`    // events carried from theirs to ours, and answered OK
	Up      int            `json:"up"`      // and from ours to theirs
	Missing int            `json:"missing"` // differ still: not carried over, or in a direction that was not wanted
	Refused map[string]int `json:"refused"` // events that a relay did not take, by its reason
	Gone    int            `json:"gone"`    // differ, but are not given out any more
}

// ErrNoSync is a relay that does not speak NIP-77.
var ErrNoSync = errors.New("does not speak negentropy (NIP-77)")

// mostAtOnce is how many differences are gathered before they are carried over.
const mostAtOnce = 100_000

// Run syncs until the two have the same, as far as they take it. What was done is told also when it fails.
func Run(ctx context.Context, c Config) (Progress, error) {
	if c.Patience <= 0 {
		c.Patience = 30 * time.Second
	}
	if c.Tries <= 0 {
		c.Tries = 5
	}
	r := &run{Config: c, done: map[[32]byte]bool{}}
	r.p.Refused = map[string]int{}
	for broken := 0; ; {
		before := len(r.done)
		err := r.pass(ctx)
		var cut *brokenError
		switch {
		case err == nil && !r.again:
			return r.p, nil
		case err == nil:
			broken = 0
			continue
		case ctx.Err() != nil:
			return r.p, ctx.Err()
		case !errors.As(err, &cut):
			return r.p, err
		}
		if len(r.done) > before {
			broken = 0
		}
		if broken++; broken >= c.Tries {
			return r.p, err
		}
		select {
		case <-time.After(min(time.Second<<broken, 30*time.Second) / 4):
		case <-ctx.Done():
			return r.p, ctx.Err()
		}
	}
}

type run struct {
	Config
	p     Progress
	done  map[[32]byte]bool // carried over, refused or gone: a pass does not try it again
	again bool              // there may be more
}

// pass compares once, and carries over what was found.
func (r *run) pass(ctx context.Context) error {
	ours, err := dial(ctx, r.Ours, &r.Config)
	if err != nil {
		return err
	}
	defer ours.close()
	theirs, err := dial(ctx, r.Theirs, &r.Config)
	if err != nil {
		return err
	}
	defer theirs.close()
	r.again, r.p.Missing = false, 0
	whole := window{0, time.Now().Unix() + 900}
	if r.Filter.Since != nil {
		whole.since = int64(*r.Filter.Since)
	}
	if r.Filter.Until != nil {
		whole.until = int64(*r.Filter.Until)
	}
	for open := []window{whole}; len(open) > 0; {
		w := open[len(open)-1]
		open = open[:len(open)-1]
		d, err := r.compare(ctx, ours, theirs, w, w == whole)
		var big *tooBigError
		if errors.As(err, &big) && w.since < w.until {
			middle := w.since + (w.until-w.since)/2
			open = append(open, window{w.since, middle}, window{middle + 1, w.until}) // the newer half first
			continue
		}
		if err != nil {
			return err
		}
		r.again = r.again || !d.Whole
		if err := r.carry(ctx, theirs, ours, d.Second, r.Down, &r.p.Down); err != nil {
			return err
		}
		if err := r.carry(ctx, ours, theirs, d.First, r.Up, &r.p.Up); err != nil {
			return err
		}
	}
	return nil
}

// window is a part of time, both ends within it.
type window struct{ since, until int64 }

// compare holds the two against each other in a part of time.
func (r *run) compare(ctx context.Context, ours, theirs *line, w window, all bool) (reconcile.Difference, error) {
	f := r.Filter
	if !all {
		since, until := nostr.Timestamp(w.since), nostr.Timestamp(w.until)
		f.Since, f.Until = &since, &until
	}
	first, endFirst := ours.compared(f)
	second, endSecond := theirs.compared(f)
	defer endFirst()
	defer endSecond()
	most := mostAtOnce
	if !r.Up || !r.Down { // else what is not wanted would stand in the way of what is
		most = 50 * mostAtOnce
	}
	return reconcile.Compare(ctx, first, second, most)
}

// batch is how many events are asked for at once.
const batch = 100

// carry brings events from one relay to the other.
func (r *run) carry(ctx context.Context, from, to *line, ids [][32]byte, wanted bool, moved *int) error {
	var left [][32]byte
	for _, id := range ids {
		if !r.done[id] {
			left = append(left, id)
		}
	}
	if !wanted {
		r.p.Missing += len(left)
		r.tell()
		return nil
	}
	for len(left) > 0 {
		part := left[:min(batch, len(left))]
		found, err := from.fetch(ctx, part)
		if err != nil {
			return err
		}
		took, err := to.publish(ctx, found)
		for id, reason := range took {
			r.done[id] = true
			if reason == "" {
				*moved++
				continue
			}
			r.p.Refused[reason]++
		}
		if err != nil {
			r.tell()
			return err
		}
		for _, id := range part {
			if !r.done[id] {
				r.done[id] = true
				r.p.Gone++
			}
		}
		left = left[len(part):]
		r.tell()
	}
	return nil
}

func (r *run) tell() {
	if r.Tell != nil {
		r.Tell(r.p)
	}
}

// reasonOf is a refusal without what is different from event to event.
func reasonOf(reason string) string {
	reason = strings.Join(strings.FieldsFunc(reason, func(c rune) bool { return c >= '0' && c <= '9' }), "#")
	if len(reason) > 100 {
		reason = reason[:100] + "…"
	}
	if reason == "" {
		return "no reason"
	}
	return reason
}

// brokenError is a connection that has ended.
type brokenError struct {
	url string
	err error
}

func (e *brokenError) Error() string {
	return fmt.Sprintf("%s: the connection broke: %v", e.url, e.err)
}
func (e *brokenError) Unwrap() error { return e.err }

// tooBigError is a comparison that a relay finds too large.
type tooBigError struct{ url, reason string }

func (e *tooBigError) Error() string { return fmt.Sprintf("%s: %s", e.url, e.reason) }
