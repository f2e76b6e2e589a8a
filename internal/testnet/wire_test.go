package testnet

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// wire is the network between one party and the relay: a WebSocket proxy that counts the events that pass, and does
// something to one of them.
type wire struct {
	relay string // where it leads
	url   string // where it begins
	fault fault
	act   func() // kills somebody

	mu    sync.Mutex
	count map[string]int  // events that passed, by direction
	held  map[string]held // an event that lets the next one pass first, by direction
	done  bool            // the fault has happened
	cut   time.Time       // until when nothing passes
	ends  map[int]func()  // of open connections
	next  int
	fired chan struct{}
}

// held is a message and where it goes.
type held struct {
	to   *websocket.Conn
	body []byte
}

// Directions, from the party's side.
const (
	in  = "in"
	out = "out"
)

// cutFor is how long a cut network stays cut: longer than a reconnect, shorter than patience.
const cutFor = 1500 * time.Millisecond

// newWire starts a wire on which a fault happens; act kills whom it is about.
func newWire(t *testing.T, relay string, f fault, act func()) *wire {
	t.Helper()
	w := &wire{relay: relay, fault: f, act: act, count: map[string]int{}, held: map[string]held{}, ends: map[int]func(){}, fired: make(chan struct{})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.url = "ws://" + l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.serve(ctx, rw, r) })}
	var wait sync.WaitGroup
	wait.Go(func() { server.Serve(l) })
	t.Cleanup(func() {
		cancel()
		server.Close()
		w.hangUp()
		wait.Wait()
	})
	return w
}

// serve is one connection, until either side ends it.
func (w *wire) serve(ctx context.Context, rw http.ResponseWriter, r *http.Request) {
	if time.Now().Before(w.cutUntil()) {
		http.Error(rw, "the network is cut", http.StatusBadGateway)
		return
	}
	up, _, err := websocket.Dial(ctx, w.relay, nil)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadGateway)
		return
	}
	defer up.CloseNow()
	down, err := websocket.Accept(rw, r, nil)
	if err != nil {
		return
	}
	defer down.CloseNow()
	up.SetReadLimit(1 << 20)
	down.SetReadLimit(1 << 20)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.mu.Lock()
	id := w.next
	w.next++
	w.ends[id] = cancel
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.ends, id)
		w.mu.Unlock()
	}()
	var both sync.WaitGroup
	both.Go(func() { defer cancel(); w.copy(ctx, out, down, up) })
	both.Go(func() { defer cancel(); w.copy(ctx, in, up, down) })
	both.Wait()
}

func (w *wire) copy(ctx context.Context, way string, from, to *websocket.Conn) {
	for {
		_, body, err := from.Read(ctx)
		if err != nil {
			return
		}
		for _, m := range w.pass(way, to, body) {
			if m.to.Write(ctx, websocket.MessageText, m.body) != nil {
				return
			}
		}
	}
}

// pass says what goes on when a message comes by: mostly itself.
func (w *wire) pass(way string, to *websocket.Conn, body []byte) []held {
	w.mu.Lock()
	defer w.mu.Unlock()
	this := held{to, body}
	if !strings.HasPrefix(string(body), `["EVENT"`) {
		return []held{this}
	}
	w.count[way]++
	if late, ok := w.held[way]; ok {
		delete(w.held, way)
		return []held{this, late}
	}
	if w.done || way != w.fault.Way || w.count[way] != w.fault.Nth {
		return []held{this}
	}
	w.done = true
	close(w.fired)
	switch w.fault.Act {
	case "twice":
		return []held{this, this}
	case "late":
		w.held[way] = this
		time.AfterFunc(cutFor, func() { w.release(way) }) // nothing may come after it
		return nil
	case "cut":
		w.cut = time.Now().Add(cutFor) // cutNow would wait for us
		go w.hangUp()
		return nil
	case "kill before":
		w.act()
		return nil
	case "kill after":
		go func() { // once it has gone out
			time.Sleep(time.Millisecond)
			w.act()
		}()
	}
	return []held{this}
}

// release lets a late message go, if nothing has come after it.
func (w *wire) release(way string) {
	w.mu.Lock()
	late, ok := w.held[way]
	delete(w.held, way)
	w.mu.Unlock()
	if ok {
		late.to.Write(context.Background(), websocket.MessageText, late.body)
	}
}

// cutNow cuts the network for a while.
func (w *wire) cutNow(during time.Duration) {
	w.mu.Lock()
	w.cut = time.Now().Add(during)
	w.mu.Unlock()
	w.hangUp()
}

func (w *wire) cutUntil() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cut
}

// hangUp ends every connection.
func (w *wire) hangUp() {
	w.mu.Lock()
	var ends []func()
	for _, end := range w.ends {
		ends = append(ends, end)
	}
	w.mu.Unlock()
	for _, end := range ends {
		end()
	}
}
