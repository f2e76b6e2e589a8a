package relay

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

func TestBareDTagDoesNotKillTheRelay(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	c.refuses(sign(t, node, 30078, time.Now(), "", nostr.Tag{"d"}), "invalid:")
	c.take(sign(t, node, 30078, time.Now(), "", nostr.Tag{"d", "x"}))
}

func TestTimes(t *testing.T) {
	now := &clock{now: time.Now()}
	r := start(t, func(c *Config) { c.Now = now.Now })
	c := dial(t, r)
	c.refuses(sign(t, node, 1, time.Now().Add(2*time.Minute), ""), "invalid:")
	c.refuses(sign(t, node, 1, time.Now(), "", nostr.Tag{"expiration", fmt.Sprint(time.Now().Unix() - 1)}), "invalid:")
	short := sign(t, node, 1, time.Now(), "", nostr.Tag{"expiration", fmt.Sprint(time.Now().Unix() + 30)})
	c.take(short)
	if found := c.query(nostr.Filter{IDs: []string{short.ID}}); len(found) != 1 {
		t.Fatalf("found %d", len(found))
	}
	now.turn(time.Minute)
	if found := c.query(nostr.Filter{IDs: []string{short.ID}}); len(found) != 0 {
		t.Error("an expired event is served")
	}
	r.store.sweep(ctx)
	if r.store.byID(ctx, short.ID) != nil {
		t.Error("an expired event is not swept")
	}
}

func TestDuplicatesAreStoredAndDeliveredOnce(t *testing.T) {
	r := start(t, nil)
	reader, c := dial(t, r), dial(t, r)
	reader.say("REQ", "all", nostr.Filter{Kinds: []int{1}})
	reader.hear("EOSE")
	ev, last := sign(t, node, 1, time.Now(), "once"), sign(t, node, 1, time.Now(), "last")
	c.take(ev)
	for range 4 {
		if ok, reason := c.publish(ev); !ok || !strings.HasPrefix(reason, "duplicate:") {
			t.Errorf("OK %v %q", ok, reason)
		}
	}
	c.take(last)
	for _, want := range []*nostr.Event{ev, last} {
		var got nostr.Event
		json.Unmarshal(reader.hear("EVENT")[2], &got)
		if got.ID != want.ID {
			t.Errorf("heard %q, want %q", got.Content, want.Content)
		}
	}
	if found := c.query(nostr.Filter{Kinds: []int{1}}); len(found) != 2 {
		t.Errorf("stored %d times", len(found))
	}
}

func TestBadEventsAreRefused(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	forged := sign(t, node, 1, time.Now(), "x")
	forged.Content = "y"
	c.refuses(forged, "invalid:")
	forged = sign(t, node, 1, time.Now(), "x")
	forged.Sig = sign(t, node, 1, time.Now(), "z").Sig
	c.refuses(forged, "invalid:")
	c.refuses(sign(t, node, 1, time.Now(), strings.Repeat("x", 61_000)), "invalid:")
	c.refuses(sign(t, node, events.KindFeedback, time.Now(), "", nostr.Tag{"e", "none"}), "invalid:")
	c.say("HELLO")
	c.hear("NOTICE")
	c.say("EVENT", map[string]any{"kind": 1}) // not even an event
	c.hear("OK")
}

// TestReplaceableEventsHoldTheNewest: the newest wins, of one second the lower id, whatever comes in which order.
func TestReplaceableEventsHoldTheNewest(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	now := time.Now()
	for _, kind := range []int{0, 10002, 31990} {
		d := nostr.Tag{"d", "x"}
		content := func(s string) string { return `{"name":"` + s + `"}` }
		c.take(sign(t, node, kind, now, content("old"), d))
		c.take(sign(t, node, kind, now.Add(time.Second), content("new"), d))
		if ok, reason := c.publish(sign(t, node, kind, now.Add(-time.Second), content("older"), d)); !ok || !strings.HasPrefix(reason, "duplicate:") {
			t.Errorf("an older version: OK %v %q", ok, reason)
		}
		found := c.query(nostr.Filter{Kinds: []int{kind}})
		if len(found) != 1 || found[0].Content != content("new") {
			t.Errorf("kind %d: found %v", kind, found)
		}
		var lowest string
		for i := range 8 {
			ev := sign(t, node, kind, now.Add(2*time.Second), content(fmt.Sprint(i)), d)
			if lowest == "" || ev.ID < lowest {
				lowest = ev.ID
			}
			c.publish(ev)
		}
		if found = c.query(nostr.Filter{Kinds: []int{kind}}); len(found) != 1 || found[0].ID != lowest {
			t.Errorf("kind %d: of one second, %v holds, not %s", kind, found, lowest)
		}
	}
}

// TestVersionsAtTheSameTimeLeaveOne stores versions of one address all at once.
func TestVersionsAtTheSameTimeLeaveOne(t *testing.T) {
	r := start(t, nil)
	now := time.Now()
	var versions []*nostr.Event
	for i := range 60 {
		versions = append(versions, sign(t, node, 30078, now.Add(-time.Duration(i%10)*time.Second), fmt.Sprint(i), nostr.Tag{"d", "x"}))
	}
	var all sync.WaitGroup
	for _, ev := range versions {
		all.Add(1)
		go r.add(ctx, ev, nil, func(ok bool, reason string) {
			defer all.Done()
			if !ok {
				t.Errorf("refused: %s", reason)
			}
		})
	}
	all.Wait()
	slices.SortFunc(versions, newestFirst)
	stored := r.store.query(ctx, nostr.Filters{{Kinds: []int{30078}}}, 100, nil, nil)
	if len(stored) != 1 || stored[0].id != versions[0].ID {
		t.Errorf("%d versions are left, want only the newest", len(stored))
	}
}

// TestAddressesThatBeginAlikeAreNotOne: eventstore compares d tags by how they begin, and takes one for a version of the
// other; an empty d tag it takes for all.
func TestAddressesThatBeginAlikeAreNotOne(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	now := time.Now()
	long := strings.Repeat("n", 200) // and above 100 characters it keeps no index
	for i, d := range []string{"node2", "", long, "n", "node", "node:2", "30078:" + string(node.PublicKey()) + ":x"} {
		c.take(sign(t, node, 30078, now.Add(time.Duration(i)*time.Second), "first "+d, nostr.Tag{"d", d}))
	}
	for _, d := range []string{"", long, "n"} {
		c.take(sign(t, node, 30078, now.Add(30*time.Second), "second "+d, nostr.Tag{"d", d}))
	}
	got := map[string]bool{}
	for _, ev := range c.query(nostr.Filter{Kinds: []int{30078}}) {
		got[ev.Content] = true
	}
	for _, want := range []string{"first node2", "second ", "second " + long, "second n", "first node", "first node:2"} {
		if !got[want] {
			t.Errorf("%.20q is gone", want)
		}
	}
	if len(got) != 7 {
		t.Errorf("%d are left, want 7", len(got))
	}
}

// TestHighKindsAreRegular: khatru replaces all events of kinds from 40000 on.
func TestHighKindsAreRegular(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	c.take(sign(t, node, 40001, time.Now(), "one"))
	c.take(sign(t, node, 40001, time.Now().Add(time.Second), "two"))
	if found := c.query(nostr.Filter{Kinds: []int{40001}}); len(found) != 2 {
		t.Errorf("%d are left", len(found))
	}
}

// TestKindsOfOthersPass: wallets and profiles use the same relay.
func TestKindsOfOthersPass(t *testing.T) {
	r := start(t, nil)
	reader, c := dial(t, r), dial(t, r)
	kinds := []int{0, 3, 10002, 13194, 23194, 23195, 23196, 23197}
	reader.say("REQ", "x", nostr.Filter{Kinds: kinds})
	reader.hear("EOSE")
	for _, kind := range kinds {
		ev := sign(t, node, kind, time.Now(), "", nostr.Tag{"p", string(customer.PublicKey())})
		c.take(ev)
		var got nostr.Event
		json.Unmarshal(reader.hear("EVENT")[2], &got)
		if got.ID != ev.ID {
			t.Errorf("heard kind %d, want %d", got.Kind, kind)
		}
	}
	c.refuses(sign(t, node, nostr.KindClientAuthentication, time.Now(), ""), "invalid:")
}

// TestExpiredEventsTakeNoPlaceInALimit: what has expired is not served, and what has not is.
func TestExpiredEventsTakeNoPlaceInALimit(t *testing.T) {
	now := &clock{now: time.Now()}
	r := start(t, func(c *Config) { c.Now = now.Now })
	c := dial(t, r)
	lasting := sign(t, node, 1, time.Now().Add(-time.Hour), "lasting")
	c.take(lasting)
	for i := range 5 {
		c.take(sign(t, node, 1, time.Now(), fmt.Sprint(i), nostr.Tag{"expiration", fmt.Sprint(time.Now().Unix() + 30)}))
	}
	now.turn(time.Minute)
	if found := c.query(nostr.Filter{Kinds: []int{1}, Limit: 2}); len(found) != 1 || found[0].ID != lasting.ID {
		t.Errorf("found %v", found)
	}
}

// TestTagsThatTheStoreCannotHoldAreRefused before anybody gets them: eventstore counts a tag's items in a byte.
func TestTagsThatTheStoreCannotHoldAreRefused(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	wide := make(nostr.Tag, 256)
	for i := range wide {
		wide[i] = "x"
	}
	c.refuses(sign(t, node, 1, time.Now(), "", wide), "invalid:")
	fits := sign(t, node, 1, time.Now(), "", wide[:255])
	c.take(fits)
	if found := c.query(nostr.Filter{IDs: []string{fits.ID}}); len(found) != 1 || len(found[0].Tags[0]) != 255 {
		t.Errorf("found %v", found)
	}
	c.refuses(sign(t, node, 1, time.Now(), "", nostr.Tag{}), "invalid:")
	c.refuses(sign(t, node, 1, time.Now(), "", nostr.Tag{""}), "invalid:")
}

// TestDuplicateUnderWayHearsWhatBecomesOfIt: the second to bring an event gets its OK when the first does, and its
// refusal too.
func TestDuplicateUnderWayHearsWhatBecomesOfIt(t *testing.T) {
	r := start(t, nil)
	ev := sign(t, node, 1, time.Now(), "x")
	var heard []string
	hear := func(who string) answer {
		return func(ok bool, reason string) { heard = append(heard, fmt.Sprintf("%s %v %s", who, ok, reason)) }
	}
	for _, ok := range []bool{false, true} {
		heard = nil
		if !r.store.begin(ev, hear("first")) || r.store.begin(ev, hear("second")) {
			t.Fatal("one event is taken twice")
		}
		if found := r.store.query(ctx, nostr.Filters{{IDs: []string{ev.ID}}}, 10, nil, nil); len(found) != 0 {
			t.Error("an event is found before it is admitted")
		}
		if len(heard) != 0 {
			t.Fatalf("answered before the end: %q", heard)
		}
		r.store.end(ev, ok, "blocked: x")
		want := "second false blocked: x"
		if ok {
			want = "second true duplicate: the relay has this event"
		}
		if fmt.Sprint(heard) != "["+want+"]" {
			t.Errorf("heard %q, want %q", heard, want)
		}
	}
}

// TestEventUnderWayIsFound: who asks after it was delivered to others, and before it is on the disk, gets it too.
func TestEventUnderWayIsFound(t *testing.T) {
	r := start(t, nil)
	ev := sign(t, node, 1, time.Now(), "x")
	r.store.begin(ev, nil)
	r.store.admit(ev)
	if found := r.store.query(ctx, nostr.Filters{{Kinds: []int{1}}}, 10, nil, nil); len(found) != 1 {
		t.Errorf("found %d", len(found))
	}
	r.store.end(ev, false, "error: no disk")
	if found := r.store.query(ctx, nostr.Filters{{Kinds: []int{1}}}, 10, nil, nil); len(found) != 0 {
		t.Errorf("found %d after it failed", len(found))
	}
}

// TestRefusedEphemeralEventIsNotADuplicate: it is refused again.
func TestRefusedEphemeralEventIsNotADuplicate(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	expired := sign(t, node, 20001, time.Now(), "", nostr.Tag{"expiration", "1"})
	c.refuses(expired, "invalid:")
	c.refuses(expired, "invalid:")
	fresh := sign(t, node, 20001, time.Now(), "")
	c.take(fresh)
	if ok, reason := c.publish(fresh); !ok || !strings.HasPrefix(reason, "duplicate:") {
		t.Errorf("OK %v %q", ok, reason)
	}
}

// TestVersionsOfManyKeysAtTheSameTime replaces events of many keys at once: the race detector sees it when eventstore
// counts what it deletes without a lock.
func TestVersionsOfManyKeysAtTheSameTime(t *testing.T) {
	r := start(t, nil)
	now := time.Now()
	var all sync.WaitGroup
	for range 8 {
		keys := events.GenerateKeys()
		all.Go(func() {
			for i := range 4 {
				done := make(chan bool, 1)
				r.add(ctx, sign(t, keys, 30078, now.Add(time.Duration(i-10)*time.Second), "", nostr.Tag{"d", "x"}), nil, func(ok bool, _ string) { done <- ok })
				if !<-done {
					t.Error("a newer version was refused")
				}
			}
		})
	}
	all.Wait()
	if stored := r.store.query(ctx, nostr.Filters{{Kinds: []int{30078}}}, 100, nil, nil); len(stored) != 8 {
		t.Errorf("%d events are stored, not one for each key", len(stored))
	}
}
