package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// A customer may keep an account at a node (kind 5890): it pays in, jobs are paid out of it, and what is left is withdrawn. The
// ledger numbers what moves an account; for each movement the node signs one statement. A job that is paid so is done for what
// was set apart before, and takes what it cost only once a relay has its result.

// credits says whether the node keeps accounts.
func (p *Provider) credits() bool {
	for _, way := range p.Pay {
		if way == events.PayCredit {
			return p.Wallet != nil
		}
	}
	return false
}

// reserve sets apart what a job may cost.
func (p *Provider) reserve(ctx context.Context, j *job) error {
	err := p.write(ctx, func() error { return p.Ledger.Reserve(j.req.Author, j.req.ID, j.terms.Cap) })
	if errors.Is(err, ledger.ErrBalance) {
		return refuse(events.CodeInsufficient, "%v", err)
	}
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	p.Step(j.req.ID, "reserved")
	return nil
}

// draw takes what a delivered job cost, and says so.
func (p *Provider) draw(ctx context.Context, j *job) (events.Msat, error) {
	cost := *j.result.Amount
	var seq int64
	err := p.write(ctx, func() (err error) { seq, err = p.Ledger.Draw(j.req.ID, ledger.Drawn, cost); return err })
	if err != nil {
		return 0, fmt.Errorf("ledger: %w", err)
	}
	p.Step(j.req.ID, "drawn")
	if seq == 0 {
		return 0, nil
	}
	_, err = p.state(ctx, j.req.Author, seq)
	return cost, err
}

// state signs the statement of a movement, and those before it that a crash left out, and publishes them. What was signed once
// stays as it is.
func (p *Provider) state(ctx context.Context, customer events.PubKey, upTo int64) (last *events.Statement, err error) {
	p.stating.Lock()
	defer p.stating.Unlock()
	from := upTo
	var prev events.ID
	for ; from > 0; from-- {
		kept, err := p.Ledger.Stated(customer, from)
		if err != nil {
			return nil, fmt.Errorf("ledger: %w", err)
		}
		if kept != "" {
			ev := &nostr.Event{}
			if err := json.Unmarshal([]byte(kept), ev); err != nil {
				return nil, fmt.Errorf("ledger: statement: %w", err)
			}
			prev = events.ID(ev.ID)
			if from == upTo {
				m, err := events.Open(ctx, ev, p.Signer)
				if err != nil {
					return nil, fmt.Errorf("ledger: statement: %w", err)
				}
				last, _ = m.(*events.Statement)
				return last, p.tellStatement(ctx, ev)
			}
			break
		}
	}
	for seq := from + 1; seq <= upTo; seq++ {
		a, err := p.Ledger.AccountAt(customer, seq)
		if err != nil {
			return nil, fmt.Errorf("ledger: %w", err)
		}
		last = &events.Statement{
			Head: events.Head{At: events.At(p.Now()), Expires: events.At(p.Now()).Add(events.KeepReceipt)}, Job: a.Job, To: customer, Seq: seq, Prev: prev,
			Topped: a.Topped, Drawn: a.Drawn, Withdrawn: a.Withdrawn, Open: min(a.Open, a.Topped-a.Drawn-a.Withdrawn),
		}
		ev, err := events.Sign(ctx, last, p.Signer)
		if err != nil {
			return nil, err
		}
		err = p.write(ctx, func() error { _, err := p.Ledger.State(customer, seq, ev.String()); return err })
		if err != nil {
			return nil, fmt.Errorf("ledger: %w", err)
		}
		prev = events.ID(ev.ID)
		if err := p.tellStatement(ctx, ev); err != nil {
			return nil, err
		}
	}
	return last, nil
}

func (p *Provider) tellStatement(ctx context.Context, ev *nostr.Event) error {
	return p.press(ctx, ev, p.Pool.Send(ctx, ev))
}

// topUp has a customer pay into its account: the account has it once the node's own wallet does.
func (p *Provider) topUp(life context.Context, j *job) error {
	amount, _ := j.req.Params.Int("amount")
	switch {
	case !p.credits():
		return refuse(events.CodeDenied, "this node keeps no accounts")
	case amount < int64(events.Sat) || events.Msat(amount)%events.Sat != 0:
		return refuse(events.CodeInvalidParameter, "amount: a whole number of satoshi, in msat")
	case j.req.Bid != nil && events.Msat(amount) > *j.req.Bid:
		return refuse(events.CodeUnderbid, "the bid is %s, paid in is to be %s", j.req.Bid.Human(), events.Msat(amount).Human())
	}
	if j.terms == nil {
		j.terms = &terms{Pay: events.PayPrepaid, Amount: events.Msat(amount), Cap: events.Msat(amount)}
	}
	if err := p.track(j); err != nil {
		return err
	}
	if j.result == nil {
		paid, err := p.prepaid(life, j)
		if err != nil {
			return err
		}
		p.Step(j.req.ID, "paid")
		var seq int64
		err = p.write(life, func() (err error) {
			seq, err = p.Ledger.TopUp(j.req.Author, j.req.ID, paid.Hash, paid.Amount)
			return err
		})
		if err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		p.Step(j.req.ID, "topped up")
		if err := p.stated(life, j, seq); err != nil {
			return err
		}
	}
	if err := p.deliver(life, j); err != nil {
		return err
	}
	return p.say(life, j, &events.Receipt{
		Head: events.Head{At: events.At(p.Now()), Expires: j.req.Deadline.Add(events.KeepReceipt)},
		Job:  j.req.ID, To: j.req.Author, Result: j.result.ID, Amount: j.terms.Amount,
	}, true)
}

// statement says where an account stands.
func (p *Provider) statement(ctx context.Context, j *job) error {
	a, err := p.Ledger.Account(j.req.Author)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if a.Seq == 0 {
		return refuse(events.CodeDenied, "you have no account here")
	}
	if err := p.stated(ctx, j, a.Seq); err != nil {
		return err
	}
	return p.deliver(ctx, j)
}

// stated signs the statement of a movement, and makes the job's result of the same.
func (p *Provider) stated(ctx context.Context, j *job, seq int64) error {
	m, err := p.state(ctx, j.req.Author, seq)
	if err != nil {
		return err
	}
	body, err := json.Marshal(events.Accounted{
		Op: j.req.Params.Text("op"), Seq: m.Seq, Topped: m.Topped, Drawn: m.Drawn, Withdrawn: m.Withdrawn, Open: m.Open, Statement: m.ID,
	})
	if err != nil {
		return err
	}
	return p.answer(ctx, j, string(body))
}

// cashOut pays an invoice out of the customer's account, with what the way costs: it is set apart before anything is sent.
func (p *Provider) cashOut(life context.Context, j *job) error {
	if j.result != nil {
		return p.deliver(life, j)
	}
	payer, ok := p.Wallet.(wallet.Payer)
	if !ok {
		return refuse(events.CodeUnavailable, "the node's wallet cannot pay; your balance stays, ask the node's owner")
	}
	raw := j.req.Params.Text("bolt11")
	c, err := p.Ledger.Commitment(j.req.ID)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if c == nil {
		b, err := bolt11.Decode(raw)
		if err != nil {
			return refuse(events.CodeInvalidParameter, "bolt11: %v", err)
		}
		if err := p.payable(life, b, events.CreditOf(p.me)); err != nil {
			return err
		}
		most := b.Amount + p.wayCosts(b.Amount)
		if j.terms == nil {
			j.terms = &terms{Pay: payAccount, Cap: most}
		}
		if err := p.track(j); err != nil {
			return err
		}
		if err := p.reserve(life, j); err != nil {
			return err
		}
		if c, err = p.commitOnce(life, j.req.ID, j.req.Author, b, raw); err != nil {
			return errors.Join(err, p.Ledger.Release(j.req.ID))
		}
		p.Step(j.req.ID, "withdrawing")
	}
	if !c.Settled {
		if err := p.payOut(life, payer, c, p.wayCosts(c.Amount)); err != nil {
			if errors.As(err, new(*refusal)) { // it failed for good
				err = errors.Join(err, p.Ledger.Release(j.req.ID))
			}
			return err
		}
	}
	fee := p.wayCosts(c.Amount) // as far as nobody says less
	if sent, err := payer.Sent(life, c.Hash); err == nil {
		fee = min(fee, sent.Fee)
	}
	var seq int64
	err = p.write(life, func() (err error) { seq, err = p.Ledger.Draw(j.req.ID, ledger.Withdrawn, c.Amount+fee); return err })
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if err := p.stated(life, j, seq); err != nil {
		return err
	}
	return p.deliver(life, j)
}

// wayCosts is what the way of a withdrawal may cost: it comes off the account.
func (p *Provider) wayCosts(amount events.Msat) events.Msat {
	return max(amount/100, 5*events.Sat)
}
