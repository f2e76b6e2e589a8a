package market

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/nips/nip85"
)

var customer, stranger = events.GenerateKeys(), events.GenerateKeys()

func signed(t *testing.T, k *events.Keys, m events.Message) *nostr.Event {
	t.Helper()
	ev, err := events.Sign(context.Background(), m, k)
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

func headAt(at time.Time) events.Head {
	return events.Head{At: events.At(at), Expires: events.At(at).Add(events.KeepJob)}
}

// node announces a node with a model at a price for each 1000 out, and a heartbeat that is so old.
func node(t *testing.T, k *events.Keys, name, model string, price events.Msat, beat time.Duration) []*nostr.Event {
	now := time.Now()
	return []*nostr.Event{
		signed(t, k, &events.Announcement{Head: events.Head{At: events.At(now)}, Name: "node", Kinds: []int{events.KindText}, Models: []string{model}, Profile: events.NodeProfile{
			Name: name, Market: &events.Market{Version: 1, Concurrency: 1, Pay: []string{"free"}, Delivery: []string{"plain"}, GPUs: []events.GPU{{Name: "card", VRAMMB: 1000}},
				Models: []events.ModelOffer{{ID: model, Kinds: []int{events.KindText}, Context: 4096, Price: events.Price{Out: price}}}},
		}}),
		signed(t, k, &events.Heartbeat{Head: events.Head{At: events.At(now.Add(-beat))}, Status: "ready", Kinds: []int{events.KindText}, Capacity: 4, Load: 1}),
	}
}

func TestLookShowsTheMarket(t *testing.T) {
	now := time.Now()
	var all []*nostr.Event
	keys := map[string]*events.Keys{}
	for name, price := range map[string]events.Msat{"a": 10, "b": 20, "c": 90, "d": 40} {
		keys[name] = events.GenerateKeys()
		all = append(all, node(t, keys[name], name, "llama", price, time.Second)...)
	}
	all = append(all, node(t, events.GenerateKeys(), "silent", "llama", 1, time.Hour)...)
	bid := events.Msat(5000)
	ask := signed(t, customer, &events.Request{
		Head: headAt(now), Kind: events.KindText, Profile: true, Deadline: events.At(now) + 60, Bid: &bid, Models: []string{"llama"},
		Inputs: []events.Input{{Value: "hi", Type: "text"}}, Bids: &events.Auction{Seconds: 1, Mode: "auto"},
	})
	over := signed(t, customer, &events.Request{
		Head: headAt(now.Add(-time.Hour)), Kind: events.KindText, Profile: true, Deadline: events.At(now) - 60, Inputs: []events.Input{{Value: "ho", Type: "text"}},
	})
	v := Look(append(all, ask, ask, over), now)
	if v.Alive != 4 || len(v.Nodes) != 5 || v.Nodes[4].Alive || v.Nodes[4].Name != "silent" {
		t.Errorf("%d alive of %d nodes", v.Alive, len(v.Nodes))
	}
	if len(v.Models) != 1 || v.Models[0].Nodes != 4 || v.Models[0].Price != (Spread{10, 20, 90}) || v.Models[0].At[0].Node != keys["a"].PublicKey() {
		t.Errorf("models %+v", v.Models)
	}
	if len(v.Jobs) != 1 || v.Jobs[0].State != events.StateOpen || *v.Jobs[0].Bid != 5000 || v.Jobs[0].Model != "llama" {
		t.Errorf("jobs %+v", v.Jobs)
	}
	award := signed(t, customer, &events.Award{Head: headAt(now), Job: events.ID(ask.ID), Offer: events.ID(strings.Repeat("ab", 32)), Node: keys["a"].PublicKey(), Until: events.At(now) + 30})
	if v = Look(append(all, ask, award), now); len(v.Jobs) != 1 || v.Jobs[0].State != events.StateAwarded {
		t.Errorf("after the award: %+v", v.Jobs)
	}
	if body, err := json.Marshal(Look(nil, now)); err != nil || !strings.Contains(string(body), `"nodes":[],"models":[],"jobs":[]`) {
		t.Errorf("nothing is %s, %v", body, err)
	}
}

// TestReviewsCountOnlyOfCustomers: whoever did not write the job, or got no result, has no voice.
func TestReviewsCountOnlyOfCustomers(t *testing.T) {
	now, seller := time.Now(), events.GenerateKeys()
	ask := signed(t, customer, &events.Request{Head: headAt(now), Kind: events.KindText, Profile: true, Deadline: events.At(now) + 60, To: []events.PubKey{seller.PublicKey()}, Inputs: []events.Input{{Value: "hi", Type: "text"}}})
	id := events.ID(ask.ID)
	result := signed(t, seller, &events.Result{Head: headAt(now), Kind: events.KindText + 1000, Job: id, To: customer.PublicKey(), Status: "success", Content: "ho"})
	review := func(k *events.Keys, rating int64) *nostr.Event {
		return signed(t, k, &events.Review{Head: headAt(now), Job: id, Node: seller.PublicKey(), Rating: rating, Role: "customer", JobKind: events.KindText})
	}
	good, forged, own := review(customer, 5), review(stranger, 1), review(seller, 5)
	if got := Reviews(seller.PublicKey(), []*nostr.Event{ask, result, good, forged, own}); len(got) != 1 || got[0].Author != customer.PublicKey() {
		t.Errorf("%d count", len(got))
	}
	if got := Reviews(seller.PublicKey(), []*nostr.Event{ask, good}); len(got) != 0 {
		t.Error("one counts without a result")
	}
	rank := nip85.Assertion{Kind: nip85.KindUser, Subject: string(seller.PublicKey()), Rank: 77}.Event()
	if err := stranger.Sign(context.Background(), rank); err != nil {
		t.Fatal(err)
	}
	facts := Known(seller.PublicKey(), append(node(t, seller, "seller", "llama", 1, 0), ask, result, good, forged, rank), events.At(now)-100, now)
	have := map[string]Fact{}
	for _, f := range facts {
		have[f.Name] = f
		if f.Source == "" || f.How == "" {
			t.Errorf("%+v does not say how it is known", f)
		}
	}
	for name, want := range map[string]Source{"name": Claimed, "card": Claimed, "alive": Seen, "results": Seen, "reviews": Said, "rank": Asserted, "first announced here": Seen} {
		if have[name].Source != want {
			t.Errorf("%s: %+v, want it %s", name, have[name], want)
		}
	}
	if have["results"].Value != "1" || have["rank"].By != stranger.PublicKey() || !strings.HasPrefix(have["reviews"].Value, "1 by 1 keys, 5.0") {
		t.Errorf("%+v", facts)
	}
}
