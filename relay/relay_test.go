package relay

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

func TestShutdownKeepsWhatWasPromised(t *testing.T) {
	dir := t.TempDir()
	r, err := Open(ctx, Config{Dir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	runCtx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); r.Run(runCtx) }()
	c := dial(t, r)
	var ids []string
	for i := range 50 {
		ev := sign(t, node, 1, time.Now(), fmt.Sprint(i))
		c.take(ev)
		ids = append(ids, ev.ID)
	}
	cancel()
	if _, _, err := c.ws.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the client was told %v", err)
	}
	<-done
	again := start(t, func(c *Config) { c.Dir = dir })
	if found := dial(t, again).query(nostr.Filter{IDs: ids}); len(found) != len(ids) {
		t.Errorf("%d of %d events are left", len(found), len(ids))
	}
}

func TestURLOfAllAddressesIsThisMachines(t *testing.T) {
	r := start(t, func(c *Config) { c.Listen = "0.0.0.0:0" })
	if !strings.HasPrefix(r.URL(), "ws://127.0.0.1:") || events.CheckRelay(r.URL()) != nil {
		t.Errorf("URL %s", r.URL())
	}
	dial(t, r)
}

func TestPortInUse(t *testing.T) {
	r := start(t, nil)
	_, err := Open(ctx, Config{Listen: strings.TrimPrefix(r.URL(), "ws://")})
	if err == nil || !strings.Contains(err.Error(), "another program uses the port") {
		t.Errorf("got %v", err)
	}
}

func TestFactsOfTheRelay(t *testing.T) {
	r := start(t, func(c *Config) { c.Name = "the market" })
	req, err := http.NewRequest(http.MethodGet, "http"+strings.TrimPrefix(r.URL(), "ws"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html, application/nostr+json;q=0.9")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var facts struct {
		Name string `json:"name"`
		NIPs []int  `json:"supported_nips"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&facts); err != nil || facts.Name != "the market" || !strings.HasPrefix(fmt.Sprint(facts.NIPs), "[1 9 11 40 42 45 50 70 77") {
		t.Errorf("facts %+v, %v", facts, err)
	}
}

// TestHandlerAloneIsARelay: it may be mounted by another listener; Close ends it, and its connections.
func TestHandlerAloneIsARelay(t *testing.T) {
	r, err := Open(ctx, Config{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(r.Handler())
	defer server.Close()
	ws, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(server.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t, ws}
	c.take(sign(t, node, 1, time.Now(), "x"))
	closed := make(chan error, 1)
	go func() { closed <- r.Close() }()
	if _, _, err := ws.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the client was told %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// TestShutdownAnswersWhatIsUnderWay: every event that is found after a restart got its OK or none, and every OK holds.
func TestShutdownAnswersWhatIsUnderWay(t *testing.T) {
	dir := t.TempDir()
	r, err := Open(ctx, Config{Dir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	runCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- r.Run(runCtx) }()
	c := dial(t, r)
	go func() {
		for i := range 2000 {
			if c.ws.Write(ctx, websocket.MessageText, mustJSON("EVENT", sign(t, node, 1, time.Now(), fmt.Sprint(i)))) != nil {
				return
			}
		}
	}()
	var acked []string
	for {
		_, body, err := c.ws.Read(ctx)
		if err != nil {
			if websocket.CloseStatus(err) != websocket.StatusGoingAway {
				t.Errorf("the client was told %v", err)
			}
			break
		}
		if m, ok := nostr.ParseMessage(string(body)).(*nostr.OKEnvelope); ok && m.OK {
			if acked = append(acked, m.EventID); len(acked) == 50 {
				cancel()
			}
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	again := start(t, func(c *Config) { c.Dir = dir })
	found := dial(t, again).query(nostr.Filter{Kinds: []int{1}})
	if len(found) != len(acked) {
		t.Errorf("%d events got their OK, %d are on the disk", len(acked), len(found))
	}
}

// TestExpiringEventsTakeNoMemory: khatru would keep the id of each until it expires.
func TestExpiringEventsTakeNoMemory(t *testing.T) {
	r := start(t, nil)
	dial(t, r).take(sign(t, node, 1, time.Now(), "", nostr.Tag{"expiration", fmt.Sprint(time.Now().Unix() + 3600)}))
	if kept := reflect.ValueOf(r.khatru).Elem().FieldByName("expirationManager").Elem().FieldByName("events").Len(); kept != 0 {
		t.Errorf("khatru keeps %d", kept)
	}
}
