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

func TestDeletedStaysDeleted(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	now := time.Now()
	note := sign(t, node, 1, now, "note")
	address := sign(t, node, 30078, now, "", nostr.Tag{"d", "x"})
	c.take(note)
	c.take(address)
	c.take(sign(t, stranger, 5, now, "", nostr.Tag{"e", note.ID}, nostr.Tag{"a", "30078:" + address.PubKey + ":x"}))
	if found := c.query(nostr.Filter{IDs: []string{note.ID, address.ID}}); len(found) != 2 {
		t.Fatalf("a stranger has deleted: %d left", len(found))
	}
	c.take(sign(t, node, 5, now, "", nostr.Tag{"e", note.ID}, nostr.Tag{"a", "30078:" + address.PubKey + ":x"}))
	if found := c.query(nostr.Filter{IDs: []string{note.ID, address.ID}}); len(found) != 0 {
		t.Errorf("%d are left", len(found))
	}
	c.refuses(note, "blocked:")
	c.refuses(address, "blocked:")
	c.take(sign(t, node, 30078, now.Add(time.Second), "newer", nostr.Tag{"d", "x"}))
}

func TestWhatAnAwardedJobReliesOnStays(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	job := auction(t)
	id := events.ID(job.ID)
	offer := signed(t, node, &events.Offer{Head: head(), Job: id, To: customer.PublicKey(), Until: events.At(time.Now()) + 30, Delivery: events.DeliverPlain, Pay: events.PayFree})
	award := signed(t, customer, &events.Award{Head: head(), Job: id, Offer: events.ID(offer.ID), Node: node.PublicKey(), Until: events.At(time.Now()) + 30})
	result := signed(t, node, &events.Result{Head: head(), Kind: events.KindText + 1000, Job: id, To: customer.PublicKey(), Status: "success", Content: "x"})
	all := []string{job.ID, offer.ID, award.ID, result.ID}
	for _, ev := range []*nostr.Event{job, offer, award, result} {
		c.take(ev)
	}
	c.take(sign(t, node, 5, time.Now(), "", nostr.Tag{"e", offer.ID}, nostr.Tag{"e", result.ID}))
	cancel := signed(t, customer, &events.Cancel{Head: head(), Job: id, Kind: events.KindText, Node: node.PublicKey(), Others: []events.ID{events.ID(award.ID)}})
	c.take(cancel)
	if found := c.query(nostr.Filter{IDs: append(all, cancel.ID)}); len(found) != 5 {
		t.Errorf("%d of 5 are left", len(found))
	}
}

// TestDeletionOfAnAddressIsOfAddressesOnly: `a 7000:<key>:` is no address, and deletes no awards.
func TestDeletionOfAnAddressIsOfAddressesOnly(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	key := string(node.PublicKey())
	note, high := sign(t, node, 1, time.Now(), "note"), sign(t, node, 41000, time.Now(), "high")
	longer := sign(t, node, 30078, time.Now(), "", nostr.Tag{"d", "xy"})
	for _, ev := range []*nostr.Event{note, high, longer} {
		c.take(ev)
	}
	c.take(sign(t, node, 5, time.Now(), "", nostr.Tag{"a", "1:" + key + ":"}, nostr.Tag{"a", "41000:" + key + ":"}, nostr.Tag{"a", "30078:" + key + ":x"}))
	if found := c.query(nostr.Filter{IDs: []string{note.ID, high.ID, longer.ID}}); len(found) != 3 {
		t.Errorf("%d of 3 are left", len(found))
	}
}

// TestOlderDeletionTakesNothingBack: after a deletion of an address, one with an earlier time opens no door.
func TestOlderDeletionTakesNothingBack(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	now, a := time.Now(), nostr.Tag{"a", "30078:" + string(node.PublicKey()) + ":x"}
	version := sign(t, node, 30078, now.Add(-10*time.Second), "", nostr.Tag{"d", "x"})
	c.take(sign(t, node, 5, now, "", a))
	c.take(sign(t, node, 5, now.Add(-time.Minute), "", a))
	c.refuses(version, "blocked:")
}

// TestDeletionOvertakesNothing: an event and its deletion come one right after the other, before the first is on the
// disk; and a deletion that comes first holds.
func TestDeletionOvertakesNothing(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	var ids []string
	for i := range 40 {
		ev := sign(t, node, 1, time.Now(), fmt.Sprint(i))
		ids = append(ids, ev.ID)
		c.say("EVENT", ev)
		c.say("EVENT", sign(t, node, 5, time.Now(), fmt.Sprint(i), nostr.Tag{"e", ev.ID}))
	}
	for range 80 {
		c.hear("OK")
	}
	if found := c.query(nostr.Filter{IDs: ids}); len(found) != 0 {
		t.Errorf("%d deleted events are served", len(found))
	}
	early := sign(t, node, 1, time.Now(), "early")
	c.take(sign(t, stranger, 5, time.Now(), "", nostr.Tag{"e", early.ID})) // is not his
	c.take(early)
	late := sign(t, node, 1, time.Now(), "late")
	c.take(sign(t, node, 5, time.Now(), "", nostr.Tag{"e", late.ID}))
	c.refuses(late, "blocked:")
}

// TestDeletionOfAnEventUnderWay comes between its admission and its way to the disk.
func TestDeletionOfAnEventUnderWay(t *testing.T) {
	r := start(t, nil)
	ev := sign(t, node, 1, time.Now(), "x")
	r.store.begin(ev, nil)
	r.store.admit(ev)
	deletion, event := make(chan error, 1), make(chan error, 1)
	r.commit(ctx, sign(t, node, 5, time.Now(), "", nostr.Tag{"e", ev.ID}), nil, func(err error) { deletion <- err })
	r.commit(ctx, ev, nil, func(err error) { event <- err })
	if err := <-deletion; err != nil {
		t.Error(err)
	}
	if err := <-event; err == nil || !strings.HasPrefix(err.Error(), "blocked:") {
		t.Errorf("got %v", err)
	}
	r.store.end(ev, false, "")
	if r.store.has(ev.ID) {
		t.Error("a deleted event is stored")
	}
}

// TestCancelBeforeItsRequestKeepsTheRequest: relays get events in any order.
func TestCancelBeforeItsRequestKeepsTheRequest(t *testing.T) {
	r := start(t, nil)
	reader, c := dial(t, r), dial(t, r)
	reader.say("REQ", "inbox", nostr.Filter{Tags: nostr.TagMap{"p": {string(node.PublicKey())}}})
	reader.hear("EOSE")
	job := auction(t)
	cancel := signed(t, customer, &events.Cancel{Head: head(), Job: events.ID(job.ID), Kind: events.KindText, Node: node.PublicKey()})
	c.take(cancel)
	var got nostr.Event
	json.Unmarshal(reader.hear("EVENT")[2], &got)
	if got.ID != cancel.ID {
		t.Errorf("the node heard kind %d", got.Kind)
	}
	c.take(job)
	if found := c.query(nostr.Filter{IDs: []string{job.ID, cancel.ID}}); len(found) != 2 {
		t.Errorf("%d of 2 are stored", len(found))
	}
}

// TestReviewAndInvoiceOfAnAwardedJobStay, by id and by address; an offer of a job that nobody awarded goes.
func TestReviewAndInvoiceOfAnAwardedJobStay(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	direct := signed(t, customer, &events.Request{
		Head: head(), Kind: events.KindText, Profile: true, Deadline: events.At(time.Now()) + 60, To: []events.PubKey{node.PublicKey()},
		Inputs: []events.Input{{Value: "hi", Type: "text"}},
	})
	id := events.ID(direct.ID)
	running := signed(t, node, &events.Running{Head: head(), Job: id, To: customer.PublicKey(), Lease: events.At(time.Now()) + 60})
	open := auction(t)
	offer := signed(t, node, &events.Offer{Head: head(), Job: events.ID(open.ID), To: customer.PublicKey(), Until: events.At(time.Now()) + 30, Delivery: events.DeliverPlain, Pay: events.PayFree})
	for _, ev := range []*nostr.Event{direct, running, open, offer} {
		c.take(ev)
	}
	c.take(sign(t, node, 5, time.Now(), "", nostr.Tag{"e", running.ID}, nostr.Tag{"e", offer.ID}))
	if found := c.query(nostr.Filter{IDs: []string{running.ID}}); len(found) != 1 {
		t.Error("what a direct job relies on was deleted")
	}
	if found := c.query(nostr.Filter{IDs: []string{offer.ID}}); len(found) != 0 {
		t.Error("an offer that nobody took was not deleted")
	}
}
