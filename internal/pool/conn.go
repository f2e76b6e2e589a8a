package pool

import (
	"context"
	"errors"
	"fmt"
	"runtime"
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
)

// maxFrame is the largest message read: an event of 60,000 bytes with all its quotes escaped, and the envelope.
const maxFrame = 512 << 10

// maxControl is how many messages that are no events (REQ, CLOSE, AUTH) wait for a slow relay before its connection is
// given up. Events wait in the outbox.
const maxControl = 4096

// conn is one relay: a connection while there is one, and what to say again after the next.
type conn struct {
	p    *Pool
	url  string
	wake chan struct{} // there is something to write

	mu        sync.Mutex
	ws        *websocket.Conn // nil while not connected
	control   [][]byte        // written before events
	out       *outbox
	since     time.Time
	heard     time.Time // when the relay last said something
	err       error
	challenge string
	auth      string // id of the AUTH event under way
	authed    bool
}

func newConn(p *Pool, url string) *conn {
	return &conn{p: p, url: url, wake: make(chan struct{}, 1), since: time.Now(), out: newOutbox()}
}

func (c *conn) status() RelayStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	return RelayStatus{c.url, c.ws != nil, c.since, c.err}
}

// run keeps a connection until ctx ends.
func (c *conn) run(ctx context.Context) {
	wait, lost := backOffMin, false
	for ctx.Err() == nil {
		began := time.Now()
		err := c.session(ctx, func() {
			c.p.log.Info("connected", "relay", c.url, "again", lost)
			if lost {
				c.p.watch(c.url, true, nil)
			}
			lost = false
		})
		was := c.down(err)
		if ctx.Err() != nil {
			break
		}
		if was {
			lost = true
			c.p.log.Info("lost the connection", "relay", c.url, "err", err)
			c.p.watch(c.url, false, err)
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
	why := fmt.Errorf("publish: no relay said OK: %w", context.Cause(ctx))
	c.mu.Lock()
	gone := c.out.end(why)
	c.mu.Unlock()
	for _, g := range gone {
		g.pub.end(why) // the other relays will say the same
	}
	c.tell(gone)
}

// session is one connection, from the dial to its end; there is called once it is made.
func (c *conn) session(ctx context.Context, there func()) error {
	dial, cancel := context.WithTimeout(ctx, dialIn)
	defer cancel()
	ws, _, err := websocket.Dial(dial, c.url, &websocket.DialOptions{
		HTTPClient: c.p.client, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return err
	}
	defer ws.CloseNow()
	ws.SetReadLimit(maxFrame)
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	var workers sync.WaitGroup
	workers.Go(func() { end(c.write(ctx, ws)) })
	workers.Go(func() { end(c.ping(ctx, ws)) })
	defer workers.Wait()
	defer end(nil)
	c.up(ws)
	there()
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
func (c *conn) up(ws *websocket.Conn) {
	c.p.mu.Lock() // so that no subscription comes between
	c.mu.Lock()
	c.ws, c.since, c.err, c.control = ws, time.Now(), nil, nil
	c.challenge, c.auth, c.authed = "", "", false
	c.ask()
	gone := c.out.up(c.p.now())
	c.mu.Unlock()
	c.p.mu.Unlock()
	c.stir()
	c.tell(gone)
}

// ask asks for everything that the pool has subscribed to. The caller holds c.p.mu and c.mu.
func (c *conn) ask() {
	for _, sub := range c.p.subs {
		c.control = append(c.control, sub.request(c))
	}
}

// down says whether there was a connection.
func (c *conn) down(err error) (was bool) {
	c.p.mu.Lock()
	c.mu.Lock()
	if was = c.ws != nil; was {
		c.since = time.Now()
	}
	c.ws, c.control, c.err = nil, nil, err
	gone := c.out.down()
	for _, sub := range c.p.subs {
		sub.lost(c, nothing)
	}
	c.mu.Unlock()
	c.p.mu.Unlock()
	c.tell(gone)
	return was
}

// enqueue hands the writer a message that is no event. A relay that takes nothing is given up. The caller holds c.mu.
func (c *conn) enqueue(body []byte) {
	if c.ws == nil {
		return
	}
	if len(c.control) >= maxControl {
		go c.ws.CloseNow()
		return
	}
	c.control = append(c.control, body)
	c.stir()
}

func (c *conn) publish(pub *publication) {
	c.mu.Lock()
	gone := c.out.put(pub, c.ws != nil, c.p.now())
	c.mu.Unlock()
	c.stir()
	runtime.Gosched() // the writer goes first: woken beside a sender that works on, it would wait for another processor
	c.tell(gone)
}

func (c *conn) settled(pub *publication) {
	c.mu.Lock()
	gone := c.out.settled(pub, c.ws != nil)
	c.mu.Unlock()
	c.tell(gone)
}

// stir wakes the writer.
func (c *conn) stir() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// next is what to write.
func (c *conn) next() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.control) > 0 {
		body := c.control[0]
		c.control = c.control[1:]
		return body
	}
	return c.out.next()
}

// write writes what there is, as fast as the relay takes it.
func (c *conn) write(ctx context.Context, ws *websocket.Conn) error {
	for {
		body := c.next()
		if body == nil {
			select {
			case <-ctx.Done():
				return nil
			case <-c.wake:
			}
			continue
		}
		bounded, cancel := context.WithTimeout(ctx, writeIn)
		err := ws.Write(bounded, websocket.MessageText, body)
		cancel()
		if err != nil {
			return fmt.Errorf("write: %w", err)
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
	c.heard = c.p.now()
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
			c.p.closed(m.SubscriptionID, c, nothing) // asked again once the relay knows who we are
			return
		}
		c.p.log.Warn("the relay closed a subscription", "relay", c.url, "why", m.Reason)
		c.p.closed(m.SubscriptionID, c, refused)
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
		c.mu.Lock()
		if l := c.out.byID[m.EventID]; l != nil {
			l.refused = true
		}
		c.mu.Unlock()
		return
	}
	var answer error
	if !m.OK && !strings.HasPrefix(m.Reason, "duplicate:") {
		answer = &RefusedError{c.url, m.Reason}
	}
	c.mu.Lock()
	var gone []parting
	if l := c.out.byID[m.EventID]; l != nil {
		gone = c.out.take(l, answer)
	}
	c.mu.Unlock()
	c.tell(gone)
	for _, g := range gone {
		if answer == nil && nostr.IsEphemeralKind(g.pub.ev.Kind) {
			c.p.settled(g.pub) // no other connection is to keep it
		}
	}
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
	c.ask()
	c.out.known()
	c.stir()
}
