package pool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nbd-wtf/go-nostr"
)

// place is an address where a relay may come and go. What comes there is kept, one list for each connection.
type place struct {
	t      *testing.T
	listen string
	url    string
	ok     bool // says OK to what comes

	mu    sync.Mutex
	heard [][]string // by connection: the contents of its events
	came  chan struct{}
}

func newPlace(t *testing.T, ok bool) *place {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := l.Addr().String()
	return &place{t: t, listen: at, url: "ws://" + at, ok: ok, came: make(chan struct{}, 1)}
}

// start runs a relay there until stop.
func (p *place) start() (stop func()) {
	p.t.Helper()
	l, err := net.Listen("tcp", p.listen)
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var sessions sync.WaitGroup
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		sessions.Add(1)
		defer sessions.Done()
		defer ws.CloseNow()
		ws.SetReadLimit(maxFrame)
		p.mu.Lock()
		p.heard = append(p.heard, nil)
		n := len(p.heard) - 1
		p.mu.Unlock()
		for {
			_, body, err := ws.Read(ctx)
			if err != nil {
				return
			}
			m, event := nostr.ParseMessage(string(body)).(*nostr.EventEnvelope)
			if !event {
				continue
			}
			p.mu.Lock()
			p.heard[n] = append(p.heard[n], m.Content)
			p.mu.Unlock()
			select {
			case p.came <- struct{}{}:
			default:
			}
			if p.ok {
				out, _ := json.Marshal([]any{"OK", m.ID, true, ""})
				ws.Write(ctx, websocket.MessageText, out)
			}
		}
	})}
	go server.Serve(l)
	var once sync.Once
	stop = func() { once.Do(func() { server.Close(); cancel(); sessions.Wait() }) }
	p.t.Cleanup(stop)
	return stop
}

// await waits until enough has been heard there.
func (p *place) await(enough func(heard [][]string) bool) [][]string {
	p.t.Helper()
	hung := time.After(time.Minute)
	for {
		p.mu.Lock()
		heard := append([][]string(nil), p.heard...)
		p.mu.Unlock()
		if enough(heard) {
			return heard
		}
		select {
		case <-p.came:
		case <-hung:
			p.t.Fatalf("heard on %d connections, and then no more", len(heard))
		}
	}
}

func lastIs(text string) func([][]string) bool {
	return func(heard [][]string) bool {
		if len(heard) == 0 {
			return false
		}
		all := heard[len(heard)-1]
		return len(all) > 0 && all[len(all)-1] == text
	}
}

func ephemeral(t *testing.T, text string) *nostr.Event {
	t.Helper()
	ev := &nostr.Event{Kind: 20001, CreatedAt: nostr.Now(), Content: text}
	if err := keys.Sign(context.Background(), ev); err != nil {
		t.Fatal(err)
	}
	return ev
}

// kept is how many events wait for a relay's answer.
func (p *Pool) kept(i int) int {
	p.conns[i].mu.Lock()
	defer p.conns[i].mu.Unlock()
	return p.conns[i].out.order.Len()
}

// eventually waits for a state that nothing announces.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// TestWhatNobodyWaitsForIsForgotten: what one relay has said OK to, and whose context has ended, does not wait for
// another that is away. Once more of it waited than a queue holds, and the connection was lost at each reconnect.
func TestWhatNobodyWaitsForIsForgotten(t *testing.T) {
	away, here := newPlace(t, true), newPlace(t, true)
	here.start()
	p := open(t, nil, away.url, here.url)
	for i := range 5000 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if err := p.Publish(ctx, ephemeral(t, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	eventually(t, "events whose contexts have ended wait for ever", func() bool { return p.kept(0) == 0 && p.kept(1) == 0 })
	lasting := within(t, time.Minute)
	if err := p.Publish(lasting, note(t, "lasts")); err != nil {
		t.Fatal(err)
	}
	away.start()
	heard := away.await(lastIs("lasts"))
	if len(heard) != 1 || len(heard[0]) != 1 {
		t.Errorf("on %d connections, the last one brought %d events", len(heard), len(heard[len(heard)-1]))
	}
	eventually(t, "an answered event waits on", func() bool { return p.kept(0) == 0 })
}

// TestARelayThatReturnsGetsWhatItMissed, all of it, in order, over one connection, while the contexts last.
func TestARelayThatReturnsGetsWhatItMissed(t *testing.T) {
	away, here := newPlace(t, true), newPlace(t, true)
	here.start()
	p := open(t, nil, away.url, here.url)
	ctx := within(t, 2*time.Minute)
	const n = 6000
	for i := range n {
		if err := p.Publish(ctx, note(t, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	away.start()
	heard := away.await(lastIs(fmt.Sprint(n - 1)))
	if len(heard) != 1 || len(heard[0]) != n {
		t.Fatalf("over %d connections %d events came, want %d over 1", len(heard), len(heard[len(heard)-1]), n)
	}
	for i, text := range heard[0] {
		if text != fmt.Sprint(i) {
			t.Fatalf("event %s in place %d", text, i)
		}
	}
	eventually(t, "answered events wait on", func() bool { return p.kept(0) == 0 && p.kept(1) == 0 })
}

// TestEphemeralEventsDoNotWaitForARelayThatIsAway: who returns after minutes has no use for them.
func TestEphemeralEventsDoNotWaitForARelayThatIsAway(t *testing.T) {
	away, here := newPlace(t, true), newPlace(t, true)
	stop := here.start()
	clock := newClock()
	p := open(t, []Option{clock.set}, away.url, here.url)
	ctx := within(t, time.Minute)
	if err := p.Publish(ctx, ephemeral(t, "said")); err != nil { // its context lasts
		t.Fatal(err)
	}
	eventually(t, "an ephemeral event that was heard waits on", func() bool { return p.kept(0) == 0 })
	stop()
	eventually(t, "the relay seems connected", func() bool { return !p.Status()[1].Connected })
	unheard := p.Send(ctx, ephemeral(t, "unheard"))
	clock.turn(ephemeralFor + time.Second)
	kept := p.Send(ctx, note(t, "kept"))
	if err := <-unheard; !errors.Is(err, errStale) {
		t.Errorf("of an event that was too old: %v", err)
	}
	away.start()
	if err := <-kept; err != nil {
		t.Error(err)
	}
	if heard := away.await(lastIs("kept")); len(heard) != 1 || len(heard[0]) != 1 {
		t.Errorf("heard %v", heard)
	}
}

// TestTheSameEventSentTwiceIsAnsweredTwice.
func TestTheSameEventSentTwiceIsAnsweredTwice(t *testing.T) {
	away := newPlace(t, true)
	p := open(t, nil, away.url)
	ctx := within(t, time.Minute)
	ev := note(t, "x")
	first, second := p.Send(ctx, ev), p.Send(ctx, ev)
	short, cancel := context.WithCancel(ctx)
	third := p.Send(short, ev)
	cancel()
	if err := <-third; !errors.Is(err, context.Canceled) {
		t.Errorf("the third, whose context has ended: %v", err)
	}
	away.start()
	for _, sent := range []<-chan error{first, second} {
		select {
		case err := <-sent:
			if err != nil {
				t.Error(err)
			}
		case <-ctx.Done():
			t.Fatal("one who sent it hears nothing")
		}
	}
	eventually(t, "an answered event waits on", func() bool { return p.kept(0) == 0 })
}

// TestTheOutboxIsBounded: of too many, ephemeral ones go first, then what another relay has, the oldest first; what is
// nowhere stays, and then the newest hear that there is no room.
func TestTheOutboxIsBounded(t *testing.T) {
	away := newPlace(t, true)
	p := open(t, nil, away.url)
	ctx := within(t, time.Minute)
	awaited := p.Send(ctx, note(t, "awaited"))
	flood := make([]<-chan error, maxKept)
	for i := range flood {
		flood[i] = p.Send(ctx, ephemeral(t, fmt.Sprint(i)))
	}
	if err := <-flood[0]; !errors.Is(err, errFull) {
		t.Errorf("the oldest: %v", err)
	}
	if n := p.kept(0); n > maxKept {
		t.Errorf("%d events wait", n)
	}
	big := make([]byte, 59_000)
	for i := range big {
		big[i] = 'x'
	}
	var refused int
	for i := range maxKeptBytes/len(big) + 10 {
		select {
		case err := <-p.Send(ctx, note(t, fmt.Sprint(i, string(big)))):
			if !errors.Is(err, errFull) {
				t.Fatal(err)
			}
			refused++
		default:
		}
	}
	if refused < 9 || refused > 20 {
		t.Errorf("%d were refused", refused)
	}
	select {
	case err := <-flood[len(flood)-1]:
		if !errors.Is(err, errFull) {
			t.Errorf("the newest ephemeral one: %v", err)
		}
	case err := <-awaited:
		t.Errorf("what is stored nowhere was given up: %v", err)
	}
	away.start()
	if err := <-awaited; err != nil {
		t.Error(err)
	}
}
