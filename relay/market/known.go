package market

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/nips/nip85"
)

// Source is how something is known.
type Source string

// Sources, the worth of which differs.
const (
	Claimed  Source = "claimed"  // the node says so itself
	Seen     Source = "seen"     // signed events show it, which their authors may have made for show
	Said     Source = "said"     // customers say so; anybody can be a customer, a node its own
	Asserted Source = "asserted" // a key says so that may or may not be trusted (NIP-85)
)

// Fact is one thing that is known of a node, and how.
type Fact struct {
	Name   string        `json:"fact"`
	Value  string        `json:"value"`
	Source Source        `json:"source" enum:"claimed,seen,said,asserted"`
	By     events.PubKey `json:"by" doc:"who asserts it; empty otherwise"`
	How    string        `json:"how" doc:"what it was counted from"`
}

// maxAbout is how many events of one sort are looked at for a node.
const maxAbout = 2000

// AskedOf are the filters that find what is said of a node.
func AskedOf(node events.PubKey, now time.Time) nostr.Filters {
	since, key := nostr.Timestamp(now.Add(-Days*24*time.Hour).Unix()), []string{string(node)}
	return nostr.Filters{
		{Kinds: []int{events.KindAnnouncement, events.KindHeartbeat}, Authors: key},
		{Kinds: results, Authors: key, Since: &since, Limit: maxAbout},
		{Kinds: []int{events.KindFeedback}, Authors: key, Since: &since, Limit: maxAbout},
		{Kinds: []int{events.KindFeedback}, Tags: nostr.TagMap{"p": key}, Since: &since, Limit: maxAbout},
		{Kinds: []int{events.KindReview}, Tags: nostr.TagMap{"p": key}, Since: &since, Limit: maxAbout},
		{Kinds: []int{nip85.KindUser}, Tags: nostr.TagMap{"d": key}, Limit: 100},
	}
}

// JobsOf are the filters that find the requests which reviews of a node are about.
func JobsOf(found []*nostr.Event) (f nostr.Filters) {
	var ids []string
	for _, m := range read(found) {
		if r, ok := m.(*events.Review); ok {
			ids = append(ids, string(r.Job))
		}
	}
	for part := range slices.Chunk(ids, 200) {
		f = append(f, nostr.Filter{IDs: part})
	}
	return f
}

// Reviews gives those reviews of a node that count: their author wrote the job, and the node has a result for it. Of one
// author about one job the newest holds.
func Reviews(node events.PubKey, found []*nostr.Event) (all []*events.Review) {
	authors, done := map[events.ID]events.PubKey{}, map[events.ID]bool{}
	said := read(found)
	for _, m := range said {
		switch m := m.(type) {
		case *events.Request:
			authors[m.ID] = m.Author
		case *events.Result:
			if m.Author == node {
				done[m.Job] = true
			}
		}
	}
	newest := map[events.ID]*events.Review{}
	for _, m := range said {
		r, ok := m.(*events.Review)
		if ok && r.Node == node && done[r.Job] && authors[r.Job] == r.Author {
			if old := newest[r.Job]; old == nil || old.At < r.At {
				newest[r.Job] = r
			}
		}
	}
	for _, r := range newest {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *events.Review) int { return int(b.At - a.At) })
	return all
}

// Known says what events show of a node, and how each thing is known. met is when the relay first saw it announced, 0 if
// that is not known.
func Known(node events.PubKey, found []*nostr.Event, met events.Unix, now time.Time) []Fact {
	facts := []Fact{}
	add := func(source Source, name, value, how string) {
		facts = append(facts, Fact{name, value, source, "", how})
	}
	if met > 0 {
		add(Seen, "first announced here", date(met), "by this relay's clock")
	}
	view := Look(found, now)
	for _, n := range view.Nodes {
		if n.Key != node {
			continue
		}
		add(Claimed, "name", n.Name, "its announcement")
		for _, card := range n.GPUs {
			add(Claimed, "card", fmt.Sprintf("%s, %d MB", card.Name, card.VRAMMB), "its announcement")
		}
		if n.Seen > 0 {
			add(Seen, "alive", strconv.FormatBool(n.Alive), "a heartbeat that it signed "+date(n.Seen))
			add(Claimed, "load", fmt.Sprintf("%d of %d jobs, %d wait", n.Load, n.Capacity, n.Queue), "the heartbeat")
		}
	}
	awarded, customers := map[events.ID]bool{}, map[events.PubKey]bool{}
	done, failed := map[events.ID]events.Unix{}, map[events.ID]bool{}
	for _, m := range read(found) {
		switch m := m.(type) {
		case *events.Award:
			if m.Node == node {
				awarded[m.Job] = true
				customers[m.Author] = true
			}
		case *events.Result:
			if m.Author == node {
				done[m.Job] = m.At
				customers[m.To] = true
			}
		case *events.Refusal:
			if m.Author == node {
				failed[m.Job] = true
			}
		}
	}
	window := fmt.Sprintf("of the last %d days, at most %d events of a sort", Days, maxAbout)
	kept := 0
	for id := range awarded {
		if _, ok := done[id]; ok {
			kept++
		}
	}
	add(Seen, "results", strconv.Itoa(len(done)), "jobs that it signed a result for, "+window)
	add(Seen, "customers", strconv.Itoa(len(customers)), "keys that awarded it or got a result; keys cost nothing")
	if len(awarded) > 0 {
		add(Seen, "awards that have a result", fmt.Sprintf("%d of %d", kept, len(awarded)), "awards in the open, "+window)
	}
	if len(failed) > 0 {
		add(Seen, "errors", strconv.Itoa(len(failed)), "jobs that it signed an error for in the open")
	}
	if reviews := Reviews(node, found); len(reviews) > 0 {
		sum, who := int64(0), map[events.PubKey]bool{}
		for _, r := range reviews {
			sum += r.Rating
			who[r.Author] = true
		}
		add(Said, "reviews", fmt.Sprintf("%d by %d keys, %.1f of 5 on average", len(reviews), len(who), float64(sum)/float64(len(reviews))),
			"reviews whose author wrote the job; unranked: anybody can buy from himself")
	}
	for _, ev := range found {
		if a, err := nip85.Parse(ev); err == nil && a.Kind == nip85.KindUser && a.Subject == string(node) && a.Rank != nip85.NoRank {
			facts = append(facts, Fact{"rank", strconv.Itoa(a.Rank), Asserted, events.PubKey(ev.PubKey), "what that key bought itself, and reviews of keys it names (NIP-85)"})
		}
	}
	return facts
}

func date(at events.Unix) string { return at.Time().UTC().Format(time.RFC3339) }
