package consumer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/wallet"
)

// A customer may keep an account at a node: it pays in once and buys many jobs out of it, without a payment for each. The
// account belongs to a key of its own for each node, by which all jobs that it pays are ordered. What the node says that is
// left is believed only as far as its statements follow each other.

// statements is the topic of the ledger's records that holds the newest statement of each node.
const statements = "statement"

// StatementError says that a node signed two statements that cannot both be true: together they convict it.
type StatementError struct {
	Node     events.PubKey
	Old, New *events.Statement
}

func (e *StatementError) Error() string {
	return fmt.Sprintf("node %s signed two statements of your account that cannot both be true: number %d of %s, number %d of %s",
		short(e.Node), e.Old.Seq, e.Old.Balance().Human(), e.New.Seq, e.New.Balance().Human())
}

// accountKey is the key of the account at a node; it is made when it is first asked for.
func (c *Consumer) accountKey(node events.PubKey) (*events.Keys, error) {
	secret, err := c.Ledger.Put(events.ID(node), "account key", []byte(events.GenerateKeys().Secret()))
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return events.NewKeys(string(secret))
}

// Statements gives the newest statement of each node where there is an account.
func (c *Consumer) Statements() (map[events.PubKey]*events.Statement, error) {
	records, err := c.Ledger.Records(statements, 0)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	all := map[events.PubKey]*events.Statement{}
	for _, r := range records {
		m := &events.Statement{}
		if err := json.Unmarshal(r.Value, m); err != nil {
			return nil, fmt.Errorf("ledger: statement of %s: %w", r.Name, err)
		}
		all[events.PubKey(r.Name)] = m
	}
	return all, nil
}

// noteStatement keeps a statement if it is newer than what is known, and follows from it.
func (c *Consumer) noteStatement(m *events.Statement) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	all, err := c.Statements()
	if err != nil {
		return err
	}
	old := all[m.Author]
	if !m.Follows(old) {
		return &StatementError{m.Author, old, m}
	}
	if old != nil && old.Seq > m.Seq {
		return nil
	}
	body, err := json.Marshal(m)
	if err == nil {
		err = c.Ledger.Record(statements, string(m.Author), body)
	}
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}

// credit says whether the job is paid out of an account.
func (j *job) credit() bool { return slices.Contains(j.order.Pay, events.PayCredit) }

// onAccount has the job ordered by the account's key, and, unless it moves the account itself, paid out of it.
func (j *job) onAccount() (secret []byte, err error) {
	keys, err := j.c.accountKey(j.node)
	if err != nil {
		return nil, err
	}
	j.signer = keys
	if j.credit() {
		all, err := j.c.Statements()
		if err != nil {
			return nil, err
		}
		last := all[j.node]
		if last == nil {
			return nil, fmt.Errorf("there is no account at node %s yet; hint: infernet wallet topup %s 1000", short(j.node), short(j.node))
		}
		j.req.Credit = &events.Credit{Max: *j.req.Bid, Last: last.ID}
	}
	return []byte(keys.Secret()), nil
}

// drawn holds what a result took out of the account against what it may take.
func (j *job) drawn(m *events.Result, text string) error {
	bad := func(format string, args ...any) error {
		return &BadResultError{Node: j.node, Why: fmt.Sprintf(format, args...), Paid: j.paid}
	}
	switch {
	case m.Amount == nil:
		return bad("it does not say what it took out of the account")
	case *m.Amount > j.req.Credit.Max:
		return bad("it took %s out of the account, allowed was %s", m.Amount.Human(), j.req.Credit.Max.Human())
	case j.req.Named() == 0 && m.Usage.In+m.Usage.Out > int64(len(text)+len(j.req.Event().String())): // the price is made of it
		return bad("it claims more units than there are bytes")
	}
	j.paid = *m.Amount
	return nil
}

// stated is the node's statement after this job; nil if none has come. Its own movement has to be what was agreed.
func (j *job) stated() (*events.Statement, error) {
	for _, m := range slices.Backward(j.said) {
		s, ok := m.(*events.Statement)
		if !ok || s.Author != j.node || s.Job != j.req.ID {
			continue
		}
		return s, j.c.noteStatement(s)
	}
	return nil, nil
}

// own buys a job that is about the account itself, and gives what the node says of the account then.
func (c *Consumer) own(ctx context.Context, node events.PubKey, op string, cost events.Msat, params events.Params, watch func(Step)) (*events.Statement, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o := Order{
		Kind: events.KindAccount, Way: Direct, Node: node, Account: true, MaxCost: cost, Life: withdrawIn,
		Params: append(events.Params{{Name: "op", Values: []string{op}}}, params...),
	}
	if cost > 0 {
		o.Pay = []string{events.PayPrepaid}
	}
	j, err := c.submit(ctx, o, watch)
	if err != nil {
		return nil, err
	}
	done, err := c.finish(ctx, j)
	if err != nil {
		return nil, err
	}
	if done.Statement != nil {
		return done.Statement, nil
	}
	var said events.Accounted
	if err := json.Unmarshal([]byte(done.Text), &said); err != nil {
		return nil, &BadResultError{Node: j.node, Why: "it does not say where the account stands"}
	}
	return c.missed(ctx, j, said.Statement)
}

// missed finds a statement that another job's subscription would have brought, and those before it that are not known.
func (c *Consumer) missed(ctx context.Context, j *job, id events.ID) (*events.Statement, error) {
	found, err := c.Pool.Query(ctx, nostr.Filter{
		Kinds: []int{events.KindFeedback}, Authors: []string{string(j.node)}, Tags: nostr.TagMap{"p": {string(j.signer.PublicKey())}},
	})
	if err != nil {
		return nil, fmt.Errorf("ask the relays for the account's statements: %w", err)
	}
	var all []*events.Statement
	for _, ev := range found {
		m, err := events.Open(ctx, ev, j.signer)
		if s, ok := m.(*events.Statement); ok && err == nil && s.Author == j.node {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b *events.Statement) int { return cmp.Compare(a.Seq, b.Seq) })
	var asked *events.Statement
	for _, s := range all {
		if err := c.noteStatement(s); err != nil {
			return nil, err
		}
		if s.ID == id {
			asked = s
		}
	}
	if asked == nil {
		return nil, &BadResultError{Node: j.node, Why: "its statement of the account did not come"}
	}
	return asked, nil
}

// TopUp pays into the account at a node, and gives its statement. Errors: as Do, and *StatementError.
func (c *Consumer) TopUp(ctx context.Context, node events.PubKey, amount events.Msat, watch func(Step)) (*events.Statement, error) {
	return c.own(ctx, node, events.OpTopUp, amount, events.Params{{Name: "amount", Values: []string{strconv.FormatInt(int64(amount), 10)}}}, watch)
}

// Statement asks a node where the account there stands.
func (c *Consumer) Statement(ctx context.Context, node events.PubKey) (*events.Statement, error) {
	return c.own(ctx, node, events.OpStatement, 0, nil, nil)
}

// CashOut has a node pay out of the account there into a wallet; 0 is all that is left. It gives what came, by the wallet's
// word, and the statement then. What the way costs comes off the account: at most 1 %, at least 5 sat.
func (c *Consumer) CashOut(ctx context.Context, node events.PubKey, amount events.Msat, to wallet.Receiver) (came events.Msat, m *events.Statement, err error) {
	if len(node) < 64 {
		if node, err = c.whole(ctx, node); err != nil {
			return 0, nil, err
		}
	}
	now, err := c.Statement(ctx, node)
	if err != nil {
		return 0, nil, err
	}
	if amount == 0 {
		amount = min(now.Balance()-5*events.Sat, now.Balance()*100/101) / events.Sat * events.Sat
	}
	if amount < events.Sat || amount > now.Balance() {
		return 0, now, fmt.Errorf("%w: the account at node %s holds %s", wallet.ErrInsufficient, short(node), now.Balance().Human())
	}
	invoice, err := to.Invoice(ctx, wallet.InvoiceRequest{Amount: amount, Description: events.CreditOf(node), Until: c.Now().Add(withdrawFor)})
	if err != nil {
		return 0, now, err
	}
	w := &ledger.Withdrawal{Node: node, Bolt11: invoice.Bolt11, Hash: invoice.Hash, Amount: amount, Until: invoice.Until}
	if err := c.noted(*w); err != nil {
		return 0, now, err
	}
	m, err = c.own(ctx, node, events.OpWithdraw, 0, events.Params{{Name: "bolt11", Values: []string{invoice.Bolt11}}}, nil)
	within := noticeIn
	if err != nil {
		within = 100 * time.Millisecond // it may have come all the same
	}
	switch paid, asked := c.came(ctx, w, to, within); {
	case paid:
		return w.Amount, m, nil
	case err != nil:
		return 0, now, err
	case asked != nil:
		return 0, m, asked
	}
	return 0, m, &BadResultError{Node: node, Why: "it says that it has paid out of the account, and the wallet here has not received it"}
}

var errAlone = errors.New("what is paid out of an account goes directly to its node: --pay credit stands alone, with --way direct")
