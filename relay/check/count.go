package check

import (
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip45/hyperloglog"

	"infernet/events"
)

// counted is what a COUNT is answered with (NIP-45).
type counted struct {
	Count  int    `json:"count"`
	HLL    string `json:"hll"`
	closed string
}

func (c *line) count(filters ...any) (n counted) {
	c.say(slices.Concat([]any{"COUNT", "n"}, filters)...)
	m, ok := c.await(func(m message) bool { return (m.label == "COUNT" || m.label == "CLOSED") && m.text(1) == "n" })
	if !ok {
		c.l.fail("%s", c.silence("COUNT"))
	}
	if m.label == "CLOSED" {
		return counted{closed: m.text(2)}
	}
	if len(m.parts) < 3 || json.Unmarshal(m.parts[2], &n) != nil {
		c.l.fail("a COUNT that is none: %s", cut(m.body))
	}
	return n
}

func (c *line) counts(want int, filters ...any) {
	switch n := c.count(filters...); {
	case n.closed != "":
		c.l.fail("CLOSED: %s", n.closed)
	case n.Count != want:
		c.l.fail("it counts %d, there are %d", n.Count, want)
	}
}

func counts(name string, run func(l *lab, s *shelf)) check {
	c := look("45", name, run)
	c.claimed = true
	return c
}

var counting = []check{
	counts("counts what a filter finds", func(l *lab, s *shelf) {
		s.c.counts(3, by(s.key, 1))
		s.c.counts(2, M{"kinds": []int{1}, "#t": []string{s.topic + "a"}})
		s.c.counts(0, by(l.keys()))
	}),
	counts("counts several filters together, and no event twice", func(l *lab, s *shelf) {
		s.c.counts(4, by(s.key, 1), byID(s.a, s.b), byID(s.reaction))
	}),
	counts("does not count what was deleted or replaced", func(l *lab, s *shelf) {
		s.c.take(l.event(s.key, 30023, 10, "newer", []string{"d", "one"}))
		s.c.counts(1, by(s.key, 30023))
		if l.facts.claims("09") {
			s.c.take(l.event(s.key, 5, 0, "", []string{"e", s.a.ID}))
			s.c.counts(2, by(s.key, 1))
		}
	}),
	counts("the registers of a count (HLL) are those of its authors", func(l *lab, s *shelf) {
		c, about := s.c, s.a.ID
		offset, _ := hex.DecodeString("0" + about[32:33])
		want := hyperloglog.New(int(offset[0]) + 8)
		want.Add(s.reaction.PubKey)
		for range 5 {
			k := l.keys()
			c.take(l.event(k, 7, 5, "+", []string{"e", about}))
			want.Add(string(k.PublicKey()))
		}
		n := c.count(M{"kinds": []int{7}, "#e": []string{about}})
		if n.HLL == "" {
			l.skip("it gives none")
		}
		if n.HLL != hex.EncodeToString(want.GetRegisters()) {
			l.fail("they are %s", cut([]byte(n.HLL)))
		}
	}),
}

var searching = []check{
	{nip: "50", name: "finds notes or nodes by a word", claimed: true, run: func(l *lab) {
		s := l.words()
		got := s.c.find(M{"search": s.word})
		if !has(got, s.note) && !has(got, s.node) {
			l.fail("neither the note nor the node with the word is found")
		}
		if has(got, s.other) {
			l.fail("a node without the word is found")
		}
	}},
	{nip: "50", name: "finds nothing for a word that stands nowhere", claimed: true, run: func(l *lab) {
		s := l.words()
		l.same(s.c.find(M{"search": s.word + "q"}))
	}},
	{nip: "50", name: "a search goes with other conditions and a limit", claimed: true, run: func(l *lab) {
		s := l.words()
		l.same(s.c.find(M{"search": s.word, "authors": []any{l.keys().PublicKey()}}))
		if got := s.c.find(M{"search": s.word, "limit": 1}); len(got) != 1 {
			l.fail("limit 1 gives %d", len(got))
		}
	}},
	{nip: "50", name: "passes over extensions that it does not know", claimed: true, run: func(l *lab) {
		s := l.words()
		if got := s.c.find(M{"search": s.word + " language:en"}); !has(got, s.note) && !has(got, s.node) {
			l.fail("it finds nothing then")
		}
	}},
	{nip: "50", name: "does not find what was replaced", claimed: true, run: func(l *lab) {
		s := l.words()
		if !has(s.c.find(M{"search": s.word}), s.node) {
			l.skip("it does not search nodes")
		}
		s.c.take(l.nodeOf(s.key, 0, "renamed"))
		if has(s.c.find(M{"search": s.word}), s.node) {
			l.fail("it does")
		}
	}},
}

// words are a note, a node and another node, of which the first two have a word in common.
type words struct {
	*shelf
	word              string
	note, node, other *nostr.Event
}

func (l *lab) words() *words {
	s := &words{shelf: &shelf{c: l.dial(), key: l.keys(), other: l.keys()}}
	s.word = "zy" + strings.Map(func(r rune) rune { // letters only
		if r >= '0' && r <= '9' {
			return 'g' + r - '0'
		}
		return r
	}, string(s.key.PublicKey())[:14])
	s.note = l.event(s.key, 1, 10, "a note about "+s.word)
	s.node, s.other = l.nodeOf(s.key, 10, s.word), l.nodeOf(s.shelf.other, 10, "another")
	if ok, _ := s.c.publish(s.note); !ok {
		s.note = s.node
	}
	s.c.take(s.node, s.other)
	return s
}

// nodeOf announces a node that sells something (NIP-89).
func (l *lab) nodeOf(k *events.Keys, ago int64, name string) *nostr.Event {
	return l.event(k, 31990, ago, object(M{"name": name, "about": "a node of a check"}), []string{"d", "check"}, []string{"k", "5050"})
}

func object(v any) string {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(body)
}
