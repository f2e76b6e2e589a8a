package pool

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/relay"
)

// TestWhoAuthenticatesAgainAsksFromTheLoss: the challenge of a new connection is no news of what was missed before it.
func TestWhoAuthenticatesAgainAsksFromTheLoss(t *testing.T) {
	asked := make(chan nostr.Timestamp, 16)
	var back atomic.Bool
	authed, seen := false, 0
	url := scripted(t, func(_ int, m nostr.Envelope, say func(...any)) bool {
		switch m := m.(type) {
		case *nostr.AuthEnvelope:
			authed = true
			say("OK", m.Event.ID, true, "")
		case *nostr.ReqEnvelope:
			if seen++; seen > 2 && !back.Load() {
				return false // it is away for good until the clock is turned
			}
			if back.Load() {
				if m.Filters[0].Since == nil {
					asked <- -1
				} else {
					asked <- *m.Filters[0].Since
				}
			}
			if !authed {
				say("AUTH", "challenge")
				say("CLOSED", m.SubscriptionID, "auth-required: who are you?")
				return true
			}
			say("EOSE", m.SubscriptionID)
			if !back.Load() {
				authed = false
				return false // the relay goes away
			}
		}
		return true
	})
	clock := newClock()
	p := open(t, []Option{WithSigner(keys), clock.set}, url)
	lost := clock.Now()
	sub := p.Subscribe(within(t, time.Minute), nostr.Filter{Kinds: []int{1}})
	<-sub.EOSE
	eventually(t, "the connection is not lost", func() bool { return !p.Status()[0].Connected })
	clock.turn(10 * time.Minute)
	back.Store(true)
	for _, when := range []string{"before", "after"} {
		select {
		case since := <-asked:
			if want := nostr.Timestamp(lost.Add(-lookBack).Unix()); since < want || since > want+60 {
				t.Errorf("%s it knew us, it was asked since %d, want %d", when, since, want)
			}
		case <-time.After(time.Minute):
			t.Fatal("it was not asked again")
		}
	}
}

// missed has a reader miss what is published while it is away, and gives what it hears after that.
func missed(t *testing.T, limit int, filters nostr.Filters, publish func(writer *Pool, before time.Time)) (got map[string]int, until func(n int)) {
	r := &testRelay{t: t, dir: t.TempDir(), listen: "127.0.0.1:0", change: func(c *relay.Config) { c.MaxLimit = limit }}
	r.start()
	t.Cleanup(func() { r.stop() })
	ctx := within(t, 2*time.Minute)
	sub := open(t, nil, r.url).Subscribe(ctx, filters...)
	<-sub.EOSE
	r.stop()
	home := r.listen
	r.listen = "127.0.0.1:0" // where the reader does not look
	r.start()
	writer := open(t, nil, r.url)
	publish(writer, time.Now())
	writer.Close()
	r.stop()
	r.listen = home
	r.start()
	got = map[string]int{}
	return got, func(n int) {
		t.Helper()
		for len(got) < n {
			select {
			case ev := <-sub.Events:
				if got[ev.Content]++; got[ev.Content] > 1 {
					t.Errorf("event %s came twice", ev.Content)
				}
			case <-ctx.Done():
				t.Fatalf("only %d of %d events came", len(got), n)
			}
		}
	}
}

func publishAt(t *testing.T, p *Pool, kind int, at time.Time, text string) {
	t.Helper()
	ev := &nostr.Event{Kind: kind, CreatedAt: nostr.Timestamp(at.Unix()), Content: text}
	if err := keys.Sign(context.Background(), ev); err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(within(t, time.Minute), ev); err != nil {
		t.Fatal(err)
	}
}

// TestWhatTheRelaysLimitCutsIsAskedFor: more was missed than the relay gives at once, some of it by authors whose clocks
// are minutes behind.
func TestWhatTheRelaysLimitCutsIsAskedFor(t *testing.T) {
	const n = 190
	_, until := missed(t, 40, nostr.Filters{{Kinds: []int{1}}}, func(p *Pool, now time.Time) {
		for i := range n {
			publishAt(t, p, 1, now.Add(-5*time.Minute*time.Duration(i/4)/(n/4)), fmt.Sprint(i)) // 4 in a second
		}
	})
	until(n)
}

// TestEveryFilterIsCaughtUp: a limit holds for each.
func TestEveryFilterIsCaughtUp(t *testing.T) {
	const n = 120
	_, until := missed(t, 40, nostr.Filters{{Kinds: []int{1}}, {Kinds: []int{7}}}, func(p *Pool, now time.Time) {
		for i := range n {
			kind, ago := 1, time.Duration(i)
			if i%2 == 1 {
				kind, ago = 7, 2*time.Duration(i)
			}
			publishAt(t, p, kind, now.Add(-ago*time.Second), fmt.Sprint(i))
		}
	})
	until(n)
}

// TestASecondThatHoldsMoreThanTheLimitDoesNotStopTheRest.
func TestASecondThatHoldsMoreThanTheLimitDoesNotStopTheRest(t *testing.T) {
	got, until := missed(t, 30, nostr.Filters{{Kinds: []int{1}}}, func(p *Pool, now time.Time) {
		for i := range 50 {
			publishAt(t, p, 1, now.Add(-10*time.Second), fmt.Sprint("crowd ", i))
		}
		publishAt(t, p, 1, now.Add(-20*time.Second), "before")
	})
	until(31)
	if got["before"] != 1 {
		t.Errorf("heard %d events, none from before the crowded second", len(got))
	}
	for text := range got {
		if !strings.HasPrefix(text, "crowd") && text != "before" {
			t.Errorf("heard %q", text)
		}
	}
}

// TestCatchingUpThatIsCutOffBeginsAgain: until all has been sent, the loss stays where it was.
func TestCatchingUpThatIsCutOffBeginsAgain(t *testing.T) {
	var reqs []*nostr.ReqEnvelope
	done := make(chan struct{})
	url := scripted(t, func(_ int, m nostr.Envelope, say func(...any)) bool {
		req, ok := m.(*nostr.ReqEnvelope)
		if !ok {
			return true
		}
		reqs = append(reqs, req)
		switch len(reqs) {
		case 1: // the first time
			say("EOSE", req.SubscriptionID)
			return false
		case 2: // back, and away before it has sent all
			say("NOTICE", "welcome")
			return false
		case 3:
			close(done)
			say("EOSE", req.SubscriptionID)
		}
		return true
	})
	clock := newClock()
	clock.turn(-time.Hour) // the connection was lost an hour ago
	p := open(t, []Option{clock.set}, url)
	sub := p.Subscribe(within(t, time.Minute), nostr.Filter{Kinds: []int{1}})
	<-sub.EOSE
	eventually(t, "the connection is not lost", func() bool { return !p.Status()[0].Connected })
	clock.turn(time.Hour)
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("it was not asked again")
	}
	if second, third := reqs[1].Filters[0].Since, reqs[2].Filters[0].Since; second == nil || third == nil || *second != *third {
		t.Errorf("asked since %v, then since %v", second, third)
	}
}
