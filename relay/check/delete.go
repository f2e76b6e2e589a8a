package check

import (
	"fmt"
	"time"

	"github.com/nbd-wtf/go-nostr"
)

// deletes is what a relay does that claims NIP-09.
func deletes(name string, run func(*lab)) check {
	return check{nip: "09", name: name, run: run, claimed: true}
}

var deleting = []check{
	deletes("deletes by id", func(l *lab) {
		c, k := l.dial(), l.keys()
		ev, other := l.event(k, 1, 10, "wrong"), l.event(k, 1, 10, "right")
		c.take(ev, other, l.event(k, 5, 0, "", []string{"e", ev.ID}))
		l.same(c.find(by(k, 1)), other)
	}),
	deletes("deletes by address", func(l *lab) {
		c, k := l.dial(), l.keys()
		ev := l.event(k, 30023, 10, "wrong", []string{"d", "x"})
		c.take(ev, l.event(k, 5, 0, "", []string{"a", address(ev)}))
		l.same(c.find(byID(ev)))
	}),
	deletes("by address, only what is older than the deletion", func(l *lab) {
		c, k := l.dial(), l.keys()
		ev := l.event(k, 30023, 10, "right", []string{"d", "x"})
		c.take(ev, l.event(k, 5, 60, "", []string{"a", address(ev)}))
		l.same(c.find(byID(ev)), ev)
	}),
	deletes("by address, only what has the address", func(l *lab) {
		c, k := l.dial(), l.keys()
		one, two := l.event(k, 30023, 10, "", []string{"d", "one"}), l.event(k, 30023, 10, "", []string{"d", "two"})
		kind := l.event(k, 30024, 10, "", []string{"d", "one"})
		c.take(one, two, kind, l.event(k, 5, 0, "", []string{"a", address(one)}))
		l.same(c.find(by(k, 30023, 30024)), two, kind)
	}),
	deletes("nobody deletes another's by id", func(l *lab) {
		c, ev := l.dial(), l.event(l.keys(), 1, 10, "theirs")
		c.take(ev)
		c.publish(l.event(l.keys(), 5, 0, "", []string{"e", ev.ID}, []string{"k", "1"}))
		l.same(c.find(byID(ev)), ev)
	}),
	deletes("nobody deletes another's by address", func(l *lab) {
		c, ev := l.dial(), l.event(l.keys(), 30023, 10, "theirs", []string{"d", "x"})
		c.take(ev)
		c.publish(l.event(l.keys(), 5, 0, "", []string{"a", address(ev)}))
		l.same(c.find(byID(ev)), ev)
	}),
	deletes("what was deleted by id is not taken again", func(l *lab) {
		c, k := l.dial(), l.keys()
		ev := l.event(k, 1, 10, "again")
		c.take(ev, l.event(k, 5, 0, "", []string{"e", ev.ID}))
		l.dial().refuses(ev, "what its author has deleted")
		l.same(c.find(byID(ev)))
	}),
	deletes("what is older than its address's deletion is not taken", func(l *lab) {
		c, k := l.dial(), l.keys()
		ev := l.event(k, 30023, 20, "first", []string{"d", "x"})
		c.take(ev, l.event(k, 5, 10, "", []string{"a", address(ev)}))
		again := l.event(k, 30023, 15, "again", []string{"d", "x"})
		c.refuses(again, "an event from before its address's deletion")
		l.same(c.find(by(k, 30023)))
	}),
	deletes("what is newer than its address's deletion is taken", func(l *lab) {
		c, k := l.dial(), l.keys()
		ev := l.event(k, 30023, 20, "first", []string{"d", "x"})
		c.take(ev, l.event(k, 5, 10, "", []string{"a", address(ev)}))
		newer := l.event(k, 30023, 5, "newer", []string{"d", "x"})
		c.must(newer)
		l.same(c.find(by(k, 30023)), newer)
	}),
	deletes("a deletion is stored, and comes live", func(l *lab) {
		reader, c, k := l.dial(), l.dial(), l.keys()
		ev := l.event(k, 1, 10, "wrong")
		c.take(ev)
		reader.subscribe("live", M{"kinds": []int{5}, "#e": []string{ev.ID}})
		del := l.event(k, 5, 0, "", []string{"e", ev.ID})
		c.take(del)
		reader.hears("live", del)
		l.same(c.find(by(k, 5)), del)
	}),
	deletes("a deletion cannot be deleted", func(l *lab) {
		c, k := l.dial(), l.keys()
		ev := l.event(k, 1, 20, "wrong")
		del := l.event(k, 5, 10, "", []string{"e", ev.ID})
		c.take(ev, del)
		c.publish(l.event(k, 5, 0, "", []string{"e", del.ID}))
		if ok, _ := l.dial().publish(ev); ok {
			l.fail("the deleted event was taken again")
		}
		l.same(c.find(byID(ev)))
	}),
	deletes("a deletion that comes first keeps its event out", func(l *lab) {
		c, k := l.dial(), l.keys()
		ev := l.event(k, 1, 10, "late")
		c.take(l.event(k, 5, 0, "", []string{"e", ev.ID}))
		c.refuses(ev, "what its author has deleted")
	}),
}

func address(ev *nostr.Event) string {
	return fmt.Sprintf("%d:%s:%s", ev.Kind, ev.PubKey, ev.Tags.GetD())
}

var expiring = []check{
	{nip: "40", name: "what has expired is refused, or not served", claimed: true, run: func(l *lab) {
		c, ev := l.dial(), l.event(l.keys(), 1, 10, "late", []string{"expiration", fmt.Sprint(nowPlus(-5))})
		c.publish(ev)
		l.same(c.find(byID(ev)))
	}},
	{nip: "40", name: "what expires is served until then, and not after", claimed: true, run: func(l *lab) {
		c, ev := l.dial(), l.event(l.keys(), 1, 10, "soon", []string{"expiration", fmt.Sprint(nowPlus(3))})
		c.take(ev)
		got := c.find(byID(ev))
		if len(got) == 0 && time.Now().Unix() < expiryOf(ev) {
			l.fail("it is not served before")
		}
		for end := time.Unix(expiryOf(ev), 0).Add(l.Patience); len(c.find(byID(ev))) > 0; pause(l, 100*time.Millisecond) {
			if time.Now().After(end) {
				l.fail("it is served %s after it has expired", l.Patience)
			}
		}
	}},
	{nip: "40", name: "what has expired is not deleted before its time", claimed: true, run: func(l *lab) {
		c, ev := l.dial(), l.event(l.keys(), 1, 10, "later", []string{"expiration", fmt.Sprint(nowPlus(3600))})
		c.take(ev)
		l.same(c.find(byID(ev)), ev)
	}},
}

func expiryOf(ev *nostr.Event) (at int64) {
	if tag := ev.Tags.Find("expiration"); tag != nil {
		fmt.Sscan(tag[1], &at)
	}
	return at
}

// pause lets time pass, for what only time brings.
func pause(l *lab, d time.Duration) {
	select {
	case <-time.After(d):
	case <-l.ctx.Done():
	}
}
