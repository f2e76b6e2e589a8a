package relay

import (
	"context"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// FuzzMessage sends a real relay anything as a client's message, and again signed where it is an event: the relay lives and
// goes on to answer, every answer is a message of NIP-01, and every event that it gives is one that somebody signed.
func FuzzMessage(f *testing.F) {
	for _, s := range []string{
		`["EVENT",{"kind":1,"created_at":1800000000,"tags":[],"content":"a"}]`, `["EVENT",{"kind":30000,"tags":[["d"]]}]`, `["EVENT",{"kind":5,"tags":[["e","x"],["a","30000:k:d"],["a"]]}]`,
		`["REQ","s",{"kinds":[1],"limit":1}]`, `["REQ","s",{"#e":["x"],"#p":[],"ids":["zz"],"authors":[""],"since":-1,"until":99999999999999,"limit":-5}]`, `["REQ","",{}]`, `["REQ","s"]`,
		`["REQ","s",{"search":"x"}]`, `["REQ","s",{"kinds":[5050],"#e":["a"]},{"limit":0}]`, `["CLOSE","s"]`, `["CLOSE"]`, `["AUTH",{"kind":22242,"tags":[["challenge"],["relay","x"]]}]`, `["COUNT","s",{}]`,
		`["NEG-OPEN","s",{},"61"]`, `["EVENT"]`, `[]`, `{}`, ``, `["EVENT",null]`, `["EVENT",{"tags":[null,[null]]}]`, `["REQ",7,{}]`, `["REQ","\u0000",{"kinds":["1"]}]`,
	} {
		f.Add(s)
	}
	var c *client
	stop, messages := func() {}, 0
	anew := func() { // from time to time, so that what is stored stays small
		stop()
		r, err := Open(ctx, Config{Listen: "127.0.0.1:0", Rate: math.MaxInt32, Burst: math.MaxInt32})
		if err != nil {
			f.Fatal(err)
		}
		running, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { defer close(done); r.Run(running) }()
		stop = func() { cancel(); <-done }
		ws, _, err := websocket.Dial(ctx, r.URL(), nil)
		if err != nil {
			f.Fatal(err)
		}
		ws.SetReadLimit(1 << 20)
		c, messages = &client{f, ws}, 0
	}
	anew()
	f.Cleanup(func() { stop() })
	f.Fuzz(func(t *testing.T, body string) {
		if messages++; messages > 5000 {
			anew()
		}
		c.t = t
		if ev := eventIn(body); ev != nil && node.Sign(ctx, ev) == nil {
			c.say("EVENT", ev)
		}
		within, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		if err := c.ws.Write(within, websocket.MessageText, []byte(body)); err != nil {
			t.Fatal(err)
		}
		c.say("CLOSE", "s")
		const end = "the end of one message"
		c.say("REQ", end, nostr.Filter{IDs: []string{strings.Repeat("0", 64)}})
		for {
			_, frame, err := c.ws.Read(within)
			if err != nil {
				t.Fatalf("after %q: %v", body, err)
			}
			var parts []json.RawMessage
			if err := json.Unmarshal(frame, &parts); err != nil || len(parts) < 2 {
				t.Fatalf("%q is answered with %s", body, frame)
			}
			if text(parts[0]) == "EVENT" {
				var ev nostr.Event
				if err := json.Unmarshal(parts[2], &ev); err != nil || events.Verify(&ev) != nil {
					t.Fatalf("%q is answered with an event that nobody signed: %s", body, frame)
				}
			}
			if text(parts[1]) == end {
				if kind := text(parts[0]); kind != "EOSE" && kind != "CLOSED" {
					t.Fatalf("after %q: %s", body, frame)
				}
				break
			}
		}
		c.say("CLOSE", end)
	})
}

// eventIn is the event that a message publishes, to be signed.
func eventIn(body string) *nostr.Event {
	m, ok := nostr.ParseMessage(body).(*nostr.EventEnvelope)
	if !ok {
		return nil
	}
	if m.Event.CreatedAt == 0 {
		m.Event.CreatedAt = nostr.Now()
	}
	return &m.Event
}
