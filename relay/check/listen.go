package check

import (
	"fmt"
	"strings"

	"github.com/nbd-wtf/go-nostr"
)

var listening = []check{
	{nip: "01", name: "says EOSE when there is nothing", run: func(l *lab) { l.same(l.dial().find(by(l.keys()))) }},
	{nip: "01", name: "says EOSE once", run: func(l *lab) {
		c := l.dial()
		c.subscribe("once", by(l.keys()), by(l.keys()))
		c.fence()
		for _, m := range c.held {
			if m.label == "EOSE" && m.text(1) == "once" {
				l.fail("there are two")
			}
		}
	}},
	{nip: "01", name: "gives what comes after EOSE", run: func(l *lab) {
		reader, c, k := l.dial(), l.dial(), l.keys()
		reader.subscribe("live", by(k))
		ev := l.event(k, 1, 0, "live")
		c.take(ev)
		reader.hears("live", ev)
	}},
	{nip: "01", name: "gives it to who published it, too", run: func(l *lab) {
		c, k := l.dial(), l.keys()
		c.subscribe("own", by(k))
		ev := l.event(k, 1, 0, "own")
		c.take(ev)
		c.hears("own", ev)
	}},
	{nip: "01", name: "gives it to each subscription that matches, and no other", run: func(l *lab) {
		reader, c, k := l.dial(), l.dial(), l.keys()
		reader.subscribe("author", by(k))
		reader.subscribe("tag", M{"#t": []string{string(k.PublicKey())}, "kinds": []int{1}})
		reader.subscribe("other", by(l.keys()))
		reader.subscribe("kind", by(k, 7))
		reader.subscribe("past", by(k).with("until", nowPlus(-3600)))
		ev := l.event(k, 1, 0, "to each", []string{"t", string(k.PublicKey())})
		c.take(ev)
		reader.hears("author", ev)
		reader.hears("tag", ev)
		for _, id := range []string{"other", "kind", "past"} {
			if reader.heard(id, ev) {
				l.fail("it came to a subscription that asks for others (%s)", id)
			}
		}
	}},
	{nip: "01", name: "a limit does not hold after EOSE", run: func(l *lab) {
		reader, c, k := l.dial(), l.dial(), l.keys()
		for _, limit := range []int{0, 1} {
			id := fmt.Sprint("limit", limit)
			reader.subscribe(id, by(k).with("limit", limit))
			for i := range 2 {
				ev := l.event(k, 1, 0, fmt.Sprint(id, i))
				c.take(ev)
				reader.hears(id, ev)
			}
		}
	}},
	{nip: "01", name: "CLOSE ends a subscription", run: func(l *lab) {
		reader, c, k := l.dial(), l.dial(), l.keys()
		reader.subscribe("closed", by(k))
		reader.subscribe("open", by(k))
		reader.say("CLOSE", "closed")
		reader.fence()
		ev := l.event(k, 1, 0, "after CLOSE")
		c.take(ev)
		reader.hears("open", ev)
		if reader.heard("closed", ev) {
			l.fail("it goes on")
		}
	}},
	{nip: "01", name: "the same id again takes the subscription's place", run: func(l *lab) {
		reader, c, k, other := l.dial(), l.dial(), l.keys(), l.keys()
		reader.subscribe("same", by(k))
		reader.subscribe("same", by(other))
		before, after := l.event(k, 1, 0, "for the first"), l.event(other, 1, 0, "for the second")
		c.take(before, after)
		reader.hears("same", after)
		if reader.heard("same", before) {
			l.fail("the first filter goes on")
		}
	}},
	{nip: "01", name: "subscriptions of two connections do not mix", run: func(l *lab) {
		one, two, c, k := l.dial(), l.dial(), l.dial(), l.keys()
		one.subscribe("x", by(k))
		two.subscribe("x", by(l.keys()))
		two.say("CLOSE", "x")
		two.fence()
		ev := l.event(k, 1, 0, "one's")
		c.take(ev)
		one.hears("x", ev)
		if two.heard("x", ev) {
			l.fail("it came to another connection")
		}
	}},
	{nip: "01", name: "ephemeral events come live, and are not stored", run: func(l *lab) {
		reader, c, k := l.dial(), l.dial(), l.keys()
		reader.subscribe("live", by(k, 20456))
		ev := l.event(k, 20456, 0, "gone")
		c.take(ev)
		reader.hears("live", ev)
		if got := c.find(by(k, 20456)); len(got) > 0 {
			l.fail("%d are stored", len(got))
		}
	}},
	{nip: "01", name: "an id of 64 characters is taken, an empty one is not", run: func(l *lab) {
		c, long := l.dial(), strings.Repeat("x", 64)
		c.subscribe(long, by(l.keys()))
		c.say("REQ", "", by(l.keys()))
		c.fence()
		for _, m := range c.held {
			if m.label == "EOSE" && m.text(1) == "" {
				l.fail("the empty one was taken")
			}
		}
	}},
	{nip: "01", name: "an id of 65 characters is refused", run: func(l *lab) {
		c, long := l.dial(), strings.Repeat("x", 65)
		c.say("REQ", long, by(l.keys()))
		c.fence()
		for _, m := range c.held {
			if m.label == "EOSE" && m.text(1) == long {
				l.fail("it was taken")
			}
		}
	}},
	{nip: "01", name: "a refused REQ is told by CLOSED or NOTICE", run: func(l *lab) {
		for _, req := range []string{`["REQ","bad",{"ids":["zz"],"kinds":"1"}]`, `["REQ","bad",7]`, `["REQ","bad"]`} {
			c := l.dial()
			c.send(req)
			if !c.fence() {
				l.fail("the relay answers no more after %s", req)
			}
			if len(c.held) == 0 {
				l.fail("nothing is said about %s", req)
			}
		}
	}},
	{nip: "01", name: "what is no message does no harm", run: func(l *lab) {
		for _, junk := range []string{``, `{}`, `[]`, `null`, `"EVENT"`, `[`, `["EVENT"]`, `["EVENT",null]`, `["EVENT",{}]`, `["REQ"]`, `["CLOSE"]`, `["NOTICE","x"]`, `["HELLO","x"]`, `[1,2,3]`, "\x00", strings.Repeat("[", 5000)} {
			c := l.dial()
			c.send(junk)
			if !c.fence() {
				l.fail("the relay answers no more after %q", cut([]byte(junk)))
			}
		}
	}},
	{nip: "01", name: "one may connect again at once", run: func(l *lab) {
		for range 5 {
			c := l.dial()
			if !c.fence() {
				l.fail("%s", c.silence("EOSE"))
			}
			c.close()
		}
	}},
	{nip: "01", name: "a subscription without events stays open", run: func(l *lab) {
		reader, k := l.dial(), l.keys()
		reader.subscribe("long", by(k).with("until", nowPlus(3600)))
		reader.fence()
		for _, m := range reader.held {
			if m.label == "CLOSED" && m.text(1) == "long" {
				l.fail("it was closed: %s", m.text(2))
			}
		}
	}},
}

var replacing = []check{
	{nip: "01", name: "a newer profile or list takes the place of the older", run: replaceable(0, 3, 10003)},
	{nip: "01", name: "a newer addressable event takes the place of the older", run: addressable},
	{nip: "01", name: "an older version is not served", run: func(l *lab) {
		for _, kind := range []int{10003, 30023} {
			c, k := l.dial(), l.keys()
			older, newer := l.event(k, kind, 20, "older", []string{"d", "v"}), l.event(k, kind, 10, "newer", []string{"d", "v"})
			c.take(newer)
			c.publish(older)
			l.same(c.find(by(k, kind)), newer)
		}
	}},
	{nip: "01", name: "of one second, the version with the lower id holds", run: func(l *lab) {
		for _, firstIsLower := range []bool{true, false} {
			c, k := l.dial(), l.keys()
			at := nostr.Now() - 60
			low := l.sign(k, &nostr.Event{Kind: 10003, CreatedAt: at, Content: "1", Tags: nostr.Tags{}})
			high := l.sign(k, &nostr.Event{Kind: 10003, CreatedAt: at, Content: "2", Tags: nostr.Tags{}})
			if low.ID > high.ID {
				low, high = high, low
			}
			if firstIsLower {
				c.take(low)
				c.publish(high)
			} else {
				c.take(high, low)
			}
			l.same(c.find(by(k, 10003)), low)
		}
	}},
	{nip: "01", name: "addressable events with another d stand beside each other", run: func(l *lab) {
		c, k := l.dial(), l.keys()
		one, two := l.event(k, 30023, 10, "one", []string{"d", "one"}), l.event(k, 30023, 10, "two", []string{"d", "two"})
		c.take(one, two)
		l.same(c.find(by(k, 30023)), one, two)
	}},
	{nip: "01", name: "the same address of two authors is two events", run: func(l *lab) {
		c, k, other := l.dial(), l.keys(), l.keys()
		mine, theirs := l.event(k, 30023, 20, "mine", []string{"d", "x"}), l.event(other, 30023, 10, "theirs", []string{"d", "x"})
		c.take(mine, theirs)
		l.same(c.find(by(k, 30023)), mine)
	}},
	{nip: "01", name: "a replaceable event's d does not matter", run: func(l *lab) {
		c, k := l.dial(), l.keys()
		older, newer := l.event(k, 10003, 20, "older", []string{"d", "a"}), l.event(k, 10003, 10, "newer", []string{"d", "b"})
		c.take(older, newer)
		l.same(c.find(by(k, 10003)), newer)
	}},
	{nip: "01", name: "a replaced version is not given by its id", run: func(l *lab) {
		c, k := l.dial(), l.keys()
		older, newer := l.event(k, 10003, 20, "older"), l.event(k, 10003, 10, "newer")
		c.take(older, newer)
		l.same(c.find(byID(older, newer)), newer)
	}},
}

func replaceable(kinds ...int) func(*lab) {
	return func(l *lab) {
		for _, kind := range kinds {
			c, k := l.dial(), l.keys()
			older, newer := l.event(k, kind, 20, `{"name":"older"}`), l.event(k, kind, 10, `{"name":"newer"}`)
			c.take(older)
			l.same(c.find(by(k, kind)), older)
			c.take(newer)
			l.same(c.find(by(k, kind)), newer)
		}
	}
}

func addressable(l *lab) {
	c, k := l.dial(), l.keys()
	older, newer := l.event(k, 30023, 20, "older", []string{"d", "x"}), l.event(k, 30023, 10, "newer", []string{"d", "x"})
	c.take(older, newer)
	l.same(c.find(by(k, 30023)), newer)
	l.same(c.find(by(k, 30023).with("#d", []string{"x"})), newer)
}
