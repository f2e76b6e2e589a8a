package check

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/nbd-wtf/go-nostr"
)

// shapes are events written in ways that are rare, and valid or not.
var shapes = []check{
	{nip: "01", name: "JSON: the escapes that NIP-01 names", run: text01("line\nbreak \"quoted\" back\\slash\rreturn\ttab\bback\fform")},
	{nip: "01", name: "JSON: other letters written as escapes", run: func(l *lab) {
		l.written("plain / and ä", func(raw string) string { return strings.Replace(raw, "plain / and ä", `pl\u0061in \/ and \u00e4`, 1) })
	}},
	{nip: "01", name: "JSON: control characters", run: func(l *lab) {
		l.consistent("\x01\x02\x07\x0b\x0e\x1f\x7f")
	}},
	{nip: "01", name: "JSON: a zero character is kept or refused", run: func(l *lab) { l.consistent("a\x00b") }},
	{nip: "01", name: "JSON: Unicode beyond 16 bits, and what is no character", run: text01("🜂 \ufdd1 \U0010fff2 \u2028 é e\u0301")},
	{nip: "01", name: "JSON: surrogate pairs as escapes", run: func(l *lab) {
		l.written("fire 🔥", func(raw string) string { return strings.Replace(raw, "🔥", `\ud83d\udd25`, 1) })
	}},
	{nip: "01", name: "JSON: fields in any order, with blanks between", run: func(l *lab) {
		l.rewritten(func(ev *nostr.Event) string {
			return fmt.Sprintf(" { \"sig\" : %q,\n\t\"content\":%s , \"tags\" : [ ] , \"kind\":1,\"created_at\": %d ,\"pubkey\":%q, \"id\":%q } ",
				ev.Sig, strconv.Quote(ev.Content), ev.CreatedAt, ev.PubKey, ev.ID)
		})
	}},
	{nip: "01", name: "JSON: a field that no NIP knows harms nothing", run: func(l *lab) {
		l.rewritten(func(ev *nostr.Event) string {
			return strings.TrimSuffix(ev.String(), "}") + `,"seen_on":["wss://x.example"],"extra":{"a":[null,1]}}`
		})
	}},
	{nip: "01", name: "kinds above 65535 and below 0 are kept or refused", run: func(l *lab) {
		c := l.dial()
		for _, kind := range []int{70_000, -1} {
			ev := l.event(l.keys(), kind, 0, "kind")
			if ok, _ := l.keptOrRefused(c, ev, ev.String()); ok && kind < 0 {
				l.fail("the relay took kind %d", kind)
			}
		}
	}},
	{nip: "01", name: "tags without items or values are kept or refused", run: func(l *lab) {
		c := l.dial()
		for _, tag := range [][]string{{}, {""}, {"t"}, {"t", ""}} {
			ev := l.event(l.keys(), 1, 0, "tag", tag)
			l.keptOrRefused(c, ev, ev.String())
		}
	}},
	{nip: "01", name: "tags that are no strings are refused", run: func(l *lab) {
		c := l.dial()
		for _, tags := range []string{`[["t",1]]`, `[["t",null]]`, `[["t",["x"]]]`, `{"t":"x"}`, `["t"]`} {
			l.refusesRaw(c, fmt.Sprint(nostr.Now()), "1", tags, `"tags"`)
		}
	}},
	{nip: "01", name: "an event with a wrong type in it is refused", run: func(l *lab) {
		c, now := l.dial(), fmt.Sprint(nostr.Now())
		l.refusesRaw(c, `"`+now+`"`, "1", "[]", `"x"`)
		l.refusesRaw(c, now, `"1"`, "[]", `"x"`)
		l.refusesRaw(c, now, "1", "[]", `7`)
		l.refusesRaw(c, now, "1", "[]", `null`)
	}},
	{nip: "01", name: "an id, key or signature in capitals is refused", run: func(l *lab) {
		c := l.dial()
		for _, change := range []func(*nostr.Event){
			func(ev *nostr.Event) { ev.PubKey = strings.ToUpper(ev.PubKey); ev.ID = ev.GetID() },
			func(ev *nostr.Event) { ev.ID = strings.ToUpper(ev.ID) },
		} {
			ev := l.event(l.keys(), 1, 0, "letters")
			change(ev)
			c.send(`["EVENT",` + ev.String() + `]`)
			if !c.fence() {
				l.fail("the relay answers no more")
			}
			if m, ok := c.heldOK(); ok && string(m.parts[2]) == "true" {
				l.fail("the relay took it")
			}
		}
	}},
}

func text01(content string) func(*lab) {
	return func(l *lab) { l.written(content, func(raw string) string { return raw }) }
}

// written publishes a note whose JSON is written in another way; a relay has to take it, and to give back the same text.
func (l *lab) written(content string, rewrite func(string) string) {
	ev := l.event(l.keys(), 1, 0, content)
	raw, err := json.Marshal(ev)
	if err != nil {
		l.fail("%v", err)
	}
	l.comesBack(ev, rewrite(string(raw)))
}

func (l *lab) comesBack(ev *nostr.Event, raw string) {
	c := l.dial()
	ok, reason := c.offer(ev.ID, raw)
	if !ok {
		l.fail("OK false: %s", reason)
	}
	l.note(ev)
	got := c.find(byID(ev))
	if len(got) != 1 {
		l.fail("the event is found %d times", len(got))
	}
	l.unchanged(got[0], ev)
}

// rewritten is written, for JSON that is made anew.
func (l *lab) rewritten(write func(*nostr.Event) string) {
	ev := l.event(l.keys(), 1, 0, "written by hand")
	l.comesBack(ev, write(ev))
}

func (l *lab) consistent(content string) {
	ev := l.event(l.keys(), 1, 0, content)
	raw, err := json.Marshal(ev)
	if err != nil {
		l.fail("%v", err)
	}
	l.keptOrRefused(l.dial(), ev, string(raw))
}

// refusesRaw publishes an event whose parts are raw JSON; its id is the hash of what NIP-01 says, so far as that can be said.
func (l *lab) refusesRaw(c *line, at, kind, tags, content string) {
	k := l.keys()
	body := fmt.Sprintf(`[0,%q,%s,%s,%s,%s]`, k.PublicKey(), at, kind, tags, content)
	id := fmt.Sprintf("%x", sha256.Sum256([]byte(body)))
	signed := l.event(k, 1, 0, "for its signature")
	raw := fmt.Sprintf(`{"id":%q,"pubkey":%q,"created_at":%s,"kind":%s,"tags":%s,"content":%s,"sig":%q}`, id, k.PublicKey(), at, kind, tags, content, signed.Sig)
	c.send(`["EVENT",` + raw + `]`)
	if !c.fence() {
		c.l.fail("the relay answers no more after %s", cut([]byte(raw)))
	}
	if m, ok := c.heldOK(); ok && string(m.parts[2]) == "true" {
		l.fail("the relay took %s", cut([]byte(raw)))
	}
	if got := c.ask(M{"ids": []string{id}}); len(got.events) > 0 {
		l.fail("the relay has stored %s", cut([]byte(raw)))
	}
}

// heldOK is an OK that has come already.
func (c *line) heldOK() (m message, ok bool) {
	for i, m := range c.held {
		if m.label == "OK" && len(m.parts) > 2 {
			c.held = append(c.held[:i:i], c.held[i+1:]...)
			return m, true
		}
	}
	return m, false
}

// times are events of all ages. A relay may bound how old or young they are; what it takes has to stay as it is.
var times = []check{
	{nip: "01", name: "takes events that are a week old", run: func(l *lab) {
		if l.facts != nil && l.facts.Limitation.CreatedAtLowerLimit > 0 && l.facts.Limitation.CreatedAtLowerLimit < 7*86400 {
			l.skip("it says that it takes none older than %d seconds", l.facts.Limitation.CreatedAtLowerLimit)
		}
		l.dial().must(l.event(l.keys(), 1, 7*86400, "a week"))
	}},
	{nip: "01", name: "events of a month, a year and 2015 are kept or refused", run: aged(28*86400, 365*86400, -1420070461)},
	{nip: "01", name: "events of 1999 and 1970 are kept or refused", run: aged(-915148861, -1, -999)},
	{nip: "01", name: "events of the future are kept or refused", run: func(l *lab) {
		c := l.dial()
		for _, at := range []int64{nowPlus(365 * 86400), 1<<31 + 1, 1<<32 + 1, 1<<62 + 1, 1<<63 - 1} {
			l.at(c, at)
		}
	}},
	{nip: "01", name: "a negative created_at is kept or refused", run: func(l *lab) { l.at(l.dial(), -200) }},
	{nip: "01", name: "a created_at in scientific notation does no harm", run: func(l *lab) {
		c, now := l.dial(), int64(nostr.Now())
		ev := l.at0(now - now%1000)
		raw := strings.Replace(ev.String(), fmt.Sprintf(`"created_at":%d`, ev.CreatedAt), fmt.Sprintf(`"created_at":%de+3`, now/1000), 1)
		c.send(`["EVENT",` + raw + `]`)
		if !c.fence() {
			l.fail("the relay answers no more")
		}
		if m, ok := c.heldOK(); ok && string(m.parts[2]) == "true" {
			l.note(ev)
			got := c.find(byID(ev))
			if len(got) != 1 {
				l.fail("the relay took it, and finds it %d times", len(got))
			}
			l.unchanged(got[0], ev)
		}
	}},
}

func nowPlus(seconds int64) int64 { return int64(nostr.Now()) + seconds }

// aged publishes events of some ages; a negative one is a time, and not an age.
func aged(all ...int64) func(*lab) {
	return func(l *lab) {
		c := l.dial()
		for _, ago := range all {
			if ago < 0 {
				l.at(c, -ago)
				continue
			}
			l.at(c, nowPlus(-ago))
		}
	}
}

func (l *lab) at0(at int64) *nostr.Event {
	return l.sign(l.keys(), &nostr.Event{Kind: 1, CreatedAt: nostr.Timestamp(at), Content: "of its time", Tags: nostr.Tags{}})
}

func (l *lab) at(c *line, at int64) {
	ev := l.at0(at)
	l.keptOrRefused(c, ev, ev.String())
}
