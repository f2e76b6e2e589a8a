package testnet

import (
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/testnet/lightning"
	"infernet/provider"
	"infernet/wallet"
)

// onCredit is a market whose node keeps accounts.
func onCredit(t *testing.T, n *Net, engine string, payee, payer wallet.Wallet) *owing {
	t.Helper()
	o := &owing{Net: n}
	keys := events.GenerateKeys()
	o.node = &booked{role: ledger.Provider, wallet: payee, signer: keys}
	o.at = n.Provider("node", engine, func(c *provider.Config) {
		c.Signer, c.Wallet, o.node.ledger, c.Pay = keys, payee.(wallet.Receiver), c.Ledger, []string{events.PayPrepaid, events.PayCredit}
	})
	o.customer = &booked{role: ledger.Customer, ledger: n.Ledger("buyer"), wallet: payer}
	o.buyer = n.Consumer("buyer", func(c *consumer.Config) { c.Wallet, c.Ledger = payer.(wallet.Payer), o.customer.ledger })
	return o
}

func (o *owing) byCredit(change func(*consumer.Order)) consumer.Order {
	return Text("one two three", func(order *consumer.Order) {
		order.Way, order.Node, order.Pay = consumer.Direct, o.at.Key, []string{events.PayCredit}
		if change != nil {
			change(order)
		}
	})
}

// TestCreditAccounts pays into an account, buys jobs out of it, one of which fails, and withdraws what is left: each job takes
// what it cost, once and only with a result, every statement follows from the one before, and both parties' books agree.
func TestCreditAccounts(t *testing.T) {
	t.Parallel()
	n := Start(t)
	o := onCredit(t, n, "echo:?fail=broken&jobs=1", n.Wallet("payee"), n.Wallet("payer"))
	account(t, o, time.Time{})
	has(t, o.customer.wallet, opening-o.owed, "the customer")
	has(t, o.node.wallet, opening+o.owed, "the node")
}

// TestLightningCreditAccounts is the same over real Lightning, two hops.
func TestLightningCreditAccounts(t *testing.T) {
	lightning.Test(t)
	n := Start(t)
	alice, carol := n.lnd("alice", lightning.Both), n.lnd("carol", lightning.Both)
	before, had := quiet(t, alice), quiet(t, carol)
	since := time.Now().Truncate(time.Second).Add(time.Second) // others have used this network
	Eventually(t, "a new second begins", func() bool { return !time.Now().Before(since) })
	o := onCredit(t, n, "echo:?fail=broken&jobs=1", carol, alice)
	fees := account(t, o, since)
	if left, came := before-quiet(t, alice), quiet(t, carol)-had; left < o.owed || left > o.owed+fees+events.Sat || came > left {
		t.Errorf("%s left and %s came, for jobs of %s and fees of %s", left.Human(), came.Human(), o.owed.Human(), fees.Human())
	}
}

// account goes through the life of an account; what the jobs cost is o.owed then.
func account(t *testing.T, o *owing, since time.Time) (fees events.Msat) {
	var none *consumer.RefusedError
	if _, err := o.buyer.Do(ctx, o.byCredit(nil), nil); err == nil {
		t.Fatal("bought without an account")
	}
	if _, err := o.buyer.Statement(ctx, o.at.Key); !errors.As(err, &none) || none.Code != events.CodeDenied {
		t.Errorf("a statement without an account: %v", err)
	}
	s, err := o.buyer.TopUp(ctx, o.at.Key, 100*events.Sat, nil)
	if err != nil || s.Seq != 1 || s.Topped != 100*events.Sat || s.Balance() != 100*events.Sat {
		t.Fatalf("topped up: %+v, %v", s, err)
	}
	var no *consumer.RefusedError
	if _, err := o.buyer.Do(ctx, o.byCredit(nil), nil); !errors.As(err, &no) || no.Owed != 0 {
		t.Errorf("a job that fails: %v", err)
	}
	last := s
	for i := range 3 {
		got, err := o.buyer.Do(ctx, o.byCredit(nil), nil)
		if err != nil || got.Pay != events.PayCredit || got.Paid == 0 || got.Text != "one two three" || got.Receipt == nil || got.Receipt.Amount != got.Paid {
			t.Fatalf("job %d: %+v, %v", i, got, err)
		}
		o.owed += got.Paid
		if s = got.Statement; s == nil || s.Prev != last.ID || s.Seq != last.Seq+1 || s.Drawn != o.owed || s.Balance() != 100*events.Sat-o.owed {
			t.Fatalf("job %d costs %s: statement %+v after %+v", i, got.Paid.Human(), s, last)
		}
		last = s
	}
	if _, err := o.buyer.Do(ctx, o.byCredit(func(o *consumer.Order) {
		o.Inputs[0].Value, o.MaxCost = strings.Repeat("word ", 3500), 500*events.Sat
	}), nil); !errors.As(err, &no) || no.Code != events.CodeInsufficient {
		t.Errorf("a job for which there is not enough: %v", err)
	}
	if s, err = o.buyer.Statement(ctx, o.at.Key); err != nil || s.ID != last.ID {
		t.Errorf("then %+v, %v", s, err)
	}
	if _, _, err := o.buyer.CashOut(ctx, o.at.Key, 101*events.Sat, o.customer.wallet.(wallet.Receiver)); !errors.Is(err, wallet.ErrInsufficient) {
		t.Errorf("more than there is: %v", err)
	}
	if s, err = o.buyer.TopUp(ctx, o.at.Key, 50*events.Sat, nil); err != nil || s.Seq != 5 || s.Topped != 150*events.Sat || s.Open != 0 {
		t.Fatalf("topped up again: %+v, %v", s, err)
	}
	came, s, err := o.buyer.CashOut(ctx, o.at.Key, 0, o.customer.wallet.(wallet.Receiver))
	if err != nil || came == 0 || s.Seq != 6 || s.Withdrawn < came || s.Balance() < 0 {
		t.Fatalf("withdrawn %s: %+v, %v", came.Human(), s, err)
	}
	fees = s.Withdrawn - came
	o.owed = 150*events.Sat - came - fees // what stays at the node
	if s.Balance()+s.Drawn != o.owed {
		t.Errorf("the node keeps %s, the statement says %+v", o.owed.Human(), s)
	}
	Eventually(t, "the node has closed its jobs", func() bool {
		open, err := o.node.ledger.Unfinished(ledger.Provider)
		return err == nil && len(open) == 0
	})
	o.node.clean(t, since)
	o.customer.clean(t, since)
	return fees
}

// TestManyJobsOnOneAccount buys more at once than the account holds: what is drawn is never more than was paid in, and the
// statements number every movement once.
func TestManyJobsOnOneAccount(t *testing.T) {
	t.Parallel()
	n := Start(t)
	o := onCredit(t, n, "echo:?slots=8&delay=50ms", n.Wallet("payee"), n.Wallet("payer"))
	if _, err := o.buyer.TopUp(ctx, o.at.Key, 100*events.Sat, nil); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var wait sync.WaitGroup
	var drawn events.Msat
	refused := 0
	for range 8 {
		wait.Go(func() {
			got, err := o.buyer.Do(ctx, o.byCredit(nil), nil)
			mu.Lock()
			defer mu.Unlock()
			var no *consumer.RefusedError
			switch {
			case err == nil:
				drawn += got.Paid
			case errors.As(err, &no) && no.Code == events.CodeInsufficient:
				refused++
			default:
				t.Error(err)
			}
		})
	}
	wait.Wait()
	s, err := o.buyer.Statement(ctx, o.at.Key)
	if err != nil || s.Drawn != drawn || s.Balance() < 0 || refused == 0 {
		t.Errorf("drawn %s, refused %d, the statement says %+v, %v", drawn.Human(), refused, s, err)
	}
}

// TestAccountsSurviveKills kills a node with SIGKILL at each step of a top-up, of a job and of a withdrawal: after its next start
// each has moved the account once.
func TestAccountsSurviveKills(t *testing.T) {
	for step, what := range movedBy {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			n := Start(t)
			address, err := n.Bank.Address(events.GenerateKeys())
			if err != nil {
				t.Fatal(err)
			}
			node := process{
				Role: "provider", Relay: n.URL, Dir: t.TempDir(), Wallet: address, Secret: events.GenerateKeys().Secret(), Engine: "echo:",
				Pay: []string{events.PayPrepaid, events.PayCredit},
			}
			keys, _ := events.NewKeys(node.Secret)
			w := n.Wallet("payer")
			buyer := n.Consumer("buyer", func(c *consumer.Config) { c.Wallet, c.AnswerIn = w.(wallet.Payer), time.Minute })
			o := &owing{Net: n, at: &Node{Key: keys.PublicKey()}}
			topUp := func() error { _, err := buyer.TopUp(ctx, o.at.Key, 100*events.Sat, nil); return err }
			buy := func() error { _, err := buyer.Do(ctx, o.byCredit(nil), nil); return err }
			cash := func() error {
				_, _, err := buyer.CashOut(ctx, o.at.Key, 20*events.Sat, w.(wallet.Receiver))
				return err
			}
			start := func(crash string) *running {
				node.Crash = crash
				r := node.start(t)
				r.wait(t, "ready")
				return r
			}
			first := start("")
			n.awaitNode(o.at.Key)
			if what != "topup" {
				if err := topUp(); err != nil {
					t.Fatal(err)
				}
			}
			first.stop()
			second := start(step)
			done := make(chan error, 1)
			go func() { done <- map[string]func() error{"topup": topUp, "job": buy, "withdrawal": cash}[what]() }()
			second.killed(t)
			third := start("")
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			Eventually(t, "no job is left open", func() bool {
				l, err := ledger.Open(filepath.Join(node.Dir, "provider.db"))
				if err != nil {
					return false
				}
				defer l.Close()
				open, err := l.Unfinished(ledger.Provider)
				return err == nil && len(open) == 0
			})
			s, err := buyer.Statement(ctx, o.at.Key)
			if err != nil {
				t.Fatal(err)
			}
			third.stop()
			moves := int64(2)
			if what == "topup" {
				moves = 1
			}
			if s.Seq != moves || s.Topped != 100*events.Sat || s.Open != 0 || (what == "job") != (s.Drawn > 0) || (what == "withdrawal") != (s.Withdrawn > 0) {
				t.Errorf("the account stands at %+v", s)
			}
			has(t, w, opening-100*events.Sat+map[bool]events.Msat{true: 20 * events.Sat}[s.Withdrawn > 0], "the customer")
		})
	}
}

// movedBy says which movement of an account has a step.
var movedBy = map[string]string{
	"asked": "topup", "paid": "topup", "topped up": "topup", "reserved": "job", "started": "job", "made": "job", "drawn": "job",
	"withdrawing": "withdrawal", "withdrawn": "withdrawal",
}
