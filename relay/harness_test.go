package relay

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

var (
	ctx      = context.Background()
	customer = events.GenerateKeys()
	node     = events.GenerateKeys()
	stranger = events.GenerateKeys()
)

// clock is a relay's clock that a test can turn.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) turn(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// start runs a relay for a test.
func start(t testing.TB, change func(*Config)) *Relay {
	t.Helper()
	c := Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"}
	if change != nil {
		change(&c)
	}
	r, err := Open(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	runCtx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); r.Run(runCtx) }()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

// hung is how long a test waits for what must come: no machine is so slow.
const hung = 3 * time.Minute

// eventually waits for a state that nothing announces.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(hung); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// client is a raw WebSocket: tests see every message.
type client struct {
	t  testing.TB
	ws *websocket.Conn
}

func dial(t testing.TB, r *Relay) *client {
	t.Helper()
	ws, _, err := websocket.Dial(ctx, r.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(1 << 20)
	t.Cleanup(func() { ws.CloseNow() })
	return &client{t, ws}
}

func (c *client) say(parts ...any) {
	c.t.Helper()
	body, err := json.Marshal(parts)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.ws.Write(ctx, websocket.MessageText, body); err != nil {
		c.t.Fatal(err)
	}
}

// hear reads messages until one of a kind comes; AUTH challenges are passed over.
func (c *client) hear(kind string) []json.RawMessage {
	c.t.Helper()
	bounded, cancel := context.WithTimeout(ctx, hung)
	defer cancel()
	for {
		_, body, err := c.ws.Read(bounded)
		if err != nil {
			c.t.Fatalf("waiting for %s: %v", kind, err)
		}
		var parts []json.RawMessage
		if err := json.Unmarshal(body, &parts); err != nil {
			c.t.Fatal(err)
		}
		if text(parts[0]) == kind {
			return parts
		}
		if text(parts[0]) != "AUTH" {
			c.t.Fatalf("waiting for %s, heard %s", kind, body)
		}
	}
}

func text(raw json.RawMessage) (s string) {
	json.Unmarshal(raw, &s)
	return s
}

// publish publishes an event and gives the relay's answer.
func (c *client) publish(ev *nostr.Event) (ok bool, reason string) {
	c.t.Helper()
	c.say("EVENT", ev)
	parts := c.hear("OK")
	if text(parts[1]) != ev.ID {
		c.t.Fatalf("OK for %s, not for %s", parts[1], ev.ID)
	}
	return string(parts[2]) == "true", text(parts[3])
}

func (c *client) take(ev *nostr.Event) {
	c.t.Helper()
	if ok, reason := c.publish(ev); !ok {
		c.t.Fatalf("kind %d refused: %s", ev.Kind, reason)
	}
}

func (c *client) refuses(ev *nostr.Event, prefix string) {
	c.t.Helper()
	if ok, reason := c.publish(ev); ok || !strings.HasPrefix(reason, prefix) {
		c.t.Errorf("kind %d: OK %v %q, want it refused with %q", ev.Kind, ok, reason, prefix)
	}
}

// query gives what is stored.
func (c *client) query(filters ...nostr.Filter) (found []*nostr.Event) {
	c.t.Helper()
	parts := []any{"REQ", "query"}
	for _, f := range filters {
		parts = append(parts, f)
	}
	c.say(parts...)
	bounded, cancel := context.WithTimeout(ctx, hung)
	defer cancel()
	for {
		_, body, err := c.ws.Read(bounded)
		if err != nil {
			c.t.Fatal(err)
		}
		switch m := nostr.ParseMessage(string(body)).(type) {
		case *nostr.EventEnvelope:
			found = append(found, &m.Event)
		case *nostr.EOSEEnvelope:
			c.say("CLOSE", "query")
			return found
		case *nostr.ClosedEnvelope:
			c.t.Fatalf("closed: %s", m.Reason)
		}
	}
}

func sign(t testing.TB, k *events.Keys, kind int, at time.Time, content string, tags ...nostr.Tag) *nostr.Event {
	t.Helper()
	ev := &nostr.Event{Kind: kind, CreatedAt: nostr.Timestamp(at.Unix()), Content: content, Tags: tags}
	if err := k.Sign(ctx, ev); err != nil {
		t.Fatal(err)
	}
	return ev
}

func signed(t testing.TB, k *events.Keys, m events.Message) *nostr.Event {
	t.Helper()
	ev, err := events.Sign(ctx, m, k)
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

func head() events.Head {
	now := events.At(time.Now())
	return events.Head{At: now, Expires: now.Add(events.KeepJob)}
}

func auction(t testing.TB, to ...events.PubKey) *nostr.Event {
	return signed(t, customer, &events.Request{
		Head: head(), Kind: events.KindText, Profile: true, Deadline: events.At(time.Now()) + 60, To: to,
		Inputs: []events.Input{{Value: "hi", Type: "text"}}, Bids: &events.Auction{Seconds: 1, Mode: "auto"},
	})
}

func mustJSON(parts ...any) []byte {
	body, err := json.Marshal(parts)
	if err != nil {
		panic(err)
	}
	return body
}
