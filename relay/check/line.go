package check

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/nbd-wtf/go-nostr"
)

// line is one connection to the relay, as bare as it can be: checks see every message.
type line struct {
	l         *lab
	ws        *websocket.Conn
	inbox     chan message
	held      []message // came, and nobody has asked for it yet
	gone      error
	challenge string // of NIP-42, once it came
	fences    int
	stop      context.CancelFunc
}

// message is what the relay said.
type message struct {
	label string
	parts []json.RawMessage // all, the label too
	body  []byte
	err   error // the connection has ended
}

// text is a part as a string; "" if it is none.
func (m message) text(i int) (s string) {
	if i < len(m.parts) {
		json.Unmarshal(m.parts[i], &s)
	}
	return s
}

func (s *suite) dial(ctx context.Context) (*line, error) {
	bounded, done := context.WithTimeout(ctx, s.Patience)
	defer done()
	ws, _, err := websocket.Dial(bounded, s.URL, nil)
	if err != nil {
		return nil, fmt.Errorf("%s does not answer: %w", s.URL, err)
	}
	ws.SetReadLimit(16 << 20)
	ctx, stop := context.WithCancel(ctx)
	c := &line{ws: ws, inbox: make(chan message, 64), stop: stop}
	go c.read(ctx)
	return c, nil
}

func (c *line) read(ctx context.Context) {
	for {
		var m message
		_, m.body, m.err = c.ws.Read(ctx)
		if m.err == nil && json.Unmarshal(m.body, &m.parts) == nil {
			m.label = m.text(0)
		}
		select {
		case c.inbox <- m:
		case <-ctx.Done():
			return
		}
		if m.err != nil {
			return
		}
	}
}

func (c *line) close() {
	c.stop()
	c.ws.CloseNow()
}

// send sends what is no JSON, too.
func (c *line) send(text string) {
	bounded, done := context.WithTimeout(c.l.ctx, c.l.Patience)
	defer done()
	if err := c.ws.Write(bounded, websocket.MessageText, []byte(text)); err != nil && c.gone == nil {
		c.gone = err
	}
}

func (c *line) say(parts ...any) { c.send(text(parts...)) }

// text is JSON as it is sent.
func text(parts ...any) string {
	body, err := json.Marshal(parts)
	if err != nil {
		panic(err)
	}
	return string(body)
}

// await gives the first message that is wanted; the others stay. ok is false if none comes in time or the connection ends.
func (c *line) await(want func(message) bool) (m message, ok bool) {
	if i := slices.IndexFunc(c.held, want); i >= 0 {
		m = c.held[i]
		c.held = slices.Delete(c.held, i, i+1)
		return m, true
	}
	timer := time.NewTimer(c.l.Patience)
	defer timer.Stop()
	for c.gone == nil {
		select {
		case m := <-c.inbox:
			switch {
			case m.err != nil:
				c.gone = m.err
			case m.label == "AUTH":
				c.challenge = m.text(1)
			case want(m):
				return m, true
			default:
				c.held = append(c.held, m)
			}
		case <-timer.C:
			return m, false
		case <-c.l.ctx.Done():
			c.gone = c.l.ctx.Err()
		}
	}
	return m, false
}

// silence is what is said when nothing came.
func (c *line) silence(what string) string {
	if c.gone != nil {
		return fmt.Sprintf("the relay ended the connection instead of %s", what)
	}
	return fmt.Sprintf("no %s within %s", what, c.l.Patience)
}

// fence waits until the relay has answered all that came before, and says whether it still answers.
func (c *line) fence() bool {
	c.fences++
	id := fmt.Sprintf("fence%d", c.fences)
	c.say("REQ", id, map[string]any{"ids": []string{strings.Repeat("0", 64)}, "limit": 1})
	_, ok := c.await(func(m message) bool { return (m.label == "EOSE" || m.label == "CLOSED") && m.text(1) == id })
	c.say("CLOSE", id)
	return ok
}

// offer publishes an event that is already JSON, and gives the relay's answer.
func (c *line) offer(id, raw string) (ok bool, reason string) {
	c.send(`["EVENT",` + raw + `]`)
	m, came := c.await(func(m message) bool { return m.label == "OK" && m.text(1) == id })
	if !came {
		c.l.fail("%s", c.silence("OK"))
	}
	if len(m.parts) < 4 {
		c.l.fail("an OK of %d elements, not four: %s", len(m.parts), cut(m.body))
	}
	return string(m.parts[2]) == "true", m.text(3)
}

// publish publishes an event, and gives the relay's answer. A relay that wants to know who writes is told.
func (c *line) publish(ev *nostr.Event) (ok bool, reason string) {
	ok, reason = c.offer(ev.ID, ev.String())
	if keys := c.l.keysOf(ev); !ok && keys != nil && strings.HasPrefix(reason, "auth-required:") && c.challenge != "" && !protected(ev) {
		c.authenticate(keys)
		ok, reason = c.offer(ev.ID, ev.String())
	}
	if ok {
		c.l.note(ev)
	}
	return ok, reason
}

// take publishes what a check needs; a relay that does not take it cannot be checked so.
func (c *line) take(all ...*nostr.Event) {
	for _, ev := range all {
		if ok, reason := c.publish(ev); !ok {
			c.l.skip("the relay does not take a new key's kind %d: %s", ev.Kind, reason)
		}
	}
}

// refuses publishes what a relay must not take.
func (c *line) refuses(ev *nostr.Event, what string) {
	if ok, _ := c.publish(ev); ok {
		c.l.fail("the relay took %s", what)
	}
}

// found is what a query gives, until EOSE.
type found struct {
	events []*nostr.Event
	raw    []string
	closed string // the relay's reason, if it closed instead
}

// ask asks with filters that are already JSON, or become it.
func (c *line) ask(filters ...any) (f found) {
	c.fences++
	id := fmt.Sprintf("ask%d", c.fences)
	c.say(slices.Concat([]any{"REQ", id}, filters)...)
	for {
		m, ok := c.await(func(m message) bool {
			return m.text(1) == id && (m.label == "EVENT" || m.label == "EOSE" || m.label == "CLOSED")
		})
		switch {
		case !ok:
			c.l.fail("%s", c.silence("EOSE"))
		case m.label == "EOSE":
			c.say("CLOSE", id)
			return f
		case m.label == "CLOSED":
			f.closed = m.text(2)
			return f
		case len(m.parts) < 3:
			c.l.fail("an EVENT of %d elements, not three", len(m.parts))
		default:
			ev := &nostr.Event{}
			if err := json.Unmarshal(m.parts[2], ev); err != nil {
				c.l.fail("an EVENT that is none: %v", err)
			}
			f.events = append(f.events, ev)
			f.raw = append(f.raw, string(m.parts[2]))
		}
	}
}

// find gives what is stored.
func (c *line) find(filters ...any) []*nostr.Event {
	f := c.ask(filters...)
	if f.closed != "" {
		c.l.fail("the relay closed the query: %s", f.closed)
	}
	return f.events
}

// subscribe opens a subscription that goes on after EOSE.
func (c *line) subscribe(id string, filters ...any) {
	c.say(slices.Concat([]any{"REQ", id}, filters)...)
	m, ok := c.await(func(m message) bool { return m.text(1) == id && (m.label == "EOSE" || m.label == "CLOSED") })
	if !ok {
		c.l.fail("%s", c.silence("EOSE"))
	}
	if m.label == "CLOSED" {
		c.l.fail("the relay closed the subscription: %s", m.text(2))
	}
}

// hears waits for an event of a subscription.
func (c *line) hears(id string, ev *nostr.Event) {
	_, ok := c.await(func(m message) bool { return m.label == "EVENT" && m.text(1) == id && m.id() == ev.ID })
	if !ok {
		c.l.fail("%s", c.silence("the event that was just published"))
	}
}

// heard says whether an event has come to a subscription, once the relay has said all that it had to say.
func (c *line) heard(id string, ev *nostr.Event) bool {
	c.fence()
	return slices.ContainsFunc(c.held, func(m message) bool { return m.label == "EVENT" && m.text(1) == id && m.id() == ev.ID })
}

// id is the id of an EVENT's event.
func (m message) id() string {
	var ev struct{ ID string }
	if len(m.parts) > 2 {
		json.Unmarshal(m.parts[2], &ev)
	}
	return ev.ID
}

func cut(body []byte) string {
	if len(body) > 200 {
		return string(body[:200]) + "…"
	}
	return string(body)
}
