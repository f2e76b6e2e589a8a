package check

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nbd-wtf/go-nostr"
)

var publishing = []check{
	{nip: "01", name: "takes a note of a new key, and says OK", run: func(l *lab) {
		c, ev := l.dial(), l.event(l.keys(), 1, 0, "a note")
		if ok, reason := c.publish(ev); !ok {
			l.fail("OK false: %s", reason)
		}
	}},
	{nip: "01", name: "gives an event back as it was", run: func(l *lab) {
		c, ev := l.dial(), l.event(l.keys(), 1, 0, "as it was", []string{"t", "x", "y", ""}, []string{"alt", "ä"})
		c.take(ev)
		got := c.find(byID(ev))
		if len(got) != 1 {
			l.fail("found %d times", len(got))
		}
		l.unchanged(got[0], ev)
		if !nostrTags(got[0], ev) {
			l.fail("the tags have changed")
		}
	}},
	{nip: "01", name: "an OK has four elements, and a string as the last", run: func(l *lab) {
		c, ev := l.dial(), l.event(l.keys(), 1, 0, "four")
		c.send(`["EVENT",` + ev.String() + `]`)
		m, ok := c.await(func(m message) bool { return m.label == "OK" })
		if !ok {
			l.fail("%s", c.silence("OK"))
		}
		var reason *string
		if len(m.parts) != 4 || json.Unmarshal(m.parts[3], &reason) != nil || reason == nil {
			l.fail("it is %s", cut(m.body))
		}
		l.note(ev)
	}},
	{nip: "01", name: "refuses a wrong signature", run: func(l *lab) {
		c, k := l.dial(), l.keys()
		ev, other := l.event(k, 1, 0, "signed"), l.event(k, 1, 0, "signed otherwise")
		ev.Sig = other.Sig
		c.refuses(ev, "an event with the signature of another")
	}},
	{nip: "01", name: "refuses a wrong id", run: func(l *lab) {
		c, ev := l.dial(), l.event(l.keys(), 1, 0, "with an id of its own")
		ev.Content = "with another's id"
		c.refuses(ev, "an event whose id is not its hash")
	}},
	{nip: "01", name: "refuses another's name", run: func(l *lab) {
		c, ev := l.dial(), l.event(l.keys(), 1, 0, "mine")
		ev.PubKey = string(l.keys().PublicKey())
		ev.ID = ev.GetID()
		c.refuses(ev, "an event that another key has signed")
	}},
	{nip: "01", name: "a refusal begins with a word for programs", run: func(l *lab) {
		c, ev := l.dial(), l.event(l.keys(), 1, 0, "signed")
		ev.Sig = strings.Repeat("1", 128)
		ok, reason := c.publish(ev)
		if ok || !prefixed(reason) {
			l.fail("OK %v %q, not \"word: text\"", ok, reason)
		}
	}},
	{nip: "01", name: "a repeat is a duplicate, and stored once", run: func(l *lab) {
		c, ev := l.dial(), l.event(l.keys(), 1, 0, "twice")
		c.take(ev)
		ok, reason := c.publish(ev)
		if !ok || !strings.HasPrefix(reason, "duplicate:") {
			l.fail("OK %v %q, not true and \"duplicate: …\"", ok, reason)
		}
		l.same(c.find(byID(ev)), ev)
	}},
	{nip: "01", name: "takes profiles, contacts and relay lists of anybody", run: func(l *lab) {
		c := l.dial()
		for _, kind := range []int{0, 3, 10002, 10050} {
			if ok, reason := c.publish(l.event(l.keys(), kind, 0, "{}")); !ok {
				l.fail("kind %d: %s", kind, reason)
			}
		}
	}},
	{nip: "01", name: "takes ephemeral events of anybody", run: func(l *lab) {
		l.dial().must(l.event(l.keys(), 20123, 0, "gone"))
	}},
	{nip: "01", name: "takes a contact list of 700 keys", run: func(l *lab) {
		if most := l.limit("tags"); most > 0 && most < 700 {
			l.skip("it says that it takes at most %d tags", most)
		}
		if most := l.limit("message"); most > 0 && most < 55_000 {
			l.skip("it says that it takes at most %d bytes", most)
		}
		var tags [][]string
		for i := range 700 {
			tags = append(tags, []string{"p", fmt.Sprintf("%064x", i+1)})
		}
		c, ev := l.dial(), l.event(l.keys(), 3, 0, "", tags...)
		c.must(ev)
		if got := c.find(byID(ev)); len(got) != 1 || len(got[0].Tags) != 700 {
			l.fail("it is not given back whole")
		}
	}},
	{nip: "01", name: "answers in the order in which it was asked", run: func(l *lab) {
		c, k := l.dial(), l.keys()
		c.take(l.event(k, 1, 10, "first of all"))
		var order []string
		for i := range 10 {
			ev := l.event(k, 1, int64(i), fmt.Sprint("in order ", i))
			c.send(`["EVENT",` + ev.String() + `]`)
			order = append(order, ev.ID)
			l.note(ev)
		}
		for i := range order {
			m, ok := c.await(func(m message) bool { return m.label == "OK" })
			if !ok {
				l.fail("%s", c.silence("OK"))
			}
			if m.text(1) != order[i] {
				l.fail("the OK for event %d came at another place", i+1)
			}
		}
	}},
}

// must publishes what every relay for the public should take.
func (c *line) must(ev *nostr.Event) {
	if ok, reason := c.publish(ev); !ok {
		c.l.fail("kind %d: OK false: %s", ev.Kind, reason)
	}
}

func nostrTags(a, b *nostr.Event) bool { return text(a.Tags) == text(b.Tags) }

// limit is a bound that the relay states (NIP-11); 0 if it states none.
func (l *lab) limit(of string) int {
	if l.facts == nil {
		return 0
	}
	x := l.facts.Limitation
	return map[string]int{"message": x.MaxMessageLength, "tags": x.MaxEventTags, "subs": x.MaxSubscriptions, "subid": x.MaxSubidLength, "limit": x.MaxLimit}[of]
}
