package testnet

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/testnet/lightning"
	"infernet/provider"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// owing is a market with a job that was paid and failed.
type owing struct {
	*Net
	node, customer *booked
	buyer          *consumer.Consumer
	at             *Node
	job            events.ID
	owed           events.Msat
}

// owes has a node owe something to a customer.
func owes(t *testing.T, n *Net, payee, payer wallet.Wallet) *owing {
	t.Helper()
	o := &owing{Net: n}
	keys := events.GenerateKeys()
	o.node = &booked{role: ledger.Provider, wallet: payee, signer: keys}
	o.at = n.Provider("broken", "echo:?fail=broken", func(c *provider.Config) {
		c.Signer, c.Wallet, o.node.ledger = keys, payee.(wallet.Receiver), c.Ledger
	})
	o.customer = &booked{role: ledger.Customer, ledger: n.Ledger("buyer"), wallet: payer}
	o.buyer = n.Consumer("buyer", func(c *consumer.Config) { c.Wallet, c.Ledger = payer.(wallet.Payer), o.customer.ledger })
	o.fails(t)
	return o
}

// fails buys a job that is paid and fails.
func (o *owing) fails(t *testing.T) {
	t.Helper()
	_, err := o.buyer.Do(ctx, Text("one two three", func(o *consumer.Order) { o.Pay = []string{events.PayPrepaid} }), nil)
	var no *consumer.RefusedError
	if !errors.As(err, &no) || no.Owed == 0 {
		t.Fatalf("got %v", err)
	}
	o.job, o.owed = no.Job, no.Owed
}

// asked sends the node a withdrawal as it stands, from any key, and gives what it answers.
func (o *owing) asked(t *testing.T, name string, signer events.Signer, job events.ID, bolt11 string) (paid *events.Paidout, refused *events.Refusal) {
	t.Helper()
	p := o.Pool(ctx, signer)
	free := events.Msat(0)
	req := &events.Request{
		Head: events.Head{At: events.At(time.Now())}, Kind: events.KindAccount, Profile: true, To: []events.PubKey{o.at.Key}, Encrypted: true, Bid: &free,
		Deadline: events.At(time.Now().Add(time.Minute)), Params: events.Params{param("op", events.OpWithdraw), param("job", string(job)), param("bolt11", bolt11)},
	}
	req.Expires = req.Keep()
	ev, err := events.Sign(ctx, req, signer)
	if err != nil {
		t.Fatal(err)
	}
	sub := p.Subscribe(ctx, answersTo(events.ID(ev.ID)))
	if err := p.Publish(ctx, ev); err != nil {
		t.Fatal(err)
	}
	timeout := time.After(20 * time.Second)
	for {
		select {
		case said := <-sub.Events:
			m, err := events.Open(ctx, said, signer)
			if err != nil {
				t.Fatal(err)
			}
			switch m := m.(type) {
			case *events.Result:
				paid, err := events.ParsePaidout(m.Content)
				if err != nil {
					t.Fatal(err)
				}
				return paid, nil
			case *events.Refusal:
				return nil, m
			}
		case <-timeout:
			t.Fatalf("%s: no answer in 20 s", name)
		}
	}
}

// invoice asks a wallet for an invoice that withdraws a debt.
func (o *owing) invoice(t *testing.T, w wallet.Wallet, amount events.Msat, text string, life time.Duration) *wallet.Invoice {
	t.Helper()
	v, err := w.(wallet.Receiver).Invoice(ctx, wallet.InvoiceRequest{Amount: amount, Description: text, Until: time.Now().Add(life)})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// key is the key that the failed job was ordered by.
func (o *owing) key(t *testing.T) events.Signer {
	t.Helper()
	secret, _, err := o.customer.ledger.Value(o.job, "key")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := events.NewKeys(string(secret))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// TestDebtsAreWithdrawnOnce has a customer withdraw what a node owes: it is there, once, however often it is asked for, by whom
// and how; what nobody may ask for is refused. Both parties' books agree at the end.
func TestDebtsAreWithdrawnOnce(t *testing.T) {
	t.Parallel()
	n := Start(t)
	payee, payer := n.Wallet("payee"), n.Wallet("payer")
	o := owes(t, n, payee, payer)
	debts, err := o.buyer.Debts(ctx)
	if err != nil || len(debts) != 1 || debts[0].Job != o.job || debts[0].Amount != o.owed || debts[0].Back != 0 || debts[0].Asked {
		t.Fatalf("owed %+v, %v", debts, err)
	}
	key, text := o.key(t), events.OwedFor(o.job)
	good := o.invoice(t, payer, o.owed, text, time.Hour)
	for _, c := range []struct {
		name, code string
		signer     events.Signer
		job        events.ID
		bolt11     string
	}{
		{"a stranger", events.CodeDenied, events.GenerateKeys(), o.job, good.Bolt11},
		{"another job", events.CodeDenied, key, events.ID(strings.Repeat("ab", 32)), good.Bolt11},
		{"no job, which is about an account", events.CodeInvalidParameter, key, "", good.Bolt11},
		{"more than is owed", events.CodeInvalidParameter, key, o.job, o.invoice(t, payer, o.owed+events.Sat, text, time.Hour).Bolt11},
		{"for something else", events.CodeInvalidParameter, key, o.job, o.invoice(t, payer, o.owed, "infernet "+string(o.job), time.Hour).Bolt11},
		{"about to expire", events.CodeExpired, key, o.job, o.invoice(t, payer, o.owed, text, 2*time.Second).Bolt11},
		{"no invoice", events.CodeInvalidParameter, key, o.job, "lnbcrt1nonsense"},
		{"no one's", events.CodeInsufficient, key, o.job, foreignInvoice(t, o.owed, text)},
	} {
		if paid, no := o.asked(t, c.name, c.signer, c.job, c.bolt11); no == nil || no.Code != c.code {
			t.Errorf("%s: %+v %+v, want %s", c.name, paid, no, c.code)
		}
	}
	has(t, payer, opening-o.owed, "the customer, before")

	if came, err := o.buyer.Withdraw(ctx, o.job, payer.(wallet.Receiver)); err != nil || came != o.owed {
		t.Fatalf("came %s, %v", came.Human(), err)
	}
	has(t, payer, opening, "the customer")
	has(t, payee, opening, "the node")
	if came, err := o.buyer.Withdraw(ctx, o.job, payer.(wallet.Receiver)); err != nil || came != o.owed {
		t.Errorf("again: %s, %v", came.Human(), err)
	}
	paid, no := o.asked(t, "again, by another invoice", key, o.job, o.invoice(t, payer, o.owed, text, time.Hour).Bolt11)
	if no != nil || paid.Amount != o.owed {
		t.Errorf("again, by another invoice: %+v %+v", paid, no)
	}
	has(t, payer, opening, "the customer, who asked again")
	if debts, err = o.buyer.Debts(ctx); err != nil || len(debts) != 1 || debts[0].Back != o.owed {
		t.Errorf("then %+v, %v", debts, err)
	}
	if _, err := o.buyer.Withdraw(ctx, events.ID(strings.Repeat("0", 64)), payer.(wallet.Receiver)); !errors.As(err, new(*consumer.NoDebtError)) {
		t.Errorf("of no job: %v", err)
	}
	o.node.clean(t, time.Time{})
	o.customer.clean(t, time.Time{})
}

// TestManyWithdrawalsOfOneDebt asks for one debt 30 times at once, each time by another invoice: one is paid.
func TestManyWithdrawalsOfOneDebt(t *testing.T) {
	t.Parallel()
	n := Start(t)
	payee, payer := n.Wallet("payee"), n.Wallet("payer")
	o := owes(t, n, payee, payer)
	key := o.key(t)
	var wait sync.WaitGroup
	for i := range 30 {
		v := o.invoice(t, payer, o.owed, events.OwedFor(o.job), time.Hour)
		wait.Go(func() {
			if paid, no := o.asked(t, "one of many", key, o.job, v.Bolt11); paid == nil && no.Code != events.CodeConflict && no.Code != events.CodeRateLimited {
				t.Errorf("number %d: %+v", i, no)
			}
		})
	}
	wait.Wait()
	has(t, payer, opening, "the customer")
	has(t, payee, opening, "the node")
	o.node.clean(t, time.Time{})
}

// TestWithdrawalsSurviveKills kills a node with SIGKILL at each step of paying out what it owes: after its next start the debt
// is paid, once.
func TestWithdrawalsSurviveKills(t *testing.T) {
	for _, step := range []string{"withdrawing", "withdrawn", "made", "delivered"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			n := Start(t)
			address, err := n.Bank.Address(events.GenerateKeys())
			if err != nil {
				t.Fatal(err)
			}
			killed(t, n, step, address, n.Wallet("payer"), n.open("payee", address), balance)
		})
	}
}

// killed has a node owe something, kills it when it pays that out, and starts it again: both have what they had.
func killed(t *testing.T, n *Net, step, address string, payer, payee wallet.Wallet, balance func(*testing.T, wallet.Wallet) events.Msat) {
	had, kept := balance(t, payer), balance(t, payee)
	node := process{
		Role: "provider", Relay: n.URL, Dir: t.TempDir(), Wallet: address, Secret: events.GenerateKeys().Secret(), Engine: "echo:?fail=broken",
	}
	first := node.start(t)
	first.wait(t, "ready")
	keys, _ := events.NewKeys(node.Secret)
	n.awaitNode(keys.PublicKey())
	o := &owing{Net: n, customer: &booked{role: ledger.Customer, ledger: n.Ledger("buyer"), wallet: payer}}
	o.buyer = n.Consumer("buyer", func(c *consumer.Config) { c.Wallet, c.Ledger = payer.(wallet.Payer), o.customer.ledger })
	o.fails(t)
	first.stop()
	node.Crash = step
	second := node.start(t)
	second.wait(t, "ready")
	done := make(chan error, 1)
	go func() {
		came, err := o.buyer.Withdraw(ctx, o.job, payer.(wallet.Receiver))
		if err == nil && came != o.owed {
			err = errors.New("another amount came: " + came.Human())
		}
		done <- err
	}()
	second.killed(t)
	node.Crash = ""
	third := node.start(t)
	third.wait(t, "ready")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	third.wait(t, "step: delivered") // it has said so, and sends nothing more
	l, err := ledger.Open(node.Dir + "/provider.db")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	Eventually(t, "no job is left open", func() bool { open, err := l.Unfinished(ledger.Provider); return err == nil && len(open) == 0 })
	third.stop()
	if now, then := balance(t, payer), balance(t, payee); now != had || then != kept {
		t.Errorf("%s went and %s came", (had - now).Human(), (then - kept).Human())
	}
}

// TestLightningDebtsAreWithdrawn is the same over real Lightning, two hops: the money is back, also when the node is killed
// while it pays. A node whose wallet may only receive says so, and goes on owing.
func TestLightningDebtsAreWithdrawn(t *testing.T) {
	lightning.Test(t)
	n := Start(t)
	alice, carol := n.lnd("alice", lightning.Both), n.lnd("carol", lightning.Both)
	before, had := quiet(t, alice), quiet(t, carol)
	since := time.Now().Truncate(time.Second).Add(time.Second) // others have used this network
	Eventually(t, "a new second begins", func() bool { return !time.Now().Before(since) })
	o := owes(t, n, carol, alice)
	came, err := o.buyer.Withdraw(ctx, o.job, alice.(wallet.Receiver))
	if err != nil || came == 0 || came > o.owed {
		t.Fatalf("came %s of %s, %v", came.Human(), o.owed.Human(), err)
	}
	o.node.clean(t, since)
	o.customer.clean(t, since)
	if left, gained := before-quiet(t, alice), quiet(t, carol)-had; left > o.owed/10 || gained > left {
		t.Errorf("%s is missing, %s is too much at the node", left.Human(), gained.Human())
	}
	o.at.Stop()

	mute := n.Provider("receives only", "echo:?fail=broken", paidTo(n, nil))
	o.at = mute
	o.fails(t)
	var no *consumer.RefusedError
	if _, err := o.buyer.Withdraw(ctx, o.job, alice.(wallet.Receiver)); !errors.As(err, &no) || no.Code != events.CodeInsufficient && no.Code != events.CodeUnavailable {
		t.Errorf("a node that cannot pay: %v", err)
	}
	mute.Stop()
	t.Run("killed", func(t *testing.T) {
		killed(t, Start(t), "withdrawing", address(t, "carol", lightning.Both), alice, carol, quiet)
	})
}

func answersTo(job events.ID) nostr.Filter {
	return nostr.Filter{Kinds: []int{events.KindFeedback, events.KindAccount + 1000}, Tags: nostr.TagMap{"e": {string(job)}}}
}

func balance(t *testing.T, w wallet.Wallet) events.Msat {
	t.Helper()
	have, err := w.(wallet.Balancer).Balance(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return have
}

// foreignInvoice is one that no wallet here can pay.
func foreignInvoice(t *testing.T, amount events.Msat, text string) string {
	t.Helper()
	v := bolt11.Invoice{
		Network: bolt11.Regtest, Amount: amount, Timestamp: time.Now(), PaymentHash: wallet.NewPreimage().Hash(), PaymentSecret: &[32]byte{1}, Description: text, Expiry: time.Hour,
	}
	raw, err := v.Encode([32]byte{31: 9})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
