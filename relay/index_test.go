package relay

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"
)

// TestIndexFindsWhatANaiveLoopFinds holds the index against every filter tried one by one, over random filters and
// events.
func TestIndexFindsWhatANaiveLoopFinds(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	hex := func(n int) string { return fmt.Sprintf("%064x", n) }
	some := func(n int) (all []string) {
		for range 1 + rnd.IntN(2) {
			all = append(all, hex(rnd.IntN(n)))
		}
		return all
	}
	randomFilter := func() nostr.Filter {
		var f nostr.Filter
		f.Tags = nostr.TagMap{}
		for _, part := range []func(){
			func() { f.IDs = some(40) }, func() { f.Authors = some(5) }, func() { f.Kinds = []int{1 + rnd.IntN(4)} },
			func() { f.Tags["e"] = some(6) }, func() { f.Tags["p"] = some(5) }, func() { f.Tags["t"] = some(3) },
			func() { since := nostr.Timestamp(rnd.IntN(100)); f.Since = &since },
		} {
			if rnd.IntN(4) == 0 {
				part()
			}
		}
		return f
	}
	x := newIndex()
	var subs []*subscription
	for range 300 {
		s := &subscription{}
		for range 1 + rnd.IntN(3) {
			s.filters = append(s.filters, randomFilter())
		}
		x.add(s)
		subs = append(subs, s)
	}
	for i, s := range subs { // and some leave again
		if i%7 == 0 {
			x.remove(s)
		}
	}
	found := 0
	for range 2000 {
		ev := &nostr.Event{ID: hex(rnd.IntN(40)), PubKey: hex(rnd.IntN(5)), Kind: 1 + rnd.IntN(4), CreatedAt: nostr.Timestamp(rnd.IntN(100))}
		for range rnd.IntN(4) {
			ev.Tags = append(ev.Tags, nostr.Tag{[]string{"e", "p", "t"}[rnd.IntN(3)], hex(rnd.IntN(6))})
		}
		want := map[*subscription]bool{}
		for i, s := range subs {
			if i%7 != 0 && s.filters.Match(ev) {
				want[s] = true
			}
		}
		got := x.match(ev)
		for _, s := range got {
			if !want[s] {
				t.Fatalf("found a subscription twice or wrongly: %v for %v", s.filters, ev)
			}
			delete(want, s)
		}
		if len(want) > 0 {
			t.Fatalf("%d subscriptions were not found for %v", len(want), ev)
		}
		found += len(got)
	}
	if found < 1000 {
		t.Errorf("only %d matches were tried", found)
	}
	for _, s := range subs {
		x.remove(s)
	}
	if len(x.subs) != 0 {
		t.Errorf("%d keys are left of no subscription", len(x.subs))
	}
}

// TestLimitAboveTheRelaysIsTheRelays: eventstore gives a quarter of its own limit to who asks for more.
func TestLimitAboveTheRelaysIsTheRelays(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxLimit = 20 })
	c := dial(t, r)
	for i := range 30 {
		c.take(sign(t, node, 1, time.Now().Add(-time.Duration(i)*time.Second), fmt.Sprint(i)))
	}
	for _, limit := range []int{0, 20, 500} {
		found := c.query(nostr.Filter{Kinds: []int{1}, Limit: limit})
		if len(found) != 20 || found[0].Content != "0" {
			t.Errorf("limit %d gives %d, the newest %v", limit, len(found), found[0].Content)
		}
	}
	if found := c.query(nostr.Filter{Kinds: []int{1}, Limit: 3}); len(found) != 3 {
		t.Errorf("limit 3 gives %d", len(found))
	}
}

func TestFactsOfTheRelay(t *testing.T) {
	r := start(t, func(c *Config) { c.Name = "the market" })
	req, err := http.NewRequest(http.MethodGet, "http"+strings.TrimPrefix(r.URL(), "ws"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html, application/nostr+json;q=0.9")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var facts struct {
		Name string `json:"name"`
		NIPs []int  `json:"supported_nips"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&facts); err != nil || facts.Name != "the market" || fmt.Sprint(facts.NIPs) != "[1 9 11 40 42]" {
		t.Errorf("facts %+v, %v", facts, err)
	}
}

func TestTooManySubscriptions(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxSubs, c.MaxFilters = 2, 2 })
	c := dial(t, r)
	for i := range 2 {
		c.say("REQ", fmt.Sprint(i), nostr.Filter{Kinds: []int{1}})
		c.hear("EOSE")
	}
	c.say("REQ", "more", nostr.Filter{Kinds: []int{1}})
	if parts := c.hear("CLOSED"); !strings.HasPrefix(text(parts[2]), "rate-limited:") {
		t.Errorf("closed with %s", parts[2])
	}
	c.say("REQ", "0", nostr.Filter{}, nostr.Filter{}, nostr.Filter{})
	if parts := c.hear("CLOSED"); !strings.HasPrefix(text(parts[2]), "invalid:") {
		t.Errorf("closed with %s", parts[2])
	}
	c.say("CLOSE", "0")
	c.say("REQ", "more", nostr.Filter{Kinds: []int{1}})
	c.hear("EOSE")
}

func BenchmarkPublishToDelivered(b *testing.B) {
	r := start(b, nil)
	reader, c := dial(b, r), dial(b, r)
	reader.say("REQ", "x", nostr.Filter{Kinds: []int{1}})
	reader.hear("EOSE")
	evs := make([][]byte, 0, 4096)
	for i := range cap(evs) {
		evs = append(evs, mustJSON("EVENT", sign(b, node, 1, time.Now(), fmt.Sprint(i))))
	}
	i := 0
	for b.Loop() {
		if i == len(evs) {
			b.Skip("more rounds than events were signed; use -benchtime 1000x")
		}
		c.ws.Write(ctx, 1, evs[i])
		reader.hear("EVENT")
		c.hear("OK")
		i++
	}
}
