package consumer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/wallet"
)

// Unfinished lists the jobs that were submitted and have no end yet: a crash, or a node that was paid and is silent.
func (c *Consumer) Unfinished() ([]events.ID, error) { return c.Ledger.Unfinished(ledger.Customer) }

// Ordered is the order of a job of the ledger, as it was tried at its node.
func (c *Consumer) Ordered(id events.ID) (o Order, err error) {
	order, ok, err := c.Ledger.Value(id, "order")
	if err != nil || !ok {
		return o, errors.Join(fmt.Errorf("job %s is not in the ledger", id), err)
	}
	return o, json.Unmarshal(order, &o)
}

// Resume goes on with a job that an earlier run submitted. It returns what Do would have.
func (c *Consumer) Resume(ctx context.Context, id events.ID, watch func(Step)) (*Delivery, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	j, err := c.recall(ctx, id, watch)
	if err != nil {
		return nil, fmt.Errorf("resume job %s: %w", id, err)
	}
	j.again(ctx)
	if err := j.askWallet(ctx); err != nil {
		return nil, fmt.Errorf("resume job %s: %w", id, err)
	}
	j.catchUp(ctx)
	return c.finish(ctx, j)
}

// catchUpIn is how long a resumed job waits for what the relays keep about it.
const catchUpIn = 5 * time.Second

// catchUp hears what was said while nobody listened, before anything is concluded from a silence: what was paid for may
// have come after its deadline.
func (j *job) catchUp(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, catchUpIn)
	defer cancel()
	found, err := j.c.Pool.Query(asking, j.filter())
	if err != nil {
		j.c.Log.Warn("the relays do not say what became of the job", "job", j.req.ID, "err", err)
	}
	for _, ev := range found {
		j.hear(ctx, ev)
	}
	j.caught = make(map[string]bool, len(found))
	for _, ev := range found {
		j.caught[ev.ID] = true
	}
}

// recall rebuilds a job from the ledger.
func (c *Consumer) recall(ctx context.Context, id events.ID, watch func(Step)) (*job, error) {
	j := &job{c: c, watch: watch, offers: map[events.ID]*nostr.Event{}, recalled: true}
	order, ok, err := c.Ledger.Value(id, "order")
	if err != nil || !ok {
		return nil, errors.Join(errors.New("it is not in the ledger"), err)
	}
	if err := json.Unmarshal(order, &j.order); err != nil {
		return nil, fmt.Errorf("order: %w", err)
	}
	if j.signer, err = c.Ledger.Signer(id, c.Signer); err != nil {
		return nil, err
	}
	if c, err := c.Ledger.Commitment(id); err != nil {
		return nil, err
	} else if c != nil {
		j.committed, j.hash, j.paid, j.node, j.preimage, j.heldFrom = true, c.Hash, c.Amount, c.Payee, c.Preimage, c.At
	}
	kept, err := c.Ledger.Events(id)
	if err != nil {
		return nil, err
	}
	for _, ev := range kept {
		m, err := events.Open(ctx, ev, j.signer)
		if err != nil {
			return nil, fmt.Errorf("journal: %w", err)
		}
		if req, ok := m.(*events.Request); ok && req.ID == id {
			j.req = req
			continue
		}
		j.said = append(j.said, m)
		switch m := m.(type) {
		case *events.Award:
			j.node = m.Node
		case *events.Offer:
			j.offers[m.ID] = ev
		case *events.Cancel:
			j.over = j.over || m.Author == j.req.Author
		}
	}
	if j.req == nil {
		return nil, errors.New("the request is missing in the journal")
	}
	j.began, j.asked = j.req.At.Time(), c.Now()
	if j.node == "" && j.req.Bids == nil && len(j.req.To) == 1 {
		j.node = j.req.To[0]
	}
	j.kept = kept
	j.findOffer()
	return j, nil
}

// again listens to a job of the ledger, and says again what its customer said: no relay may have got it before the crash.
func (j *job) again(ctx context.Context) {
	j.listen(ctx)
	for _, ev := range j.kept {
		if ev.PubKey == string(j.req.Author) {
			j.sent = j.c.Pool.Send(ctx, ev)
		}
	}
}

// findOffer finds the offer that the award takes.
func (j *job) findOffer() {
	for _, m := range j.said {
		if offer, ok := m.(*events.Offer); ok && offer.Author == j.node {
			j.offer = offer
		}
	}
}

// askWallet learns what became of the job's payment. Only the wallet's word allows another try.
func (j *job) askWallet(ctx context.Context) error {
	c, err := j.c.Ledger.Commitment(j.req.ID)
	if err != nil || c == nil || c.Settled {
		return err
	}
	if j.c.Wallet == nil {
		return errors.New("it was paid for, and there is no wallet to ask")
	}
	sent, err := j.c.Wallet.Sent(ctx, c.Hash)
	switch {
	case j.shown(): // again, if it can still be paid
	case err != nil && !errors.Is(err, wallet.ErrNotFound):
		return err
	case err == nil && sent.State == wallet.Succeeded:
		return j.payDone(payment{preimage: sent.Preimage})
	case err == nil && sent.State == wallet.Failed && j.hold():
		return j.cameBack(fmt.Errorf("%w: the locked money came back", wallet.ErrRejected))
	case err == nil && sent.State == wallet.Failed:
		j.committed, j.paid = false, 0
		return j.c.Ledger.Void(j.req.ID, "the wallet says that it failed")
	}
	j.start(ctx, c.Bolt11, c.Amount) // it never reached the wallet, or is under way: the same invoice is paid once at most
	return nil
}

// Submit only submits a job; Resume goes on with it.
func (c *Consumer) Submit(ctx context.Context, o Order) (events.ID, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	j, err := c.submit(ctx, o, nil)
	if err != nil {
		return "", err
	}
	if err := j.inLedger(); err != nil {
		return "", err
	}
	if err := <-j.sent; err != nil {
		return "", fmt.Errorf("no relay took the job: %w", err)
	}
	return j.req.ID, nil
}

// Look says where a job of the ledger stands, from the ledger and the relays, and all that was said about it, in the
// order of their times and, within a second, of a job's life.
func (c *Consumer) Look(ctx context.Context, id events.ID) (*events.Job, []events.Message, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	j, err := c.recall(ctx, id, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("job %s: %w", id, err)
	}
	found, err := c.Pool.Query(ctx, j.filter())
	if err != nil {
		return nil, nil, fmt.Errorf("job %s: ask the relays: %w", id, err)
	}
	for _, ev := range found {
		j.hear(ctx, ev)
	}
	seen := map[events.ID]bool{}
	j.said = slices.DeleteFunc(j.said, func(m events.Message) bool {
		again := seen[m.Signed().ID]
		seen[m.Signed().ID] = true
		return again
	})
	slices.SortStableFunc(j.said, func(a, b events.Message) int {
		return cmp.Or(cmp.Compare(a.Signed().At, b.Signed().At), cmp.Compare(stage(a), stage(b)))
	})
	return j.fold(), j.said, nil
}

// stage is where in a job's life a message has its place.
func stage(m events.Message) int {
	switch m.(type) {
	case *events.Offer:
		return 0
	case *events.Award:
		return 1
	case *events.Invoice:
		return 2
	case *events.Running:
		return 3
	case *events.Result, *events.Refusal:
		return 4
	}
	return 5
}

// Cancel tells the market that a job of the ledger is not wanted any more.
func (c *Consumer) Cancel(ctx context.Context, id events.ID) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	j, err := c.recall(ctx, id, nil)
	if err != nil {
		return fmt.Errorf("cancel job %s: %w", id, err)
	}
	if j.over {
		return &CancelledError{Job: id, Node: j.node, Paid: j.paid, Held: j.locked()}
	}
	if err := j.cancel(ctx); err != nil {
		return fmt.Errorf("cancel job %s: %w", id, err)
	}
	if j.committed && j.preimage == (wallet.Preimage{}) {
		return nil // money is under way: the job stays in sight until its end is known
	}
	return c.Ledger.Finish(id, Cancelled)
}
