package consumer

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// await waits until the chosen node has delivered, said no, or fallen silent.
func (j *job) await(ctx context.Context) error {
	for {
		at := j.mine()
		if j.paying == nil || at.Result() != nil && (j.sealed() || j.shown()) || j.hold() {
			switch at.State {
			case events.StateDelivered, events.StateSettled:
				return nil
			case events.StateFailed:
				j.unlocked(ctx, backIn)
				return &RefusedError{at.Error(), j.node}
			}
			if silent := j.silentAt(at); !j.c.Now().Before(silent) {
				if j.back != nil && j.cancelled() {
					return &CancelledError{Job: j.req.ID, Node: j.node, Back: j.returned}
				}
				if j.back != nil {
					return fmt.Errorf("pay node %s: %w", short(j.node), j.back)
				}
				return j.vanished(at.State)
			}
		}
		until := j.silentAt(at)
		if j.paying != nil && !j.hold() { // silence counts once it is known whether money is out
			until = j.c.Now().Add(time.Hour)
		}
		if _, err := j.next(ctx, until); err != nil {
			return err
		}
	}
}

// vanished says why nothing more is waited for: the customer's own cancellation, perhaps said by another process, the
// deadline, or the node's silence.
func (j *job) vanished(state events.State) error {
	if j.cancelled() {
		return &CancelledError{Job: j.req.ID, Node: j.node, Paid: j.paid, Held: j.locked()}
	}
	e := &VanishedError{Job: j.req.ID, Node: j.node, State: state, Paid: j.paid, Held: j.locked()}
	if !j.c.Now().Before(j.req.Deadline.Time()) {
		if e.Life = j.order.Life; e.Life == 0 {
			e.Life = defaultLife
		}
	}
	return e
}

// cancelled says whether the customer has cancelled the job.
func (j *job) cancelled() bool {
	kept, err := j.c.Ledger.Events(j.req.ID)
	return err == nil && slices.ContainsFunc(kept, func(ev *nostr.Event) bool {
		return ev.Kind == events.KindCancel && ev.PubKey == string(j.req.Author)
	})
}

// overIn is how long a result is looked for of a job that was taken up again after its cancellation.
const overIn = 2 * time.Second

// mine is the chosen node's part in the job.
func (j *job) mine() *events.Engagement {
	for _, e := range j.fold().Engaged {
		if e.Node == j.node {
			return e
		}
	}
	return &events.Engagement{Node: j.node, State: events.StateAwarded}
}

// silentAt is when the node counts as silent: its lease is over, or it has not answered. A paid node has as long as the
// job: the money is out.
func (j *job) silentAt(at *events.Engagement) time.Time {
	deadline := j.req.Deadline.Time()
	if j.over { // a result that came before is all that can come
		return j.asked.Add(overIn)
	}
	if !j.req.Profile {
		return deadline
	}
	if j.back != nil && (j.fold().Cancelled || j.cancelled()) {
		return j.backAt
	}
	if j.back != nil { // it says why, or nothing more
		return j.backAt.Add(backIn)
	}
	if len(at.Runs) == 0 {
		if j.committed {
			return deadline
		}
		return j.answerBy()
	}
	var lease events.Unix
	for _, run := range at.Runs {
		lease = max(lease, run.Lease)
	}
	if j.hold() { // nobody may keep the money locked for longer
		lease = min(lease, events.At(j.heldFrom.Add(maxHeld)))
	}
	return min(lease, j.req.Deadline).Time().Add(time.Second)
}

// verify holds the result against what its node promised, pays and opens a sealed one, and waits a moment for the
// receipt.
func (j *job) verify(ctx context.Context) (*Delivery, error) {
	m := j.mine().Result()
	bad := func(why string) error { return &BadResultError{j.node, why, j.paid} }
	if m.Status != "" && m.Status != "success" {
		return nil, bad("its status is " + m.Status)
	}
	if m.To != "" && m.To != j.req.Author {
		return nil, bad("it is for somebody else")
	}
	if want := j.model(); want != "" && m.Model != "" && m.Model != want {
		return nil, bad(fmt.Sprintf("it is of model %s, agreed was %s", m.Model, want))
	}
	if len(j.models) > 0 && m.Model != "" && !slices.Contains(j.models, m.Model) {
		return nil, bad(fmt.Sprintf("it is of model %s, which it does not announce", m.Model))
	}
	if err := j.fetch(ctx, m); err != nil {
		return nil, err
	}
	text := m.Content
	switch {
	case m.Sealed != nil:
		if err := j.unseal(ctx, m); err != nil {
			return nil, err
		}
		text = string(j.opened)
	case j.sealed():
		return nil, bad("it should be sealed")
	case m.X != "" && m.X != events.ContentHash(text):
		return nil, bad("its hash is not its text's")
	}
	if j.credit() {
		if err := j.drawn(m, text); err != nil {
			return nil, err
		}
	}
	text, blobs := m.Split(text)
	files, err := j.unwrap(blobs)
	if err != nil {
		return nil, err
	}
	if !j.committed || j.hold() { // nothing was paid yet: the result itself is what is taken
		if err := j.win(); err != nil {
			return nil, err
		}
	}
	if j.hold() { // only once it is sure which of a pair is taken
		j.unlocked(ctx, takenIn)
	}
	d := &Delivery{
		Files: files, Job: j.req.ID, Node: j.node, Model: m.Model, Text: text, Usage: m.Usage, Pay: j.payWay(m), Paid: j.paid, Hash: j.hash,
		Preimage: j.preimage, Result: m, First: j.first, Took: j.c.Now().Sub(j.began),
	}
	if j.recalled { // nobody watched: what the events say, in whole seconds, or what the node says of its work
		d.First, d.Took = 0, max(m.At.Time().Sub(j.req.At.Time()), time.Duration(m.Usage.Ms)*time.Millisecond)
	}
	d.Receipt = j.receipt(ctx)
	if j.credit() || j.order.Account {
		if d.Statement, err = j.stated(); err != nil && j.order.Account {
			return nil, err
		} else if err != nil { // the result is there all the same
			j.c.Log.Error("the account's statement is not taken", "job", j.req.ID, "err", err)
			j.tell(Step{Note: err.Error()})
		}
	}
	return d, nil
}

// model is the one that was agreed on; "" if any would do.
func (j *job) model() string {
	if j.offer != nil && j.offer.Model != "" {
		return j.offer.Model
	}
	return j.req.Model()
}

func (j *job) payWay(m *events.Result) string {
	switch {
	case j.hold():
		return events.PayHold
	case j.credit() && j.paid > 0:
		return events.PayCredit
	case j.paid == 0:
		return events.PayFree
	case m.Sealed != nil:
		return events.PaySealed
	}
	return events.PayPrepaid
}

// unseal checks a sealed result, pays for its key and opens it.
func (j *job) unseal(ctx context.Context, m *events.Result) error {
	bad := func(why string) error { return &BadResultError{j.node, why, j.paid} }
	sealed, err := base64.StdEncoding.DecodeString(m.Content)
	if err != nil {
		return bad("the sealed bytes are no base64")
	}
	if sum := sha256.Sum256(sealed); hex.EncodeToString(sum[:]) != m.Sealed.Sum {
		return bad("the sealed bytes are not those that the node signed")
	}
	if m.Amount == nil {
		return bad("it names no price")
	}
	if j.req.Named() == 0 && m.Usage.In+m.Usage.Out > int64(len(sealed)+len(j.req.Event().String())) { // the price is made of it
		return bad("it claims more units than there are bytes")
	}
	if !j.committed {
		if invoice, err := bolt11.Decode(m.Bolt11); err == nil && invoice.PaymentHash.String() != m.Sealed.PaymentHash {
			return &BadInvoiceError{Node: j.node, Why: "its preimage would not open the result"}
		}
		if err := j.send(ctx, m.Bolt11, *m.Amount, j.limit()); err != nil {
			return err
		}
	}
	for j.preimage == (wallet.Preimage{}) {
		if _, err := j.next(ctx, j.req.Deadline.Time()); err != nil {
			return err
		}
		if j.preimage == (wallet.Preimage{}) && !j.c.Now().Before(j.req.Deadline.Time()) {
			return j.vanished(events.StateDelivered)
		}
	}
	for_ := events.SealedFor{Job: j.req.ID, Node: j.node, Customer: j.req.Author}
	if j.opened, err = events.Unseal(for_, j.preimage, sealed, m.X); err != nil {
		return bad(err.Error())
	}
	return nil
}

// receiptIn is how long a verified delivery waits for its receipt.
const receiptIn = 2 * time.Second

// receipt is the node's, if it comes soon. Nothing depends on it.
func (j *job) receipt(ctx context.Context) *events.Receipt {
	if !j.req.Profile {
		return nil
	}
	until := j.c.Now().Add(receiptIn)
	for {
		for _, m := range j.mine().Receipts {
			return m
		}
		if m, err := j.next(ctx, until); m == nil || err != nil {
			return nil
		}
	}
}
