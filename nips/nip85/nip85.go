// Package nip85 is trusted assertions (NIP-85): what one key says of another key or address, in numbers, signed. It does no I/O.
package nip85

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/nbd-wtf/go-nostr"
)

// Kinds of assertions, by what they are about, and of the list of whose are trusted.
const (
	KindUser    = 30382
	KindEvent   = 30383
	KindAddress = 30384
	KindList    = 10040
)

// NoRank is the rank of an assertion that has none.
const NoRank = -1

// Assertion is what one key says of a subject. It is replaced by the next of the same key about the same.
type Assertion struct {
	Kind    int              // KindUser, KindEvent or KindAddress
	Subject string           // the key, id or address
	Rank    int              // 0 to 100; NoRank if nothing is ranked
	Counts  map[string]int64 // by the name of their tag; they rank nothing
	Relay   string           // where the subject is at home; optional
}

// hint is the tag that names the subject's relay.
var hint = map[int]string{KindUser: "p", KindEvent: "e", KindAddress: "a"}

// Event is the assertion, to be signed.
func (a Assertion) Event() *nostr.Event {
	ev := &nostr.Event{Kind: a.Kind, CreatedAt: nostr.Now(), Tags: nostr.Tags{{"d", a.Subject}}}
	if a.Rank != NoRank {
		ev.Tags = append(ev.Tags, nostr.Tag{"rank", strconv.Itoa(a.Rank)})
	}
	for _, name := range slices.Sorted(maps.Keys(a.Counts)) {
		ev.Tags = append(ev.Tags, nostr.Tag{name, strconv.FormatInt(a.Counts[name], 10)})
	}
	if a.Relay != "" {
		ev.Tags = append(ev.Tags, nostr.Tag{hint[a.Kind], a.Subject, a.Relay})
	}
	return ev
}

// Parse reads an assertion. Tags that hold no whole number are not counts, and fall away.
func Parse(ev *nostr.Event) (Assertion, error) {
	a := Assertion{Kind: ev.Kind, Subject: ev.Tags.GetD(), Rank: NoRank, Counts: map[string]int64{}}
	tag, ok := hint[ev.Kind]
	if !ok {
		return a, fmt.Errorf("kind %d is no assertion: 30382, 30383 and 30384 are", ev.Kind)
	}
	if a.Subject == "" {
		return a, fmt.Errorf("an assertion about nothing: tag \"d\" is missing")
	}
	for _, t := range ev.Tags {
		if len(t) < 2 {
			continue
		}
		switch t[0] {
		case "d":
		case "rank":
			n, err := strconv.Atoi(t[1])
			if err != nil || n < 0 || n > 100 {
				return a, fmt.Errorf("rank %.20q is not 0 to 100", t[1])
			}
			a.Rank = n
		case tag:
			if len(t) > 2 && t[1] == a.Subject {
				a.Relay = t[2]
			}
		default:
			if n, err := strconv.ParseInt(t[1], 10, 64); err == nil && len(t[0]) > 1 {
				a.Counts[t[0]] = n
			}
		}
	}
	return a, nil
}

// Source is whose assertions somebody trusts for what.
type Source struct {
	Of    string // kind and tag, as 30382:rank
	Key   string
	Relay string
}

// List is the event that names whom one trusts (10040), to be signed. It says it to everybody.
func List(all []Source) *nostr.Event {
	ev := &nostr.Event{Kind: KindList, CreatedAt: nostr.Now(), Tags: nostr.Tags{}}
	for _, s := range all {
		ev.Tags = append(ev.Tags, nostr.Tag{s.Of, s.Key, s.Relay})
	}
	return ev
}

// ParseList reads the open part of whom somebody trusts.
func ParseList(ev *nostr.Event) (all []Source, err error) {
	if ev.Kind != KindList {
		return nil, fmt.Errorf("kind %d is no list of trusted keys, %d is", ev.Kind, KindList)
	}
	for _, t := range ev.Tags {
		if len(t) < 2 || !nostr.IsValid32ByteHex(t[1]) {
			continue
		}
		s := Source{Of: t[0], Key: t[1]}
		if len(t) > 2 {
			s.Relay = t[2]
		}
		all = append(all, s)
	}
	return all, nil
}
