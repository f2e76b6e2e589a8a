package pool

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"
)

// forEver is a patience that no test outlasts: what a machine under load answers late is waited for.
func forEver(p *Pool) { p.eoseIn = time.Hour }

// connected waits until a pool is connected to some of its relays.
func connected(t *testing.T, p *Pool, relays ...int) {
	t.Helper()
	for _, i := range relays {
		eventually(t, "no connection", func() bool { return p.Status()[i].Connected })
	}
}

// TestAQueryDoesNotWaitForARelayThatIsAway, once the others have answered; it says which one that was.
func TestAQueryDoesNotWaitForARelayThatIsAway(t *testing.T) {
	one, two := newRelay(t), newRelay(t)
	away := newPlace(t, true)
	p := open(t, nil, away.url, one.url, two.url)
	ctx := within(t, time.Minute)
	for i, r := range []*testRelay{one, two} {
		only := open(t, nil, r.url)
		if err := only.Publish(ctx, note(t, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	connected(t, p, 1, 2)
	found, err := p.Collect(ctx, nostr.Filter{Kinds: []int{1}})
	if err != nil || len(found.Events) != 2 {
		t.Errorf("found %d, %v", len(found.Events), err)
	}
	if !slices.Equal(found.Silent, []string{away.url}) {
		t.Errorf("silent: %v", found.Silent)
	}
}

// TestAQueryWaitsForEveryConnectedRelay, however long after the others it answers.
func TestAQueryWaitsForEveryConnectedRelay(t *testing.T) {
	quick := newRelay(t)
	away := newPlace(t, true)
	answer := make(chan struct{})
	slow := scripted(t, func(_ int, m nostr.Envelope, say func(...any)) bool {
		if req, ok := m.(*nostr.ReqEnvelope); ok {
			<-answer
			say("EVENT", req.SubscriptionID, note(t, "late"))
			say("EOSE", req.SubscriptionID)
		}
		return true
	})
	p := open(t, nil, quick.url, slow, away.url)
	connected(t, p, 0, 1)
	sub := p.Subscribe(within(t, time.Minute), nostr.Filter{Kinds: []int{1}})
	eventually(t, "the quick relay does not answer", func() bool {
		sub.mu.Lock()
		defer sub.mu.Unlock()
		return sub.at[p.conns[0]].answer == said
	})
	sub.graceOver() // as a timer would say that was set before the slow one was connected
	select {
	case <-sub.EOSE:
		t.Error("a connected relay was not waited for")
	default:
	}
	close(answer)
	<-sub.EOSE
	if ev := <-sub.Events; ev.Content != "late" {
		t.Errorf("heard %s", ev.Content)
	}
	if silent := sub.Silent(); !slices.Equal(silent, []string{away.url}) {
		t.Errorf("silent: %v", silent)
	}
}

// TestARelayThatRefusesIsNamed, and not waited for.
func TestARelayThatRefusesIsNamed(t *testing.T) {
	r := newRelay(t)
	refuses := scripted(t, func(_ int, m nostr.Envelope, say func(...any)) bool {
		if req, ok := m.(*nostr.ReqEnvelope); ok {
			say("CLOSED", req.SubscriptionID, "restricted: members only")
		}
		return true
	})
	p := open(t, nil, r.url, refuses)
	connected(t, p, 0, 1)
	found, err := p.Collect(within(t, time.Minute), nostr.Filter{Kinds: []int{1}})
	if err != nil || !slices.Equal(found.Silent, []string{refuses}) {
		t.Errorf("silent %v, %v", found.Silent, err)
	}
}

// TestWhereNobodyAnswersPatienceEnds.
func TestWhereNobodyAnswersPatienceEnds(t *testing.T) {
	away := newPlace(t, true)
	p := open(t, []Option{func(p *Pool) { p.eoseIn = grace }}, away.url)
	found, err := p.Collect(within(t, time.Minute), nostr.Filter{Kinds: []int{1}})
	if err != nil || len(found.Events) != 0 || !slices.Equal(found.Silent, []string{away.url}) {
		t.Errorf("found %v, %v", found, err)
	}
}
