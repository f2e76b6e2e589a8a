package pool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nbd-wtf/go-nostr"
	"go.uber.org/goleak"

	"infernet/events"
	"infernet/relay"
)

var keys = events.GenerateKeys()

// khatru starts one goroutine for each relay that nothing can end.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/fiatjaf/khatru.(*expirationManager).start"), goleak.IgnoreAnyFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

// testRelay is a real relay that can be stopped and started again in its place.
type testRelay struct {
	t      *testing.T
	dir    string
	listen string
	url    string
	change func(*relay.Config)
	stop   func()
}

func newRelay(t *testing.T) *testRelay {
	r := &testRelay{t: t, dir: filepath.Join(t.TempDir(), "relay"), listen: "127.0.0.1:0"}
	r.start()
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *testRelay) start() {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	config := relay.Config{Dir: r.dir, Listen: r.listen}
	if r.change != nil {
		r.change(&config)
	}
	up, err := relay.Open(ctx, config)
	if err != nil {
		r.t.Fatal(err)
	}
	r.url = up.URL()
	r.listen = strings.TrimPrefix(r.url, "ws://")
	done := make(chan struct{})
	go func() { defer close(done); up.Run(ctx) }()
	r.stop = func() { cancel(); <-done }
}

func note(t *testing.T, text string) *nostr.Event {
	t.Helper()
	ev := &nostr.Event{Kind: 1, CreatedAt: nostr.Now(), Content: text}
	if err := keys.Sign(context.Background(), ev); err != nil {
		t.Fatal(err)
	}
	return ev
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func open(t *testing.T, opts []Option, urls ...string) *Pool {
	p := New(context.Background(), urls, append([]Option{forEver}, opts...)...)
	t.Cleanup(func() { p.Close() })
	return p
}

// scripted is a server that answers each message as a test says; false hangs up.
func scripted(t *testing.T, answer func(n int, m nostr.Envelope, say func(parts ...any)) bool) string {
	var mu sync.Mutex
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer ws.CloseNow()
		for {
			_, body, err := ws.Read(r.Context())
			if err != nil {
				return
			}
			mu.Lock()
			n++
			goOn := answer(n, nostr.ParseMessage(string(body)), func(parts ...any) {
				out, _ := json.Marshal(parts)
				ws.Write(r.Context(), websocket.MessageText, out)
			})
			mu.Unlock()
			if !goOn {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http")
}

func TestRefusalIsTyped(t *testing.T) {
	r := newRelay(t)
	p := open(t, nil, r.url)
	ev := note(t, "x")
	ev.Content = "forged"
	err := p.Publish(within(t, time.Minute), ev)
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.Prefix() != "invalid" || refused.Relay != r.url {
		t.Errorf("got %v", err)
	}
}

func TestPublishedMeansThatARelaySaidOK(t *testing.T) {
	seen := 0
	url := scripted(t, func(_ int, m nostr.Envelope, say func(...any)) bool {
		ev, ok := m.(*nostr.EventEnvelope)
		if !ok {
			return true
		}
		if seen++; seen == 1 {
			return false // hangs up before it has said OK
		}
		say("OK", ev.ID, true, "")
		return true
	})
	p := open(t, nil, url)
	if err := p.Publish(within(t, time.Minute), note(t, "x")); err != nil {
		t.Fatal(err)
	}
	if seen != 2 {
		t.Errorf("the event came %d times: the hang-up counted as OK", seen)
	}
}

func TestPublishEndsWithItsContext(t *testing.T) {
	url := scripted(t, func(int, nostr.Envelope, func(...any)) bool { return true }) // never answers
	p := open(t, nil, url)
	if err := p.Publish(within(t, 200*time.Millisecond), note(t, "x")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestDuplicateIsOK(t *testing.T) {
	r := newRelay(t)
	p := open(t, nil, r.url)
	ev := note(t, "x")
	for range 2 {
		if err := p.Publish(within(t, time.Minute), ev); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSubscriptionSurvivesARestartAndLosesNothing(t *testing.T) {
	r := newRelay(t)
	writer, reader := open(t, nil, r.url), open(t, nil, r.url)
	ctx := within(t, time.Minute)
	sub := reader.Subscribe(ctx, nostr.Filter{Kinds: []int{1}})
	<-sub.EOSE
	const n = 60
	written := make(chan struct{})
	go func() {
		defer close(written)
		for i := range n {
			if i == 20 || i == 40 {
				r.stop()
				r.start()
			}
			if err := writer.Publish(ctx, note(t, fmt.Sprint(i))); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	got := map[string]int{}
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
	<-written
}

// TestWatchTellsOfLossAndReturn stops a relay and starts it again in its place; the first connection is no news.
func TestWatchTellsOfLossAndReturn(t *testing.T) {
	r := newRelay(t)
	news := make(chan bool, 8)
	p := open(t, []Option{WithWatch(func(relay string, back bool, why error) {
		if relay != r.url || back != (why == nil) {
			t.Errorf("%s: back %v, %v", relay, back, why)
		}
		news <- back
	})}, r.url)
	if err := p.Publish(within(t, 5*time.Second), note(t, "there")); err != nil {
		t.Fatal(err)
	}
	r.stop()
	for _, want := range []bool{false, true} {
		select {
		case got := <-news:
			if got != want {
				t.Fatalf("back: %v, want %v", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("nothing is told, want back: %v", want)
		}
		if !want {
			r.start()
		}
	}
}

func TestTwoRelaysGiveEachEventOnce(t *testing.T) {
	a, b := newRelay(t), newRelay(t)
	p := open(t, nil, a.url, b.url, a.url+"/")
	if len(p.Status()) != 2 {
		t.Errorf("connected to %v", p.Status())
	}
	ctx := within(t, time.Minute)
	for i := range 20 {
		only := open(t, nil, []string{a.url, b.url}[i%2])
		ev := note(t, fmt.Sprint(i))
		if err := only.Publish(ctx, ev); err != nil {
			t.Fatal(err)
		}
		if err := p.Publish(ctx, ev); err != nil {
			t.Fatal(err)
		}
		only.Close()
	}
	connected(t, p, 0, 1)
	found, err := p.Query(ctx, nostr.Filter{Kinds: []int{1}})
	if err != nil || len(found) != 20 {
		t.Errorf("found %d, %v", len(found), err)
	}
}

func TestOneRelayAwayDoesNotStopTheOther(t *testing.T) {
	r := newRelay(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := "ws://" + l.Addr().String()
	l.Close()
	p := open(t, nil, dead, r.url)
	ctx := within(t, time.Minute)
	if err := p.Publish(ctx, note(t, "x")); err != nil {
		t.Fatal(err)
	}
	found, err := p.Query(ctx, nostr.Filter{Kinds: []int{1}})
	if err != nil || len(found) != 1 {
		t.Errorf("found %d, %v", len(found), err)
	}
}

func TestForgedEventsAreDropped(t *testing.T) {
	good, forged, other := note(t, "good"), note(t, "forged"), note(t, "other")
	forged.Content = "changed"
	other.Kind = 7
	url := scripted(t, func(_ int, m nostr.Envelope, say func(...any)) bool {
		if req, ok := m.(*nostr.ReqEnvelope); ok {
			for _, ev := range []*nostr.Event{forged, other, good} {
				say("EVENT", req.SubscriptionID, ev)
			}
			say("EOSE", req.SubscriptionID)
		}
		return true
	})
	found, err := open(t, nil, url).Query(within(t, time.Minute), nostr.Filter{Kinds: []int{1}})
	if err != nil || len(found) != 1 || found[0].ID != good.ID {
		t.Errorf("found %v, %v", found, err)
	}
}

func TestAuthenticatesWhenAsked(t *testing.T) {
	authed := false
	url := scripted(t, func(_ int, m nostr.Envelope, say func(...any)) bool {
		switch m := m.(type) {
		case *nostr.EventEnvelope:
			if !authed {
				say("AUTH", "challenge")
				say("OK", m.ID, false, "auth-required: who are you?")
				return true
			}
			say("OK", m.ID, true, "")
		case *nostr.ReqEnvelope:
			if !authed {
				say("AUTH", "challenge")
				say("CLOSED", m.SubscriptionID, "auth-required: who are you?")
				return true
			}
			say("EVENT", m.SubscriptionID, note(t, "x"))
			say("EOSE", m.SubscriptionID)
		case *nostr.AuthEnvelope:
			authed = m.Event.Kind == 22242 && m.Event.PubKey == string(keys.PublicKey()) && m.Event.Tags.Find("challenge")[1] == "challenge"
			say("OK", m.Event.ID, authed, "")
		}
		return true
	})
	p := open(t, []Option{WithSigner(keys)}, url)
	if err := p.Publish(within(t, time.Minute), note(t, "x")); err != nil {
		t.Fatal(err)
	}
	authed = false
	p = open(t, []Option{WithSigner(keys)}, url)
	if found, err := p.Query(within(t, time.Minute), nostr.Filter{Kinds: []int{1}}); err != nil || len(found) != 1 {
		t.Errorf("found %d, %v", len(found), err)
	}
}

func TestSendKeepsItsOrder(t *testing.T) {
	r := newRelay(t)
	p := open(t, nil, r.url)
	ctx := within(t, time.Minute)
	sub := open(t, nil, r.url).Subscribe(ctx, nostr.Filter{Kinds: []int{20001}})
	<-sub.EOSE
	const n = 300
	for i := range n {
		ev := &nostr.Event{Kind: 20001, CreatedAt: nostr.Now(), Content: fmt.Sprint(i)}
		if err := keys.Sign(ctx, ev); err != nil {
			t.Fatal(err)
		}
		p.Send(ctx, ev)
	}
	for i := range n {
		select {
		case ev := <-sub.Events:
			if ev.Content != fmt.Sprint(i) {
				t.Fatalf("event %s in place %d", ev.Content, i)
			}
		case <-ctx.Done():
			t.Fatalf("only %d came", i)
		}
	}
}

func TestReaderThatSleepsBlocksNobody(t *testing.T) {
	r := newRelay(t)
	p := open(t, nil, r.url)
	ctx := within(t, time.Minute)
	asleep := p.Subscribe(ctx, nostr.Filter{Kinds: []int{1}})
	<-asleep.EOSE
	for i := range 300 {
		if err := p.Publish(ctx, note(t, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := p.Query(ctx, nostr.Filter{Kinds: []int{1}, Limit: 5}); err != nil || len(found) != 5 {
		t.Errorf("found %d, %v", len(found), err)
	}
	for i := range 300 {
		if ev := <-asleep.Events; ev.Content != fmt.Sprint(i) {
			t.Fatalf("event %s in place %d", ev.Content, i)
		}
	}
}
