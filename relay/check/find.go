package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// shelf is a few events to look for.
type shelf struct {
	c          *line
	key, other *events.Keys
	a, b, x    *nostr.Event // notes of key with t "a", "b" and both, of three times; a is the newest
	reaction   *nostr.Event // kind 7 of other, about a
	list       *nostr.Event // kind 30023 of key, d "one"
	topic      string
}

func (l *lab) shelf() *shelf {
	s := &shelf{c: l.dial(), key: l.keys(), other: l.keys()}
	s.topic = string(s.key.PublicKey())[:16]
	s.a = l.event(s.key, 1, 10, "a", []string{"t", s.topic + "a"}, []string{"client", "check"})
	s.b = l.event(s.key, 1, 20, "b", []string{"t", s.topic + "b"})
	s.x = l.event(s.key, 1, 30, "x", []string{"t", s.topic + "a"}, []string{"t", s.topic + "b"}, []string{"r", "https://x.example/" + s.topic})
	s.reaction = l.event(s.other, 7, 5, "+", []string{"e", s.a.ID}, []string{"p", string(s.key.PublicKey())}, []string{"k", "1"})
	s.list = l.event(s.key, 30023, 40, "list", []string{"d", "one"}, []string{"t", s.topic + "a"})
	s.c.take(s.x, s.a, s.list, s.b, s.reaction) // not in their order
	return s
}

// look is a check that asks one thing of the shelf.
func look(nip, name string, ask func(l *lab, s *shelf)) check {
	return check{nip: nip, name: name, run: func(l *lab) { ask(l, l.shelf()) }}
}

var finding = []check{
	look("01", "finds by ids", func(l *lab, s *shelf) {
		l.same(s.c.find(byID(s.a, s.list, s.reaction)), s.a, s.list, s.reaction)
	}),
	look("01", "finds by author", func(l *lab, s *shelf) { l.same(s.c.find(by(s.key)), s.a, s.b, s.x, s.list) }),
	look("01", "finds by several authors", func(l *lab, s *shelf) {
		l.same(s.c.find(M{"authors": []any{s.key.PublicKey(), s.other.PublicKey()}}), s.a, s.b, s.x, s.list, s.reaction)
	}),
	look("01", "finds by author and kind", func(l *lab, s *shelf) { l.same(s.c.find(by(s.key, 1)), s.a, s.b, s.x) }),
	look("01", "finds by author and several kinds", func(l *lab, s *shelf) {
		l.same(s.c.find(by(s.key, 30023, 7, 1)), s.a, s.b, s.x, s.list)
	}),
	look("01", "finds by kind and tag", func(l *lab, s *shelf) {
		l.same(s.c.find(M{"kinds": []int{1}, "#t": []string{s.topic + "a"}}), s.a, s.x)
	}),
	look("01", "finds by author and tag", func(l *lab, s *shelf) {
		l.same(s.c.find(by(s.key).with("#t", []string{s.topic + "a"})), s.a, s.x, s.list)
	}),
	look("01", "finds by a tag alone", func(l *lab, s *shelf) { l.same(s.c.find(M{"#t": []string{s.topic + "b"}}), s.b, s.x) }),
	look("01", "finds by any of a tag's values", func(l *lab, s *shelf) {
		l.same(s.c.find(M{"#t": []string{s.topic + "a", s.topic + "b"}}), s.a, s.b, s.x, s.list)
	}),
	look("01", "finds by several tags, all of them", func(l *lab, s *shelf) {
		l.same(s.c.find(M{"#t": []string{s.topic + "b"}, "#r": []string{"https://x.example/" + s.topic}}), s.x)
		l.same(s.c.find(M{"#e": []string{s.a.ID}, "#k": []string{"1"}, "#p": []any{s.key.PublicKey()}}), s.reaction)
	}),
	look("01", "finds by #e and by #p", func(l *lab, s *shelf) {
		l.same(s.c.find(M{"#e": []string{s.a.ID}}), s.reaction)
		l.same(s.c.find(M{"#p": []any{s.key.PublicKey()}}), s.reaction)
	}),
	look("01", "finds by #d", func(l *lab, s *shelf) {
		l.same(s.c.find(by(s.key, 30023).with("#d", []string{"one"})), s.list)
		l.same(s.c.find(by(s.key, 30023).with("#d", []string{"two"})))
	}),
	look("01", "a tag's letter and value are told apart by capitals", func(l *lab, s *shelf) {
		l.same(s.c.find(by(s.key).with("#T", []string{s.topic + "a"})))
		l.same(s.c.find(by(s.key).with("#t", []string{strings.ToUpper(s.topic + "a")})))
	}),
	look("01", "gives the newest first", func(l *lab, s *shelf) { l.order(s.c.find(by(s.key)), s.a, s.b, s.x, s.list) }),
	look("01", "gives the newest when there is a limit", func(l *lab, s *shelf) {
		l.order(s.c.find(by(s.key).with("limit", 2)), s.a, s.b)
		l.order(s.c.find(M{"#t": []string{s.topic + "a", s.topic + "b"}, "limit": 2}), s.a, s.b)
	}),
	{nip: "01", name: "of one second, the lower id comes first", run: func(l *lab) {
		c, k := l.dial(), l.keys()
		at := nostr.Now() - 60
		var all []*nostr.Event
		for i := range 6 {
			all = append(all, l.sign(k, &nostr.Event{Kind: 1, CreatedAt: at, Content: fmt.Sprint(i), Tags: nostr.Tags{}}))
		}
		c.take(all...)
		slices.SortFunc(all, func(a, b *nostr.Event) int { return strings.Compare(a.ID, b.ID) })
		l.order(c.find(by(k)), all...)
		l.order(c.find(by(k).with("limit", 2)), all[:2]...)
	}},
	look("01", "since and until include their second", func(l *lab, s *shelf) {
		l.same(s.c.find(by(s.key).with("since", s.b.CreatedAt)), s.a, s.b)
		l.same(s.c.find(by(s.key).with("until", s.b.CreatedAt)), s.b, s.x, s.list)
		l.same(s.c.find(by(s.key).with("since", s.b.CreatedAt).with("until", s.b.CreatedAt)), s.b)
	}),
	look("01", "a window that ends before it begins is empty", func(l *lab, s *shelf) {
		l.same(s.c.find(by(s.key).with("since", s.a.CreatedAt).with("until", s.x.CreatedAt)))
	}),
	look("01", "limit 0 gives nothing stored, and EOSE", func(l *lab, s *shelf) { l.same(s.c.find(by(s.key).with("limit", 0))) }),
	look("01", "several filters are united, without repeats", func(l *lab, s *shelf) {
		l.same(s.c.find(byID(s.a), by(s.key, 1), M{"#e": []string{s.a.ID}}), s.a, s.b, s.x, s.reaction)
	}),
	look("01", "the beginning of an id or a key finds nothing", func(l *lab, s *shelf) {
		for _, f := range []M{{"ids": []string{s.a.ID[:32]}}, {"authors": []string{string(s.key.PublicKey())[:32]}}} {
			if got := s.c.ask(f); len(got.events) > 0 {
				l.fail("found %d events", len(got.events))
			}
		}
	}),
	look("01", "a filter for everything is answered within its limit", func(l *lab, s *shelf) {
		f := s.c.ask(M{"limit": 3})
		if f.closed == "" && (len(f.events) == 0 || len(f.events) > 3) {
			l.fail("%d events", len(f.events))
		}
	}),
	look("01", "fields of a filter that no NIP knows are passed over or refused", func(l *lab, s *shelf) {
		if f := s.c.ask(by(s.key, 1).with("mood", "good")); f.closed == "" {
			l.same(f.events, s.a, s.b, s.x)
		}
	}),
	look("01", "a negative since finds all, a kind beyond 16 bits nothing", func(l *lab, s *shelf) {
		if f := s.c.ask(by(s.key, 1).with("since", -1)); f.closed == "" {
			l.same(f.events, s.a, s.b, s.x)
		}
		if f := s.c.ask(by(s.key).with("kinds", []int{70_000})); len(f.events) > 0 {
			l.fail("found %d events", len(f.events))
		}
	}),
}
