// Package pool is one identity's connection to many relays.
//
// It promises that published means stored: Publish returns nil only after a relay said OK. Subscriptions outlive
// connections: after a reconnect they are made again from shortly before the loss, and what comes twice is passed on
// once. Every event that comes out has been verified. Begin with New, Publish and Subscribe.
package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// MaxRelays is how many relays a pool connects to; more are left out.
const MaxRelays = 32

// Pool is connected to its relays, or tries to be.
type Pool struct {
	log    *slog.Logger
	signer events.Signer
	conns  []*conn
	known  *recent // ids of events whose signature was checked

	ctx    context.Context // ends everything
	cancel context.CancelCauseFunc
	wait   sync.WaitGroup

	mu   sync.Mutex
	subs map[string]*Subscription
	next int
}

// Option changes how a pool works.
type Option func(*Pool)

// WithLog logs what happens to connections.
func WithLog(log *slog.Logger) Option { return func(p *Pool) { p.log = log } }

// WithSigner answers relays that want to know who is there (NIP-42), and signs for Say.
func WithSigner(s events.Signer) Option { return func(p *Pool) { p.signer = s } }

// ErrClosed is why things end when the pool was closed.
var ErrClosed = errors.New("the pool is closed")

// New connects to relays in the background, and again whenever a connection is lost, until ctx ends or Close.
func New(ctx context.Context, relays []string, opts ...Option) *Pool {
	p := &Pool{log: slog.New(slog.DiscardHandler), known: newRecent(20_000), subs: map[string]*Subscription{}}
	for _, opt := range opts {
		opt(p)
	}
	p.ctx, p.cancel = context.WithCancelCause(ctx)
	seen := map[string]bool{}
	for _, raw := range relays {
		address, err := normal(raw)
		if err != nil {
			p.log.Warn("left a relay out", "relay", raw, "err", err)
			continue
		}
		if seen[address] || len(p.conns) == MaxRelays {
			continue
		}
		seen[address] = true
		p.conns = append(p.conns, newConn(p, address))
	}
	for _, c := range p.conns {
		p.wait.Go(func() { c.run(p.ctx) })
	}
	return p
}

// Close ends all connections and waits for them.
func (p *Pool) Close() error {
	p.cancel(ErrClosed)
	p.wait.Wait()
	return nil
}

// normal is a relay's address in the one form that it is compared in.
func normal(raw string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return "", err
	}
	if (u.Scheme != "ws" && u.Scheme != "wss") || u.Host == "" {
		return "", fmt.Errorf("%q is no ws:// or wss:// address", raw)
	}
	u.Host, u.Path, u.Fragment = strings.ToLower(u.Host), strings.TrimSuffix(u.Path, "/"), ""
	return u.String(), nil
}

// RelayStatus says how a pool stands with one relay.
type RelayStatus struct {
	URL       string
	Connected bool
	Since     time.Time // of the present state
	Err       error     // the last trouble; nil if none
}

// Status says how the pool stands with each relay.
func (p *Pool) Status() (all []RelayStatus) {
	for _, c := range p.conns {
		all = append(all, c.status())
	}
	return all
}

// RefusedError is a relay's no.
type RefusedError struct{ Relay, Reason string }

func (e *RefusedError) Error() string { return fmt.Sprintf("%s refused: %s", e.Relay, e.Reason) }

// Prefix is the machine-readable word before the colon (NIP-01): duplicate, pow, blocked, rate-limited, invalid, error.
func (e *RefusedError) Prefix() string {
	prefix, _, ok := strings.Cut(e.Reason, ":")
	if !ok {
		return ""
	}
	return prefix
}

// publication is an event on its way to every relay.
type publication struct {
	ev   *nostr.Event
	body []byte
	done chan error

	mu      sync.Mutex
	over    bool
	waiting int
	refused []error
	stop    func() bool
}

// Send hands an event to every relay, in the order of the calls. The channel gets one value: nil as soon as one relay
// has said OK, the joined refusals once all have said no, or why ctx or the pool ended. While ctx lasts, an event that
// was not answered is sent again after each reconnect.
func (p *Pool) Send(ctx context.Context, ev *nostr.Event) <-chan error {
	body, err := nostr.EventEnvelope{Event: *ev}.MarshalJSON()
	pub := &publication{ev: ev, body: body, done: make(chan error, 1), waiting: len(p.conns)}
	switch {
	case err != nil:
		pub.end(err)
	case len(p.conns) == 0:
		pub.end(errors.New("there is no relay to publish to"))
	case p.ctx.Err() != nil:
		pub.end(context.Cause(p.ctx))
	default:
		for _, c := range p.conns {
			c.publish(pub)
		}
		stop := context.AfterFunc(ctx, func() {
			pub.end(fmt.Errorf("publish: no relay said OK: %w", context.Cause(ctx)))
			for _, c := range p.conns {
				c.forget(ev.ID)
			}
		})
		pub.mu.Lock()
		if pub.stop = stop; pub.over {
			stop()
		}
		pub.mu.Unlock()
	}
	return pub.done
}

// answer counts one relay's answer.
func (pub *publication) answer(err error) {
	if err == nil {
		pub.end(nil)
		return
	}
	pub.mu.Lock()
	pub.refused = append(pub.refused, err)
	pub.waiting--
	last, all := pub.waiting <= 0, errors.Join(pub.refused...)
	pub.mu.Unlock()
	if last {
		pub.end(all)
	}
}

func (pub *publication) end(err error) {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	if pub.over {
		return
	}
	pub.over = true
	pub.done <- err
	if pub.stop != nil {
		pub.stop()
	}
}

// Publish hands an event to every relay and waits until one has said OK. A relay that is away is waited for while ctx
// lasts. Errors: *RefusedError joined, or ctx's.
func (p *Pool) Publish(ctx context.Context, ev *nostr.Event) error { return <-p.Send(ctx, ev) }

// Say signs a message and publishes it.
func (p *Pool) Say(ctx context.Context, m events.Message) (*nostr.Event, error) {
	if p.signer == nil {
		return nil, errors.New("the pool has no signer")
	}
	ev, err := events.Sign(ctx, m, p.signer)
	if err != nil {
		return nil, err
	}
	return ev, p.Publish(ctx, ev)
}
