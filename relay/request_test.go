package relay

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

func TestNothingIsLostBetweenStoredAndLive(t *testing.T) {
	r := start(t, nil)
	writer := dial(t, r)
	for round := range 60 {
		ev := sign(t, node, 1, time.Now(), fmt.Sprint(round))
		reader := dial(t, r)
		go writer.ws.Write(ctx, websocket.MessageText, mustJSON("EVENT", ev))
		reader.say("REQ", "x", nostr.Filter{IDs: []string{ev.ID}})
		got := 0
		for stop := false; !stop || got == 0; {
			bounded, cancel := context.WithTimeout(ctx, hung)
			_, body, err := reader.ws.Read(bounded)
			cancel()
			if err != nil {
				t.Fatalf("round %d: the event was lost: %v", round, err)
			}
			switch nostr.ParseMessage(string(body)).(type) {
			case *nostr.EventEnvelope:
				got++
			case *nostr.EOSEEnvelope:
				stop = true
			}
		}
		if got != 1 {
			t.Fatalf("round %d: came %d times", round, got)
		}
		writer.hear("OK")
		reader.ws.CloseNow()
	}
}

func TestSameIDReplacesTheSubscription(t *testing.T) {
	r := start(t, nil)
	reader, c := dial(t, r), dial(t, r)
	reader.say("REQ", "x", nostr.Filter{Kinds: []int{1}})
	reader.hear("EOSE")
	reader.say("REQ", "x", nostr.Filter{Kinds: []int{7}})
	reader.hear("EOSE")
	c.take(sign(t, node, 1, time.Now(), "old filter"))
	c.take(sign(t, node, 7, time.Now(), "new filter"))
	var got nostr.Event
	json.Unmarshal(reader.hear("EVENT")[2], &got)
	if got.Kind != 7 {
		t.Errorf("heard kind %d", got.Kind)
	}
}

func TestEncryptedJobsAreTheirPartiesOnly(t *testing.T) {
	r := start(t, func(c *Config) { c.PrivateJobs = true })
	c := dial(t, r)
	job := signed(t, customer, &events.Request{
		Head: head(), Kind: events.KindText, Profile: true, Deadline: events.At(time.Now()) + 60, To: []events.PubKey{node.PublicKey()},
		Inputs: []events.Input{{Value: "secret", Type: "text"}}, Encrypted: true,
	})
	c.take(job)
	read := dial(t, r)
	challenge := text(read.hear("AUTH")[1])
	if found := read.query(nostr.Filter{IDs: []string{job.ID}}); len(found) != 0 {
		t.Fatal("a stranger reads it")
	}
	for _, k := range []*events.Keys{stranger, node} { // several keys on one connection
		ev := sign(t, k, nostr.KindClientAuthentication, time.Now(), "", nostr.Tag{"relay", r.URL()}, nostr.Tag{"challenge", challenge})
		read.say("AUTH", ev)
		if parts := read.hear("OK"); string(parts[2]) != "true" {
			t.Fatalf("AUTH: %s", parts[3])
		}
	}
	if found := read.query(nostr.Filter{IDs: []string{job.ID}}); len(found) != 1 {
		t.Error("its node does not read it")
	}
}

// TestLimitAboveTheRelaysIsTheRelays: eventstore gives a quarter of its own limit to who asks for more.
func TestLimitAboveTheRelaysIsTheRelays(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxLimit = 20 })
	c := dial(t, r)
	now := time.Now() // once: two events of one second have no order that a test could know
	for i := range 30 {
		c.take(sign(t, node, 1, now.Add(-time.Duration(i)*time.Second), fmt.Sprint(i)))
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

// TestQueriesFindWhatANaiveLoopFinds holds the store against every filter tried on every event, over random events that
// share what eventstore's indexes keep of them: 8 bytes, and how texts begin.
func TestQueriesFindWhatANaiveLoopFinds(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	r, err := Open(ctx, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	keys := []*events.Keys{customer, node, stranger}
	hexes := []string{strings.Repeat("ab", 32), strings.Repeat("ab", 31) + "cd", strings.Repeat("ab", 20) + strings.Repeat("00", 12), strings.Repeat("cd", 32)}
	texts := []string{"", "gpt", "gpt-4", "gpt-4o", "g", strings.Repeat("long", 40), "30078:" + hexes[0] + ":x", "5050"}
	kinds := []int{1, 6, 1111, 9999, 40000, 65535}
	base := time.Now().Add(-time.Hour).Truncate(time.Second)
	var all []*nostr.Event
	for i := range 700 {
		ev := &nostr.Event{Kind: kinds[rnd.IntN(len(kinds))], CreatedAt: nostr.Timestamp(base.Unix() + rnd.Int64N(40)), Content: fmt.Sprint(i)}
		if i > 350 { // and many in one second
			ev.CreatedAt = nostr.Timestamp(base.Unix() + 7)
		}
		for range rnd.IntN(4) {
			switch name := []string{"e", "p", "q", "t", "k", "a"}[rnd.IntN(6)]; name {
			case "e", "p", "q":
				ev.Tags = append(ev.Tags, nostr.Tag{name, hexes[rnd.IntN(len(hexes))]})
			default:
				ev.Tags = append(ev.Tags, nostr.Tag{name, texts[rnd.IntN(len(texts))]})
			}
		}
		if err := keys[rnd.IntN(len(keys))].Sign(ctx, ev); err != nil {
			t.Fatal(err)
		}
		if err := r.store.save(ctx, ev); err != nil {
			t.Fatal(err)
		}
		all = append(all, ev)
	}
	slices.SortFunc(all, newestFirst)
	some := func(from []string) []string {
		return append([]string(nil), from[rnd.IntN(len(from))], from[rnd.IntN(len(from))])
	}
	at := func() *nostr.Timestamp {
		moment := nostr.Timestamp([]int64{base.Unix() + rnd.Int64N(40), base.Unix() + 7, -1, 1 << 33, 1<<32 - 1}[rnd.IntN(5)])
		return &moment
	}
	hits := 0
	for range 600 {
		f := nostr.Filter{Tags: nostr.TagMap{}}
		for _, part := range []func(){
			func() { f.IDs = append(f.IDs, all[rnd.IntN(700)].ID, all[rnd.IntN(700)].ID, "short") },
			func() { f.Authors = append(f.Authors, string(keys[rnd.IntN(3)].PublicKey()), "short") },
			func() { f.Authors = append(f.Authors, string(node.PublicKey()), string(stranger.PublicKey())) },
			func() {
				f.Kinds = append(f.Kinds, kinds[rnd.IntN(len(kinds))], kinds[rnd.IntN(len(kinds))], 65536+1, -1)
			},
			func() { f.Tags["e"] = some(hexes) }, func() { f.Tags["p"] = some(hexes) }, func() { f.Tags["q"] = some(append(hexes, "short")) },
			func() { f.Tags["t"] = some(texts) }, func() { f.Tags["a"] = some(texts) }, func() { f.Since = at() }, func() { f.Until = at() },
		} {
			if rnd.IntN(5) == 0 {
				part()
			}
		}
		f.Limit = []int{1, 2, 5, 50, 500, 1000}[rnd.IntN(6)]
		var want []string
		for _, ev := range all {
			if f.Matches(ev) && len(want) < f.Limit {
				want = append(want, ev.ID)
			}
		}
		var got []string
		for _, ev := range r.store.query(ctx, nostr.Filters{f}, 1000, nil, nil) {
			got = append(got, ev.id)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%v gives %d, want %d", f, len(got), len(want))
		}
		hits += len(got)
	}
	if hits < 1000 {
		t.Errorf("only %d events were found in all", hits)
	}
}

// TestEventBetweenRegistrationAndQueryComesOnce: khatru asks its store first and loses such an event. The store looks at
// the clock between the two.
func TestEventBetweenRegistrationAndQueryComesOnce(t *testing.T) {
	var armed atomic.Bool
	var r *Relay
	ev := sign(t, node, 1, time.Now(), "between")
	r = start(t, func(c *Config) {
		c.Now = func() time.Time {
			if armed.CompareAndSwap(true, false) {
				done := make(chan struct{})
				raw, _ := json.Marshal(ev)
				r.add(ctx, ev, raw, func(bool, string) { close(done) })
				<-done
			}
			return time.Now()
		}
	})
	c := dial(t, r)
	c.hear("AUTH")
	armed.Store(true)
	if found := c.query(nostr.Filter{Kinds: []int{1}}); len(found) != 1 {
		t.Errorf("it came %d times", len(found))
	}
	if armed.Load() {
		t.Error("nothing came between")
	}
}

// TestSubscriptionIDsComeBackAsTheyAre, whatever is in them.
func TestSubscriptionIDsComeBackAsTheyAre(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	c.take(sign(t, node, 1, time.Now(), ""))
	for _, id := range []string{"\x01\x7f", `"\`, "\u2028\U000e0001", "<&>", "ä"} {
		c.say("REQ", id, nostr.Filter{Kinds: []int{1}})
		if got := text(c.hear("EVENT")[1]); got != id {
			t.Errorf("%q came back as %q", id, got)
		}
		if got := text(c.hear("EOSE")[1]); got != id {
			t.Errorf("%q came back as %q", id, got)
		}
	}
}

// TestPrivateJobsAskForAUTH: who asks for answers unknown would wait for ever; our own pool waits for auth-required.
func TestPrivateJobsAskForAUTH(t *testing.T) {
	r := start(t, func(c *Config) { c.PrivateJobs = true })
	c := dial(t, r)
	challenge := text(c.hear("AUTH")[1])
	inbox := nostr.Filter{Tags: nostr.TagMap{"p": {string(node.PublicKey())}}}
	wallet := nostr.Filter{Kinds: []int{23195}, Tags: inbox.Tags}
	c.say("REQ", "x", inbox)
	if parts := c.hear("CLOSED"); !strings.HasPrefix(text(parts[2]), "auth-required:") {
		t.Errorf("closed with %s", parts[2])
	}
	c.say("REQ", "wallet", wallet)
	c.hear("EOSE")
	c.say("AUTH", sign(t, node, nostr.KindClientAuthentication, time.Now(), "", nostr.Tag{"relay", r.URL()}, nostr.Tag{"challenge", challenge}))
	c.hear("OK")
	c.say("REQ", "x", inbox)
	c.hear("EOSE")
	job := signed(t, customer, &events.Request{
		Head: head(), Kind: events.KindText, Profile: true, Deadline: events.At(time.Now()) + 60, To: []events.PubKey{node.PublicKey()},
		Inputs: []events.Input{{Value: "secret", Type: "text"}}, Encrypted: true,
	})
	dial(t, r).take(job)
	c.hear("EVENT") // live, too
}
