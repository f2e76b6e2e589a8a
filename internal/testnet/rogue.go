package testnet

import (
	"context"
	"errors"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/pool"
)

// Rogue is a node that a test writes itself: it answers as the test says, signed like any other.
type Rogue struct {
	Keys *events.Keys
	Pool *pool.Pool
	ctx  context.Context
	net  *Net
}

// Rogue announces a node and hands it every request for text and every award that names it.
func (n *Net) Rogue(name, payee string, answer func(r *Rogue, m events.Message)) *Rogue {
	n.T.Helper()
	keys := events.GenerateKeys()
	r := &Rogue{Keys: keys, Pool: n.Pool(n.ctx, keys), ctx: n.ctx, net: n}
	now := events.At(Now())
	r.Say(&events.Announcement{
		Head: events.Head{At: now}, Name: name, Kinds: []int{events.KindText}, Models: []string{name},
		Profile: events.NodeProfile{Name: name, Market: &events.Market{
			Version: 1, Concurrency: 1, Pay: []string{events.PayPrepaid}, Delivery: []string{events.DeliverPlain}, Payee: payee,
			Models: []events.ModelOffer{{ID: name, Kinds: []int{events.KindText}, Price: Price}},
		}},
	})
	r.Say(&events.Heartbeat{Head: events.Head{At: now, Expires: now.Add(events.HeartbeatLife)}, Status: "ready", Kinds: []int{events.KindText}, Capacity: 1})
	since := nostr.Timestamp(now)
	sub := r.Pool.Subscribe(n.ctx,
		nostr.Filter{Kinds: []int{events.KindText}, Since: &since},
		nostr.Filter{Kinds: []int{events.KindFeedback}, Tags: nostr.TagMap{"p": {string(keys.PublicKey())}}, Since: &since},
	)
	<-sub.EOSE
	go func() {
		for ev := range sub.Events {
			if m, err := events.Open(n.ctx, ev, keys); err == nil {
				answer(r, m)
			}
		}
	}()
	return r
}

// Say signs and publishes a message.
func (r *Rogue) Say(m events.Message) {
	r.net.T.Helper()
	if _, err := r.Pool.Say(r.ctx, m); err != nil && r.ctx.Err() == nil && !errors.Is(err, pool.ErrClosed) {
		r.net.T.Errorf("rogue: %v", err)
	}
}

// Head is what the rogue's messages about a job have in common.
func (r *Rogue) Head() events.Head {
	now := events.At(Now())
	return events.Head{At: now, Expires: now.Add(events.KeepJob)}
}

// Offer offers a job for an amount.
func (r *Rogue) Offer(req *events.Request, amount events.Msat) {
	o := &events.Offer{
		Head: r.Head(), Job: req.ID, To: req.Author, Amount: amount, Cap: amount, Until: req.Deadline, Delivery: events.DeliverPlain,
		Pay: events.PayPrepaid, Model: req.Model(), Encrypted: true,
	}
	if amount == 0 {
		o.Pay = events.PayFree
	}
	r.Say(o)
}
