package pool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip42"
)

// Timing of connections.
const (
	dialIn     = 10 * time.Second
	writeIn    = 10 * time.Second
	pingEvery  = 20 * time.Second
	pongIn     = 10 * time.Second
	backOffMin = 100 * time.Millisecond
	backOffMax = 15 * time.Second
	lookBack   = 60 * time.Second
)

// maxFrame is the largest message read: an event of 60,000 bytes with all its quotes escaped, and the envelope.
const maxFrame = 512 << 10

// queueSize is how many messages wait for a slow relay before its connection is given up.
const queueSize = 4096

// conn is one relay: a connection while there is one, and what to say again after the next.
type conn struct {
	p   *Pool
	url string

	mu        sync.Mutex
	ws        *websocket.Conn
	out       chan []byte // nil while not connected
	since     time.Time
	heard     time.Time // when the relay last said something
	err       error
	order     []string // ids of pending, in the order of Send
	pending   map[string]*publication
	challenge string
	auth      string // id of the AUTH event under way
	authed    bool
}

func newConn(p *Pool, url string) *conn {
	return &conn{p: p, url: url, since: time.Now(), pending: map[string]*publication{}}
}

func (c *conn) status() RelayStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	return RelayStatus{c.url, c.ws != nil, c.since, c.err}
}

// run keeps a connection until ctx ends.
func (c *conn) run(ctx context.Context) {
	wait := backOffMin
	for ctx.Err() == nil {
		began := time.Now()
		err := c.session(ctx)
		c.down(err)
		if ctx.Err() != nil {
			break
		}
		if time.Since(began) > backOffMax {
			wait = backOffMin
		}
		c.p.log.Debug("no connection", "relay", c.url, "err", err, "again_in", wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(wait*2, backOffMax)
	}
	c.mu.Lock()
	pending := c.pending
	c.pending, c.order = map[string]*publication{}, nil
	c.mu.Unlock()
	for _, pub := range pending {
		pub.end(fmt.Errorf("publish: no relay said OK: %w", context.Cause(ctx)))
	}
}

// session is one connection, from the dial to its end.
func (c *conn) session(ctx context.Context) error {
	dial, cancel := context.WithTimeout(ctx, dialIn)
	defer cancel()
	ws, _, err := websocket.Dial(dial, c.url, &websocket.DialOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return err
	}
	defer ws.CloseNow()
	ws.SetReadLimit(maxFrame)
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	out := make(chan []byte, queueSize)
	var workers sync.WaitGroup
	workers.Go(func() { end(c.write(ctx, ws, out)) })
	workers.Go(func() { end(c.ping(ctx, ws)) })
	defer workers.Wait()
	defer end(nil)
	c.up(ws, out)
	err = c.read(ctx, ws)
	if why := context.Cause(ctx); why != nil {
		err = why
	}
	end(err)
	if c.p.ctx.Err() != nil {
		ws.Close(websocket.StatusNormalClosure, "")
	}
	return err
}

// up makes the connection known and says again what was not answered.
func (c *conn) up(ws *websocket.Conn, out chan []byte) {
	c.p.mu.Lock() // so that no subscription comes between
	defer c.p.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ws, c.out, c.since, c.err = ws, out, time.Now(), nil
	c.challenge, c.auth, c.authed = "", "", false
	for _, sub := range c.p.subs {
		c.enqueue(sub.request(c))
	}
	c.resend()
}

// resend says again every event that the relay has not answered.
func (c *conn) resend() {
	for _, id := range c.order {
		if pub := c.pending[id]; pub != nil {
			c.enqueue(pub.body)
		}
	}
}

func (c *conn) down(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ws != nil {
		c.since = time.Now()
	}
	c.ws, c.out, c.err = nil, nil, err
}

// enqueue hands a message to the writer. A relay that takes nothing is given up. The caller holds c.mu.
func (c *conn) enqueue(body []byte) {
	if c.out == nil {
		return
	}
	select {
	case c.out <- body:
	default:
		c.out = nil
		go c.ws.CloseNow()
	}
}

func (c *conn) publish(pub *publication) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending[pub.ev.ID] == nil {
		c.order = append(c.order, pub.ev.ID)
	}
	c.pending[pub.ev.ID] = pub
	c.enqueue(pub.body)
}

// forget stops sending an event again.
func (c *conn) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(id)
}

func (c *conn) drop(id string) *publication {
	pub := c.pending[id]
	if pub == nil {
		return nil
	}
	delete(c.pending, id)
	for i, have := range c.order {
		if have == id {
			c.order = append(c.order[:i], c.order[i+1:]...)
			break
		}
	}
	return pub
}

func (c *conn) write(ctx context.Context, ws *websocket.Conn, out <-chan []byte) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case body := <-out:
			bounded, cancel := context.WithTimeout(ctx, writeIn)
			err := ws.Write(bounded, websocket.MessageText, body)
			cancel()
			if err != nil {
				return fmt.Errorf("write: %w", err)
			}
		}
	}
}

func (c *conn) ping(ctx context.Context, ws *websocket.Conn) error {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			bounded, cancel := context.WithTimeout(ctx, pongIn)
			err := ws.Ping(bounded)
			cancel()
			if err != nil {
				return fmt.Errorf("ping: %w", err)
			}
		}
	}
}

func (c *conn) read(ctx context.Context, ws *websocket.Conn) error {
	for {
		_, body, err := ws.Read(ctx)
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		c.hear(string(body))
	}
}

// hear takes one message of the relay.
func (c *conn) hear(body string) {
	c.mu.Lock()
	c.heard = time.Now()
	c.mu.Unlock()
	switch m := nostr.ParseMessage(body).(type) {
	case *nostr.EventEnvelope:
		if m.SubscriptionID != nil {
			c.p.deliver(*m.SubscriptionID, &m.Event, c)
		}
	case *nostr.OKEnvelope:
		c.ok(m)
	case *nostr.EOSEEnvelope:
		c.p.eose(string(*m), c)
	case *nostr.ClosedEnvelope:
		if strings.HasPrefix(m.Reason, "auth-required:") && c.authenticate() {
			return // asked again once the relay knows who we are
		}
		c.p.log.Warn("the relay closed a subscription", "relay", c.url, "why", m.Reason)
		c.p.eose(m.SubscriptionID, c)
	case *nostr.AuthEnvelope:
		if m.Challenge != nil {
			c.mu.Lock()
			c.challenge = *m.Challenge
			c.mu.Unlock()
		}
	case *nostr.NoticeEnvelope:
		c.p.log.Debug("the relay says", "relay", c.url, "notice", string(*m))
	}
}

func (c *conn) ok(m *nostr.OKEnvelope) {
	c.mu.Lock()
	auth := c.auth != "" && m.EventID == c.auth
	c.mu.Unlock()
	if auth {
		c.authDone(m)
		return
	}
	if !m.OK && strings.HasPrefix(m.Reason, "auth-required:") && c.authenticate() {
		return
	}
	c.mu.Lock()
	pub := c.drop(m.EventID)
	c.mu.Unlock()
	if pub == nil {
		return
	}
	if m.OK || strings.HasPrefix(m.Reason, "duplicate:") {
		pub.answer(nil)
		return
	}
	pub.answer(&RefusedError{c.url, m.Reason})
}

// authenticate tells the relay who we are (NIP-42). It says whether an answer is worth waiting for.
func (c *conn) authenticate() bool {
	c.mu.Lock()
	challenge, under, done := c.challenge, c.auth != "", c.authed
	c.mu.Unlock()
	if c.p.signer == nil || challenge == "" || done {
		return false
	}
	if under {
		return true
	}
	ev := nip42.CreateUnsignedAuthEvent(challenge, string(c.p.signer.PublicKey()), c.url)
	if err := c.p.signer.Sign(c.p.ctx, &ev); err != nil {
		c.p.log.Warn("cannot authenticate", "relay", c.url, "err", err)
		return false
	}
	body, err := nostr.AuthEnvelope{Event: ev}.MarshalJSON()
	if err != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.auth = ev.ID
	c.enqueue(body)
	return true
}

// authDone says again what the relay refused before it knew us; if it refused us, what waits has failed.
func (c *conn) authDone(m *nostr.OKEnvelope) {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.auth, c.authed = "", true
	if !m.OK {
		c.err = errors.New("authentication refused: " + m.Reason)
	}
	for _, sub := range c.p.subs {
		c.enqueue(sub.request(c))
	}
	c.resend()
}
