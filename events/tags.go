package events

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nbd-wtf/go-nostr"
)

// reader reads an event's tags under the grammar. Its first error sticks, so that a Parse function reads like a list of
// what a message carries.
type reader struct {
	ev  *nostr.Event
	err error
}

func read(ev *nostr.Event) *reader {
	r := &reader{ev: ev}
	for i, tag := range ev.Tags {
		if len(tag) == 0 || tag[0] == "" {
			r.fail("tag %d is empty", i)
		}
	}
	return r
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// head reads what every message has.
func (r *reader) head() Head {
	return Head{
		ID: ID(r.ev.ID), Author: PubKey(r.ev.PubKey), At: Unix(r.ev.CreatedAt),
		Expires: Unix(r.number("expiration")),
	}
}

func (r *reader) has(name string) bool {
	for _, tag := range r.ev.Tags {
		if len(tag) > 0 && tag[0] == name {
			return true
		}
	}
	return false
}

// one gives the values of a single-valued tag; nil if it is missing. Twice is malformed.
func (r *reader) one(name string) []string {
	var found []string
	for _, tag := range r.ev.Tags {
		if len(tag) == 0 || tag[0] != name {
			continue
		}
		if found != nil {
			r.fail("tag %q stands twice", name)
			return found
		}
		found = tag[1:]
		if len(found) == 0 {
			r.fail("tag %q has no value", name)
			found = []string{""}
		}
	}
	return found
}

// all gives the values of a tag that may stand several times.
func (r *reader) all(name string) (found [][]string) {
	for _, tag := range r.ev.Tags {
		if len(tag) == 0 || tag[0] != name {
			continue
		}
		if len(tag) == 1 {
			r.fail("tag %q has no value", name)
			continue
		}
		found = append(found, tag[1:])
	}
	return found
}

// firsts gives the first value of each of a repeated tag.
func (r *reader) firsts(name string) (found []string) {
	for _, values := range r.all(name) {
		found = append(found, values[0])
	}
	return found
}

// distinct is firsts, each once: who says a word twice, in tags that differ in what comes after it, says no more.
func (r *reader) distinct(name string) (found []string) {
	for _, value := range r.firsts(name) {
		if !slices.Contains(found, value) {
			found = append(found, value)
		}
	}
	return found
}

func (r *reader) text(name string) string {
	if values := r.one(name); values != nil {
		return values[0]
	}
	return ""
}

func (r *reader) needText(name string) string {
	values := r.one(name)
	if values == nil || values[0] == "" {
		r.fail("tag %q is missing", name)
		return ""
	}
	return values[0]
}

func (r *reader) number(name string) int64 {
	values := r.one(name)
	if values == nil {
		return 0
	}
	return r.parse(name, values[0])
}

func (r *reader) needNumber(name string) int64 {
	return r.parse(name, r.needText(name))
}

// needMoment reads a clock of the protocol. Zero is no moment: the writer leaves it out.
func (r *reader) needMoment(name string) Unix {
	n := r.needNumber(name)
	if n == 0 {
		r.fail("tag %q: 0 is no moment", name)
	}
	return Unix(n)
}

func (r *reader) parse(name, s string) int64 {
	n, err := parseNumber(s)
	if err != nil {
		r.fail("tag %q: %w", name, err)
	}
	return n
}

func (r *reader) msat(name string) *Msat {
	values := r.one(name)
	if values == nil {
		return nil
	}
	m := Msat(r.parse(name, values[0]))
	return &m
}

// amount reads `amount msat [bolt11]`.
func (r *reader) amount(need bool) (amount Msat, bolt11 string) {
	values := r.one("amount")
	if values == nil {
		if need {
			r.fail("tag %q is missing", "amount")
		}
		return 0, ""
	}
	if len(values) > 1 {
		bolt11 = values[1]
	}
	return Msat(r.parse("amount", values[0])), bolt11
}

func (r *reader) id(name string) ID {
	values := r.one(name)
	if values == nil {
		return ""
	}
	return ID(r.hex(name, values[0]))
}

func (r *reader) needID(name string) ID { return ID(r.hex(name, r.needText(name))) }

func (r *reader) key(name string) PubKey { return PubKey(r.id(name)) }

func (r *reader) needKey(name string) PubKey { return PubKey(r.hex(name, r.needText(name))) }

func (r *reader) hex(name, s string) string {
	if !isHex64(s) {
		r.fail("tag %q: want 64 lower-case hex characters, have %s", name, quote(s))
	}
	return s
}

func (r *reader) oneOf(name, value string, allowed ...string) string {
	for _, a := range allowed {
		if value == a {
			return value
		}
	}
	r.fail("tag %q: %s is none of %s", name, quote(value), strings.Join(allowed, ", "))
	return value
}

// status reads the status tag: its value, and the human text of a third element.
func (r *reader) status() (status, text string) {
	values := r.one("status")
	if values == nil {
		return "", ""
	}
	if len(values) > 2 {
		r.fail("tag %q has more than three elements", "status")
	}
	if len(values) > 1 {
		text = values[1]
	}
	return values[0], text
}

// parseNumber reads a number as it travels: ^(0|[1-9][0-9]{0,15})$ and at most 2^53−1.
func parseNumber(s string) (int64, error) {
	if s == "" || len(s) > 16 || (s[0] == '0' && len(s) > 1) {
		return 0, fmt.Errorf("%s is no number of this protocol", quote(s))
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%s is no number of this protocol", quote(s))
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > int64(MaxMsat) {
		return 0, fmt.Errorf("%s is above 2^53-1", quote(s))
	}
	return n, nil
}

func isHex64(s string) bool {
	if len(s) != 64 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func quote(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return strconv.Quote(s)
}

// writer collects the tags of a message.
type writer struct {
	ev *nostr.Event
}

func write(kind int, h Head) *writer {
	return &writer{&nostr.Event{
		Kind: kind, ID: string(h.ID), PubKey: string(h.Author), CreatedAt: nostr.Timestamp(h.At), Tags: nostr.Tags{},
	}}
}

func (w *writer) tag(name string, values ...string) {
	w.ev.Tags = append(w.ev.Tags, append(nostr.Tag{name}, values...))
}

// text writes a tag unless its value is empty.
func (w *writer) text(name, value string) {
	if value != "" {
		w.tag(name, value)
	}
}

// number writes a tag unless its value is zero.
func (w *writer) number(name string, n int64) {
	if n != 0 {
		w.tag(name, strconv.FormatInt(n, 10))
	}
}

func (w *writer) amount(m Msat, bolt11 string) {
	if bolt11 == "" {
		w.tag("amount", m.String())
		return
	}
	w.tag("amount", m.String(), bolt11)
}

// end writes what stands last on every message.
func (w *writer) end(h Head, encrypted bool) *nostr.Event {
	if encrypted {
		w.tag("encrypted", "nip44")
	}
	w.number("expiration", int64(h.Expires))
	return w.ev
}
