package check

import (
	"fmt"
	"strings"

	"github.com/nbd-wtf/go-nostr"
)

// limits holds a relay to what it says of itself (NIP-11).
var limits = []check{
	{nip: "11", name: "max_subscriptions holds", run: func(l *lab) {
		most := l.limit("subs")
		if most == 0 || most > 200 {
			l.skip("it states none that is tried here")
		}
		c, f := l.dial(), by(l.keys())
		for i := range most {
			c.subscribe(fmt.Sprint("s", i), f)
		}
		c.say("REQ", "more", f)
		if m, ok := c.await(func(m message) bool { return m.text(1) == "more" }); ok && m.label != "CLOSED" {
			l.fail("it states %d, and takes more", most)
		} else if ok && !prefixed(m.text(2)) {
			l.fail("CLOSED %q does not begin with a word for programs", m.text(2))
		}
		c.say("CLOSE", "s0")
		c.subscribe("after", f)
	}},
	{nip: "11", name: "max_message_length holds", run: func(l *lab) {
		most := l.limit("message")
		if most == 0 || most > 2<<20 {
			l.skip("it states none that is tried here")
		}
		c, ev := l.dial(), l.event(l.keys(), 1, 0, strings.Repeat("x", most))
		c.send(`["EVENT",` + ev.String() + `]`)
		m, ok := c.await(func(m message) bool { return m.label == "OK" || m.label == "NOTICE" })
		if ok && m.label == "OK" && string(m.parts[2]) == "true" {
			l.fail("it states %d bytes, and takes more", most)
		}
		if !ok && c.gone == nil {
			l.fail("%s", c.silence("answer"))
		}
		l.same(l.dial().find(byID(ev)))
	}},
	{nip: "11", name: "max_event_tags holds", run: func(l *lab) {
		most := l.limit("tags")
		if most == 0 || most > 10_000 {
			l.skip("it states none that is tried here")
		}
		tags := make([][]string, most+1)
		for i := range tags {
			tags[i] = []string{"x", ""}
		}
		l.dial().refuses(l.event(l.keys(), 1, 0, "", tags...), "more tags than it states")
	}},
	{nip: "11", name: "max_subid_length holds", run: func(l *lab) {
		most := l.limit("subid")
		if most == 0 || most > 1000 {
			l.skip("it states none that is tried here")
		}
		c, k := l.dial(), l.keys()
		c.subscribe(strings.Repeat("s", most), by(k))
		long := strings.Repeat("s", most+1)
		c.say("REQ", long, by(k))
		c.fence()
		for _, m := range c.held {
			if m.label == "EOSE" && m.text(1) == long {
				l.fail("it states %d characters, and takes more", most)
			}
		}
	}},
	{nip: "11", name: "created_at_upper_limit holds", run: func(l *lab) {
		if l.facts == nil || l.facts.Limitation.CreatedAtUpperLimit <= 0 {
			l.skip("it states none")
		}
		most := l.facts.Limitation.CreatedAtUpperLimit
		if most > 1_000_000_000 { // a time, and not a span
			most -= nowPlus(0)
		}
		l.dial().refuses(l.event(l.keys(), 1, -most-600, "of the future"), "an event beyond what it states")
	}},
	{nip: "11", name: "max_limit holds", run: func(l *lab) {
		most := l.limit("limit")
		if most == 0 || most > 50 {
			l.skip("it states none that is tried here")
		}
		c, k := l.dial(), l.keys()
		for i := range most + 1 {
			c.take(l.event(k, 1, int64(i), fmt.Sprint(i)))
		}
		if n := len(c.find(by(k).with("limit", most+1))); n > most {
			l.fail("it states %d, and gives %d", most, n)
		}
	}},
}

// hostility is what has brought relays down.
var hostility = []check{
	{nip: "01", name: "lives on after an address tag without a value", hostile: true, run: func(l *lab) {
		for _, kind := range []int{0, 10003, 30023} {
			l.dial().mayRefuse(l.event(l.keys(), kind, 0, "", []string{"d"}))
		}
	}},
	{nip: "01", name: "lives on after odd addresses and ids in a deletion", hostile: true, run: func(l *lab) {
		c := l.dial()
		for _, tag := range [][]string{{"a"}, {"a", ""}, {"a", ":"}, {"a", "::"}, {"a", "x:y:z"}, {"a", "99999999999999999999:a:b"}, {"e"}, {"e", ""}, {"e", "zz"}} {
			c.mayRefuse(l.event(l.keys(), 5, 0, "", tag))
		}
	}},
	{nip: "01", name: "lives on after odd expirations and protections", hostile: true, run: func(l *lab) {
		c := l.dial()
		for _, tag := range [][]string{{"expiration"}, {"expiration", ""}, {"expiration", "never"}, {"expiration", "-1"}, {"expiration", strings.Repeat("9", 40)}, {"-", ""}} {
			c.mayRefuse(l.event(l.keys(), 1, 0, "", tag))
		}
	}},
	{nip: "01", name: "lives on after a signature of a wrong length", hostile: true, run: func(l *lab) {
		for _, n := range []int{0, 1, 126, 130, 1000} {
			c, ev := l.dial(), l.event(l.keys(), 1, 0, "signed")
			ev.Sig = strings.Repeat("a", n)
			c.send(`["EVENT",` + ev.String() + `]`)
			c.fence()
			l.alive()
		}
	}},
	{nip: "01", name: "lives on after filters of every wrong kind", hostile: true, run: func(l *lab) {
		for _, f := range []string{`{"ids":[""]}`, `{"authors":["zz"]}`, `{"kinds":[-1]}`, `{"limit":-1}`, `{"limit":99999999999999999999}`, `{"since":1e300}`, `{"until":-1}`, `{"#":["x"]}`, `{"#e":[]}`, `{"#d":null}`, `{"ids":null}`, `{"search":7}`, `[]`, `{"#é":["x"]}`} {
			c := l.dial()
			c.send(`["REQ","f",` + f + `]`)
			c.send(`["COUNT","f",` + f + `]`)
			c.fence()
			l.alive()
		}
	}},
}

// mayRefuse publishes something odd: whatever is said about it, the relay goes on.
func (c *line) mayRefuse(ev *nostr.Event) {
	c.send(`["EVENT",` + ev.String() + `]`)
	c.fence()
	c.l.alive()
}

// alive says whether the relay still takes and finds events.
func (l *lab) alive() {
	c, ev := l.dial(), l.event(l.keys(), 1, 0, "alive")
	c.take(ev)
	l.same(c.find(byID(ev)), ev)
}
