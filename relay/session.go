package relay

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip42"

	"infernet/events"
)

// maxFrame is the largest message read: an event of 60,000 bytes, its quotes escaped, with its envelope.
const maxFrame = 128 << 10

// session is one connection: one reader that takes messages in order, one writer behind a bounded queue.
type session struct {
	r         *Relay
	ws        *websocket.Conn
	url       string // as this client knows the relay
	challenge string
	out       chan []byte
	cancel    context.CancelFunc
	tokens    float64
	refilled  time.Time

	mu     sync.Mutex
	closed bool
	authed map[string]bool
	subs   map[string]*subscription
}

func (r *Relay) serveSession(w http.ResponseWriter, req *http.Request) {
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
	challenge := make([]byte, 16)
	rand.Read(challenge)
	s := &session{
		r: r, ws: ws, url: r.addressOf(req), challenge: hex.EncodeToString(challenge), out: make(chan []byte, r.Queue), cancel: cancel,
		tokens: float64(r.Burst), refilled: time.Now(), authed: map[string]bool{}, subs: map[string]*subscription{},
	}
	if !r.enter(s) {
		ws.Close(websocket.StatusGoingAway, "the relay shuts down")
		return
	}
	defer r.leave(s)
	var writer sync.WaitGroup
	writer.Go(func() { s.write(ctx) })
	s.push(frame("AUTH", s.challenge))
	s.read(ctx)
	s.shut()
	writer.Wait()
}

func (r *Relay) enter(s *session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return false
	}
	r.sessions[s] = struct{}{}
	r.active.Add(1)
	return true
}

func (r *Relay) leave(s *session) {
	s.mu.Lock()
	for _, sub := range s.subs {
		r.index.remove(sub)
	}
	s.mu.Unlock()
	r.mu.Lock()
	delete(r.sessions, s)
	r.mu.Unlock()
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
	now := time.Now()
	s.tokens = min(s.tokens+now.Sub(s.refilled).Seconds()*s.r.Rate, float64(s.r.Burst))
	s.refilled = now
	if s.tokens--; s.tokens >= 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(-s.tokens / s.r.Rate * float64(time.Second))):
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
	default:
		s.notice("invalid: not a message that this relay reads: " + cut(string(body), 80))
	}
}

// badSignature is how many messages one with a bad signature counts for: it costs the relay as much.
const badSignature = 20

// event checks what costs little first, then the signature, then what the market says about it.
func (s *session) event(ctx context.Context, ev *nostr.Event) {
	ok := func(ok bool, reason string) { s.push(frame("OK", ev.ID, ok, reason)) }
	raw, err := json.Marshal(ev)
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
	s.r.add(withSession(ctx, s), ev, raw, ok)
}

// request answers a REQ: it registers first and then asks the store, so that nothing falls between.
func (s *session) request(ctx context.Context, m *nostr.ReqEnvelope) {
	if why := s.refuseRequest(m); why != "" {
		s.push(frame("CLOSED", m.SubscriptionID, why))
		return
	}
	sub := &subscription{
		id: m.SubscriptionID, session: s, filters: m.Filters, prefix: eventPrefix(m.SubscriptionID), sent: map[string]bool{},
	}
	s.unsubscribe(sub.id) // the same id again takes its place
	s.mu.Lock()
	s.subs[sub.id] = sub
	s.mu.Unlock()
	s.r.index.add(sub)
	for _, ev := range s.r.store.query(ctx, m.Filters, s.r.MaxLimit) {
		if !s.maySee(ev) || !sub.first(ev.ID) {
			continue
		}
		raw, err := json.Marshal(ev)
		if err != nil {
			continue
		}
		if !s.wait(ctx, sub.frame(raw)) {
			return
		}
	}
	sub.stored()
	s.wait(ctx, frame("EOSE", sub.id))
}

func (s *session) refuseRequest(m *nostr.ReqEnvelope) string {
	s.mu.Lock()
	n, again := len(s.subs), s.subs[m.SubscriptionID] != nil
	s.mu.Unlock()
	switch {
	case m.SubscriptionID == "" || len(m.SubscriptionID) > 64:
		return "invalid: a subscription's id has 1 to 64 characters"
	case len(m.Filters) == 0:
		return "invalid: no filter"
	case len(m.Filters) > s.r.MaxFilters:
		return fmt.Sprintf("invalid: %d filters, at most %d", len(m.Filters), s.r.MaxFilters)
	case !again && n >= s.r.MaxSubs:
		return fmt.Sprintf("rate-limited: %d subscriptions on one connection, no more", s.r.MaxSubs)
	}
	return ""
}

func (s *session) unsubscribe(id string) {
	s.mu.Lock()
	sub := s.subs[id]
	delete(s.subs, id)
	s.mu.Unlock()
	if sub != nil {
		s.r.index.remove(sub)
	}
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

// maySee says whether the client may read an event: encrypted jobs are their two parties' where the operator wants it.
func (s *session) maySee(ev *nostr.Event) bool {
	if !s.r.PrivateJobs || !events.IsEncrypted(ev) {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := ev.Tags.Find("p")
	return s.authed[ev.PubKey] || p != nil && s.authed[p[1]]
}

// push queues a message; a client that does not read is dropped.
func (s *session) push(body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	select {
	case s.out <- body:
	default:
		s.r.Log.Info("dropped a client that does not read")
		s.closed = true
		s.cancel()
	}
}

// wait queues a message of an answer that the client asked for; only its own connection waits.
func (s *session) wait(ctx context.Context, body []byte) bool {
	for {
		s.mu.Lock()
		closed, free := s.closed, len(s.out) < cap(s.out)/2
		if free && !closed {
			s.out <- body
		}
		s.mu.Unlock()
		if closed || free {
			return !closed
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Millisecond):
		}
	}
}

func (s *session) notice(text string) { s.push(frame("NOTICE", text)) }

// shut ends the queue: the writer writes what is in it and then ends.
func (s *session) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out != nil && !s.closed {
		s.closed = true
	}
	s.cancel()
}

// goAway tells the client that the relay shuts down, after what is queued.
func (s *session) goAway() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	select {
	case s.out <- nil:
	default:
		s.cancel()
	}
}

// write sends what is queued, each message within the time a write may take.
func (s *session) write(ctx context.Context) {
	defer s.cancel()
	defer s.ws.CloseNow()
	ping := time.NewTicker(30 * time.Second)
	defer ping.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ping.C:
			bounded, cancel := context.WithTimeout(ctx, s.r.WriteIn)
			err := s.ws.Ping(bounded)
			cancel()
			if err != nil {
				return
			}
		case body := <-s.out:
			if body == nil {
				s.ws.Close(websocket.StatusGoingAway, "the relay shuts down")
				return
			}
			bounded, cancel := context.WithTimeout(ctx, s.r.WriteIn)
			err := s.ws.Write(bounded, websocket.MessageText, body)
			cancel()
			if err != nil {
				return
			}
		}
	}
}

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

type sessionKey struct{}

func withSession(ctx context.Context, s *session) context.Context {
	return context.WithValue(ctx, sessionKey{}, s)
}
