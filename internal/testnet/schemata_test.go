package testnet

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nbd-wtf/go-nostr"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/testnet/peers"
	"infernet/nips/nip47"
)

// schemaOf is the schema of nostrability that a kind is held against, and the kind that it is for: NIP-90 has one shape for
// all requests and one for all results, and the schemas only those of the first kinds. Every event is held against that of
// all events too.
func schemaOf(kind int) (folder string, as int) {
	switch kind {
	case events.KindCancel:
		return "nip-09/kind-5", kind
	case events.KindFeedback:
		return "nip-90/kind-7000", kind
	case events.KindAnnouncement:
		return "nip-89/kind-31990", kind
	case events.KindReputation, events.KindReputationOf:
		return fmt.Sprintf("nip-85/kind-%d", kind), kind
	case nip47.KindInfo, nip47.KindRequest, nip47.KindResponse, nip47.KindNotification:
		return fmt.Sprintf("nip-47/kind-%d", kind), kind
	}
	if _, ok := events.Kinds[kind]; ok {
		return "nip-90/kind-5000", 5000
	}
	if _, ok := events.Kinds[kind-1000]; ok {
		return "nip-90/kind-6000", 6000
	}
	return "", kind // heartbeats, chunks and reviews have none
}

// exceptions are what the schemas do not take of what we write, and why it is right nevertheless. Each is exact: mended in
// that one point the event must pass, and an event to which an exception applies must not pass without.
var exceptions = []struct {
	name    string
	applies func(ev *nostr.Event) bool
	mend    func(ev *nostr.Event)
	why     string
}{
	{
		"the status of encrypted feedback",
		func(ev *nostr.Event) bool { return ev.Kind == events.KindFeedback && events.IsEncrypted(ev) },
		func(ev *nostr.Event) { ev.Tags = append(ev.Tags, nostr.Tag{"status", "processing"}) },
		"it travels inside, as nostrdvm and NDK have it: outside it would tell what was bought",
	},
	{
		"a result without an amount",
		func(ev *nostr.Event) bool { return ev.Kind == 6000 && ev.Tags.Find("amount") == nil },
		func(ev *nostr.Event) { ev.Tags = append(ev.Tags, nostr.Tag{"amount", "0"}) },
		"NIP-90 says requested payment amount, and what is paid or free requests none: clients show the tag as a bill",
	},
	{
		"an amount with its invoice on a result",
		func(ev *nostr.Event) bool { tag := ev.Tags.Find("amount"); return ev.Kind == 6000 && len(tag) > 2 },
		func(ev *nostr.Event) {
			for i, tag := range ev.Tags {
				if tag[0] == "amount" {
					ev.Tags[i] = tag[:2]
				}
			}
		},
		"NIP-90 has a bolt11 as third element; the schema of results stops at two, that of feedback does not",
	},
}

// TestSchemataAccept holds every message that we write, each vector and what runs through a live market, against the JSON
// schemas of nostrability.
func TestSchemataAccept(t *testing.T) {
	t.Parallel()
	n := Start(t)
	n.Provider("node", "echo:", nil)
	buyer := n.Buyer("buyer")
	for _, way := range []string{consumer.Auction, consumer.Direct, consumer.Plain} {
		if _, err := buyer.Do(ctx, Text("one two three", func(o *consumer.Order) { o.Way = way }), nil); err != nil {
			t.Fatal(err)
		}
	}
	type check struct {
		Name   string       `json:"name"`
		Event  *nostr.Event `json:"event"`
		Folder string       `json:"folder"`
		except int          // which exception must apply, from 1
		mended bool         // in that point
	}
	var checks []check
	add := func(name string, ev *nostr.Event) {
		checks = append(checks, check{Name: name, Event: ev, Folder: "nip-01/note"})
		folder, as := schemaOf(ev.Kind)
		if folder == "" {
			return
		}
		copied := *ev
		copied.Kind = as
		one := check{Name: name, Event: &copied, Folder: folder}
		for i, e := range exceptions {
			if e.applies(&copied) {
				mended := copied
				mended.Tags = slices.Clone(copied.Tags)
				e.mend(&mended)
				one.except = i + 1
				checks = append(checks, check{name + ", mended", &mended, folder, i + 1, true})
			}
		}
		checks = append(checks, one)
	}
	for _, v := range vectors(t) {
		add(v.Name, v.Event)
	}
	for _, ev := range n.ours(t) {
		add(fmt.Sprintf("live %d", ev.Kind), ev)
	}
	schemas := n.peer(t, peers.Node(t, "js/schemas.mjs"), map[string]any{"events": checks})
	taken, excepted := 0, make([]int, len(exceptions)+1)
	for _, c := range checks {
		var got struct {
			Name, Missing string
			Ok            bool
			Errors        []string
		}
		schemas.hear("checked", &got)
		switch {
		case got.Missing != "":
			t.Errorf("%s: there is no schema %s", c.Name, got.Missing)
		case got.Ok && c.except > 0 && !c.mended:
			t.Errorf("%s: the exception of %s is not needed any more", c.Name, exceptions[c.except-1].name)
		case !got.Ok && (c.except == 0 || c.mended):
			t.Errorf("%s is refused by %s: %s", c.Name, c.Folder, strings.Join(got.Errors, "; "))
		case got.Ok && !c.mended:
			taken++
		case !got.Ok:
			excepted[c.except]++
		}
	}
	t.Logf("%d are taken as they are", taken)
	for i, e := range exceptions {
		t.Logf("%d are not, for %s: %s", excepted[i+1], e.name, e.why)
		if excepted[i+1] == 0 {
			t.Errorf("nothing needs the exception of %s", e.name)
		}
	}
}
