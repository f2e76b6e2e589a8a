package testnet

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/provider"
)

// TestAFloodOfOneKeyCostsOthersLittle sends a node 1,000 requests a second of one key, half of them by name, and asks for
// offers as somebody else meanwhile.
func TestAFloodOfOneKeyCostsOthersLittle(t *testing.T) {
	const rate, seconds = 1000, 5
	n := Start(t)
	node := n.Provider("node", "echo:", func(c *provider.Config) { c.OfferFor = 10 * time.Second })
	request := func(keys events.Signer, text string, to ...events.PubKey) *nostr.Event {
		now, bid := events.At(Now()), 100*events.Sat
		ev, err := events.Sign(ctx, &events.Request{
			Head: events.Head{At: now, Expires: now.Add(events.KeepJob)}, Kind: events.KindText, Profile: true, Deadline: now + 60, Bid: &bid, To: to,
			Bids: &events.Auction{Seconds: 1, Mode: "auto"}, Inputs: []events.Input{{Value: text, Type: "text"}},
		}, keys)
		if err != nil {
			t.Fatal(err)
		}
		return ev
	}
	offer := func(text string) time.Duration {
		keys := events.GenerateKeys()
		p := n.Pool(ctx, keys)
		defer p.Close()
		ev := request(keys, text)
		sub := p.Subscribe(ctx, nostr.Filter{Kinds: []int{events.KindFeedback}, Tags: nostr.TagMap{"e": {ev.ID}}})
		<-sub.EOSE
		began := time.Now()
		sent := p.Send(ctx, ev)
		for late := time.After(20 * time.Second); ; {
			select {
			case <-sent:
				sent = nil
			case said := <-sub.Events:
				if m, err := events.Open(ctx, said, keys); err == nil {
					if _, ok := m.(*events.Offer); ok {
						return time.Since(began)
					}
				}
			case <-late:
				t.Fatal("no offer in 20 s")
			}
		}
	}
	offers := func(name string, count int) (all []time.Duration) {
		for i := range count {
			all = append(all, offer(fmt.Sprint(name, i)))
		}
		slices.Sort(all)
		return all
	}
	quiet := offers("quiet", 20)

	keys := events.GenerateKeys()
	flooder := n.Pool(ctx, keys)
	var flood []*nostr.Event
	for i := range rate * seconds {
		if i%2 == 0 {
			flood = append(flood, request(keys, fmt.Sprint(i)))
		} else {
			flood = append(flood, request(keys, fmt.Sprint(i), node.Key))
		}
	}
	refusals := flooder.Subscribe(ctx, nostr.Filter{Kinds: []int{events.KindFeedback}, Authors: []string{string(node.Key)}, Tags: nostr.TagMap{"p": {string(keys.PublicKey())}}})
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	done, began := make(chan time.Duration), time.Now()
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		var sent []<-chan error
		for len(flood) > 0 {
			<-tick.C
			count := min(rate/100, len(flood))
			for _, ev := range flood[:count] {
				sent = append(sent, flooder.Send(ctx, ev))
			}
			flood = flood[count:]
		}
		for _, s := range sent {
			<-s
		}
		done <- time.Since(began)
	}()
	var under []time.Duration
	most := 0
	var took time.Duration
	pace := time.NewTicker(20 * time.Millisecond) // else the honest ones alone fill the node with offers that are not taken
	defer pace.Stop()
	for took == 0 {
		select {
		case took = <-done:
		case <-pace.C:
			under = append(under, offer(fmt.Sprint("under", len(under))))
			most = max(most, node.Open())
		}
	}
	slices.Sort(under)
	runtime.GC()
	runtime.ReadMemStats(&after)
	answered := map[string]int{}
	for {
		select {
		case ev := <-refusals.Events:
			if m, err := events.Open(ctx, ev, keys); err == nil {
				if no, ok := m.(*events.Refusal); ok {
					answered[no.Code]++
				}
			}
			continue
		case <-time.After(500 * time.Millisecond):
		}
		break
	}
	per := func(all []time.Duration, percent int) time.Duration {
		return all[len(all)*percent/100].Round(100 * time.Microsecond)
	}
	t.Logf("%d requests of one key in %s (%.0f a second), %d offers to others meanwhile", rate*seconds, took.Round(time.Millisecond), rate*seconds/took.Seconds(), len(under))
	t.Logf("another customer's offer: p50 %s p95 %s; without the flood p50 %s p95 %s", per(under, 50), per(under, 95), per(quiet, 50), per(quiet, 95))
	t.Logf("open jobs at most %d; refusals to the flooder %v; heap of the whole market %d MiB before, %d MiB after", most, answered, before.HeapAlloc>>20, after.HeapAlloc>>20)
	if most > 8+len(under)+len(quiet)+1 {
		t.Errorf("%d jobs were open at once: 8 of the flooder may be, and %d offers to others", most, len(under)+len(quiet))
	}
	if said := answered[events.CodeRateLimited]; said == 0 || said > 60 {
		t.Errorf("the flooder heard no %d times", said)
	}
	if len(under) == 0 {
		t.Error("nobody else was served meanwhile")
	}
}
