// Package bunker is a Signer whose secret key lies elsewhere: a remote signer (NIP-46) is asked over relays to sign,
// encrypt and decrypt, so that a key need not be on the machine that works under it.
//
// It promises that an event it gives back is the one that was to be signed, under the key that was announced when it was
// opened, and that a call ends with its context. Begin with Open.
//
// The wire is our pool's, with go-nostr's nip46 messages: go-nostr's own client subscribes after it asks, and closes a
// channel that an answer may be on its way to.
package bunker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip46"

	"infernet/events"
	"infernet/internal/pool"
)

// Signer signs with a key in a bunker.
type Signer struct {
	client *events.Keys  // this machine's key at the bunker
	bunker events.PubKey // who answers
	user   events.PubKey // who is signed for
	pool   *pool.Pool
	log    *slog.Logger
	onAuth func(url string)
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	next    int
	prefix  string // of request ids: no two runs share them
	waiting map[string]chan nip46.Response
}

var _ events.Signer = (*Signer)(nil)

// Errors of bunkers.
var (
	ErrUnavailable = errors.New("the bunker does not answer")
	ErrRefused     = errors.New("the bunker refuses")
)

// Config says which bunker, and who asks.
type Config struct {
	Address string           // bunker://<key>?relay=wss://…&secret=…
	Client  *events.Keys     // the key that the bunker knows this machine by; the same each time
	OnAuth  func(url string) // told where a person has to agree first; may be nil
	Log     *slog.Logger
}

// Parse reads a bunker's address. Errors do not repeat it: it may hold a secret.
func Parse(address string) (key events.PubKey, relays []string, secret string, err error) {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil || u.Scheme != "bunker" || !nostr.IsValidPublicKey(u.Host) {
		return "", nil, "", errors.New("no address of a bunker: bunker://<64 hex characters>?relay=wss://…")
	}
	if relays = u.Query()["relay"]; len(relays) == 0 {
		return "", nil, "", errors.New("the bunker's address names no relay: bunker://…?relay=wss://…")
	}
	for _, relay := range relays {
		if err := events.CheckRelay(relay); err != nil {
			return "", nil, "", fmt.Errorf("the bunker's address: %w", err)
		}
	}
	return events.PubKey(u.Host), relays, u.Query().Get("secret"), nil
}

// Open connects to a bunker and learns whom it signs for. Until Close the connection stays, beyond ctx, which bounds only
// the opening.
func Open(ctx context.Context, c Config) (*Signer, error) {
	key, relays, secret, err := Parse(c.Address)
	if err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &Signer{
		client: c.Client, bunker: key, log: c.Log, onAuth: c.OnAuth, cancel: cancel, done: make(chan struct{}),
		pool:   pool.New(life, relays, pool.WithSigner(c.Client), pool.WithLog(c.Log)),
		prefix: nostr.GeneratePrivateKey()[:8], waiting: map[string]chan nip46.Response{},
	}
	since := nostr.Now() - 60
	sub := s.pool.Subscribe(life, nostr.Filter{
		Kinds: []int{nostr.KindNostrConnect}, Authors: []string{string(key)}, Tags: nostr.TagMap{"p": {string(c.Client.PublicKey())}}, Since: &since,
	})
	go func() {
		defer close(s.done)
		for ev := range sub.Events {
			s.hear(life, ev)
		}
	}()
	if err := s.connect(ctx, secret); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Signer) connect(ctx context.Context, secret string) error {
	params := []string{string(s.bunker)}
	if secret != "" {
		params = append(params, secret)
	}
	if _, err := s.ask(ctx, "connect", params...); err != nil {
		return err
	}
	user, err := s.ask(ctx, "get_public_key")
	if err != nil {
		return err
	}
	if !nostr.IsValidPublicKey(user) {
		return fmt.Errorf("%w: it names no public key", ErrRefused)
	}
	s.user = events.PubKey(user)
	return nil
}

// Close ends the connection.
func (s *Signer) Close() error {
	s.cancel()
	<-s.done
	return s.pool.Close()
}

// PublicKey is the key that the bunker signs for.
func (s *Signer) PublicKey() events.PubKey { return s.user }

// Sign has the event signed. It is refused if what comes back is another event, or under another key.
func (s *Signer) Sign(ctx context.Context, ev *nostr.Event) error {
	ev.PubKey = string(s.user)
	if ev.Tags == nil {
		ev.Tags = nostr.Tags{}
	}
	body, err := json.Marshal(map[string]any{"kind": ev.Kind, "content": ev.Content, "tags": ev.Tags, "created_at": ev.CreatedAt, "pubkey": ev.PubKey})
	if err != nil {
		return err
	}
	answer, err := s.ask(ctx, "sign_event", string(body))
	if err != nil {
		return err
	}
	var signed nostr.Event
	if err := json.Unmarshal([]byte(answer), &signed); err != nil {
		return fmt.Errorf("%w: what it signed is no event: %w", ErrRefused, err)
	}
	if signed.ID != ev.GetID() {
		return fmt.Errorf("%w: it signed another event", ErrRefused)
	}
	if err := events.Verify(&signed); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	ev.ID, ev.Sig = signed.ID, signed.Sig
	return nil
}

// Encrypt closes plain for peer (NIP-44 v2).
func (s *Signer) Encrypt(ctx context.Context, peer events.PubKey, plain string) (string, error) {
	return s.ask(ctx, "nip44_encrypt", string(peer), plain)
}

// Decrypt opens what peer closed for this key, or this key for peer (NIP-44 v2).
func (s *Signer) Decrypt(ctx context.Context, peer events.PubKey, cipher string) (string, error) {
	return s.ask(ctx, "nip44_decrypt", string(peer), cipher)
}

const (
	askAgain = 4 * time.Second  // a relay does not keep what nobody heard
	askFor   = 20 * time.Second // how long the bunker is asked, where the context has no end
	agreeIn  = 5 * time.Minute  // … and how long a person may take to agree
)

// ask asks the bunker, again until it answers: every method may be carried out twice.
func (s *Signer) ask(ctx context.Context, method string, params ...string) (string, error) {
	answers := make(chan nip46.Response, 4) // an address to agree at, then the answer
	s.mu.Lock()
	s.next++
	id := fmt.Sprintf("%s-%d", s.prefix, s.next)
	s.waiting[id] = answers
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.waiting, id)
		s.mu.Unlock()
	}()
	if params == nil {
		params = []string{}
	}
	body, err := json.Marshal(nip46.Request{ID: id, Method: method, Params: params})
	if err != nil {
		return "", err
	}
	cipher, err := s.client.Encrypt(ctx, s.bunker, string(body))
	if err != nil {
		return "", err
	}
	silent := time.NewTimer(askFor)
	defer silent.Stop()
	agreeing := false
	for {
		ev := &nostr.Event{Kind: nostr.KindNostrConnect, CreatedAt: nostr.Now(), Tags: nostr.Tags{{"p", string(s.bunker)}}, Content: cipher}
		if err := s.client.Sign(ctx, ev); err != nil {
			return "", err
		}
		sent := s.pool.Send(ctx, ev)
		again := time.NewTimer(askAgain)
	wait:
		for {
			select {
			case r := <-answers:
				switch {
				case r.Result == "auth_url":
					agreeing = true
					silent.Reset(agreeIn)
					if s.onAuth != nil {
						s.onAuth(r.Error)
					}
				case r.Error != "":
					again.Stop()
					return "", fmt.Errorf("%w to %s: %s", ErrRefused, method, r.Error)
				default:
					again.Stop()
					return r.Result, nil
				}
			case err := <-sent:
				sent = nil
				if err != nil {
					s.log.Debug("no relay took a request to the bunker", "method", method, "err", err)
				}
			case <-again.C:
				if !agreeing { // asked twice, a person would be too
					break wait
				}
			case <-silent.C:
				again.Stop()
				return "", fmt.Errorf("%w to %s", ErrUnavailable, method)
			case <-ctx.Done():
				again.Stop()
				return "", fmt.Errorf("%w to %s: %w", ErrUnavailable, method, context.Cause(ctx))
			}
		}
	}
}

// hear gives an answer to who waits for it.
func (s *Signer) hear(ctx context.Context, ev *nostr.Event) {
	plain, err := s.client.Decrypt(ctx, s.bunker, ev.Content)
	if err != nil {
		s.log.Debug("the bunker said what cannot be read", "id", ev.ID, "err", err)
		return
	}
	var r nip46.Response
	if err := json.Unmarshal([]byte(plain), &r); err != nil {
		s.log.Debug("the bunker said no JSON", "id", ev.ID, "err", err)
		return
	}
	s.mu.Lock()
	answers := s.waiting[r.ID]
	s.mu.Unlock()
	if answers != nil {
		select {
		case answers <- r:
		default: // answered often
		}
	}
}
