package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/wallet"
)

// Debt is what a node has signed that it owes back, for a job that was paid and failed by the node's own fault.
type Debt struct {
	Job    events.ID
	Node   events.PubKey
	Amount events.Msat
	At     events.Unix // when the node signed it
	Why    string      // as the node said
	Back   events.Msat // what came back
	Asked  bool        // it was asked for
}

// Debts lists what nodes have signed that they owe, oldest job first.
func (c *Consumer) Debts(ctx context.Context) (all []Debt, err error) {
	commitments, err := c.Ledger.Commitments()
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	asked, err := c.Ledger.Withdrawals()
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	for _, paid := range commitments {
		d, _, err := c.debtOf(ctx, paid)
		if err != nil {
			c.Log.Warn("cannot read what became of a job", "job", paid.Job, "err", err)
		}
		if d == nil {
			continue
		}
		for _, w := range asked {
			if w.Job == d.Job {
				if d.Asked = true; w.Paid {
					d.Back += w.Amount
				}
			}
		}
		all = append(all, *d)
	}
	return all, nil
}

// debtOf is what the node that was paid for a job owes; nil if nothing. signer is the key that the job was ordered by.
func (c *Consumer) debtOf(ctx context.Context, paid ledger.Commitment) (d *Debt, signer events.Signer, err error) {
	kept, err := c.Ledger.Events(paid.Job)
	if err != nil {
		return nil, nil, err
	}
	if !slices.ContainsFunc(kept, func(ev *nostr.Event) bool {
		return ev.Kind == events.KindFeedback && ev.PubKey == string(paid.Payee)
	}) {
		return nil, nil, nil
	}
	if signer, err = c.Ledger.Signer(paid.Job, c.Signer); err != nil {
		return nil, nil, err
	}
	if signer == nil {
		return nil, nil, errors.New("the key that it was ordered by is not here")
	}
	for _, ev := range kept {
		if ev.PubKey != string(paid.Payee) {
			continue
		}
		m, err := events.Open(ctx, ev, signer)
		if err != nil {
			return nil, nil, fmt.Errorf("journal: %w", err)
		}
		if no, ok := m.(*events.Refusal); ok && no.Owed > 0 {
			d = &Debt{Job: paid.Job, Node: paid.Payee, Amount: no.Owed, At: no.At, Why: no.Error()}
		}
	}
	return d, signer, nil
}

// NoDebtError says that nothing is owed for a job.
type NoDebtError struct{ Job events.ID }

func (e *NoDebtError) Error() string {
	return fmt.Sprintf("no node has signed that it owes anything for job %s", short(e.Job))
}

// How long an invoice of a withdrawal can be paid, how long the node has to answer, and how long our own wallet has to notice
// what the node says that it paid.
const (
	withdrawFor  = time.Hour
	withdrawIn   = 2 * time.Minute
	noticeIn     = 10 * time.Second
	alreadyIn    = 2 * time.Second
	enoughLeftIn = 5 * time.Minute // an earlier invoice that can be paid for so long is shown again
)

// Withdraw has a node pay back what it owes for a job, into a wallet, and returns what came: our own wallet's word, not the
// node's. The way costs what it costs: if the whole does not arrive, a little less is asked for. It can be called again
// however it ended: a node pays a debt once. Errors: *NoDebtError, *RefusedError, *VanishedError, the wallet's.
func (c *Consumer) Withdraw(ctx context.Context, job events.ID, to wallet.Receiver) (events.Msat, error) {
	paid, err := c.Ledger.Commitment(job)
	if err != nil {
		return 0, fmt.Errorf("ledger: %w", err)
	}
	if paid == nil {
		return 0, &NoDebtError{job}
	}
	debt, signer, err := c.debtOf(ctx, *paid)
	if err != nil {
		return 0, fmt.Errorf("job %s: %w", short(job), err)
	}
	if debt == nil {
		return 0, &NoDebtError{job}
	}
	last, err := c.earlier(ctx, job, to)
	if err != nil {
		return 0, err
	}
	if last != nil && last.Paid {
		return last.Amount, nil
	}
	asks := []events.Msat{debt.Amount / events.Sat * events.Sat, less(debt.Amount, 1, 100), less(debt.Amount, 5, 33)}
	for i, amount := range asks {
		if amount < events.Sat || i > 0 && amount == asks[i-1] {
			continue
		}
		if last == nil || i > 0 {
			if last, err = c.ask(ctx, debt, amount, to); err != nil {
				return 0, err
			}
		}
		came, err := c.withdraw(ctx, debt, signer, last, to)
		var no *RefusedError
		if errors.As(err, &no) && no.Code == events.CodeInsufficient && i < len(asks)-1 {
			continue // the way costs something: a little less may arrive
		}
		return came, err
	}
	return 0, fmt.Errorf("node %s owes %s: too little to be paid", short(debt.Node), debt.Amount.Human())
}

// less leaves something for the way: so many satoshi, or a part of the amount.
func less(amount events.Msat, sat, part events.Msat) events.Msat {
	return (amount - max(sat*events.Sat, amount/part)) / events.Sat * events.Sat
}

// earlier looks whether one of the invoices that a job's debt was asked for by was paid meanwhile, and gives it; else the
// newest that can still be paid for a while, nil if none can.
func (c *Consumer) earlier(ctx context.Context, job events.ID, to wallet.Receiver) (open *ledger.Withdrawal, err error) {
	all, err := c.Ledger.Withdrawals()
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	for _, w := range all {
		if w.Job != job {
			continue
		}
		if !w.Paid {
			if w.Paid, err = c.came(ctx, &w, to, alreadyIn); err != nil {
				return nil, err
			}
		}
		if w.Paid {
			return &w, nil
		}
		if c.Now().Add(enoughLeftIn).Before(w.Until) {
			open = &w
		}
	}
	return open, nil
}

// came asks our own wallet whether an invoice was paid, and writes that down.
func (c *Consumer) came(ctx context.Context, w *ledger.Withdrawal, to wallet.Receiver, within time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	got, err := to.Await(ctx, w.Hash)
	switch {
	case err == nil:
		w.Paid, w.Amount = true, got.Amount
		return true, c.noted(*w)
	case errors.Is(err, wallet.ErrExpired), errors.Is(err, wallet.ErrNotFound), ctx.Err() != nil:
		return false, nil
	}
	return false, err
}

// ask makes the invoice by which a debt is asked for, and writes it down.
func (c *Consumer) ask(ctx context.Context, d *Debt, amount events.Msat, to wallet.Receiver) (*ledger.Withdrawal, error) {
	invoice, err := to.Invoice(ctx, wallet.InvoiceRequest{Amount: amount, Description: events.OwedFor(d.Job), Until: c.Now().Add(withdrawFor)})
	if err != nil {
		return nil, err
	}
	w := &ledger.Withdrawal{Job: d.Job, Node: d.Node, Bolt11: invoice.Bolt11, Hash: invoice.Hash, Amount: amount, Until: invoice.Until}
	return w, c.noted(*w)
}

func (c *Consumer) noted(w ledger.Withdrawal) error {
	if err := c.Ledger.Withdraw(w); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}

// withdraw shows the node an invoice and waits until our own wallet has the money, or the node says no.
func (c *Consumer) withdraw(ctx context.Context, d *Debt, signer events.Signer, w *ledger.Withdrawal, to wallet.Receiver) (events.Msat, error) {
	now := c.Now()
	free := events.Msat(0)
	req := &events.Request{
		Head: events.Head{At: events.At(now)}, Kind: events.KindAccount, Profile: true, To: []events.PubKey{d.Node}, Encrypted: true, Bid: &free,
		Relays: c.Relays, Deadline: events.At(now.Add(withdrawIn)), Params: events.Params{
			{Name: "op", Values: []string{events.OpWithdraw}}, {Name: "job", Values: []string{string(d.Job)}}, {Name: "bolt11", Values: []string{w.Bolt11}},
		},
	}
	req.Expires = req.Keep()
	ev, err := events.Sign(ctx, req, signer)
	if err != nil {
		return 0, err
	}
	ctx, stop := context.WithDeadline(ctx, req.Deadline.Time())
	defer stop()
	j := &job{c: c, signer: signer, req: req, node: d.Node}
	j.taken = func() error { return c.Ledger.Keep(req.ID, ev) }
	if err := j.taken(); err != nil {
		return 0, fmt.Errorf("ledger: %w", err)
	}
	j.listen(ctx)
	j.asked, j.sent = now, c.Pool.Send(ctx, ev)
	arrived, said := make(chan error, 1), make(chan error, 1)
	go func() {
		ok, err := c.came(ctx, w, to, withdrawIn+noticeIn)
		if err == nil && !ok {
			err = errLate
		}
		arrived <- err
	}()
	go func() { said <- j.accountAnswer(ctx) }()
	silent := &VanishedError{Job: d.Job, Node: d.Node, State: events.StateNoShow}
	select {
	case err := <-arrived:
		switch {
		case errors.Is(err, errLate):
			return 0, silent
		case err != nil:
			return 0, err
		}
		return w.Amount, nil
	case err := <-said:
		if err != nil {
			return 0, err
		}
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return 0, silent
		}
		return 0, ctx.Err()
	}
	select { // the node says that it paid: our wallet has a moment to see it
	case err := <-arrived:
		if err == nil {
			return w.Amount, nil
		}
	case <-time.After(noticeIn):
	}
	if got, err := c.earlier(ctx, d.Job, to); err == nil && got != nil && got.Paid { // by an earlier invoice
		return got.Amount, nil
	}
	return 0, &BadResultError{Node: d.Node, Why: "it says that it has paid what it owed, and the wallet here has not received it"}
}

var errLate = errors.New("nothing came in time")

// accountAnswer waits for the node's answer to an account job; a refusal is an error.
func (j *job) accountAnswer(ctx context.Context) error {
	for {
		if at := j.mine(); at.Result() != nil {
			return nil
		} else if no := at.Error(); no != nil {
			return &RefusedError{no, j.node}
		}
		if _, err := j.next(ctx, j.req.Deadline.Time()); err != nil {
			return err
		}
		if !j.c.Now().Before(j.req.Deadline.Time()) {
			return &VanishedError{Job: j.req.ID, Node: j.node, State: events.StateNoShow}
		}
	}
}
