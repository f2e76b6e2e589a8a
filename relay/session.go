package relay

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/mailru/easyjson"
	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip42"

	"infernet/events"
)

// maxFrame is the largest message read: an event of 60,000 bytes whose every letter its sender has written as an escape
// (two bytes as six), with its envelope.
const maxFrame = 192 << 10

// pingEach is how often a client is asked whether it is still there.
const pingEach = 30 * time.Second

// session is one connection: one reader that takes messages in order, one writer behind a bounded queue.
type session struct {
	r         *Relay
	ws        *websocket.Conn
	url       string // as this client knows the relay
	challenge string
	out       *queue
	from      netip.Addr   // invalid if it is not known
	peer      netip.Prefix // whom it is counted for; invalid if it is this machine's
	end       func()       // of the connection
	tokens    float64
	refilled  time.Time

	mu     sync.Mutex
	authed map[string]bool
	subs   map[string]*subscription
	negs   map[string]*neg
	left   bool // the connection has ended
}

func (r *Relay) serveSession(w http.ResponseWriter, req *http.Request) {
	leave, full := r.seat(req.RemoteAddr)
	if full != nil {
		r.Log.Debug("no connection", "from", req.RemoteAddr, "why", full.text)
		full.write(w)
		return
	}
	defer leave()
	ws, err := websocket.Accept(w, req, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // any page may talk to a relay: who signs matters, not from where
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		r.Log.Debug("no connection", "err", err)
		return
	}
	defer ws.CloseNow()
	ws.SetReadLimit(maxFrame)
	ctx, cancel := context.WithCancel(context.WithoutCancel(req.Context()))
	defer cancel()
	terms := r.terms()
	challenge := make([]byte, 16)
	rand.Read(challenge)
	s := &session{
		r: r, ws: ws, url: r.addressOf(req), challenge: hex.EncodeToString(challenge), out: newQueue(terms.Queue, terms.QueueBytes, cancel),
		tokens: float64(terms.Burst), refilled: time.Now(), authed: map[string]bool{}, subs: map[string]*subscription{}, negs: map[string]*neg{},
		from: addressIn(req.RemoteAddr), peer: network(req.RemoteAddr), end: cancel,
	}
	if !r.enter(s) {
		ws.Close(websocket.StatusGoingAway, "the relay shuts down")
		return
	}
	defer r.leave(s)
	var beside sync.WaitGroup
	beside.Go(func() {
		defer cancel()
		s.out.write(ctx, ws, terms.WriteIn)
	})
	beside.Go(func() {
		defer cancel()
		if err := ping(ctx, ws, pingEach, terms.WriteIn); err != nil {
			r.Log.Debug("a client is gone", "err", err)
		}
	})
	s.push(frame("AUTH", s.challenge))
	s.read(ctx)
	cancel()
	beside.Wait()
}

func (r *Relay) enter(s *session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return false
	}
	r.sessions[s] = struct{}{}
	r.active.Add(1)
	r.meters.sessions.Inc()
	r.meters.opened.Inc()
	return true
}

func (r *Relay) leave(s *session) {
	s.leaveNegs()
	s.mu.Lock()
	for _, sub := range s.subs {
		r.index.remove(sub)
		r.meters.subs.Dec()
	}
	clear(s.subs)
	s.mu.Unlock()
	r.mu.Lock()
	delete(r.sessions, s)
	r.mu.Unlock()
	r.meters.sessions.Dec()
	r.active.Done()
}

func (r *Relay) addressOf(req *http.Request) string {
	if r.ServiceURL != "" {
		return r.ServiceURL
	}
	scheme := "ws://"
	if req.TLS != nil || req.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "wss://"
	}
	return scheme + req.Host
}

// read takes messages, in order, until the connection ends.
func (s *session) read(ctx context.Context) {
	for {
		kind, body, err := s.ws.Read(ctx)
		if err != nil {
			return
		}
		if err := s.slow(ctx); err != nil {
			return
		}
		if kind != websocket.MessageText {
			s.notice("invalid: text messages only")
			continue
		}
		s.take(ctx, body)
	}
}

// slow holds the connection's rate: who sends more is read later, and its own sending stalls.
func (s *session) slow(ctx context.Context) error {
	now, terms := time.Now(), s.r.terms()
	s.tokens = min(s.tokens+now.Sub(s.refilled).Seconds()*terms.Rate, float64(terms.Burst))
	s.refilled = now
	pause := time.Duration(0)
	if s.tokens--; s.tokens < 0 {
		pause = time.Duration(-s.tokens / terms.Rate * float64(time.Second))
	}
	if from := s.peer; from.IsValid() {
		pause = max(pause, s.r.ofPeer.take(from, 1, terms.AddressRate, terms.AddressBurst, now))
	}
	return rest(ctx, pause)
}

// rest waits.
func rest(ctx context.Context, pause time.Duration) error {
	if pause <= 0 {
		return nil
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// take handles one message.
func (s *session) take(ctx context.Context, body []byte) {
	switch m := nostr.ParseMessage(string(body)).(type) {
	case *nostr.EventEnvelope:
		s.event(ctx, &m.Event)
	case *nostr.ReqEnvelope:
		s.request(ctx, m)
	case *nostr.CloseEnvelope:
		s.unsubscribe(string(*m))
	case *nostr.AuthEnvelope:
		s.auth(&m.Event)
	case *nostr.CountEnvelope:
		s.count(ctx, body)
	default:
		if s.negotiate(ctx, body) {
			return
		}
		if ev := foreignEvent(body); ev != nil {
			s.event(ctx, ev)
			return
		}
		s.notice("invalid: not a message that this relay reads: " + cut(string(body), 80))
	}
}

// badSignature is how many messages one with a bad signature counts for: it costs the relay as much.
const badSignature = 20

// event checks what costs little first, then the signature, then what the market says about it.
func (s *session) event(ctx context.Context, ev *nostr.Event) {
	at := time.Now()
	s.r.meters.received.Inc()
	ok := func(ok bool, reason string) {
		s.r.meters.answered(ev, at, ok, reason)
		s.push(frame("OK", ev.ID, ok, reason))
	}
	raw, err := easyjson.Marshal(ev)
	switch {
	case err != nil:
		ok(false, "invalid: the event cannot be written again")
		return
	case len(raw) > events.MaxEvent:
		ok(false, fmt.Sprintf("invalid: event of %d bytes, at most %d are taken", len(raw), events.MaxEvent))
		return
	case ev.Kind == nostr.KindClientAuthentication:
		ok(false, "invalid: AUTH events are not published")
		return
	}
	if err := events.Verify(ev); err != nil {
		s.tokens -= badSignature
		ok(false, "invalid: "+strings.TrimPrefix(err.Error(), events.ErrMalformed.Error()+": "))
		return
	}
	if why := s.refuseProtected(ev); why != "" {
		ok(false, why)
		return
	}
	terms := s.r.terms() // its key is proved now: all connections that publish for it share its rate
	if rest(ctx, s.r.ofKey.take(ev.PubKey, 1, terms.KeyRate, terms.KeyBurst, at)) != nil {
		return
	}
	s.r.add(withSession(withCame(ctx, at), s), ev, raw, ok) // false as the relay shuts down: the client hears that, and not that the event is stored
}

// auth remembers one more key of this client (NIP-42); several may be.
func (s *session) auth(ev *nostr.Event) {
	key, ok := nip42.ValidateAuthEvent(ev, s.challenge, s.url)
	if !ok {
		s.push(frame("OK", ev.ID, false, "invalid: wrong challenge, relay, time or signature"))
		return
	}
	s.mu.Lock()
	s.authed[key] = true
	s.mu.Unlock()
	s.push(frame("OK", ev.ID, true, ""))
}

// push queues a message; a client that does not read is dropped.
func (s *session) push(body []byte) {
	if s.out.push(body) {
		s.r.meters.dropped.Inc()
		s.r.Log.Info("dropped a client that does not read")
	}
}

func (s *session) notice(text string) { s.push(frame("NOTICE", text)) }

func frame(parts ...any) []byte {
	body, err := json.Marshal(parts)
	if err != nil {
		panic(err) // strings and booleans always marshal
	}
	return body
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}
