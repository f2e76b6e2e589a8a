package relay

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/httpd"
)

// get asks the relay's listener for something.
func get(t *testing.T, r *Relay, method, path string, headers http.Header) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, r.Door.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header, req.Host = headers.Clone(), headers.Get("Host")
	req.Header.Del("Host")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// TestWhatTheRelayDoesIsCounted: every event that comes in ends in one counter.
func TestWhatTheRelayDoesIsCounted(t *testing.T) {
	r := start(t, nil)
	c, reader := dial(t, r), dial(t, r)
	note := sign(t, node, 1, time.Now(), "x")
	c.take(note)
	c.take(note)
	reader.say("REQ", "x", nostr.Filter{Kinds: []int{1, 20001}})
	reader.hear("EVENT")
	reader.hear("EOSE")
	c.take(sign(t, node, 20001, time.Now(), "x"))
	reader.hear("EVENT")
	c.refuses(sign(t, node, 1, time.Now().Add(events.MaxFuture+time.Hour), "x"), "invalid:")
	forged := sign(t, node, 1, time.Now(), "y")
	forged.Content = "z"
	c.refuses(forged, "invalid:")
	c.say("REQ", "y", nostr.Filter{Kinds: []int{7}})
	c.hear("EOSE")
	c.say("CLOSE", "y")
	c.query(nostr.Filter{Kinds: []int{7}}) // what comes after has been taken
	_, said := get(t, r, "GET", "/metrics", http.Header{})
	for _, line := range []string{
		"infernet_relay_connections 2", "infernet_relay_connections_opened_total 2", "infernet_relay_connections_dropped_total 0",
		"infernet_relay_events_received_total 5", "infernet_relay_events_stored_total 1", "infernet_relay_events_duplicate_total 1",
		"infernet_relay_events_ephemeral_total 1", `infernet_relay_events_refused_total{reason="invalid"} 2`, `infernet_relay_events_refused_total{reason="blocked"} 0`,
		`infernet_relay_events_delivered_total{from="store"} 1`, `infernet_relay_events_delivered_total{from="live"} 1`,
		`infernet_relay_event_seconds_count{until="stored"} 1`, `infernet_relay_event_seconds_count{until="delivered"} 2`,
	} {
		if !strings.Contains(said, line+"\n") {
			t.Errorf("it does not say %s", line)
		}
	}
	reader.ws.CloseNow()
	c.ws.CloseNow()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		_, said := get(t, r, "GET", "/metrics", http.Header{})
		if strings.Contains(said, "infernet_relay_connections 0\n") && strings.Contains(said, "infernet_relay_subscriptions 0\n") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("who has left is still counted: %s", said)
		}
	}
}

// TestEveryPageMayTalkToTheRelay, by any name, and to nothing else at its address.
func TestEveryPageMayTalkToTheRelay(t *testing.T) {
	r := start(t, nil)
	evil := http.Header{"Host": {"evil.example"}, "Origin": {"https://evil.example"}}
	ws, _, err := websocket.Dial(ctx, r.URL(), &websocket.DialOptions{HTTPHeader: evil, Host: "evil.example"})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t, ws}
	c.take(sign(t, node, 1, time.Now(), "x"))
	ws.CloseNow()
	facts := evil.Clone()
	facts.Set("Accept", "application/nostr+json")
	resp, said := get(t, r, "GET", "/", facts)
	if resp.StatusCode != 200 || resp.Header.Get("Access-Control-Allow-Origin") != "*" || !json.Valid([]byte(said)) {
		t.Errorf("the facts: %d %v", resp.StatusCode, resp.Header)
	}
	asks := evil.Clone()
	asks.Set("Access-Control-Request-Method", "GET")
	if resp, _ := get(t, r, "OPTIONS", "/", asks); resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("asked first: %d %v", resp.StatusCode, resp.Header)
	}
	for _, path := range []string{"/", "/metrics", "/openapi.json", "/docs", "/nothing"} {
		if resp, _ := get(t, r, "GET", path, evil); resp.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	resp, said = get(t, r, "GET", "/openapi.json", http.Header{})
	if resp.StatusCode != 200 || !strings.Contains(said, "NIP-11") {
		t.Errorf("the document: %d", resp.StatusCode)
	}
}

// TestRelaySharesItsListener with something else, that ends with it.
func TestRelaySharesItsListener(t *testing.T) {
	door, err := httpd.Open(httpd.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	door.Mount("GET /other", httpd.Rules{Access: httpd.Anyone}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "other") }))
	r := start(t, func(c *Config) { c.Listen, c.Door = "", door })
	if _, said := get(t, r, "GET", "/other", http.Header{}); said != "other" {
		t.Errorf("the other says %q", said)
	}
	dial(t, r).take(sign(t, node, 1, time.Now(), "x"))
	if _, said := get(t, r, "GET", "/healthz", http.Header{}); !strings.Contains(said, "ok") {
		t.Errorf("healthz says %q", said)
	}
}
