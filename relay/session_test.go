package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

func TestEphemeralEventsKeepTheirOrder(t *testing.T) {
	r := start(t, nil)
	reader, c := dial(t, r), dial(t, r)
	reader.say("REQ", "x", nostr.Filter{Kinds: []int{events.KindChunk}})
	reader.hear("EOSE")
	const n = 500
	go func() {
		for i := range n {
			ev, _ := events.Sign(ctx, &events.Chunk{Head: head(), Job: events.ID(strings.Repeat("ab", 32)), To: customer.PublicKey(), Seq: int64(i), Delta: "x"}, node)
			c.ws.Write(ctx, websocket.MessageText, mustJSON("EVENT", ev))
		}
	}()
	for i := range n {
		var got nostr.Event
		json.Unmarshal(reader.hear("EVENT")[2], &got)
		if seq := got.Tags.Find("seq"); seq == nil || seq[1] != fmt.Sprint(i) {
			t.Fatalf("chunk %v in place %d", seq, i)
		}
	}
	if found := dial(t, r).query(nostr.Filter{Kinds: []int{events.KindChunk}}); len(found) != 0 {
		t.Errorf("%d chunks are stored", len(found))
	}
}

// TestReaderThatNeverReadsSlowsNobody has a subscriber that never reads while a publisher goes on. A write to it may take
// an hour here: whoever waited for it would not come back in time. The events are ephemeral, so that no disk is waited for.
func TestReaderThatNeverReadsSlowsNobody(t *testing.T) {
	r := start(t, func(c *Config) { c.Dir, c.Queue, c.WriteIn = "", 16, time.Hour })
	rawDial(t, r).Write(textFrame(`["REQ","x",{"kinds":[20001]}]`))
	eventually(t, "the subscription does not come", func() bool {
		r.index.mu.RLock()
		defer r.index.mu.RUnlock()
		return len(r.index.subs) == 1
	})
	c, healthy := dial(t, r), dial(t, r)
	healthy.say("REQ", "x", nostr.Filter{Kinds: []int{20001}})
	healthy.hear("EOSE")
	content := strings.Repeat("x", 58_000)
	sessions := func() int {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.sessions)
	}
	eventually(t, "not all are there", func() bool { return sessions() == 3 })
	dropped := func() bool { return sessions() == 2 }
	n := 0
	for ; !dropped() && n < 2000; n++ { // until its queue is full, and what the kernel takes: some MB
		ev := sign(t, node, 20001, time.Now(), fmt.Sprint(n, content))
		c.take(ev)
		if got := healthy.hear("EVENT")[2]; !bytes.Contains(got, []byte(ev.ID)) {
			t.Fatalf("event %d: the healthy reader heard another", n)
		}
	}
	if !dropped() {
		t.Errorf("after %d events, the reader that never reads was not dropped", n)
	}
	if n < 16 {
		t.Errorf("it was dropped after %d events, with room for 16", n)
	}
}

// TestQueueIsBoundedInBytes: a queue of few large messages is bounded too.
func TestQueueIsBoundedInBytes(t *testing.T) {
	drops := 0
	q := newQueue(100, 1000, func() { drops++ })
	for range 10 {
		q.push(make([]byte, 100))
	}
	if drops != 0 {
		t.Fatal("dropped within the bound")
	}
	if !q.push([]byte("x")) || drops != 1 || q.push([]byte("y")) || drops != 1 {
		t.Errorf("dropped %d times", drops)
	}
}

// TestLongAnswerToASlowReaderIsWhole: stored events wait for the reader; only it waits.
func TestLongAnswerToASlowReaderIsWhole(t *testing.T) {
	r := start(t, func(c *Config) { c.Queue, c.QueueBytes = 8, 8<<10 })
	c := dial(t, r)
	for i := range 200 {
		c.take(sign(t, node, 1, time.Now(), fmt.Sprint(i, strings.Repeat("x", 1000))))
	}
	if found := c.query(nostr.Filter{Kinds: []int{1}}); len(found) != 200 {
		t.Errorf("found %d of 200", len(found))
	}
}

// TestWhateverIsSaidTheRelayLives: one line of junk after the other.
func TestWhateverIsSaidTheRelayLives(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	for _, line := range []string{
		``, `[]`, `[`, `"`, `{}`, `null`, `[1,2]`, `["EVENT"]`, `["EVENT",null]`, `["EVENT",1]`, `["EVENT",{}]`, `["EVENT",[]]`,
		`["EVENT",{"id":"","tags":[null]}]`, `["EVENT",{"tags":[[1,2]]}]`, `["EVENT",{"kind":-1}]`, `["EVENT",{"kind":99999999999999999999}]`,
		`["REQ"]`, `["REQ",""]`, `["REQ","x"]`, `["REQ","x",null]`, `["REQ","x",1]`, `["REQ","x",{"ids":[""]}]`, `["REQ","x",{"authors":["zz"]}]`,
		`["REQ","x",{"#e":[""]}]`, `["REQ","x",{"#e":null}]`, `["REQ","x",{"#":["x"]}]`, `["REQ","x",{"#ee":["x"]}]`, `["REQ","x",{"limit":-1}]`,
		`["REQ","x",{"limit":0}]`, `["REQ","x",{"until":-1}]`, `["REQ","x",{"since":99999999999999999}]`, `["REQ","x",{"kinds":[-1,70000]}]`,
		`["REQ","x",{"kinds":[]}]`, `["REQ","x",{"ids":[]}]`, `["CLOSE"]`, `["CLOSE",1]`, `["CLOSE","x"]`, `["AUTH"]`, `["AUTH",{}]`, `["AUTH","x"]`,
		`["COUNT","x",{}]`, `["OK","x",true,""]`, `["NOTICE","x"]`, strings.Repeat(`[`, 10_000), `["REQ","x",` + strings.Repeat(`{"a":`, 10_000),
	} {
		if err := c.ws.Write(ctx, websocket.MessageText, []byte(line)); err != nil {
			t.Fatalf("after %.40q: %v", line, err)
		}
	}
	ev := sign(t, node, 1, time.Now(), "still here")
	c.say("EVENT", ev)
	for {
		_, body, err := c.ws.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if m, ok := nostr.ParseMessage(string(body)).(*nostr.OKEnvelope); ok && m.EventID == ev.ID {
			if !m.OK {
				t.Error(m.Reason)
			}
			return
		}
	}
}

// TestFramesAboveTheLimitEndTheConnection, and none below it does: events of 60,000 bytes may come all escaped.
func TestFramesAboveTheLimitEndTheConnection(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	ev := sign(t, node, 1, time.Now(), strings.Repeat("ж", 29_000))
	body := []byte(strings.ReplaceAll(string(mustJSON("EVENT", ev)), "ж", `\u0436`))
	if err := c.ws.Write(ctx, websocket.MessageText, body); err != nil {
		t.Fatal(err)
	}
	if parts := c.hear("OK"); string(parts[2]) != "true" {
		t.Errorf("a frame of %d bytes: %s", len(body), parts[3])
	}
	c.ws.Write(ctx, websocket.MessageText, make([]byte, maxFrame+1))
	if _, _, err := c.ws.Read(ctx); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
		t.Errorf("got %v", err)
	}
}

// TestFloodOfBadSignaturesSlowsOnlyItself floods one connection with forged events: few of them are looked at, and
// another's publishes stay quick.
func TestFloodOfBadSignaturesSlowsOnlyItself(t *testing.T) {
	const rate, burst = 200, 200
	r := start(t, func(c *Config) { c.Rate, c.Burst = rate, burst })
	flood, honest := dial(t, r), dial(t, r)
	forged := sign(t, node, 1, time.Now(), "x")
	forged.Sig = sign(t, node, 1, time.Now(), "y").Sig
	body := mustJSON("EVENT", forged)
	flooding, stop := context.WithCancel(ctx)
	defer stop()
	began := time.Now()
	var beside sync.WaitGroup
	ended := make(chan struct{})
	beside.Go(func() {
		defer close(ended)
		for flood.ws.Write(flooding, websocket.MessageText, body) == nil {
		}
	})
	var verified atomic.Int64
	first := make(chan struct{})
	beside.Go(func() {
		for {
			_, body, err := flood.ws.Read(flooding)
			if err != nil {
				return
			}
			if strings.HasPrefix(string(body), `["OK"`) && verified.Add(1) == 1 {
				close(first)
			}
		}
	})
	<-first // the flood runs
	const honestly = 100
	for i := range honestly {
		honest.take(sign(t, stranger, 20001, time.Now(), fmt.Sprint(i)))
	}
	n := verified.Load()
	if most := int64((burst+rate*time.Since(began).Seconds())/badSignature) + 2; n > most {
		t.Errorf("%d forged events were verified, want at most %d", n, most)
	}
	select {
	case <-ended:
		t.Error("the flood had ended")
	default:
	}
	stop()
	beside.Wait()
	t.Logf("%d forged events verified while %d honest ones passed", n, honestly)
}
