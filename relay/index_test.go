package relay

import (
	"fmt"
	"math/rand/v2"
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
