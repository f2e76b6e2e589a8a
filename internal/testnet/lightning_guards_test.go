package testnet

import (
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/testnet/lightning"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// TestLightningMutatedInvoices has a node send invoices that are wrong in one thing each. Those of its own lnd could be paid:
// none is. The right one, at the end, is.
func TestLightningMutatedInvoices(t *testing.T) {
	n, alice, _ := onLightning(t)
	carol := n.lnd("carol", lightning.Receive).(wallet.Receiver)
	key, other := lightning.Test(t).Node("carol").Key, lightning.Test(t).Node("dave").Key
	const agreed = 10 * events.Sat
	of := func(amount events.Msat, text string, life time.Duration) string {
		v, err := carol.Invoice(ctx, wallet.InvoiceRequest{Amount: amount, Description: text, Until: time.Now().Add(life)})
		if err != nil {
			t.Fatal(err)
		}
		return v.Bolt11
	}
	signer := [32]byte{31: 7}
	made := func(network, text string) string { // by a node that has the announced key
		v := bolt11.Invoice{
			Network: network, Amount: agreed, Timestamp: time.Now(), PaymentHash: wallet.NewPreimage().Hash(), PaymentSecret: &[32]byte{1}, Description: text, Expiry: time.Hour,
		}
		raw, err := v.Encode(signer)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	b, err := bolt11.Decode(made(bolt11.Regtest, "x"))
	if err != nil {
		t.Fatal(err)
	}
	own := hex.EncodeToString(b.Payee[:])
	used := ""
	amountless := func(text string) string {
		var v struct {
			Bolt11 string `json:"payment_request"`
		}
		if err := lightning.Test(t).Node("carol").Call(ctx, http.MethodPost, "/v1/invoices", map[string]string{"memo": text}, &v); err != nil {
			t.Fatal(err)
		}
		return v.Bolt11
	}
	changed := func(raw string) string { // one character
		c := byte('q')
		if raw[20] == c {
			c = 'p'
		}
		return raw[:20] + string(c) + raw[21:]
	}
	before, refused := quiet(t, alice), 0
	for _, c := range []struct {
		name, payee string
		make        func(text string) string
		says        events.Msat
		pay, why    string
	}{
		{"good", key, func(text string) string { used = of(agreed, text, time.Minute); return used }, agreed, events.PayPrepaid, ""},
		{"more than was offered", key, func(text string) string { return of(agreed+events.Sat, text, time.Minute) }, agreed + events.Sat, events.PayPrepaid, "agreed was up to"},
		{"other than its message says", key, func(text string) string { return of(agreed-events.Sat, text, time.Minute) }, agreed, events.PayPrepaid, "its message for"},
		{"no amount", key, amountless, agreed, events.PayPrepaid, "no amount"},
		{"another payee", other, func(text string) string { return of(agreed, text, time.Minute) }, agreed, events.PayPrepaid, "the node announced"},
		{"main network", own, func(text string) string { return made(bolt11.Mainnet, text) }, agreed, events.PayPrepaid, "network"},
		{"test network", own, func(text string) string { return made(bolt11.Testnet, text) }, agreed, events.PayPrepaid, "network"},
		{"expired", key, func(text string) string {
			raw := of(agreed, text, time.Second)
			time.Sleep(1100 * time.Millisecond)
			return raw
		}, agreed, events.PayPrepaid, "expired"},
		{"paid before", key, func(string) string { return used }, agreed, events.PayPrepaid, "made for something else"},
		{"resold", key, func(string) string { return of(agreed, "infernet "+strings.Repeat("ab", 32), time.Minute) }, agreed, events.PayPrepaid, "made for something else"},
		{"of no job", key, func(string) string { return of(agreed, "", time.Minute) }, agreed, events.PayPrepaid, "made for something else"},
		{"one character changed", key, func(text string) string { return changed(of(agreed, text, time.Minute)) }, agreed, events.PayPrepaid, "malformed"},
		{"another way to pay", key, func(text string) string { return of(agreed, text, time.Minute) }, agreed, events.PayHold, "agreed was"},
	} {
		t.Run(c.name, func(t *testing.T) {
			model := "rogue-" + strings.ReplaceAll(c.name, " ", "-")
			n.Rogue(model, c.payee, func(r *Rogue, m events.Message) {
				switch m := m.(type) {
				case *events.Request:
					if m.Model() == model {
						r.Offer(m, agreed)
					}
				case *events.Award:
					r.Say(&events.Invoice{Head: r.Head(), Job: m.Job, To: m.Author, Amount: c.says, Bolt11: c.make("infernet " + string(m.Job)), Pay: c.pay, Until: m.Until})
				}
			})
			buyer := n.Consumer("buyer-"+model, func(c *consumer.Config) { c.Wallet = alice.(wallet.Payer) })
			_, err := buyer.Do(ctx, Text("hi", func(o *consumer.Order) { o.Params, o.Life = events.Params{param("model", model)}, 8*time.Second }), nil)
			var bad *consumer.BadInvoiceError
			switch {
			case c.why == "":
				var gone *consumer.VanishedError // it takes the money and does nothing
				if !errors.As(err, &gone) || gone.Paid != agreed {
					t.Errorf("a good one: %v", err)
				}
			case !errors.As(err, &bad) || !strings.Contains(bad.Why, c.why):
				t.Errorf("got %v, want %q", err, c.why)
			default:
				refused++
			}
		})
	}
	if left := before - quiet(t, alice); left != agreed || refused != 12 {
		t.Errorf("%d refused, %s paid, of which %s for the good one", refused, left.Human(), agreed.Human())
	}
	t.Logf("%d of 12 refused", refused)
}

// TestLightningBudgetOfTheDay has 50 callers at once commit to 1,000 invoices of a node, for jobs that share a ledger: what is
// committed is the day's budget exactly, and not a satoshi more, and what is paid over Lightning is the same.
func TestLightningBudgetOfTheDay(t *testing.T) {
	n, alice, _ := onLightning(t)
	carol := n.lnd("carol", lightning.Receive).(wallet.Receiver)
	book := n.Ledger("shared")
	const budget, each = 100 * events.Sat, 10 * events.Sat
	before := quiet(t, alice)
	var wait sync.WaitGroup
	var mu sync.Mutex
	paid, over := 0, 0
	for caller := range 50 {
		wait.Go(func() {
			for i := range 20 {
				v, err := carol.Invoice(ctx, wallet.InvoiceRequest{Amount: each, Description: "x", Until: time.Now().Add(time.Minute)})
				if err != nil {
					t.Error(err)
					return
				}
				job := events.ID(wallet.NewPreimage().Hash().String())
				first, err := book.CommitWithin(ledger.Commitment{Job: job, Hash: v.Hash, Payee: events.PubKey(strings.Repeat("ab", 32)), Bolt11: v.Bolt11, Amount: each, At: time.Now()}, budget)
				if errors.Is(err, ledger.ErrBudget) {
					mu.Lock()
					over++
					mu.Unlock()
					continue
				}
				if err != nil || !first {
					t.Errorf("caller %d, invoice %d: %v, %v", caller, i, first, err)
					return
				}
				if _, err := alice.(wallet.Payer).Pay(ctx, v.Bolt11, 0); err != nil {
					t.Error(err)
				}
				mu.Lock()
				paid++
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if left := before - quiet(t, alice); left != budget || paid != 10 || over != 990 {
		t.Errorf("%s left, %d paid, %d over the budget of %s", left.Human(), paid, over, budget.Human())
	}
}

// TestLightningAThousandInvoicesForOneJob has a node send 1,000 invoices for one job: one is paid.
func TestLightningAThousandInvoicesForOneJob(t *testing.T) {
	n, alice, buyer := onLightning(t)
	carol := n.lnd("carol", lightning.Receive).(wallet.Receiver)
	const agreed = 10 * events.Sat
	n.Rogue("greedy", lightning.Test(t).Node("carol").Key, func(r *Rogue, m events.Message) {
		switch m := m.(type) {
		case *events.Request:
			r.Offer(m, agreed)
		case *events.Award:
			for range 1000 {
				v, err := carol.Invoice(ctx, wallet.InvoiceRequest{Amount: agreed, Description: "infernet " + string(m.Job), Until: time.Now().Add(time.Minute)})
				if err != nil {
					return // the test is over
				}
				r.Pool.Say(r.ctx, &events.Invoice{Head: r.Head(), Job: m.Job, To: m.Author, Amount: agreed, Bolt11: v.Bolt11, Pay: events.PayPrepaid, Until: m.Until})
			}
		}
	})
	before := quiet(t, alice)
	_, err := buyer.Do(ctx, Text("hi", func(o *consumer.Order) { o.Life = 8 * time.Second }), nil)
	var gone *consumer.VanishedError
	if !errors.As(err, &gone) || gone.Paid != agreed {
		t.Errorf("got %v", err)
	}
	if left := before - quiet(t, alice); left != agreed {
		t.Errorf("%s left", left.Human())
	}
}
