package relay

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip13"

	"infernet/events"
)

func TestOneAwardForOneJob(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	job := auction(t)
	c.take(job)
	award := func(k *events.Keys, to *events.Keys) *nostr.Event {
		return signed(t, k, &events.Award{Head: head(), Job: events.ID(job.ID), Offer: events.ID(strings.Repeat("ab", 32)), Node: to.PublicKey(), Until: events.At(time.Now()) + 30})
	}
	c.take(award(stranger, node)) // moves nothing, blocks nothing
	first := award(customer, node)
	c.take(first)
	if ok, reason := c.publish(award(customer, stranger)); ok || reason != "blocked: job already awarded "+first.ID {
		t.Errorf("OK %v %q", ok, reason)
	}
}

func TestAnswersComeFromWhomTheJobNames(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	job := auction(t, node.PublicKey())
	c.take(job)
	offer := func(k *events.Keys) *nostr.Event {
		return signed(t, k, &events.Offer{Head: head(), Job: events.ID(job.ID), To: customer.PublicKey(), Until: events.At(time.Now()) + 30, Delivery: events.DeliverPlain, Pay: events.PayFree, ETA: time.Now().UnixNano() % 100000})
	}
	c.refuses(offer(stranger), "blocked:")
	c.refuses(signed(t, stranger, &events.Result{Head: head(), Kind: events.KindText + 1000, Job: events.ID(job.ID), To: customer.PublicKey(), Status: "success"}), "blocked:")
	c.take(offer(node))
	c.take(offer(node))
	c.refuses(offer(node), "rate-limited:")
}

// TestAwardsAtTheSameTimeAreOne publishes awards of one job over many connections at once.
func TestAwardsAtTheSameTimeAreOne(t *testing.T) {
	r := start(t, nil)
	job := auction(t)
	dial(t, r).take(job)
	const n = 8
	passed := make(chan bool, n)
	for i := range n {
		c := dial(t, r)
		award := signed(t, customer, &events.Award{Head: head(), Job: events.ID(job.ID), Offer: events.ID(fmt.Sprintf("%064x", i)), Node: node.PublicKey(), Until: events.At(time.Now()) + 30})
		go func() {
			c.say("EVENT", award)
			passed <- string(c.hear("OK")[2]) == "true"
		}()
	}
	won := 0
	for range n {
		if <-passed {
			won++
		}
	}
	if won != 1 {
		t.Errorf("%d awards passed", won)
	}
}

// TestRulesOfAJobOutliveTheRelay: what admission knows is read again after a restart.
func TestRulesOfAJobOutliveTheRelay(t *testing.T) {
	dir := t.TempDir()
	job := auction(t)
	award := func(i int) *nostr.Event {
		return signed(t, customer, &events.Award{Head: head(), Job: events.ID(job.ID), Offer: events.ID(fmt.Sprintf("%064x", i)), Node: node.PublicKey(), Until: events.At(time.Now()) + 30})
	}
	first := award(1)
	t.Run("before", func(t *testing.T) {
		c := dial(t, start(t, func(c *Config) { c.Dir = dir }))
		c.take(job)
		c.take(first)
	})
	c := dial(t, start(t, func(c *Config) { c.Dir = dir }))
	c.refuses(award(2), "blocked: job already awarded "+first.ID)
	c.take(sign(t, customer, 5, time.Now(), "", nostr.Tag{"e", first.ID}))
	if found := c.query(nostr.Filter{IDs: []string{first.ID}}); len(found) != 1 {
		t.Error("the award was deleted")
	}
}

// TestAwardBeforeItsRequestCounts: relays get events in any order.
func TestAwardBeforeItsRequestCounts(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	job := auction(t)
	award := func(i int) *nostr.Event {
		return signed(t, customer, &events.Award{Head: head(), Job: events.ID(job.ID), Offer: events.ID(fmt.Sprintf("%064x", i)), Node: node.PublicKey(), Until: events.At(time.Now()) + 30})
	}
	first := award(1)
	c.take(first)
	c.take(job)
	c.refuses(award(2), "blocked: job already awarded "+first.ID)
}

// TestSenderWhoLeavesTeachesNothingWrong: what is looked up for an event is whole, also when its connection has ended.
func TestSenderWhoLeavesTeachesNothingWrong(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	job := auction(t)
	award := func(i int) *nostr.Event {
		return signed(t, customer, &events.Award{Head: head(), Job: events.ID(job.ID), Offer: events.ID(fmt.Sprintf("%064x", i)), Node: node.PublicKey(), Until: events.At(time.Now()) + 30})
	}
	c.take(job)
	c.take(award(1))
	r.jobs.mu.Lock()
	clear(r.jobs.all) // forgotten, as after a restart
	r.jobs.mu.Unlock()
	left, leave := context.WithCancel(ctx)
	leave()
	heard := make(chan string, 1)
	r.add(left, award(2), nil, func(ok bool, reason string) { heard <- fmt.Sprint(ok, reason) })
	if got := <-heard; !strings.Contains(got, "already awarded") {
		t.Errorf("heard %s", got)
	}
}

// TestEncryptedLeasesOfALongJobPass: nobody can tell a lease from an offer, and a job of hours needs hundreds.
func TestEncryptedLeasesOfALongJobPass(t *testing.T) {
	r := start(t, func(c *Config) { c.Burst = 100_000 })
	c := dial(t, r)
	job := auction(t)
	c.take(job)
	for i := range maxSaid {
		c.take(closed(t, stranger, job, i))
	}
	c.refuses(closed(t, stranger, job, maxSaid), "rate-limited:")
	c.take(signed(t, customer, &events.Award{Head: head(), Job: events.ID(job.ID), Offer: events.ID(strings.Repeat("ab", 32)), Node: node.PublicKey(), Until: events.At(time.Now()) + 30}))
	for i := range 2 * maxSaid {
		c.take(closed(t, node, job, i))
	}
}

// TestClearMessagesOfAStrangerAreFew: whoever was not chosen says as little in clear as encrypted, whatever it is; what is
// said both ways counts together, also after a restart.
func TestClearMessagesOfAStrangerAreFew(t *testing.T) {
	dir := t.TempDir()
	job := auction(t)
	about := events.ID(job.ID)
	to := customer.PublicKey()
	said := []func(i int) events.Message{
		func(i int) events.Message {
			return &events.Running{Head: head(), Job: about, To: to, Lease: events.At(time.Now()) + 100 + events.Unix(i)}
		},
		func(i int) events.Message {
			return &events.Refusal{Head: head(), Job: about, To: to, Code: events.CodeUnavailable, Text: fmt.Sprint(i)}
		},
		func(i int) events.Message {
			return &events.Notice{Head: head(), Job: about, To: to, Status: "partial", Text: fmt.Sprint(i)}
		},
		func(i int) events.Message {
			return &events.Award{Head: head(), Job: about, Offer: events.ID(fmt.Sprintf("%064x", i)), Node: stranger.PublicKey(), Until: events.At(time.Now()) + 30}
		},
	}
	t.Run("before", func(t *testing.T) {
		c := dial(t, start(t, func(c *Config) { c.Dir = dir }))
		c.take(job)
		for i := range maxSaid / 2 {
			c.take(signed(t, stranger, said[i%len(said)](i)))
		}
	})
	c := dial(t, start(t, func(c *Config) { c.Dir = dir }))
	for i := range maxSaid / 4 {
		c.take(signed(t, stranger, said[i%len(said)](1000+i)))
		c.take(closed(t, stranger, job, i))
	}
	for i, say := range said {
		c.refuses(signed(t, stranger, say(2000+i)), "rate-limited:")
	}
	c.refuses(closed(t, stranger, job, 2000), "rate-limited:")
	c.take(signed(t, customer, &events.Award{Head: head(), Job: about, Offer: events.ID(strings.Repeat("ab", 32)), Node: node.PublicKey(), Until: events.At(time.Now()) + 30}))
	for i := range 2 * maxSaid {
		c.take(signed(t, node, said[0](i))) // its leases
	}
}

// TestOpenDirectJobsTakeALeaseEachMinute: nobody but its customer knows who was paid, so what a key may say grows with the
// age of the job.
func TestOpenDirectJobsTakeALeaseEachMinute(t *testing.T) {
	now := &clock{now: time.Now()}
	r := start(t, func(c *Config) { c.Now = now.Now })
	c := dial(t, r)
	job := signed(t, customer, &events.Request{
		Head: head(), Kind: events.KindText, Inputs: []events.Input{{Value: "hi", Type: "text"}},
	})
	c.take(job)
	n := 0
	lease := func() *nostr.Event {
		n++
		return signed(t, node, &events.Running{Head: head(), Job: events.ID(job.ID), To: customer.PublicKey(), Lease: events.At(time.Now()) + 100 + events.Unix(n)})
	}
	for range maxSaid {
		c.take(lease())
	}
	c.refuses(lease(), "rate-limited:")
	now.turn(10*time.Minute + 10*time.Second)
	for range 10 {
		c.take(lease())
	}
}

// closed is an encrypted message about a job.
func closed(t *testing.T, k *events.Keys, job *nostr.Event, i int) *nostr.Event {
	return sign(t, k, events.KindFeedback, time.Now(), fmt.Sprint(i), nostr.Tag{"e", job.ID},
		nostr.Tag{"p", string(customer.PublicKey())}, nostr.Tag{"encrypted", "nip44"}, nostr.Tag{"expiration", fmt.Sprint(time.Now().Unix() + 1000)})
}

// TestChunksOfStrangersAreBlocked on a job that is addressed to others.
func TestChunksOfStrangersAreBlocked(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	job := auction(t, node.PublicKey())
	c.take(job)
	chunk := func(k *events.Keys) *nostr.Event {
		return signed(t, k, &events.Chunk{Head: head(), Job: events.ID(job.ID), To: customer.PublicKey(), Seq: 0, Delta: "x"})
	}
	c.refuses(chunk(stranger), "blocked:")
	c.take(chunk(node))
}

// TestOffersOfUnknownKeysNeedWork: a node is known by when the relay first saw it, and stays known when it
// announces itself anew. Work passes, and so does whom an award names.
func TestOffersOfUnknownKeysNeedWork(t *testing.T) {
	now := &clock{now: time.Now()}
	r := start(t, func(c *Config) { c.OfferPow, c.Now = 8, now.Now })
	c := dial(t, r)
	job := auction(t)
	c.take(job)
	offer := &events.Offer{Head: head(), Job: events.ID(job.ID), To: customer.PublicKey(), Until: events.At(time.Now()) + 30, Delivery: events.DeliverPlain, Pay: events.PayFree}
	announce := func(at time.Time) *nostr.Event {
		return sign(t, node, events.KindAnnouncement, at, `{"name":"n"}`, nostr.Tag{"d", "n"})
	}
	c.refuses(signed(t, stranger, offer), "pow:")
	c.take(announce(time.Now().Add(-time.Hour)))
	c.refuses(signed(t, node, offer), "pow:")
	now.turn(r.KnownAfter + time.Second)
	c.take(announce(now.Now()))
	c.take(signed(t, node, offer))

	worked := signed(t, stranger, offer)
	tag, err := nip13.DoWork(ctx, *worked, 8)
	if err != nil {
		t.Fatal(err)
	}
	c.take(sign(t, stranger, worked.Kind, worked.CreatedAt.Time(), worked.Content, append(worked.Tags, tag)...))

	chosen := events.GenerateKeys()
	running := signed(t, chosen, &events.Running{Head: head(), Job: events.ID(job.ID), To: customer.PublicKey(), Lease: events.At(now.Now()) + 100})
	c.refuses(running, "pow:")
	c.take(signed(t, customer, &events.Award{Head: head(), Job: events.ID(job.ID), Offer: events.ID(strings.Repeat("ab", 32)), Node: chosen.PublicKey(), Until: events.At(time.Now()) + 30}))
	c.take(running)
}
