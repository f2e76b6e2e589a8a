package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// board is what the node shows: its announcement and its heartbeat. It remembers replaced prices for as long as they
// still hold.
type board struct {
	p *Provider

	payee string // the key that the node's invoices are signed with

	mu    sync.Mutex
	now   *events.Announcement
	said  string // the market part of it, as it was last announced
	state string // of the last heartbeat
	shown map[events.ID]*poster

	last map[int]events.Unix // when the node last said something of a replaceable kind; only keep uses it
}

// poster is an announcement that customers may have read.
type poster struct {
	market *events.Market
	until  time.Time // zero while it is the newest
}

// priceHolds is how long a replaced price can still be bought at.
const priceHolds = 600 * time.Second

// announceEvery is how often the announcement is signed anew: readers hide old ones.
const announceEvery = 7 * 24 * time.Hour

func newBoard(ctx context.Context, p *Provider) (*board, error) {
	b := &board{p: p, shown: map[events.ID]*poster{}, last: map[int]events.Unix{}}
	payee, err := p.payee(ctx)
	if err != nil {
		return nil, err
	}
	b.payee, b.now = payee, p.announcement(payee)
	return b, nil
}

// payee asks the wallet for an invoice, to learn with which key it signs: customers refuse invoices of another.
func (p *Provider) payee(ctx context.Context) (string, error) {
	if p.Wallet == nil {
		return "", nil
	}
	invoice, err := p.Wallet.Invoice(ctx, wallet.InvoiceRequest{Amount: events.Sat, Description: "infernet: which key signs?", Until: p.Now().Add(time.Minute)})
	if err != nil {
		return "", fmt.Errorf("ask the wallet for an invoice: %w", err)
	}
	decoded, err := bolt11.Decode(invoice.Bolt11)
	if err != nil {
		return "", fmt.Errorf("the wallet's invoice: %w", err)
	}
	return fmt.Sprintf("%x", decoded.Payee), nil
}

func (p *Provider) announcement(payee string) *events.Announcement {
	y := p.policy.Load()
	a := &events.Announcement{Name: p.Name, Kinds: p.kinds(), Relays: p.Relays}
	a.Profile = events.NodeProfile{
		Name: p.Name, About: p.About, Amount: "flexible", SupportsEncryption: true, EncryptionSupported: true,
		Params: map[string]events.ParamHint{},
		Market: &events.Market{
			Version: 1, GPUs: p.GPUs, Concurrency: p.queue.size(), Percent: y.Percent, Minimum: y.Minimum, Payee: payee, Delivery: []string{events.DeliverPlain, events.DeliverEncrypted},
		},
	}
	market, free := a.Profile.Market, true
	for _, m := range p.models {
		if !y.runs(m) {
			continue
		}
		price := p.price(m.ID)
		free = free && price.Free()
		a.Models = append(a.Models, m.ID)
		market.Models = append(market.Models, events.ModelOffer{ID: m.ID, Kinds: m.Kinds, Digest: m.Digest, Context: m.Context, Price: price})
	}
	if market.Pay = p.ways(events.Sat); free {
		a.Profile.Amount, market.Pay = "free", []string{events.PayFree}
	}
	for _, way := range market.Pay {
		if way == events.PaySealed {
			market.Delivery = append(market.Delivery, events.DeliverSealed)
		}
	}
	a.Profile.Params["model"] = events.ParamHint{Values: a.Models, Description: "model id"}
	for _, kind := range a.Kinds {
		for _, spec := range events.Kinds[kind].Params {
			if _, ok := a.Profile.Params[spec.Name]; !ok {
				a.Profile.Params[spec.Name] = events.ParamHint{Values: append([]string{}, spec.Values...), Description: spec.About}
			}
		}
	}
	return a
}

// remember reads the announcement of an earlier run from the relays: customers may have read it, and its prices hold on
// for a while as if it was replaced now.
func (b *board) remember(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	me := []string{string(b.p.me)}
	old, err := b.p.Pool.Query(ctx,
		nostr.Filter{Kinds: []int{events.KindAnnouncement}, Authors: me, Tags: nostr.TagMap{"d": {b.p.Name}}},
		nostr.Filter{Kinds: []int{events.KindHeartbeat}, Authors: me},
	)
	if err != nil {
		b.p.Log.Debug("no earlier announcement was read", "err", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, ev := range old {
		b.last[ev.Kind] = max(b.last[ev.Kind], events.Unix(ev.CreatedAt))
		m, err := events.Parse(ev)
		if err != nil {
			continue
		}
		if a, ok := m.(*events.Announcement); ok && a.Profile.Market != nil {
			b.shown[a.ID] = &poster{market: a.Profile.Market, until: b.p.Now().Add(priceHolds)}
		}
	}
}

// next is the time of the next event of a replaceable kind: now, and younger than the last, or relays keep that (NIP-01).
// A node that restarts within a second would else go on as draining.
func (b *board) next(kind int) events.Unix {
	b.last[kind] = max(events.At(b.p.Now()), b.last[kind]+1)
	return b.last[kind]
}

// keep shows the announcement and the heartbeat until ctx ends; then it says that the node is draining.
func (b *board) keep(ctx context.Context) {
	b.remember(ctx)
	b.announce(ctx)
	b.beat(ctx, "")
	beats, weeks, looks := time.NewTicker(events.HeartbeatEvery), time.NewTicker(announceEvery), time.NewTicker(lookEvery)
	defer beats.Stop()
	defer weeks.Stop()
	defer looks.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			b.beat(last, "draining")
			return
		case <-weeks.C:
			b.announce(ctx)
		case <-beats.C:
			b.beat(ctx, "")
		case <-looks.C:
			b.look(ctx)
		case <-b.p.turned:
			b.look(ctx)
		}
	}
}

// lookEvery is how often the board sees whether what it shows is still so: hours come and go.
const lookEvery = 10 * time.Second

// look shows again what has changed: prices, models, whether jobs are taken.
func (b *board) look(ctx context.Context) {
	b.mu.Lock()
	fresh := marketOf(b.p.announcement(b.payee))
	old := fresh == b.said
	b.mu.Unlock()
	if !old {
		b.announce(ctx)
	}
	if (b.p.closed() != nil) != (b.state == "draining") {
		b.beat(ctx, "")
	}
}

func marketOf(a *events.Announcement) string {
	body, _ := json.Marshal(a.Profile) // a struct of strings, numbers and slices
	return string(body)
}

func (b *board) announce(ctx context.Context) {
	p := b.p
	b.mu.Lock()
	b.now = p.announcement(b.payee)
	b.said = marketOf(b.now)
	b.now.Head = events.Head{At: b.next(events.KindAnnouncement)}
	ev, err := events.Sign(ctx, b.now, p.Signer)
	if err == nil {
		for id, old := range b.shown {
			if old.until.IsZero() {
				old.until = p.Now().Add(priceHolds)
			} else if p.Now().After(old.until) {
				delete(b.shown, id)
			}
		}
		b.shown[b.now.ID] = &poster{market: b.now.Profile.Market}
	}
	b.mu.Unlock()
	if err == nil {
		err = p.Pool.Publish(ctx, ev)
	}
	if err != nil && ctx.Err() == nil {
		p.Log.Error("cannot announce the node", "err", err)
	}
}

// honour puts into the terms what the announcement says that a customer read, while it holds.
func (b *board) honour(req *events.Request, t *terms) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	shown := b.shown[req.Price]
	if shown == nil || (!shown.until.IsZero() && b.p.Now().After(shown.until)) {
		now, _ := json.Marshal(b.p.price(t.Model))
		return refuse(events.CodePriceChanged, "announcement %s holds no more; now it is %s", req.Price, now)
	}
	for _, m := range shown.market.Models {
		if m.ID == t.Model {
			t.Price, t.Percent, t.Minimum = m.Price, shown.market.PercentOf(req.Priority), shown.market.Minimum
			return nil
		}
	}
	return refuse(events.CodeUnsupportedModel, "announcement %s has no %q", req.Price, t.Model)
}

// beat says that the node is alive, and how busy it says it is.
func (b *board) beat(ctx context.Context, status string) {
	p := b.p
	now := b.next(events.KindHeartbeat)
	beat := &events.Heartbeat{
		Head: events.Head{At: now, Expires: now.Add(events.HeartbeatLife)}, Status: status, Kinds: p.kinds(),
		Capacity: int64(p.queue.size()), Load: int64(p.queue.running()), Queue: int64(p.queue.waiting()),
	}
	if status == "" {
		switch beat.Status = "ready"; {
		case p.closed() != nil:
			beat.Status = "draining"
		case beat.Load >= beat.Capacity:
			beat.Status = "busy"
		}
	}
	b.state = beat.Status
	ev, err := events.Sign(ctx, beat, p.Signer)
	if err == nil {
		err = p.Pool.Publish(ctx, ev)
	}
	if err != nil && ctx.Err() == nil {
		p.Log.Error("cannot send a heartbeat", "err", err)
	}
}
