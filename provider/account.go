package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// A job of kind 5890 is about the customer's own money at this node. What the node owes for a job, because it was paid and
// failed, is paid out once: the ledger takes one commitment for each debt, before anything is sent, and only the wallet's word
// that the payment failed for good frees it.

// payAccount stands in the terms of an account job: nothing is paid for it.
const payAccount = "account"

// acceptAccount begins to serve an account job. A customer that did not hear the answer is told it again.
func (p *Provider) acceptAccount(ctx context.Context, j *job) {
	if p.job(j.req.ID) != nil || !j.direct() || !j.req.Encrypted {
		return
	}
	kept, err := p.Ledger.Events(j.req.ID)
	if err != nil {
		p.Log.Error("cannot read the journal", "job", j.req.ID, "err", err)
		return
	}
	for _, ev := range kept {
		if ev.PubKey == string(p.me) && p.customers.tell(j.req.Author, p.Now()) {
			p.working.Go(func() { p.publish(ctx, j, ev, false) })
		}
	}
	if len(kept) > 0 || p.unwanted(j.req) {
		return
	}
	p.mu.Lock()
	full := len(p.jobs) >= maxJobs || p.perKey[j.req.Author] >= p.PerKey
	p.mu.Unlock()
	if !full {
		p.begin(ctx, j)
	} else if p.customers.tell(j.req.Author, p.Now()) {
		p.working.Go(func() { p.sayNo(ctx, j, refuse(events.CodeRateLimited, "too many jobs are open here, try later")) })
	}
}

// account answers an account job. It goes on until its end is known, whatever the job's deadline: money may be under way.
func (p *Provider) account(life context.Context, j *job) error {
	var invalid *events.ParamError
	if err := events.Kinds[events.KindAccount].Check(j.req); errors.As(err, &invalid) {
		return refuse(events.CodeInvalidParameter, "%v", invalid)
	}
	switch op := j.req.Params.Text("op"); op {
	case events.OpWithdraw:
		if j.req.Params.Text("job") == "" {
			return p.cashOut(life, j)
		}
		return p.withdraw(life, j)
	case events.OpTopUp:
		return p.topUp(life, j)
	case events.OpStatement:
		return p.statement(life, j)
	default:
		return refuse(events.CodeInvalidParameter, "op: there is %s, %s and %s", events.OpWithdraw, events.OpTopUp, events.OpStatement)
	}
}

// withdraw pays out what the node owes for a job, to whoever ordered that job. An earlier invoice for the same debt, whose end
// is not known, is paid before this one: never are both.
func (p *Provider) withdraw(life context.Context, j *job) error {
	if j.result != nil { // made before a crash
		return p.deliver(life, j)
	}
	about := events.ID(j.req.Params.Text("job"))
	debt, err := p.debt(life, about, j.req.Author)
	if err != nil {
		return err
	}
	payer, ok := p.Wallet.(wallet.Payer)
	if !ok {
		return refuse(events.CodeUnavailable, "the node's wallet cannot pay; %s stays owed, ask the node's owner", debt.Human())
	}
	c, err := p.settleDebt(life, j, payer, about, debt)
	if err != nil {
		return err
	}
	return p.paidOut(life, j, payer, c)
}

// settleDebt pays a debt, once, and gives what paid it.
func (p *Provider) settleDebt(life context.Context, j *job, payer wallet.Payer, about events.ID, debt events.Msat) (*ledger.Commitment, error) {
	if _, busy := p.paying.LoadOrStore(about, true); busy {
		return nil, refuse(events.CodeConflict, "it is being paid out already")
	}
	defer p.paying.Delete(about)
	raw := j.req.Params.Text("bolt11")
	for {
		c, err := p.Ledger.Commitment(about)
		if err != nil {
			return nil, fmt.Errorf("ledger: %w", err)
		}
		if c == nil {
			if c, err = p.commitTo(life, j, about, debt, raw); err != nil {
				return nil, err
			}
		}
		if c.Settled {
			return c, nil
		}
		err = p.payOut(life, payer, c, debt-c.Amount)
		if earlier := c.Bolt11 != raw; err == nil || !earlier || !errors.As(err, new(*refusal)) {
			return c, err
		} // else the earlier invoice can surely not be paid any more
	}
}

// debt is what the node has signed that it owes for a job to its customer.
func (p *Provider) debt(ctx context.Context, about events.ID, customer events.PubKey) (owed events.Msat, err error) {
	kept, err := p.Ledger.Events(about)
	if err != nil {
		return 0, fmt.Errorf("journal: %w", err)
	}
	theirs := false
	for _, ev := range kept {
		if events.ID(ev.ID) == about {
			theirs = ev.PubKey == string(customer)
		}
		if ev.PubKey != string(p.me) {
			continue
		}
		m, err := events.Open(ctx, ev, p.Signer)
		if err != nil {
			return 0, fmt.Errorf("journal: %w", err)
		}
		if no, ok := m.(*events.Refusal); ok {
			owed = max(owed, no.Owed)
		}
	}
	if !theirs || owed == 0 {
		return 0, refuse(events.CodeDenied, "nothing is owed to you here for job %s", about)
	}
	return owed, nil
}

// leastLife is how long an invoice must still be payable when it is taken.
const leastLife = 10 * time.Second

// payable says why an invoice is not paid: it has to be whole, to live for a while, to be of our network and made for text.
func (p *Provider) payable(ctx context.Context, b *bolt11.Invoice, text string) error {
	no := func(format string, args ...any) error {
		return refuse(events.CodeInvalidParameter, "bolt11: "+format, args...)
	}
	switch {
	case b.Amount < events.Sat:
		return no("it asks for %s, at least one satoshi is paid", b.Amount.Human())
	case b.Expired(p.Now().Add(leastLife)):
		return refuse(events.CodeExpired, "the invoice has expired, or is about to")
	case !b.Describes(text):
		return no("it was made for something else, %q, not %q", b.Description, text)
	}
	if net, ok := p.Wallet.(wallet.Networked); ok {
		ours, err := net.Network(ctx)
		if err != nil {
			return refuse(events.CodeUnavailable, "the node's wallet does not answer, try later")
		}
		if ours = bolt11.Named[ours]; ours != "" && ours != b.Network {
			return no("it is of the network %s, the node's wallet of %s", b.Network, ours)
		}
	}
	return nil
}

// commitTo checks an invoice and writes down that it is what pays the debt, once and before anything is sent.
func (p *Provider) commitTo(ctx context.Context, j *job, about events.ID, debt events.Msat, raw string) (*ledger.Commitment, error) {
	b, err := bolt11.Decode(raw)
	if err != nil {
		return nil, refuse(events.CodeInvalidParameter, "bolt11: %v", err)
	}
	if b.Amount > debt {
		return nil, refuse(events.CodeInvalidParameter, "bolt11: it asks for %s, owed is %s", b.Amount.Human(), debt.Human())
	}
	if err := p.payable(ctx, b, events.OwedFor(about)); err != nil {
		return nil, err
	}
	if j.terms == nil {
		j.terms = &terms{Pay: payAccount}
	}
	if err := p.track(j); err != nil {
		return nil, err
	}
	c, err := p.commitOnce(ctx, about, j.req.Author, b, raw)
	if err == nil {
		p.Step(j.req.ID, "withdrawing")
	}
	return c, err
}

// commitOnce writes down what is about to be paid: one invoice for each job.
func (p *Provider) commitOnce(ctx context.Context, job events.ID, customer events.PubKey, b *bolt11.Invoice, raw string) (*ledger.Commitment, error) {
	c := ledger.Commitment{Job: job, Hash: b.PaymentHash, Payee: customer, Bolt11: raw, Amount: b.Amount, At: p.Now()}
	first := false
	if err := p.write(ctx, func() (err error) { first, err = p.Ledger.Commit(c); return err }); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	if !first {
		return nil, refuse(events.CodeConflict, "its payment hash was used before")
	}
	return &c, nil
}

// payOut pays what was committed to. It returns a refusal, and the debt stands as before, only once the wallet says that the
// payment failed for good; while nobody knows, it asks again.
func (p *Provider) payOut(ctx context.Context, payer wallet.Payer, c *ledger.Commitment, maxFee events.Msat) error {
	for {
		r, err := payer.Pay(ctx, c.Bolt11, maxFee)
		switch {
		case err == nil && r.Hash() != c.Hash:
			return fmt.Errorf("the wallet's preimage does not fit the invoice that pays the debt of job %s", c.Job)
		case err == nil:
			if err := p.write(ctx, func() error { return p.Ledger.Settle(c.Job, r) }); err != nil {
				return fmt.Errorf("ledger: %w", err)
			}
			c.Settled, c.Preimage = true, r
			p.Step(c.Job, "withdrawn")
			return nil
		case errors.Is(err, wallet.ErrInsufficient), errors.Is(err, wallet.ErrRejected), errors.Is(err, wallet.ErrExpired):
			if bad := p.write(ctx, func() error { return p.Ledger.Void(c.Job, err.Error()) }); bad != nil {
				return fmt.Errorf("ledger: %w", bad)
			}
			p.Log.Warn("a debt could not be paid out, it stands", "job", c.Job, "amount", c.Amount, "err", err)
			if errors.Is(err, wallet.ErrExpired) {
				return refuse(events.CodeExpired, "the invoice has expired")
			}
			return refuse(events.CodeInsufficient, "the payment failed, with at most %s for the way: %v", maxFee.Human(), err)
		}
		p.Log.Warn("the wallet does not say whether a debt was paid out, asks again", "job", c.Job, "err", err)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}

// paidOut says what was paid.
func (p *Provider) paidOut(ctx context.Context, j *job, payer wallet.Payer, c *ledger.Commitment) error {
	said := events.Paidout{Op: events.OpWithdraw, Job: c.Job, Amount: c.Amount, Hash: c.Hash.String(), Preimage: c.Preimage.String()}
	if sent, err := payer.Sent(ctx, c.Hash); err == nil {
		said.Fee = sent.Fee
	}
	body, err := json.Marshal(said)
	if err != nil {
		return err
	}
	if err := p.answer(ctx, j, string(body)); err != nil {
		return err
	}
	return p.deliver(ctx, j)
}

// answer makes the result of an account job.
func (p *Provider) answer(ctx context.Context, j *job, content string) error {
	if j.terms == nil {
		j.terms = &terms{Pay: payAccount}
	}
	if err := p.track(j); err != nil {
		return err
	}
	result := &events.Result{
		Head: p.head(j), Kind: events.KindAccount + 1000, Job: j.req.ID, To: j.req.Author, Status: "success", Content: content, Encrypted: true,
	}
	ev, err := events.Sign(ctx, result, p.Signer)
	if err != nil {
		return err
	}
	if err := p.write(ctx, func() error { return p.Ledger.Keep(j.req.ID, ev) }); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	j.result = result
	j.remember(ev)
	p.Step(j.req.ID, "made")
	return nil
}

// deliver publishes the result of an account job until a relay has it, or nobody can want it any more.
func (p *Provider) deliver(ctx context.Context, j *job) error {
	ctx, cancel := context.WithDeadline(ctx, j.req.Keep().Time())
	defer cancel()
	if err := p.publish(ctx, j, j.said[j.result.ID], true); err != nil {
		return err
	}
	p.Step(j.req.ID, "delivered")
	return nil
}
