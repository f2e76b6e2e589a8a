package consumer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"infernet/events"
	"infernet/wallet"
)

// A job may be paid by a hold invoice: paying locks the money, the node takes it after it has delivered, and lets it go
// when it does not. Until the wallet says how that ended, the money counts as spent.

const (
	maxHeld = 600 * time.Second // how long a node may keep the money locked for its work
	takenIn = 10 * time.Second  // how long a delivery waits for the node to take the money
	backIn  = 5 * time.Second   // how long a node that let the money go has to say why
	leaveIn = 3 * time.Second   // how long a customer that leaves waits for the money of the job that it cancelled
)

// hold says whether the money is locked first and taken after delivery.
func (j *job) hold() bool {
	if j.offer != nil && j.offer.Pay != "" {
		return j.offer.Pay == events.PayHold
	}
	invoice := j.invoice()
	return invoice != nil && invoice.Pay == events.PayHold
}

// locked says whether the money of a hold is out, and neither taken nor back, as far as is known.
func (j *job) locked() bool { return j.committed && j.preimage == (wallet.Preimage{}) && j.hold() }

// agreed says whether the node asks to be paid in a way that was agreed on.
func (j *job) agreed(invoice *events.Invoice) error {
	if slices.Contains(j.ways(), invoice.Pay) {
		return nil
	}
	return &BadInvoiceError{Node: j.node, Why: fmt.Sprintf("it is to be paid %s, agreed was %s", invoice.Pay, strings.Join(j.ways(), " or "))}
}

// cameBack writes down that the wallet has the locked money back. The job goes on for a moment: its node may say why, or
// have delivered.
func (j *job) cameBack(why error) error {
	if err := j.c.Ledger.Void(j.req.ID, why.Error()); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	j.tell(Step{Note: j.paid.Human() + " came back"})
	j.returned = j.paid
	j.committed, j.paid, j.hash, j.back, j.backAt = false, 0, wallet.Hash{}, why, j.c.Now()
	return nil
}

// letGo waits a moment, also after ctx has ended, for the wallet's word that the locked money of a cancelled job is back.
func (j *job) letGo(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveIn)
	defer cancel()
	for j.locked() && j.c.Wallet != nil && !j.shown() && ctx.Err() == nil {
		sent, err := j.c.Wallet.Sent(ctx, j.hash)
		if err == nil && sent.State == wallet.Failed {
			return j.cameBack(fmt.Errorf("%w: the job was cancelled", wallet.ErrRejected)) == nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(leaveIn / 20):
		}
	}
	return false
}

// unlocked waits a moment until the node takes the locked money, which gives the proof of payment, or lets it go.
func (j *job) unlocked(ctx context.Context, within time.Duration) {
	until := j.c.Now().Add(within)
	for j.locked() && j.paying != nil && j.c.Now().Before(until) {
		if _, err := j.next(ctx, until); err != nil {
			return
		}
	}
}
