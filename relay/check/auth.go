package check

import (
	"strings"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// authenticate answers the challenge (NIP-42), and gives the relay's answer.
func (c *line) authenticate(k *events.Keys, change ...func(*nostr.Event)) (ok bool, reason string) {
	ev := &nostr.Event{
		Kind: nostr.KindClientAuthentication, CreatedAt: nostr.Now(),
		Tags: nostr.Tags{{"relay", c.l.URL}, {"challenge", c.challenge}},
	}
	for _, change := range change {
		change(ev)
	}
	if err := k.Sign(c.l.ctx, ev); err != nil {
		c.l.fail("signing: %v", err)
	}
	c.say("AUTH", ev)
	m, came := c.await(func(m message) bool { return m.label == "OK" && m.text(1) == ev.ID })
	if !came {
		c.l.fail("%s", c.silence("OK for AUTH"))
	}
	return len(m.parts) > 2 && string(m.parts[2]) == "true", m.text(3)
}

// challenged opens a connection that has a challenge; one that comes only on demand is asked for.
func (l *lab) challenged() *line {
	c := l.dial()
	c.fence()
	if c.challenge == "" {
		k := l.keys()
		c.publish(l.event(k, 1, 0, "for its author", []string{"-"}))
		c.fence()
	}
	if c.challenge == "" {
		l.skip("the relay asks nobody who they are")
	}
	return c
}

// knows is a check of NIP-42.
func knows(name string, run func(*lab)) check {
	return check{nip: "42", name: name, run: run, claimed: true}
}

// wrongly is a check that a wrong AUTH event is refused.
func wrongly(name string, change func(*nostr.Event)) check {
	return knows("refuses AUTH "+name, func(l *lab) {
		if ok, _ := l.challenged().authenticate(l.keys(), change); ok {
			l.fail("it was taken")
		}
	})
}

var auth = []check{
	knows("asks who one is", func(l *lab) { l.challenged() }),
	knows("takes AUTH of an unknown key", func(l *lab) {
		if ok, reason := l.challenged().authenticate(l.keys()); !ok {
			l.fail("OK false: %s", reason)
		}
	}),
	knows("takes AUTH of several keys on one connection", func(l *lab) {
		c := l.challenged()
		for range 2 {
			if ok, reason := c.authenticate(l.keys()); !ok {
				l.fail("OK false: %s", reason)
			}
		}
	}),
	wrongly("of another kind", func(ev *nostr.Event) { ev.Kind = 1 }),
	wrongly("for another relay", func(ev *nostr.Event) { ev.Tags[0][1] = "wss://elsewhere.example" }),
	wrongly("with another challenge", func(ev *nostr.Event) { ev.Tags[1][1] = "of my own" }),
	wrongly("without a challenge", func(ev *nostr.Event) { ev.Tags = ev.Tags[:1] }),
	wrongly("that is half an hour old", func(ev *nostr.Event) { ev.CreatedAt -= 1800 }),
	knows("refuses AUTH with another connection's challenge", func(l *lab) {
		one, two := l.challenged(), l.challenged()
		if one.challenge == two.challenge {
			l.fail("two connections have the same challenge")
		}
		one.challenge = two.challenge
		if ok, _ := one.authenticate(l.keys()); ok {
			l.fail("it was taken")
		}
	}),
	knows("does not publish AUTH events", func(l *lab) {
		c, reader, k := l.challenged(), l.dial(), l.keys()
		reader.subscribe("auth", by(k))
		c.authenticate(k)
		ev := l.sign(k, &nostr.Event{Kind: nostr.KindClientAuthentication, CreatedAt: nostr.Now(), Tags: nostr.Tags{{"relay", l.URL}, {"challenge", c.challenge}}})
		c.publish(ev)
		if reader.heard("auth", ev) || len(c.find(by(k))) > 0 {
			l.fail("others can read them")
		}
	}),
}

var protecting = []check{
	{nip: "70", name: "a protected event is not taken from just anybody", run: func(l *lab) {
		c, ev := l.dial(), l.event(l.keys(), 1, 0, "mine", []string{"-"})
		if ok, _ := c.publish(ev); ok {
			l.fail("it was taken")
		}
		l.same(c.find(byID(ev)))
	}},
	{nip: "70", name: "a protected event is taken from its author", claimed: true, run: func(l *lab) {
		c, k := l.challenged(), l.keys()
		ev := l.event(k, 1, 0, "mine", []string{"-"})
		if ok, reason := c.publish(ev); ok || !strings.HasPrefix(reason, "auth-required:") {
			l.fail("before AUTH: OK %v %q, not false and \"auth-required: …\"", ok, reason)
		}
		c.authenticate(k)
		c.must(ev)
		l.same(c.find(byID(ev)), ev)
	}},
	{nip: "70", name: "a protected event is not taken from another key", claimed: true, run: func(l *lab) {
		c, ev := l.challenged(), l.event(l.keys(), 1, 0, "theirs", []string{"-"})
		c.authenticate(l.keys())
		c.refuses(ev, "it")
	}},
	{nip: "70", name: "a repost does not carry a protected event", claimed: true, run: func(l *lab) {
		c, k := l.challenged(), l.keys()
		ev := l.event(k, 1, 10, "mine", []string{"-"})
		c.authenticate(k)
		c.take(ev)
		for _, kind := range []int{6, 16} {
			c.refuses(l.event(l.keys(), kind, 0, ev.String(), []string{"e", ev.ID}, []string{"p", ev.PubKey}), "one that does")
		}
	}},
}
