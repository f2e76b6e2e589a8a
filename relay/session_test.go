package relay

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
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

// TestReaderThatNeverReadsSlowsNobody has a subscriber that stops reading while a publisher goes on.
func TestReaderThatNeverReadsSlowsNobody(t *testing.T) {
	r := start(t, func(c *Config) { c.Queue = 64 })
	raw, err := net.Dial("tcp", strings.TrimPrefix(r.URL(), "ws://"))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.(*net.TCPConn).SetReadBuffer(4096)
	fmt.Fprintf(raw, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	frame := func(body []byte) []byte { // one masked text frame; the mask is zero
		head := []byte{0x81, 0x80 | byte(len(body)), 0, 0, 0, 0}
		return append(head, body...)
	}
	raw.Write(frame([]byte(`["REQ","x",{"kinds":[1]}]`)))
	c := dial(t, r)
	healthy := dial(t, r)
	healthy.say("REQ", "x", nostr.Filter{Kinds: []int{1}, Limit: 1})
	healthy.hear("EOSE")
	heard := make(chan int, 1)
	const n = 1500
	go func() {
		got := 0
		for ; got < n; got++ {
			if _, _, err := healthy.ws.Read(ctx); err != nil {
				break
			}
		}
		heard <- got
	}()
	content := strings.Repeat("x", 8000)
	slowest := time.Duration(0)
	for i := range n {
		ev := sign(t, node, 1, time.Now(), fmt.Sprint(i, content))
		began := time.Now()
		c.take(ev)
		slowest = max(slowest, time.Since(began))
	}
	if slowest > 5*time.Second {
		t.Errorf("a publisher waited %s", slowest)
	}
	select {
	case got := <-heard:
		if got != n {
			t.Errorf("the healthy reader heard %d of %d", got, n)
		}
	case <-time.After(20 * time.Second):
		t.Error("the healthy reader was held up")
	}
	deadline := time.Now().Add(15 * time.Second)
	for {
		r.mu.Lock()
		left := len(r.sessions)
		r.mu.Unlock()
		if left == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d sessions are left: the reader that never reads was not dropped", left)
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("slowest of %d publishes: %s", n, slowest)
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
	beside.Go(func() {
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
	var slowest time.Duration
	for i := range 100 {
		began := time.Now()
		honest.take(sign(t, stranger, 1, time.Now(), fmt.Sprint(i)))
		slowest = max(slowest, time.Since(began))
	}
	most := int64((burst+rate*time.Since(began).Seconds())/badSignature) + 2
	if n := verified.Load(); n > most {
		t.Errorf("%d forged events were verified, want at most %d", n, most)
	}
	stop()
	beside.Wait()
	if slowest > time.Second {
		t.Errorf("an honest publish took %s", slowest)
	}
	t.Logf("%d forged events verified, slowest honest publish %s", verified.Load(), slowest)
}
