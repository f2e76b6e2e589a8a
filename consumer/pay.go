package consumer

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// payment is how a payment ended.
type payment struct {
	preimage wallet.Preimage
	err      error
}

// pay pays in advance, if that is the way agreed on: it waits for the node's invoice, checks it, commits to it and
// sends the money. It returns once the payment is under way; next hears how it ends.
func (j *job) pay(ctx context.Context) error {
	if j.committed || j.sealed() || j.back != nil {
		return nil
	}
	if j.offer != nil && j.offer.Plain {
		return j.send(ctx, j.offer.Bolt11, j.offer.Amount, j.offer.Cap)
	}
	for {
		if invoice := j.invoice(); invoice != nil {
			if err := j.agreed(invoice); err != nil {
				return err
			}
			return j.send(ctx, invoice.Bolt11, invoice.Amount, j.limit())
		}
		if j.started() {
			return nil
		}
		if no := j.mine().Error(); no != nil {
			return &RefusedError{no, j.node}
		}
		m, err := j.next(ctx, j.answerBy())
		if err != nil {
			return err
		}
		if m == nil {
			return j.vanished(events.StateNoShow)
		}
	}
}

// sealed says whether the offer sells the result by its key.
func (j *job) sealed() bool { return j.offer != nil && j.offer.Pay == events.PaySealed }

// ways are how the job may be paid: as was offered, or as was ordered.
func (j *job) ways() []string {
	switch {
	case j.offer != nil && !j.offer.Plain:
		return []string{j.offer.Pay}
	case len(j.order.Pay) > 0:
		return j.order.Pay
	case j.order.Account: // nothing is paid for it
		return nil
	}
	return payWays
}

// payWays are the ways to pay that this package knows, besides for free.
var payWays = []string{events.PayPrepaid, events.PayHold, events.PaySealed}

// shown says whether the invoice is only shown, for somebody else to pay.
func (j *job) shown() bool {
	_, ok := j.c.Wallet.(wallet.Shower)
	return ok
}

// limit is the most this job may cost: what was offered, or the bid, and never more than the order allows.
func (j *job) limit() events.Msat {
	most := j.order.MaxCost
	switch {
	case j.offer != nil:
		most = min(most, j.offer.Cap)
	case j.req.Bid != nil:
		most = min(most, *j.req.Bid)
	}
	return most
}

// invoice is the chosen node's, if it has sent one.
func (j *job) invoice() *events.Invoice {
	for _, m := range j.said {
		if invoice, ok := m.(*events.Invoice); ok && invoice.Author == j.node {
			return invoice
		}
	}
	return nil
}

// started says whether the node works without being paid first.
func (j *job) started() bool {
	for _, m := range j.said {
		if m.Signed().Author != j.node {
			continue
		}
		switch m.(type) {
		case *events.Running, *events.Result:
			return true
		}
	}
	return false
}

// send checks an invoice, commits to it in the ledger, and pays it in the background.
func (j *job) send(ctx context.Context, raw string, said, limit events.Msat) error {
	invoice, err := j.check(ctx, raw, said, limit)
	if err != nil {
		return err
	}
	if !j.hold() { // what is only locked comes back
		if err := j.win(); err != nil {
			return err
		}
	}
	if err := j.commit(invoice, raw); err != nil {
		return err
	}
	j.start(ctx, raw, invoice.Amount)
	return nil
}

// start has the wallet pay in the background, and asks it again while nobody knows what became of it; next hears how it
// ends.
func (j *job) start(ctx context.Context, raw string, amount events.Msat) {
	done := make(chan payment, 1)
	j.paying = done
	go func() {
		for {
			r, err := j.c.Wallet.Pay(ctx, raw, j.c.MaxFee(amount))
			if unknown := errors.Is(err, wallet.ErrUnavailable) || errors.Is(err, wallet.ErrInFlight); !unknown || ctx.Err() != nil {
				done <- payment{r, err}
				return
			}
			j.c.Log.Warn("the wallet does not say whether it paid, asks again", "job", j.req.ID, "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(payAgain):
			}
		}
	}()
}

// check says why an invoice must not be paid; nothing is sent then.
func (j *job) check(ctx context.Context, raw string, said, limit events.Msat) (*bolt11.Invoice, error) {
	bad := func(format string, args ...any) error {
		return &BadInvoiceError{Node: j.node, Why: fmt.Sprintf(format, args...)}
	}
	if j.c.Wallet == nil {
		return nil, &BadInvoiceError{j.node, "there is no wallet to pay from", true}
	}
	invoice, err := bolt11.Decode(raw)
	if err != nil {
		return nil, bad("%v", err)
	}
	switch {
	case invoice.Amount == 0:
		return nil, bad("it names no amount")
	case invoice.Amount != said.CeilSat():
		return nil, bad("it asks for %s, its message for %s", invoice.Amount.Human(), said.Human())
	case invoice.Amount > limit:
		return nil, bad("it asks for %s, agreed was up to %s", invoice.Amount.Human(), limit.Human())
	case invoice.Expired(j.c.Now()):
		return nil, bad("it has expired")
	}
	if ours := j.c.network(ctx); ours != "" && ours != invoice.Network {
		return nil, &BadInvoiceError{j.node, fmt.Sprintf("it is of the network %s, the wallet of %s", invoice.Network, ours), true}
	}
	if j.req.Profile && !invoice.Describes("infernet "+string(j.req.ID)) {
		return nil, bad("it was made for something else, %q", invoice.Description)
	}
	if blocks := invoice.MinFinalCLTV; j.hold() && (blocks < events.MinHoldBlocks || blocks > events.MaxHoldBlocks) {
		return nil, bad("it may lock the money for %d blocks, not %d to %d", blocks, events.MinHoldBlocks, events.MaxHoldBlocks)
	}
	payee, err := j.payeeKey(ctx)
	if err != nil {
		return nil, err
	}
	if payee != "" && payee != hex.EncodeToString(invoice.Payee[:]) {
		return nil, bad("it pays %x, the node announced %s", invoice.Payee, payee)
	}
	known, err := j.c.Ledger.HashKnown(invoice.PaymentHash)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	if known {
		return nil, bad("its payment hash was used before")
	}
	return invoice, nil
}

// commit writes down what is about to be paid: one commitment for each job.
func (j *job) commit(invoice *bolt11.Invoice, raw string) error {
	if j.shown() { // so that nobody looks for it in a wallet
		if _, err := j.c.Ledger.Put(j.req.ID, "shown", nil); err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
	}
	first, err := j.c.Ledger.CommitWithin(ledger.Commitment{
		Job: j.req.ID, Hash: invoice.PaymentHash, Payee: j.node, Bolt11: raw, Amount: invoice.Amount, At: j.c.Now(),
	}, j.c.PerDay)
	if errors.Is(err, ledger.ErrBudget) {
		return fmt.Errorf("nothing paid: %w", err)
	}
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if !first {
		return &BadInvoiceError{j.node, "this job was paid for already", true}
	}
	j.c.alarm()
	j.committed, j.hash, j.paid, j.heldFrom = true, invoice.PaymentHash, invoice.Amount, j.c.Now()
	j.c.Step(j.req.ID, "committed")
	return nil
}

// payDone writes down how the payment ended. Only a wallet's word that it failed frees the job's commitment.
func (j *job) payDone(p payment) error {
	if p.err == nil {
		if p.preimage.Hash() != j.hash {
			return fmt.Errorf("the wallet's preimage does not fit the invoice of node %s", short(j.node))
		}
		if err := j.c.Ledger.Settle(j.req.ID, p.preimage); err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		j.preimage = p.preimage
		j.c.Step(j.req.ID, "settled")
		j.tell(Step{Note: "paid " + j.paid.Human() + ", payment hash " + short(j.hash.String())})
		if j.hold() && j.mine().Result() == nil {
			j.c.Log.Warn("the node took the locked money before a result is here", "job", j.req.ID, "node", j.node)
		}
		return nil
	}
	if j.shown() && j.started() {
		return nil // somebody has paid what was shown: its node works
	}
	if j.hold() && errors.Is(p.err, wallet.ErrRejected) {
		return j.cameBack(p.err)
	}
	for _, lost := range []error{wallet.ErrInsufficient, wallet.ErrRejected, wallet.ErrExpired} {
		if errors.Is(p.err, lost) {
			if err := j.c.Ledger.Void(j.req.ID, p.err.Error()); err != nil {
				return fmt.Errorf("ledger: %w", err)
			}
			j.committed, j.paid = false, 0
			return fmt.Errorf("pay node %s: %w", short(j.node), p.err)
		}
	}
	return fmt.Errorf("pay node %s: %w (the ledger keeps it; 'infernet job watch %s' goes on)", short(j.node), p.err, j.req.ID)
}

// payAgain is how long after a payment whose end nobody knows the wallet is asked again. A wallet pays an invoice once.
const payAgain = time.Second

// settledBadly says whether an error ends the job although money was committed: nothing more can come.
func (j *job) settledBadly(why error) bool {
	var refused *RefusedError
	var bad *BadResultError
	var cancelled *CancelledError
	return j.preimage != (wallet.Preimage{}) && (errors.As(why, &refused) || errors.As(why, &bad) || errors.As(why, &cancelled))
}

// payeeIn is how long the chosen node's announcement is looked for. What it would say is not known after that: nothing is
// paid.
const payeeIn = 10 * time.Second

// payeeKey is the Lightning key that the chosen node announced; "" if it announced none.
func (j *job) payeeKey(ctx context.Context) (string, error) {
	bounded, cancel := context.WithTimeout(ctx, payeeIn)
	defer cancel()
	select {
	case <-j.payee.done:
		if j.payee.err != nil {
			return "", fmt.Errorf("nothing paid: whom node %s is paid by is not known: %w", short(j.node), j.payee.err)
		}
		return j.payee.key, nil
	case <-bounded.Done():
		return "", fmt.Errorf("nothing paid: whom node %s is paid by is not known, no relay gave its announcement", short(j.node))
	}
}
