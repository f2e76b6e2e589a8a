package attack

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// honest publishes at a pace until it is told to stop, and gives how long each took until its OK.
func honest(t *testing.T, x *target, stop <-chan struct{}) (took []time.Duration) {
	c := x.dial()
	keys := events.GenerateKeys()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return took
		case <-time.After(5 * time.Millisecond):
		}
		ev := signed(keys, 1, fmt.Sprint("honest ", i))
		at := time.Now()
		if ok, why := c.publish(ev); !ok {
			t.Errorf("an honest event was refused: %s", why)
			return took
		}
		took = append(took, time.Since(at))
	}
}

func while(t *testing.T, x *target, do func()) []time.Duration {
	stop := make(chan struct{})
	took := make(chan []time.Duration, 1)
	go func() { took <- honest(t, x, stop) }()
	do()
	close(stop)
	return <-took
}

// TestAFloodOfHostileKeys sends, over 64 connections and as fast as they take it, events of keys that were never seen: good
// ones, forged ones and requests for jobs. Honest events all get their OK, memory is bounded, and of the requests few get in
// without work.
func TestAFloodOfHostileKeys(t *testing.T) {
	x := newTarget(t)
	n := more(6_000, 300_000)
	fresh := many(n, func(i int) *nostr.Event {
		keys := events.GenerateKeys()
		switch i % 3 {
		case 0:
			return signed(keys, 1, strings.Repeat("spam ", 40))
		case 1:
			ev := signed(keys, 1, "forged")
			ev.Content = "forged afterwards"
			ev.ID = ev.GetID() // only its signature tells
			return ev
		}
		return signed(keys, 5999, fmt.Sprint("do this ", i))
	})
	calm := while(t, x, func() { time.Sleep(500 * time.Millisecond) })
	var taken, refused, worked atomic.Int64
	var under []time.Duration
	var lasted time.Duration
	grown := x.watched(func() {
		under = while(t, x, func() {
			began := time.Now()
			var flooding sync.WaitGroup
			for conn := range 64 {
				c := x.dial()
				flooding.Go(func() {
					sent := 0
					for i := conn; i < n; i += 64 {
						if c.write(message("EVENT", fresh[i])) != nil {
							return
						}
						sent++
					}
					for sent > 0 {
						_, body, err := c.ws.Read(ctx)
						if err != nil {
							return
						}
						if m, ok := nostr.ParseMessage(string(body)).(*nostr.OKEnvelope); ok {
							switch sent--; {
							case m.OK:
								taken.Add(1)
							case strings.HasPrefix(m.Reason, "pow:"):
								worked.Add(1)
							default:
								refused.Add(1)
							}
						}
					}
				})
			}
			flooding.Wait()
			lasted = time.Since(began)
		})
	})
	x.bounded(grown, 64<<20)
	if got := taken.Load() + refused.Load() + worked.Load(); got != int64(n) {
		t.Errorf("%d of %d were answered", got, n)
	}
	if int(refused.Load()) < n/3 || worked.Load() == 0 {
		t.Errorf("%d forged of %d refused, %d requests sent to work", refused.Load(), n/3, worked.Load())
	}
	figure(t, 6, "%d hostile events in %.1f s (%.0f/s): %d honest publishes, none refused, p50 %s p99 %s (without the flood %s, %s); memory +%d MiB; %d of %d requests got in without work",
		n, lasted.Seconds(), float64(n)/lasted.Seconds(), len(under), quantile(under, 0.5), quantile(under, 0.99), quantile(calm, 0.5), quantile(calm, 0.99), grown>>20, n/3-int(worked.Load()), n/3)
}

// TestStalledReaders has 50 subscribers that never read while somebody publishes to them, and 50 that never end their request's
// header: the publisher goes on, and memory is bounded.
func TestStalledReaders(t *testing.T) {
	x := newTarget(t)
	n := more(3_000, 30_000)
	c := x.dial()
	keys := events.GenerateKeys()
	all := many(n, func(i int) *nostr.Event {
		return signed(events.GenerateKeys(), 20001, fmt.Sprint(i, strings.Repeat("x", 1000)))
	})
	publish := func(all []*nostr.Event) (took []time.Duration) {
		for _, ev := range all {
			at := time.Now()
			if ok, why := c.publish(ev); !ok {
				t.Fatalf("refused: %s", why)
			}
			took = append(took, time.Since(at))
		}
		return took
	}
	calm := publish(all[:n/10])
	for i := range 50 {
		stalled := x.dial()
		if err := stalled.write(message("REQ", "all", nostr.Filter{Kinds: []int{20001}})); err != nil {
			t.Fatal(err)
		}
		slow := dialTCP(t, x)
		fmt.Fprintf(slow, "GET / HTTP/1.1\r\nHost: x\r\nX-%d: ", i)
	}
	var under []time.Duration
	grown := x.watched(func() { under = publish(all[n/10:]) })
	x.bounded(grown, 64<<20)
	if ok, why := c.publish(signed(keys, 1, "after")); !ok {
		t.Error(why)
	}
	figure(t, 15, "50 readers that never read and 50 headers that never end: publisher p50 %s p99 %s (without them %s, %s); memory +%d MiB",
		quantile(under, 0.5), quantile(under, 0.99), quantile(calm, 0.5), quantile(calm, 0.99), grown>>20)
}
