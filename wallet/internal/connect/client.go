// Package connect is a client of NIP-47 wallet services, for the wallets that are one: nwc and play.
//
// It keeps one subscription for all answers and notifications. A payment is asked for once: when the answer is lost, the
// wallet is asked what became of it. Begin with New.
package connect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/pool"
	"infernet/nips/nip47"
	"infernet/wallet"
)

// Client talks to one wallet service.
type Client struct {
	keys   *events.Keys
	wallet events.PubKey
	relays []string
	pool   *pool.Pool
	log    *slog.Logger
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	waiting map[string]chan *nip47.Response // by request id
	watched map[wallet.Hash]*watch          // invoices that somebody awaits
	paying  map[wallet.Hash]*paying         // payments under way in this process
}

// watch is an invoice that somebody awaits.
type watch struct {
	waiters int
	paid    chan struct{}      // closed when a notification says so
	said    *nip47.Transaction // what the notification said
}

type paying struct {
	done     chan struct{}
	preimage wallet.Preimage
	err      error
}

// New connects to a wallet service in the background, until ctx ends or Close.
func New(ctx context.Context, uri nip47.URI, log *slog.Logger) (*Client, error) {
	keys, err := events.NewKeys(uri.Secret)
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &Client{
		keys: keys, wallet: events.PubKey(uri.Wallet), relays: uri.Relays, log: log, cancel: cancel, done: make(chan struct{}),
		pool:    pool.New(ctx, uri.Relays, pool.WithSigner(keys), pool.WithLog(log)),
		waiting: map[string]chan *nip47.Response{}, watched: map[wallet.Hash]*watch{}, paying: map[wallet.Hash]*paying{},
	}
	since := nostr.Now() - 60
	sub := c.pool.Subscribe(ctx, nostr.Filter{
		Kinds: []int{nip47.KindResponse, nip47.KindNotification}, Authors: []string{uri.Wallet},
		Tags: nostr.TagMap{"p": {string(keys.PublicKey())}}, Since: &since,
	})
	go func() {
		defer close(c.done)
		for ev := range sub.Events {
			c.hear(ctx, ev)
		}
	}()
	return c, nil
}

// Close ends the connection.
func (c *Client) Close() error {
	c.cancel()
	<-c.done
	return c.pool.Close()
}

// Relays are where the service is reached.
func (c *Client) Relays() []string { return c.relays }

func (c *Client) hear(ctx context.Context, ev *nostr.Event) {
	plain, err := c.keys.Decrypt(ctx, c.wallet, ev.Content)
	if err != nil {
		c.log.Debug("the wallet said what cannot be read", "id", ev.ID, "err", err)
		return
	}
	if ev.Kind == nip47.KindNotification {
		var n nip47.Notification
		if err := json.Unmarshal([]byte(plain), &n); err == nil && n.Type == nip47.PaymentReceived {
			c.received(&n.Notification)
		}
		return
	}
	tag := ev.Tags.Find("e")
	if tag == nil {
		return
	}
	resp := &nip47.Response{}
	if err := json.Unmarshal([]byte(plain), resp); err != nil {
		resp = &nip47.Response{Error: &nip47.Error{Code: nip47.CodeInternal, Message: "the answer is no JSON"}}
	}
	c.mu.Lock()
	ch := c.waiting[tag[1]]
	c.mu.Unlock()
	if ch != nil {
		select {
		case ch <- resp:
		default: // answered twice
		}
	}
}

// received wakes who waits for this payment.
func (c *Client) received(t *nip47.Transaction) {
	hash, err := wallet.ParseHash(t.PaymentHash)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.watched[hash]; w != nil && w.said == nil {
		w.said = t
		close(w.paid)
	}
}

// answerIn is how long a payment waits for its answer. Requests that move nothing are asked again, a little later each
// time: a relay does not keep what nobody heard.
const answerIn = 4 * time.Second

// clockSkew is how far the wallet's clock may be behind ours: its requests must not look expired.
const clockSkew = time.Minute

var askAgain = []time.Duration{1500 * time.Millisecond, 3 * time.Second, answerIn}

// ask is call for methods that may be repeated.
func (c *Client) ask(ctx context.Context, method string, params, result any) (err error) {
	for _, within := range askAgain {
		if err = c.call(ctx, within, method, params, result); !errors.Is(err, wallet.ErrUnavailable) || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// call asks the service once. Errors: *nip47.Error mapped to wallet's, wallet.ErrUnavailable when no answer came.
func (c *Client) call(ctx context.Context, within time.Duration, method string, params, result any) error {
	body, err := json.Marshal(params)
	if err != nil {
		return err
	}
	body, err = json.Marshal(nip47.Request{Method: method, Params: body})
	if err != nil {
		return err
	}
	cipher, err := c.keys.Encrypt(ctx, c.wallet, string(body))
	if err != nil {
		return err
	}
	ev := &nostr.Event{
		Kind: nip47.KindRequest, CreatedAt: nostr.Now(), Content: cipher,
		Tags: nostr.Tags{
			{"p", string(c.wallet)}, {"encryption", nip47.Encryption}, {"expiration", fmt.Sprint(time.Now().Add(within + clockSkew).Unix())},
			{"n", nostr.GeneratePrivateKey()[:8]}, // two equal requests in one second are two
		},
	}
	if err := c.keys.Sign(ctx, ev); err != nil {
		return err
	}
	ch := make(chan *nip47.Response, 1)
	c.mu.Lock()
	c.waiting[ev.ID] = ch
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.waiting, ev.ID)
		c.mu.Unlock()
	}()
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	sent := c.pool.Send(bounded, ev)
	for {
		select {
		case err := <-sent:
			if err != nil {
				return fmt.Errorf("%w: %w", wallet.ErrUnavailable, err)
			}
			sent = nil
		case resp := <-ch:
			if resp.Error != nil {
				return fromWire(resp.Error)
			}
			if err := json.Unmarshal(resp.Result, result); err != nil {
				return fmt.Errorf("%w: its answer to %s cannot be read: %w", wallet.ErrUnavailable, method, err)
			}
			return nil
		case <-bounded.Done():
			if ctx.Err() != nil {
				return fmt.Errorf("%w: %w", wallet.ErrUnavailable, context.Cause(ctx))
			}
			return fmt.Errorf("%w: no answer to %s within %s", wallet.ErrUnavailable, method, within)
		}
	}
}

// fromWire gives a wallet's no the meaning that our callers test for.
func fromWire(e *nip47.Error) error {
	switch e.Code {
	case nip47.CodeInsufficientBalance, nip47.CodeQuotaExceeded:
		return fmt.Errorf("%w: %w", wallet.ErrInsufficient, e)
	case nip47.CodeNotFound:
		return fmt.Errorf("%w: %w", wallet.ErrNotFound, e)
	case nip47.CodePaymentFailed:
		return fmt.Errorf("%w: %w", wallet.ErrRejected, e)
	case nip47.CodeNotImplemented, nip47.CodeRestricted, nip47.CodeUnauthorized:
		return fmt.Errorf("%w: %w", wallet.ErrUnsupported, e)
	}
	return e
}

// Info says what the wallet is and can.
func (c *Client) Info(ctx context.Context) (*nip47.Info, error) {
	info := &nip47.Info{}
	return info, c.ask(ctx, nip47.GetInfo, struct{}{}, info)
}

// Balance says how much is in the wallet.
func (c *Client) Balance(ctx context.Context) (events.Msat, error) {
	var b nip47.Balance
	err := c.ask(ctx, nip47.GetBalance, struct{}{}, &b)
	return events.Msat(b.Balance), err
}

// Make makes an invoice.
func (c *Client) Make(ctx context.Context, ask wallet.InvoiceRequest, preimage string) (*wallet.Invoice, error) {
	var t nip47.Transaction
	err := c.ask(ctx, nip47.MakeInvoice, nip47.Invoicing{
		Amount: int64(ask.Amount), Description: ask.Description, Preimage: preimage,
		Expiry: max(1, int64(time.Until(ask.Until).Round(time.Second)/time.Second)),
	}, &t)
	if err != nil {
		return nil, err
	}
	hash, err := wallet.ParseHash(t.PaymentHash)
	if err != nil {
		return nil, fmt.Errorf("the wallet's invoice: payment hash: %w", err)
	}
	return &wallet.Invoice{Bolt11: t.Invoice, Hash: hash, Amount: events.Msat(t.Amount), Until: time.Unix(t.ExpiresAt, 0)}, nil
}

// Invoice makes an invoice.
func (c *Client) Invoice(ctx context.Context, ask wallet.InvoiceRequest) (*wallet.Invoice, error) {
	return c.Make(ctx, ask, "")
}

func (c *Client) lookup(ctx context.Context, hash wallet.Hash) (*nip47.Transaction, error) {
	t := &nip47.Transaction{}
	return t, c.ask(ctx, nip47.LookupInvoice, nip47.Looking{PaymentHash: hash.String()}, t)
}

// How often the wallet is asked about a payment when no notification comes.
const (
	pollMin = time.Second
	pollMax = 15 * time.Second
)

// Await returns once the invoice is paid. It listens first and asks then, so that nothing falls between; a wallet that
// is away is asked again.
func (c *Client) Await(ctx context.Context, hash wallet.Hash) (wallet.Settlement, error) {
	w := c.watch(hash)
	defer c.unwatch(hash, w)
	poll := pollMin
	for {
		t, err := c.lookup(ctx, hash)
		switch {
		case errors.Is(err, wallet.ErrNotFound):
			return wallet.Settlement{}, err
		case ctx.Err() != nil:
			return wallet.Settlement{}, context.Cause(ctx)
		case err == nil && t.Type == "outgoing":
			return wallet.Settlement{}, wallet.ErrNotFound
		case err == nil && settled(t):
			return settlement(hash, t), nil
		case err == nil && (t.State == "expired" || t.State == "failed"):
			return wallet.Settlement{}, wallet.ErrExpired
		case err == nil && t.ExpiresAt > 0 && time.Now().Unix() > t.ExpiresAt+1:
			return wallet.Settlement{}, wallet.ErrExpired
		}
		wait := poll
		if err == nil && t.ExpiresAt > 0 {
			wait = min(wait, max(0, time.Until(time.Unix(t.ExpiresAt+2, 0)))+10*time.Millisecond)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return wallet.Settlement{}, context.Cause(ctx)
		case <-w.paid:
			timer.Stop()
			return settlement(hash, w.said), nil
		case <-timer.C:
		}
		poll = min(poll*2, pollMax)
	}
}

// watch listens for the notification that an invoice is paid, until unwatch.
func (c *Client) watch(hash wallet.Hash) *watch {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.watched[hash]
	if w == nil {
		w = &watch{paid: make(chan struct{})}
		c.watched[hash] = w
	}
	w.waiters++
	return w
}

func (c *Client) unwatch(hash wallet.Hash, w *watch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.waiters--; w.waiters == 0 {
		delete(c.watched, hash)
	}
}

// settled says whether a payment arrived. Not every wallet tells when, nor names the state.
func settled(t *nip47.Transaction) bool { return t.SettledAt > 0 || t.State == "settled" }

func settlement(hash wallet.Hash, t *nip47.Transaction) wallet.Settlement {
	at := time.Now()
	if t.SettledAt > 0 {
		at = time.Unix(t.SettledAt, 0)
	}
	return wallet.Settlement{Hash: hash, Amount: events.Msat(t.Amount), At: at}
}
