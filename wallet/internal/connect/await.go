package connect

import (
	"context"
	"errors"
	"time"

	"infernet/events"
	"infernet/nips/nip47"
	"infernet/wallet"
)

// side is one party's side of a payment.
type side struct {
	way  string
	hash wallet.Hash
}

// watch is a transaction that somebody waits for.
type watch struct {
	waiters int
	told    chan struct{}      // closed when a notification tells of it
	said    *nip47.Transaction // what it said
}

// watch listens for a notification of a transaction, until unwatch.
func (c *Client) watch(at side) *watch {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.watched[at]
	if w == nil {
		w = &watch{told: make(chan struct{})}
		c.watched[at] = w
	}
	w.waiters++
	return w
}

func (c *Client) unwatch(at side, w *watch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.waiters--; w.waiters == 0 && c.watched[at] == w {
		delete(c.watched, at)
	}
}

// notified wakes who waits for this transaction.
func (c *Client) notified(n nip47.Notification) {
	t := n.Notification
	hash, err := wallet.ParseHash(t.PaymentHash)
	if err != nil {
		return
	}
	at := side{nip47.Incoming, hash}
	switch n.Type {
	case nip47.PaymentReceived:
		t.State = nip47.Settled
	case nip47.HoldInvoiceAccepted:
		t.State = nip47.Accepted
	case nip47.PaymentSent:
		at.way, t.State = nip47.Outgoing, nip47.Settled
	default:
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.watched[at]; w != nil {
		w.said = &t
		close(w.told)
		delete(c.watched, at) // who waits from now on waits for the next word
	}
}

// How often the wallet is asked about a payment when no notification comes.
const (
	pollMin = time.Second
	pollMax = 15 * time.Second
)

// Await returns once the invoice is paid, or its payment locked. It listens first and asks then, so that nothing falls
// between; a wallet that is away is asked again.
func (c *Client) Await(ctx context.Context, hash wallet.Hash) (wallet.Settlement, error) {
	at := side{nip47.Incoming, hash}
	w := c.watch(at)
	defer func() { c.unwatch(at, w) }()
	poll := pollMin
	for {
		t, err := c.lookup(ctx, hash)
		switch {
		case errors.Is(err, wallet.ErrNotFound):
			return wallet.Settlement{}, err
		case ctx.Err() != nil:
			return wallet.Settlement{}, context.Cause(ctx)
		case err == nil && t.Type == nip47.Outgoing:
			return wallet.Settlement{}, wallet.ErrNotFound
		case err == nil && (settled(t) || t.State == nip47.Accepted):
			return c.settlement(ctx, hash, t), nil
		case err == nil && over(t):
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
		case <-w.told:
			timer.Stop()
			return c.settlement(ctx, hash, w.said), nil
		case <-timer.C:
		}
		poll = min(poll*2, pollMax)
	}
}

func (c *Client) settlement(ctx context.Context, hash wallet.Hash, t *nip47.Transaction) wallet.Settlement {
	s := wallet.Settlement{Hash: hash, Amount: events.Msat(t.Amount)}
	if !settled(t) {
		s.Held, s.Blocks = true, c.blocks(ctx, t)
		return s
	}
	if s.At = time.Now(); t.SettledAt > 0 {
		s.At = time.Unix(t.SettledAt, 0)
	}
	return s
}

// blocks is how many are left to settle a locked payment; 0 if the wallet does not say.
func (c *Client) blocks(ctx context.Context, t *nip47.Transaction) int {
	if t.SettleDeadline == 0 {
		return 0
	}
	info, err := c.Info(ctx)
	if err != nil || info.BlockHeight == 0 {
		return 0
	}
	return int(max(1, t.SettleDeadline-info.BlockHeight))
}
