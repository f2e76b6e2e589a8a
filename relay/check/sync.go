package check

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/nbd-wtf/go-nostr"

	"infernet/relay/reconcile"
)

// negOpen opens a comparison (NIP-77) and gives the relay's answer; the error is the relay's NEG-ERR.
func (c *line) negOpen(id string, f M, message string) (string, error) {
	c.say("NEG-OPEN", id, f, message)
	return c.negAnswer(id)
}

func (c *line) negSay(id, message string) (string, error) {
	c.say("NEG-MSG", id, message)
	return c.negAnswer(id)
}

func (c *line) negAnswer(id string) (string, error) {
	m, ok := c.await(func(m message) bool {
		return (m.label == "NEG-MSG" || m.label == "NEG-ERR" || m.label == "NEG-ERROR") && m.text(1) == id
	})
	switch {
	case !ok:
		c.l.fail("%s", c.silence("NEG-MSG"))
	case m.label == "NEG-ERROR":
		c.l.fail("it says NEG-ERROR, which no NIP names")
	case m.label == "NEG-ERR":
		return "", errors.New(m.text(2))
	}
	return m.text(2), nil
}

// compares compares what the relay finds with what it should have.
func (c *line) compares(id string, f M, with ...*nostr.Event) reconcile.Difference {
	var items []reconcile.Item
	for _, ev := range with {
		items = append(items, reconcile.Item{At: int64(ev.CreatedAt), ID: idOf(ev)})
	}
	mine := reconcile.NewServer(reconcile.NewSet(items))
	opened := false
	d, err := reconcile.Compare(c.l.ctx, func(_ context.Context, m string) (string, error) { return mine.Answer(m) },
		func(_ context.Context, m string) (string, error) {
			if opened {
				return c.negSay(id, m)
			}
			opened = true
			return c.negOpen(id, f, m)
		}, 1<<20)
	if err != nil {
		c.l.fail("%v", err)
	}
	c.say("NEG-CLOSE", id)
	return d
}

func idOf(ev *nostr.Event) (id [32]byte) {
	hex.Decode(id[:], []byte(ev.ID))
	return id
}

// syncs is a check of NIP-77.
func syncs(name string, run func(l *lab, s *shelf)) check {
	c := look("77", name, run)
	c.claimed = true
	return c
}

func only(l *lab, what string, got [][32]byte, want ...*nostr.Event) {
	if len(got) != len(want) {
		l.fail("%s: %d events, not %d", what, len(got), len(want))
	}
	for _, ev := range want {
		found := false
		for _, id := range got {
			found = found || id == idOf(ev)
		}
		if !found {
			l.fail("%s: an event is missing", what)
		}
	}
}

var syncing = []check{
	syncs("of two equal sets, nothing differs", func(l *lab, s *shelf) {
		d := s.c.compares("n", by(s.key), s.a, s.b, s.x, s.list)
		only(l, "only here", d.First)
		only(l, "only there", d.Second)
	}),
	syncs("finds what only one side has", func(l *lab, s *shelf) {
		mine := l.event(s.key, 1, 50, "never published")
		d := s.c.compares("n", by(s.key), s.a, s.list, mine)
		only(l, "only here", d.First, mine)
		only(l, "only there", d.Second, s.b, s.x)
	}),
	syncs("compares hundreds of events", func(l *lab, s *shelf) {
		k := l.keys()
		var all []*nostr.Event
		for i := range 200 {
			all = append(all, l.event(k, 1, int64(i/3), fmt.Sprint(i)))
		}
		s.c.take(all...)
		d := s.c.compares("n", by(k), append(all[:50:50], all[60:]...)...)
		only(l, "only here", d.First)
		only(l, "only there", d.Second, all[50:60]...)
	}),
	syncs("the same id again begins anew", func(l *lab, s *shelf) {
		if _, err := s.c.negOpen("n", by(l.keys()), "6100000200"); err != nil {
			l.fail("%v", err)
		}
		d := s.c.compares("n", by(s.key, 7, 1))
		only(l, "only there", d.Second, s.a, s.b, s.x)
	}),
	syncs("a message that is none, or to a comparison that is not open, is told by NEG-ERR", func(l *lab, s *shelf) {
		for _, m := range []string{"", "zz", "61ff", "61000002" + strings.Repeat("ff", 8) + "7f", "610180"} {
			if _, err := l.dial().negOpen("n", by(s.key), m); err == nil || !prefixed(err.Error()) {
				l.fail("%q is answered with %v", m, err)
			}
		}
		if _, err := s.c.negSay("never", "61"); err == nil {
			l.fail("what was never opened is answered")
		}
		l.alive()
	}),
	syncs("another version of negentropy is answered with the one that is spoken", func(l *lab, s *shelf) {
		if answer, err := s.c.negOpen("n", by(s.key), "62"); err != nil || answer != "61" {
			l.fail("%q, %v", answer, err)
		}
	}),
}
