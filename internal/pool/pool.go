// Package pool is one identity's connection to many relays.
//
// It promises that published means stored: Publish returns nil only after a relay said OK. Subscriptions outlive
// connections: after a reconnect they are made again from shortly before the loss, page after page where a relay gives
// only so much at once, and what comes twice is passed on once. Every event that comes out has been verified. Begin with
// New, Publish and Subscribe.
package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"infernet/events"
)

// MaxRelays is how many relays a pool connects to; more are left out.
const MaxRelays = 32

// Pool is connected to its relays, or tries to be.
type Pool struct {
	log    *slog.Logger
	signer events.Signer
	client *http.Client // nil: the standard one
	conns  []*conn
	watch  func(relay string, back bool, why error)
	known  *recent // ids of events whose signature was checked
	now    func() time.Time
	eoseIn time.Duration

	ctx    context.Context // ends everything
	cancel context.CancelCauseFunc
	wait   sync.WaitGroup

	mu   sync.Mutex
	subs map[string]*Subscription
	next int
	over bool // Close has begun
}

// Option changes how a pool works.
type Option func(*Pool)

// WithLog logs what happens to connections.
func WithLog(log *slog.Logger) Option { return func(p *Pool) { p.log = log } }

// WithWatch tells when the connection to a relay is lost, and when it is back. It is called by one goroutine for each relay.
func WithWatch(watch func(relay string, back bool, why error)) Option {
	return func(p *Pool) { p.watch = watch }
}

// WithSigner answers relays that want to know who is there (NIP-42), and signs for Say.
func WithSigner(s events.Signer) Option { return func(p *Pool) { p.signer = s } }

// WithClient dials with another HTTP client: a guarded one, where a stranger named the relays.
func WithClient(c *http.Client) Option { return func(p *Pool) { p.client = c } }

// ErrClosed is why things end when the pool was closed.
var ErrClosed = errors.New("the pool is closed")

// New connects to relays in the background, and again whenever a connection is lost, until ctx ends or Close.
func New(ctx context.Context, relays []string, opts ...Option) *Pool {
	p := &Pool{
		log: slog.New(slog.DiscardHandler), watch: func(string, bool, error) {}, known: newRecent(20_000), now: time.Now, eoseIn: eoseIn,
		subs: map[string]*Subscription{},
	}
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
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
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
