package check

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// lab is what one check works with. Its methods end the check when something comes out wrong.
type lab struct {
	*suite
	ctx   context.Context
	lines []*line
	made  []*events.Keys
}

func (l *lab) fail(format string, args ...any) { panic(ended{Fail, fmt.Sprintf(format, args...)}) }
func (l *lab) skip(format string, args ...any) { panic(ended{Skip, fmt.Sprintf(format, args...)}) }

// dial opens one more connection.
func (l *lab) dial() *line {
	c, err := l.suite.dial(l.ctx)
	if err != nil {
		l.fail("%v", err)
	}
	c.l = l
	l.lines = append(l.lines, c)
	return c
}

// keys makes a key that nobody knows.
func (l *lab) keys() *events.Keys {
	k := events.GenerateKeys()
	l.made = append(l.made, k)
	return k
}

func (l *lab) keysOf(ev *nostr.Event) *events.Keys {
	for _, k := range l.made {
		if string(k.PublicKey()) == ev.PubKey {
			return k
		}
	}
	return nil
}

// event makes a signed event; ago is how many seconds old it is.
func (l *lab) event(k *events.Keys, kind int, ago int64, content string, tags ...[]string) *nostr.Event {
	ev := &nostr.Event{Kind: kind, CreatedAt: nostr.Timestamp(time.Now().Unix() - ago), Content: content, Tags: nostr.Tags{}}
	for _, tag := range tags {
		ev.Tags = append(ev.Tags, nostr.Tag(tag))
	}
	return l.sign(k, ev)
}

func (l *lab) sign(k *events.Keys, ev *nostr.Event) *nostr.Event {
	if err := k.Sign(l.ctx, ev); err != nil {
		l.fail("signing: %v", err)
	}
	if !slices.Contains(l.made, k) {
		l.made = append(l.made, k)
	}
	return ev
}

// note remembers what is to be deleted when all is over.
func (l *lab) note(ev *nostr.Event) {
	if k := l.keysOf(ev); k != nil && !nostr.IsEphemeralKind(ev.Kind) && ev.Kind != nostr.KindDeletion {
		l.suite.mu.Lock()
		defer l.suite.mu.Unlock()
		l.published[k] = append(l.published[k], ev.ID)
	}
}

// same holds what was found against what should be, in any order.
func (l *lab) same(got []*nostr.Event, want ...*nostr.Event) {
	for _, w := range want {
		if !has(got, w) {
			l.fail("an event that matches was not found (%d were)", len(got))
		}
	}
	for i, g := range got {
		if !has(want, g) {
			l.fail("an event was found that does not match: kind %d, created_at %d", g.Kind, g.CreatedAt)
		}
		if has(got[:i], g) {
			l.fail("an event was given twice")
		}
	}
}

// order holds what was found against what should be, in this order.
func (l *lab) order(got []*nostr.Event, want ...*nostr.Event) {
	l.same(got, want...)
	for i := range want {
		if got[i].ID != want[i].ID {
			l.fail("the order is wrong at place %d of %d", i+1, len(want))
		}
	}
}

func has(all []*nostr.Event, ev *nostr.Event) bool {
	return slices.ContainsFunc(all, func(e *nostr.Event) bool { return e.ID == ev.ID })
}

// keptOrRefused publishes what a relay may take or not: if it does, it gives it back as it was; if not, it does not have it.
func (l *lab) keptOrRefused(c *line, ev *nostr.Event, raw string) (ok bool, reason string) {
	ok, reason = c.offer(ev.ID, raw)
	if ok {
		l.note(ev)
	}
	got := c.ask(byID(ev))
	switch {
	case !ok && len(got.events) > 0:
		l.fail("the relay refused the event (%s), and serves it", reason)
	case ok && len(got.events) != 1:
		l.fail("the relay took the event, and finds it %d times", len(got.events))
	case ok:
		l.unchanged(got.events[0], ev)
	}
	return ok, reason
}

// unchanged holds an event against what was sent.
func (l *lab) unchanged(got, want *nostr.Event) {
	if valid, err := got.CheckSignature(); err != nil || !valid || !got.CheckID() {
		l.fail("what the relay gives back is not signed by its author any more")
	}
	if got.ID != want.ID || got.CreatedAt != want.CreatedAt || got.Content != want.Content || got.Kind != want.Kind {
		l.fail("the relay gives back another event")
	}
}

// M is a filter.
type M map[string]any

func byID(all ...*nostr.Event) M {
	var ids []string
	for _, ev := range all {
		ids = append(ids, ev.ID)
	}
	return M{"ids": ids}
}

func by(k *events.Keys, kinds ...int) M {
	f := M{"authors": []string{string(k.PublicKey())}}
	if len(kinds) > 0 {
		f["kinds"] = kinds
	}
	return f
}

// with is a filter with one more condition.
func (m M) with(name string, value any) M {
	f := M{name: value}
	for k, v := range m {
		f[k] = v
	}
	return f
}

func protected(ev *nostr.Event) bool {
	return slices.ContainsFunc(ev.Tags, func(t nostr.Tag) bool { return len(t) > 0 && t[0] == "-" })
}

// prefixed says whether a reason begins with a word for programs (NIP-01).
func prefixed(reason string) bool {
	word, _, ok := strings.Cut(reason, ":")
	return ok && word != "" && !strings.ContainsAny(word, " \t")
}
