package relay

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// announce signs an announcement of a node.
func announce(t testing.TB, k *events.Keys, name string, models ...string) *nostr.Event {
	m := &events.Announcement{
		Head: head(), Name: "node", Kinds: []int{events.KindText}, Models: models, Relays: []string{"wss://relay.example"},
		Profile: events.NodeProfile{Name: name, About: "in a cellar", Market: &events.Market{
			Version: 1, Concurrency: 1, Pay: []string{"free"}, Delivery: []string{"plain"}, GPUs: []events.GPU{{Name: "NVIDIA RTX 4090", VRAMMB: 24564}},
		}},
	}
	for _, id := range models {
		m.Profile.Market.Models = append(m.Profile.Market.Models, events.ModelOffer{ID: id, Kinds: []int{events.KindText}})
	}
	return signed(t, k, m)
}

func TestSearchFindsNodesByTheirWords(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	one, two := announce(t, node, "Lantern", "llama3.1:8b", "qwen2.5:0.5b"), announce(t, stranger, "Harbour", "llama3.1:70b")
	c.take(one)
	c.take(two)
	c.take(sign(t, customer, 1, time.Now(), "a note about llama3.1"))
	for search, want := range map[string][]*nostr.Event{
		"lantern": {one}, "LANT": {one}, "llama3.1:70b": {two}, "llama 8b": {one}, "llama3.1 harbour": {two}, "rtx 4090 language:en": {one, two},
		"cellar": {one, two}, "antern": {one}, "granite": nil, "lantern harbour": nil, "5050": {one, two}, "x": nil,
	} {
		found := c.query(nostr.Filter{Search: search})
		if len(found) != len(want) {
			t.Errorf("%q finds %d, not %d", search, len(found), len(want))
			continue
		}
		for _, w := range want {
			if !contains(found, w) {
				t.Errorf("%q does not find %s", search, w.Content)
			}
		}
	}
	if found := c.query(nostr.Filter{Search: "lantern cellar", Authors: []string{string(stranger.PublicKey())}}); len(found) != 0 {
		t.Errorf("another's node is found: %d", len(found))
	}
	named := announce(t, customer, "llama house", "granite")
	c.take(named)
	if found := c.query(nostr.Filter{Search: "llama", Limit: 1}); len(found) != 1 || found[0].ID != named.ID {
		t.Error("a whole word of the name is not the best")
	}
	c.say("REQ", "notes", nostr.Filter{Kinds: []int{1}, Search: "llama"})
	if why := text(c.hear("CLOSED")[2]); !strings.HasPrefix(why, "unsupported: ") {
		t.Errorf("a search of notes: %q", why)
	}
}

func contains(all []*nostr.Event, ev *nostr.Event) bool {
	for _, e := range all {
		if e.ID == ev.ID {
			return true
		}
	}
	return false
}

// TestSearchGoesOnLive: what comes later is found by its words, too, and nothing else.
func TestSearchGoesOnLive(t *testing.T) {
	r := start(t, nil)
	reader, c := dial(t, r), dial(t, r)
	reader.say("REQ", "live", nostr.Filter{Search: "lantern"})
	reader.hear("EOSE")
	c.take(sign(t, customer, 1, time.Now(), "lantern"))
	c.take(announce(t, stranger, "Harbour"))
	want := announce(t, node, "Lantern")
	c.take(want)
	var got nostr.Event
	json.Unmarshal(reader.hear("EVENT")[2], &got)
	if got.ID != want.ID {
		t.Errorf("kind %d %q came", got.Kind, got.Content)
	}
}

func (c *client) count(filters ...nostr.Filter) (n int, hll string) {
	c.t.Helper()
	parts := []any{"COUNT", "n"}
	for _, f := range filters {
		parts = append(parts, f)
	}
	c.say(parts...)
	var answer struct {
		Count int
		HLL   string
	}
	json.Unmarshal(c.hear("COUNT")[2], &answer)
	return answer.Count, answer.HLL
}

func TestCountCountsEachEventOnce(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxLimit = 3 })
	c := dial(t, r)
	for i := range 10 {
		c.take(sign(t, node, 1, time.Now().Add(-time.Duration(i)*time.Second), fmt.Sprint(i), nostr.Tag{"t", "a"}, nostr.Tag{"t", "b"}))
	}
	gone := sign(t, node, 1, time.Now(), "gone")
	c.take(gone)
	c.take(sign(t, node, nostr.KindDeletion, time.Now(), "", nostr.Tag{"e", gone.ID}))
	author := []string{string(node.PublicKey())}
	for name, f := range map[string][]nostr.Filter{
		"above the limit of a REQ": {{Kinds: []int{1}}},
		"by two values of a tag":   {{Tags: nostr.TagMap{"t": {"a", "b"}}}},
		"two filters":              {{Kinds: []int{1}}, {Authors: author, Kinds: []int{1}}},
		"a limit":                  {{Kinds: []int{1}, Limit: 2}},
	} {
		if n, _ := c.count(f...); n != 10 {
			t.Errorf("%s: %d", name, n)
		}
	}
	if n, hll := c.count(nostr.Filter{Kinds: []int{1}, Tags: nostr.TagMap{"t": {"a"}}}); n != 10 || len(hll) != 512 {
		t.Errorf("by one tag: %d, registers %q", n, hll)
	}
	if _, hll := c.count(nostr.Filter{Kinds: []int{1}}); hll != "" {
		t.Errorf("no tag, and registers %q", hll)
	}
	c.say("COUNT", "n", nostr.Filter{Search: "x"})
	if why := text(c.hear("CLOSED")[2]); !strings.HasPrefix(why, "unsupported: ") {
		t.Errorf("a search is counted: %q", why)
	}
}

// TestCountHidesWhatIsPrivate: who may not read an encrypted job does not learn of it by counting.
func TestCountHidesWhatIsPrivate(t *testing.T) {
	r := start(t, func(c *Config) { c.PrivateJobs = true })
	c := dial(t, r)
	job := sign(t, customer, events.KindText, time.Now(), "closed", nostr.Tag{"p", string(node.PublicKey())}, nostr.Tag{"encrypted"})
	c.take(job)
	c.say("COUNT", "n", nostr.Filter{Kinds: []int{events.KindText}, Tags: nostr.TagMap{"p": {string(node.PublicKey())}}})
	if why := text(c.hear("CLOSED")[2]); !strings.HasPrefix(why, "auth-required: ") {
		t.Errorf("%q", why)
	}
	if n, _ := c.count(nostr.Filter{IDs: []string{job.ID}}); n != 0 {
		t.Errorf("a stranger counts %d", n)
	}
}

// TestEventWithFieldsThatNoNIPKnows: the library that reads messages stumbles over them.
func TestEventWithFieldsThatNoNIPKnows(t *testing.T) {
	c := dial(t, start(t, nil))
	ev := sign(t, node, 1, time.Now(), "odd")
	var raw map[string]any
	json.Unmarshal([]byte(ev.String()), &raw)
	raw["seen_on"] = []string{"wss://relay.example"}
	c.say("EVENT", raw)
	if parts := c.hear("OK"); text(parts[1]) != ev.ID || string(parts[2]) != "true" {
		t.Errorf("OK %s", parts)
	}
}
