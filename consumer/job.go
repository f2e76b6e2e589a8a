package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/pool"
	"infernet/wallet"
)

// job is one request on its way.
type job struct {
	c      *Consumer
	order  Order
	signer events.Signer
	watch  func(Step)
	req    *events.Request
	sub    *pool.Subscription
	after  events.ID      // the job that this one goes on from, which ends with its beginning; "" if none
	kept   []*nostr.Event // of a job that goes on: its journal
	taken  func() error   // waits until the job is in the ledger
	sent   <-chan error   // the request's publication
	began  time.Time      // when the customer asked, for the first of several tries
	asked  time.Time      // when this request was published
	flying events.PubKey  // the node that it is counted at
	turn   time.Time      // when it was the chosen node's turn: awarded, or asked directly; zero before
	models []string       // that a direct job's node announces for its kind
	quoted events.Msat    // what a direct job was to cost, by its node's announcement

	recalled bool // from the ledger
	over     bool // it was cancelled before it was recalled

	said   []events.Message           // all that was heard, for Fold
	heard  map[events.PubKey]int      // how much of it by whom
	caught map[string]bool            // ids of what was heard before the subscription brings it
	node   events.PubKey              // the chosen one
	offer  *events.Offer              // nil in a direct job
	rest   []*events.Offer            // the runners-up
	offers map[events.ID]*nostr.Event // as they were signed
	payee  *payee                     // the chosen node's Lightning key, as it announced it

	committed bool
	back      error // why the locked money of a hold came back; nil if it did not
	backAt    time.Time
	returned  events.Msat // what came back
	heldFrom  time.Time   // when the money of a hold was committed
	hash      wallet.Hash
	preimage  wallet.Preimage
	paid      events.Msat
	paying    <-chan payment
	storage   events.Msat // what file servers were paid for the inputs

	seq     int64 // of the next chunk
	first   time.Duration
	firstAt time.Time // of the first token
	opened  []byte    // a sealed result's text
}

// defaults of an order.
const (
	defaultLife   = 5 * time.Minute
	defaultWindow = time.Second
)

// submit writes the job into the ledger, listens for answers and publishes the request.
func (c *Consumer) submit(ctx context.Context, o Order, watch func(Step)) (*job, error) {
	j := &job{c: c, order: o, signer: c.Signer, watch: watch, began: c.Now()}
	secret := []byte{}
	if j.signer == nil {
		keys := events.GenerateKeys()
		j.signer, secret = keys, []byte(keys.Secret())
	}
	if err := j.upload(ctx); err != nil {
		return nil, err
	}
	if err := j.build(ctx); err != nil {
		return nil, err
	}
	if j.credit() || o.Account {
		var err error
		if secret, err = j.onAccount(); err != nil {
			return nil, err
		}
	}
	return j, j.open(ctx, secret)
}

// open makes the job real: signed, in the ledger, subscribed to, published.
func (j *job) open(ctx context.Context, secret []byte) error {
	ev, err := events.Sign(ctx, j.req, worker{j.signer, j.order.Work})
	if err != nil {
		return err
	}
	if size := len(ev.String()); size > events.MaxEvent {
		return fmt.Errorf("the job makes an event of %d bytes, at most %d travel", size, events.MaxEvent)
	}
	body, err := json.Marshal(j.order)
	if err != nil {
		return err
	}
	facts := map[string][]byte{"order": body, "key": secret}
	kept := []*nostr.Event{ev}
	if j.offer != nil { // an order: what it takes up belongs to it
		kept = append(kept, j.offers[j.offer.ID])
	}
	j.listen(ctx) // the relay looks while the ledger writes
	if err := j.record(facts, kept); err != nil {
		return err
	}
	j.asked = j.c.Now()
	if j.node != "" {
		j.turn = j.asked
		j.fly()
	}
	j.sent = j.c.Pool.Send(ctx, ev)
	j.tell(Step{Event: ev, Message: j.req})
	if j.storage > 0 {
		j.tell(Step{Note: "paid " + j.storage.Human() + " to keep input files", Storage: j.storage})
	}
	return nil
}

// record writes the job into the ledger. One that may cost money waits for it, a free one lets its request go at once.
func (j *job) record(facts map[string][]byte, kept []*nostr.Event) error {
	done := make(chan error, 1)
	j.taken = sync.OnceValue(func() error { return <-done })
	write := func() {
		err := j.c.Ledger.TakeAfter(j.after, j.req.ID, ledger.Customer, facts, kept...)
		if err != nil {
			err = fmt.Errorf("ledger: %w", err)
		} else {
			j.c.Step(j.req.ID, "submitted")
		}
		done <- err
	}
	if *j.req.Bid == 0 {
		go write()
		return nil
	}
	write()
	return j.taken()
}

// inLedger waits until the job is in the ledger.
func (j *job) inLedger() error {
	if j.taken == nil { // it comes from there
		return nil
	}
	return j.taken()
}

// finish closes the job in the ledger.
func (j *job) finish(end string) error {
	if err := j.inLedger(); err != nil {
		return err
	}
	if err := j.c.Ledger.Finish(j.req.ID, end); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}

// listen subscribes to all that is said about the job.
func (j *job) listen(ctx context.Context) {
	j.sub = j.c.Pool.Subscribe(ctx, j.filter())
}

func (j *job) filter() nostr.Filter {
	return nostr.Filter{
		Kinds: []int{events.KindFeedback, events.KindChunk, j.req.Kind + 1000}, Tags: nostr.TagMap{"e": {string(j.req.ID)}},
	}
}

// build makes the request out of the order.
func (j *job) build(ctx context.Context) error {
	o, c := &j.order, j.c
	kind, ok := events.Kinds[o.Kind]
	if !ok || kind.Own != o.Account {
		return fmt.Errorf("kind %d is not known here", o.Kind)
	}
	if j.credit() && (len(o.Pay) > 1 || o.Way != Direct) {
		return errAlone
	}
	life := o.Life
	if life == 0 {
		life = defaultLife
	}
	if o.Node != "" && len(o.Node) < 64 {
		key, err := c.whole(ctx, o.Node)
		if err != nil {
			return err
		}
		o.Node = key
	}
	bid, now := o.MaxCost, c.Now()
	j.req = &events.Request{
		Head: events.Head{At: events.At(now)}, Kind: o.Kind, Profile: true, Inputs: o.Inputs, Params: o.Params, Output: o.Output,
		Bid: &bid, Pay: o.Pay, Relays: c.Relays, Deadline: events.At(now.Add(life)), Priority: o.Priority, Require: spelled(o.Require), Retry: o.Retry, SizeIn: o.SizeIn,
	}
	j.req.Expires = j.req.Keep()
	switch o.Way {
	case "", Auction:
		window := o.Window
		if window == 0 {
			window = defaultWindow
		}
		j.req.Bids = &events.Auction{Seconds: int64(max(1, window.Round(time.Second)/time.Second)), Mode: "auto", Open: o.Open}
		if o.First {
			j.req.Bids.Mode = "first"
		}
		if model := j.req.Model(); model != "" {
			j.req.Models = []string{model}
		}
		if j.auto() {
			j.req.Pay = j.asksFor()
		}
		if j.req.To = o.Only; len(o.Only) == 0 && len(o.Controls.Only) > 0 { // nobody else is to work for nothing
			for _, only := range o.Controls.Only {
				key, err := c.whole(ctx, only)
				if errors.Is(err, ErrUnknownNode) {
					continue
				} else if err != nil {
					return err
				}
				j.req.To = append(j.req.To, key)
			}
			if len(j.req.To) == 0 {
				return fmt.Errorf("none of the nodes that only names is there: %w", ErrUnknownNode)
			}
		}
	case Direct:
		if err := j.direct(ctx); err != nil {
			return err
		}
	case Plain:
		j.req.Profile, j.req.Pay, j.req.Priority, j.req.Require = false, nil, "", nil
		j.req.Expires = j.req.Deadline
		if o.Node != "" {
			j.req.To, j.node = []events.PubKey{o.Node}, o.Node
		}
		if j.req.Encrypted = o.Encrypted; o.Encrypted && o.Node == "" {
			return errors.New("an encrypted job names the node that may read it")
		}
	default:
		return fmt.Errorf("way to buy %q: there is auction, direct and plain", o.Way)
	}
	return kind.Check(j.req)
}

// spelled are requirements as nodes spell them: a card's name has spaces.
func spelled(all []events.Require) (out []events.Require) {
	for _, r := range all {
		if r.Name == "gpu" {
			r.Value = strings.ReplaceAll(r.Value, "_", " ")
		}
		out = append(out, r)
	}
	return out
}

// direct addresses the job to one node, at the price of the announcement that was read.
func (j *job) direct(ctx context.Context) error {
	node, err := j.c.pick(ctx, &j.order, j.tell)
	if err != nil {
		return err
	}
	if j.order.Account {
		j.node, j.req.To, j.req.Encrypted = node.Author, []events.PubKey{node.Author}, true
		return nil
	}
	j.node = node.Author
	j.req.To, j.req.Encrypted = []events.PubKey{node.Author}, true
	j.req.Address, j.req.Price = node.Address(), node.ID
	for _, m := range node.Profile.Market.Models {
		if want := j.req.Model(); (want == "" || m.ID == want) && slices.Contains(m.Kinds, j.req.Kind) {
			if about := j.about(m); j.quoted == 0 || about < j.quoted {
				j.quoted = about
			}
			j.models = append(j.models, m.ID)
		}
	}
	if most := j.most(node); most < *j.req.Bid {
		j.req.Bid = &most
	}
	if j.auto() {
		j.order.Pay = j.risk(node.Author, j.req.Model(), *j.req.Bid).Ways
		j.req.Pay = j.order.Pay
	}
	return nil
}

// next waits for the next message of the job; nil once until is over, or the payment has ended. Chunks go to the watcher
// and are not returned.
func (j *job) next(ctx context.Context, until time.Time) (events.Message, error) {
	timer := time.NewTimer(until.Sub(j.c.Now()))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			if why := context.Cause(ctx); why != errDeadline || j.c.Now().Before(until) {
				return nil, why
			}
			return nil, nil // both are over: the step says what it missed
		case <-timer.C:
			return nil, nil
		case err := <-j.sent:
			if err != nil {
				return nil, fmt.Errorf("no relay took the job: %w", err)
			}
			j.sent = nil
		case done := <-j.paying:
			j.paying = nil
			return nil, j.payDone(done)
		case ev, ok := <-j.sub.Events:
			if !ok {
				return nil, context.Cause(ctx)
			}
			if m := j.hear(ctx, ev); m != nil {
				return m, nil
			}
		}
	}
}

// How much a customer keeps of what is said: little of each node that it has not chosen, so that no flood of one drowns
// the others, and all that a chosen one may reasonably say.
const (
	maxSaidEach   = 4
	maxSaidOthers = 1024
	maxSaidChosen = 4096
)

// room says whether one more message of an author is kept.
func (j *job) room(author events.PubKey) bool {
	all, chosen := len(j.said), j.heard[j.node]
	switch author {
	case j.node:
		return chosen < maxSaidChosen
	case j.req.Author:
		return true
	}
	return j.heard[author] < maxSaidEach && all-chosen < maxSaidOthers
}

// hear opens what was said, and keeps it if it is the market's.
func (j *job) hear(ctx context.Context, ev *nostr.Event) events.Message {
	if j.caught[ev.ID] {
		return nil
	}
	m, err := events.Open(ctx, ev, j.signer)
	if err != nil {
		j.c.Log.Debug("ignored an event", "id", ev.ID, "err", err)
		return nil
	}
	if m.Signed().At > events.At(j.c.Now().Add(events.MaxFuture)) {
		return nil
	}
	if chunk, ok := m.(*events.Chunk); ok {
		j.chunk(chunk)
		return nil
	}
	if !j.room(m.Signed().Author) {
		return nil
	}
	if j.heard == nil {
		j.heard = map[events.PubKey]int{}
	}
	j.heard[m.Signed().Author]++
	j.said = append(j.said, m)
	if m.Signed().Author != j.req.Author {
		j.tell(Step{Event: ev, Message: m})
	}
	switch m := m.(type) {
	case *events.Invoice, *events.Result, *events.Receipt, *events.Refusal, *events.Statement:
		if m.Signed().Author == j.node {
			j.keep(ev)
		}
	case *events.Offer:
		if j.offers == nil {
			j.offers = map[events.ID]*nostr.Event{}
		}
		j.offers[m.ID] = ev
	}
	return m
}

// keep writes an event that the job relies on into the journal.
func (j *job) keep(ev *nostr.Event) {
	if err := j.c.Ledger.Keep(j.req.ID, ev); err != nil {
		j.c.Log.Error("cannot keep an event", "job", j.req.ID, "id", ev.ID, "err", err)
	}
}

// chunk passes on a piece of the stream. Chunks are a preview: what is missing comes with the result.
func (j *job) chunk(m *events.Chunk) {
	if m.Author != j.node || m.Seq != j.seq {
		return
	}
	j.seq++
	if j.first == 0 && m.Delta != "" {
		j.firstAt = j.c.Now()
		j.first = j.firstAt.Sub(j.began)
	}
	if m.Delta != "" {
		j.tell(Step{Message: m, Delta: m.Delta})
	}
}

func (j *job) tell(s Step) {
	if j.watch != nil {
		if j.req != nil {
			s.Job = j.req.ID
		}
		j.watch(s)
	}
}

// fold says where the job stands, as far as this consumer has heard.
func (j *job) fold() *events.Job { return events.Fold(j.req, j.said, j.c.Now()) }

// say signs one of the customer's own messages, keeps it with what it relies on, and publishes it.
func (j *job) say(ctx context.Context, m events.Message, relies ...*nostr.Event) error {
	ev, err := events.Sign(ctx, m, j.signer)
	if err != nil {
		return err
	}
	if err := j.inLedger(); err != nil {
		return err
	}
	if err := j.c.Ledger.Keep(j.req.ID, append(relies, ev)...); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	j.said = append(j.said, m)
	if _, ok := m.(*events.Award); ok {
		j.c.Step(j.req.ID, "awarded")
	}
	j.sent = j.c.Pool.Send(ctx, ev)
	j.tell(Step{Event: ev, Message: m})
	return nil
}

// cancel tells the market that the job is not wanted any more, also after ctx has ended.
func (j *job) cancel(ctx context.Context) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer stop()
	ev, err := events.Sign(ctx, &events.Cancel{
		Head: events.Head{At: events.At(j.c.Now()), Expires: j.req.Keep()}, Job: j.req.ID, Kind: j.req.Kind, Node: j.node,
	}, j.signer)
	if err != nil {
		return err
	}
	j.keep(ev) // so that a later look knows it
	return j.c.Pool.Publish(ctx, ev)
}
