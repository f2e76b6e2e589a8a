package sync

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/mailru/easyjson"
	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/relay/reconcile"
)

// line is a connection to one of the two relays. It asks one thing at a time.
type line struct {
	*Config
	url       string
	ws        *websocket.Conn
	inbox     chan message
	stop      context.CancelFunc
	challenge string
	said      string // the last NOTICE
	asked     int
	authed    bool
}

// maxRead is how large a message of a relay may be: an event of one that takes larger ones than ours.
const maxRead = 4 << 20

func dial(ctx context.Context, url string, c *Config) (*line, error) {
	bounded, done := context.WithTimeout(ctx, c.Patience)
	defer done()
	ws, _, err := websocket.Dial(bounded, url, nil)
	if err != nil {
		return nil, &brokenError{url, err}
	}
	ws.SetReadLimit(maxRead)
	ctx, stop := context.WithCancel(ctx)
	l := &line{Config: c, url: url, ws: ws, inbox: make(chan message, 256), stop: stop}
	go l.read(ctx)
	return l, nil
}

// message is what a relay said, or that it has gone.
type message struct {
	body []byte
	err  error
}

// read reads on while nobody listens, so that the relay's pings are answered.
func (c *line) read(ctx context.Context) {
	for {
		_, body, err := c.ws.Read(ctx)
		select {
		case c.inbox <- message{body, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

func (c *line) close() {
	c.stop()
	c.ws.CloseNow()
}

func (c *line) send(ctx context.Context, parts ...any) error {
	body, err := json.Marshal(parts)
	if err != nil {
		return err
	}
	bounded, done := context.WithTimeout(ctx, c.Patience)
	defer done()
	if err := c.ws.Write(bounded, websocket.MessageText, body); err != nil {
		return &brokenError{c.url, err}
	}
	return nil
}

var errSilent = errors.New("no answer")

// hear gives messages to take, until it says that it has what it wants.
func (c *line) hear(ctx context.Context, take func(label string, parts []json.RawMessage) (enough bool, err error)) error {
	late := time.NewTimer(c.Patience)
	defer late.Stop()
	for {
		var m message
		select {
		case m = <-c.inbox:
			late.Reset(c.Patience)
		case <-late.C:
			return &brokenError{c.url, fmt.Errorf("%w within %s", errSilent, c.Patience)}
		case <-ctx.Done():
			return ctx.Err()
		}
		if m.err != nil {
			return &brokenError{c.url, m.err}
		}
		var parts []json.RawMessage
		if json.Unmarshal(m.body, &parts) != nil || len(parts) < 2 {
			continue
		}
		switch label := text(parts, 0); label {
		case "AUTH":
			c.challenge = text(parts, 1)
		case "NOTICE":
			if c.said = text(parts, 1); c.said != "" {
				if _, err := take(label, parts); err != nil {
					return err
				}
			}
		default:
			if enough, err := take(label, parts); enough || err != nil {
				return err
			}
		}
	}
}

func text(parts []json.RawMessage, i int) (s string) {
	if i < len(parts) {
		json.Unmarshal(parts[i], &s)
	}
	return s
}

// compared is the relay as one of the two that are compared. end closes the comparison.
func (c *line) compared(f nostr.Filter) (peer reconcile.Peer, end func()) {
	c.asked++
	id, opened := fmt.Sprint("sync", c.asked), false
	peer = func(ctx context.Context, message string) (answer string, err error) {
		for {
			if !opened {
				err = c.send(ctx, "NEG-OPEN", id, f, message)
			} else {
				err = c.send(ctx, "NEG-MSG", id, message)
			}
			if err != nil {
				return "", err
			}
			first := !opened
			opened = true
			var refused string
			err = c.hear(ctx, func(label string, parts []json.RawMessage) (bool, error) {
				switch {
				case label == "NOTICE" && first && strings.Contains(strings.ToLower(c.said), "neg"), label == "NOTICE" && first && strings.HasPrefix(c.said, "invalid: not a message"):
					return false, fmt.Errorf("%s %w: it says %q", c.url, ErrNoSync, c.said)
				case label == "NEG-MSG" && text(parts, 1) == id:
					answer = text(parts, 2)
					return true, nil
				case (label == "NEG-ERR" || label == "NEG-ERROR" || label == "CLOSED") && text(parts, 1) == id:
					refused = or(text(parts, 2), "no reason")
					return true, nil
				}
				return false, nil
			})
			switch {
			case errors.Is(err, errSilent) && first:
				return "", fmt.Errorf("%s %w: it does not answer NEG-OPEN", c.url, ErrNoSync)
			case err != nil || refused == "":
				return answer, err
			case strings.HasPrefix(refused, "auth-required:") && first:
				if err := c.auth(ctx, refused); err != nil {
					return "", err
				}
				opened = false
				continue
			case strings.HasPrefix(refused, "blocked:") && first, strings.Contains(refused, "too many") && first:
				return "", &tooBigError{c.url, refused}
			case strings.HasPrefix(refused, "closed:"):
				return "", &brokenError{c.url, errors.New(refused)}
			}
			return "", fmt.Errorf("%s refuses to compare: %s", c.url, refused)
		}
	}
	return peer, func() {
		if opened {
			c.send(context.Background(), "NEG-CLOSE", id)
		}
	}
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// auth says who asks (NIP-42).
func (c *line) auth(ctx context.Context, why string) error {
	if c.Signer == nil || c.challenge == "" || c.authed {
		return fmt.Errorf("%s wants to know who asks: %s", c.url, why)
	}
	c.authed = true
	ev := &nostr.Event{Kind: nostr.KindClientAuthentication, CreatedAt: nostr.Now(), Tags: nostr.Tags{{"relay", c.url}, {"challenge", c.challenge}}}
	if err := c.Signer.Sign(ctx, ev); err != nil {
		return err
	}
	if err := c.send(ctx, "AUTH", ev); err != nil {
		return err
	}
	return c.hear(ctx, func(label string, parts []json.RawMessage) (bool, error) {
		if label != "OK" || text(parts, 1) != ev.ID {
			return false, nil
		}
		if len(parts) < 3 || string(parts[2]) != "true" {
			return true, fmt.Errorf("%s does not take our key: %s", c.url, text(parts, 3))
		}
		return true, nil
	})
}

// found is an event that is carried over, as it was given.
type found struct {
	id  [32]byte
	raw json.RawMessage
}

// fetch gets events by their ids. What the relay gives and was not asked for, or is not what its id says, is left.
func (c *line) fetch(ctx context.Context, ids [][32]byte) (all []found, err error) {
	wanted, names := map[[32]byte]bool{}, []string{}
	for _, id := range ids {
		wanted[id] = true
		names = append(names, hex.EncodeToString(id[:]))
	}
	c.asked++
	sub := fmt.Sprint("get", c.asked)
	if err := c.send(ctx, "REQ", sub, map[string]any{"ids": names, "limit": len(names)}); err != nil {
		return nil, err
	}
	err = c.hear(ctx, func(label string, parts []json.RawMessage) (bool, error) {
		switch {
		case text(parts, 1) != sub:
		case label == "CLOSED":
			return true, fmt.Errorf("%s does not give its events: %s", c.url, text(parts, 2))
		case label == "EOSE":
			return true, c.send(ctx, "CLOSE", sub)
		case label == "EVENT" && len(parts) > 2:
			var ev nostr.Event
			if easyjson.Unmarshal(parts[2], &ev) != nil || events.Verify(&ev) != nil {
				return false, nil
			}
			id, err := hex.DecodeString(ev.ID)
			if err == nil && len(id) == 32 && wanted[[32]byte(id)] {
				delete(wanted, [32]byte(id))
				all = append(all, found{[32]byte(id), slices.Clone(parts[2])})
			}
		}
		return false, nil
	})
	return all, err
}

// publish publishes events, and says of each that was answered why it was refused; "" if it was not. One that the relay has
// already counts as taken.
func (c *line) publish(ctx context.Context, all []found) (map[[32]byte]string, error) {
	answered := map[[32]byte]string{}
	again := all
	for pause := time.Second; len(again) > 0; pause *= 2 {
		late, err := c.offer(ctx, again, answered)
		if err != nil || len(late) == 0 {
			return answered, err
		}
		if again = late; pause > c.Patience {
			for _, f := range again {
				answered[f.id] = "rate-limited, also later"
			}
			return answered, nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return answered, ctx.Err()
		}
	}
	return answered, nil
}

// offer publishes events once; late are those that are to be offered again later.
func (c *line) offer(ctx context.Context, all []found, answered map[[32]byte]string) (late []found, err error) {
	waiting := map[string]found{}
	for _, f := range all {
		waiting[hex.EncodeToString(f.id[:])] = f
	}
	sent := make(chan error, 1)
	go func() { // beside the reading: a relay that is read by nobody reads nothing
		for _, f := range all {
			if err := c.send(ctx, "EVENT", f.raw); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	err = c.hear(ctx, func(label string, parts []json.RawMessage) (bool, error) {
		f, ok := waiting[text(parts, 1)]
		if label != "OK" || !ok || len(parts) < 3 {
			return false, nil
		}
		delete(waiting, text(parts, 1))
		switch reason := text(parts, 3); {
		case string(parts[2]) == "true", strings.HasPrefix(reason, "duplicate:"):
			answered[f.id] = ""
		case strings.HasPrefix(reason, "rate-limited:"):
			late = append(late, f)
		default:
			answered[f.id] = reasonOf(reason)
		}
		return len(waiting) == 0, nil
	})
	if err != nil {
		c.close() // so that the sending ends
	}
	return late, errors.Join(err, <-sent)
}
