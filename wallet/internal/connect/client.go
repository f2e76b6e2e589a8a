// Package connect is a client of NIP-47 wallet services, for the wallets that are one: nwc and play.
//
// It keeps one subscription for all answers and notifications, on all relays of the connection. A payment is asked for
// once: when the answer is lost, the wallet is asked by payment hash what became of it. Begin with New.
package connect

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"

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
	scheme scheme

	mu      sync.Mutex
	waiting map[string]chan *nip47.Response // by request id
	watched map[side]*watch                 // transactions that somebody waits for
	paying  map[wallet.Hash]*paying         // payments under way in this process
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
		waiting: map[string]chan *nip47.Response{}, watched: map[side]*watch{}, paying: map[wallet.Hash]*paying{},
	}
	since := nostr.Now() - 60
	info := nostr.Filter{Kinds: []int{nip47.KindInfo}, Authors: []string{uri.Wallet}}
	sub := c.pool.Subscribe(ctx, info, nostr.Filter{
		Kinds: []int{nip47.KindResponse, nip47.KindNotification, nip47.KindNotification04}, Authors: info.Authors,
		Tags: nostr.TagMap{"p": {string(keys.PublicKey())}}, Since: &since,
	})
	c.scheme = scheme{known: make(chan struct{}), asked: make(chan struct{})}
	var both sync.WaitGroup
	both.Go(func() {
		for ev := range sub.Events {
			c.hear(ctx, ev)
		}
	})
	both.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, infoIn)
		defer cancel()
		found, _ := c.pool.Query(ctx, info) // as much as came in time
		for _, ev := range found {
			c.scheme.hear(ev)
		}
		close(c.scheme.asked)
	})
	go func() { both.Wait(); close(c.done) }()
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

// hear takes in what the wallet says.
func (c *Client) hear(ctx context.Context, ev *nostr.Event) {
	if ev.PubKey != string(c.wallet) {
		return
	}
	if ev.Kind == nip47.KindInfo {
		c.scheme.hear(ev)
		return
	}
	if ev.Kind == nip47.KindNotification04 && c.scheme.newer() {
		return // it comes by NIP-44 too
	}
	out, err := nip47.ParseEnvelope(ev)
	var plain string
	if err == nil {
		plain, err = Decrypt(ctx, c.keys, out.Encryption, c.wallet, out.Content)
	}
	if err != nil {
		c.log.Debug("the wallet said what cannot be read", "id", ev.ID, "err", err)
		return
	}
	if ev.Kind != nip47.KindResponse {
		var n nip47.Notification
		if err := json.Unmarshal([]byte(plain), &n); err == nil {
			c.notified(n)
		}
		return
	}
	resp := &nip47.Response{}
	if err := json.Unmarshal([]byte(plain), resp); err != nil {
		resp = &nip47.Response{Error: &nip47.Error{Code: nip47.CodeInternal, Message: "the answer is no JSON"}}
	}
	c.mu.Lock()
	ch := c.waiting[out.Request]
	c.mu.Unlock()
	if ch != nil {
		select {
		case ch <- resp:
		default: // answered twice
		}
	}
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

// Transactions gives one page of what was paid and received, the newest first; nip47.PageSize of them if no limit is set. A
// page may be shorter than its limit before the end: the next begins where it ended.
func (c *Client) Transactions(ctx context.Context, page nip47.Listing) ([]nip47.Transaction, error) {
	if page.Limit == 0 {
		page.Limit = nip47.PageSize
	}
	var found nip47.Transactions
	err := c.ask(ctx, nip47.ListTransactions, page, &found)
	return found.Transactions, err
}
