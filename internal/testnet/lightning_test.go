package testnet

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/testnet/lightning"
	"infernet/provider"
	"infernet/wallet"
)

// lnd opens a node of the Lightning network as a wallet.
func (n *Net) lnd(node string, allow []string) wallet.Wallet {
	n.T.Helper()
	return n.open(node, address(n.T, node, allow))
}

func address(t testing.TB, node string, allow []string) string {
	t.Helper()
	at, err := lightning.Test(t).Node(node).URL(ctx, allow)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// paidTo has the node's wallet be carol, who may do nothing but make invoices.
func paidTo(n *Net, change func(*provider.Config)) func(*provider.Config) {
	return func(c *provider.Config) {
		c.Wallet = n.lnd("carol", lightning.Receive).(wallet.Receiver)
		if change != nil {
			change(c)
		}
	}
}

// onLightning starts a market whose customer pays as alice, two hops from carol.
func onLightning(t *testing.T) (n *Net, alice wallet.Wallet, buyer *consumer.Consumer) {
	t.Helper()
	lightning.Test(t)
	n = Start(t)
	alice = n.lnd("alice", lightning.Both)
	return n, alice, n.Consumer("buyer", func(c *consumer.Config) { c.Wallet = alice.(wallet.Payer) })
}

// quiet waits until all payments have their end, and gives what a wallet has then.
func quiet(t *testing.T, w wallet.Wallet) events.Msat {
	t.Helper()
	if err := lightning.Test(t).Quiet(ctx); err != nil {
		t.Fatal(err)
	}
	have, err := w.(wallet.Balancer).Balance(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return have
}

// inBooks is what the payee's own node says of a payment hash: its state, and the preimage if it has it.
func inBooks(t *testing.T, hash wallet.Hash) (state, preimage string) {
	t.Helper()
	var v struct {
		State    string `json:"state"`
		Preimage []byte `json:"r_preimage"`
	}
	if err := lightning.Test(t).Node("carol").Call(ctx, http.MethodGet, "/v1/invoice/"+hash.String(), nil, &v); err != nil {
		t.Error(err)
	}
	return v.State, hex.EncodeToString(v.Preimage)
}

// holdsTrue holds a delivery to: it is paid if, and only if, the key is known. Both nodes' books say the same.
func holdsTrue(t *testing.T, payer wallet.Wallet, got *consumer.Delivery) (fee events.Msat) {
	t.Helper()
	sent, err := payer.(wallet.Payer).Sent(ctx, got.Hash)
	if err != nil || sent.State != wallet.Succeeded || sent.Preimage != got.Preimage || sent.Amount != got.Paid {
		t.Errorf("the payer's node says %+v, %v, the delivery %s with %s", sent, err, got.Paid.Human(), got.Preimage)
	}
	if state, r := inBooks(t, got.Hash); state != "SETTLED" || r != got.Preimage.String() {
		t.Errorf("the payee's node says %s, %s", state, r)
	}
	return sent.Fee
}

// TestLightningWaysToPay buys by each way to pay over two hops: what left the payer is what came, the receipt says so, and
// the preimage is the key.
func TestLightningWaysToPay(t *testing.T) {
	n, alice, buyer := onLightning(t)
	n.Provider("node", "echo:", paidTo(n, nil))
	carol := n.lnd("carol", lightning.Both)
	for _, way := range []string{consumer.Auction, consumer.Direct, consumer.Plain} {
		for _, pay := range []string{events.PayPrepaid, events.PayHold, events.PaySealed} {
			if way == consumer.Plain && pay != events.PayPrepaid {
				continue
			}
			t.Run(way+" "+pay, func(t *testing.T) {
				before, had := quiet(t, alice), quiet(t, carol)
				got, err := buyer.Do(ctx, Text("one two three", func(o *consumer.Order) { o.Way, o.Pay = way, []string{pay} }), nil)
				if err != nil || got.Pay != pay || got.Text != "one two three" || got.Paid == 0 || got.Preimage.Hash() != got.Hash {
					t.Fatalf("got %+v, %v", got, err)
				}
				if way != consumer.Plain && (got.Receipt == nil || got.Receipt.Amount != got.Paid) {
					t.Errorf("receipt %+v for %s", got.Receipt, got.Paid.Human())
				}
				fee := holdsTrue(t, alice, got)
				if left, came := before-quiet(t, alice), quiet(t, carol)-had; left != got.Paid+fee || came != got.Paid {
					t.Errorf("%s left, %s came, of %s with a fee of %s", left.Human(), came.Human(), got.Paid.Human(), fee.Human())
				}
				t.Logf("%s in %s", got.Paid.Human(), got.Took)
			})
		}
	}
}

// TestLightningJobsThatFail has the engine fail, by each way to pay: what was only locked is back, what was paid is owed, and
// what was sealed was never paid.
func TestLightningJobsThatFail(t *testing.T) {
	n, alice, buyer := onLightning(t)
	n.Provider("node", "echo:?fail=broken", paidTo(n, nil))
	for pay, owed := range map[string]bool{events.PayPrepaid: true, events.PayHold: false, events.PaySealed: false} {
		t.Run(pay, func(t *testing.T) {
			before := quiet(t, alice)
			_, err := buyer.Do(ctx, Text("one two three", func(o *consumer.Order) { o.Pay = []string{pay} }), nil)
			var refused *consumer.RefusedError
			if !errors.As(err, &refused) || (refused.Owed > 0) != owed {
				t.Fatalf("got %v", err)
			}
			if left := before - quiet(t, alice); left != refused.Owed {
				t.Errorf("%s left, owed is %s", left.Human(), refused.Owed.Human())
			}
			if open, err := buyer.Unfinished(); err != nil || len(open) > 0 {
				t.Errorf("left open: %v %v", open, err)
			}
		})
	}
}

// TestLightningThatFails has payments that cannot arrive: the job ends with why, in people's words, and nothing is sent.
func TestLightningThatFails(t *testing.T) {
	n, alice, buyer := onLightning(t)
	dear := n.Provider("dear", "echo:?model=dear", paidTo(n, func(c *provider.Config) { c.Price = events.Price{Base: 3_000_000 * events.Sat} }))
	before := quiet(t, alice)
	for _, pay := range []string{events.PayPrepaid, events.PayHold, events.PaySealed} {
		_, err := buyer.Do(ctx, Text("one", direct(dear, func(o *consumer.Order) { o.MaxCost, o.Pay = 4_000_000*events.Sat, []string{pay} })), nil)
		if !errors.Is(err, wallet.ErrInsufficient) || !strings.Contains(err.Error(), "its channels is too small") {
			t.Errorf("%s, more than there is: %v", pay, err)
		}
	}
	poor := n.lnd("alice", lightning.Receive) // may not pay
	_, err := n.Consumer("poor", func(c *consumer.Config) { c.Wallet = poor.(wallet.Payer) }).Do(ctx, Text("one", direct(dear, func(o *consumer.Order) {
		o.MaxCost, o.Pay = 4_000_000*events.Sat, []string{events.PayPrepaid}
	})), nil)
	if !errors.Is(err, wallet.ErrUnsupported) || !strings.Contains(err.Error(), "bakemacaroon") {
		t.Errorf("a macaroon that does not pay: %v", err)
	}
	if left := before - quiet(t, alice); left != 0 {
		t.Errorf("%s left", left.Human())
	}
	if open, err := buyer.Unfinished(); err != nil || len(open) > 0 {
		t.Errorf("left open: %v %v", open, err)
	}
}

// TestLightningHeldMoneyComesBack kills a node for good while money is locked for its work: lnd lets it go when its blocks
// are over, and the customer has it back.
func TestLightningHeldMoneyComesBack(t *testing.T) {
	for _, step := range []string{"held", "running", "made", "delivered"} {
		t.Run(step, func(t *testing.T) {
			n, alice, buyer := onLightning(t)
			before := quiet(t, alice)
			node := process{
				Role: "provider", Relay: n.URL, Dir: t.TempDir(), Wallet: address(t, "carol", lightning.Receive), Secret: events.GenerateKeys().Secret(),
				Engine: "echo:?delay=5ms", Crash: step,
			}
			running := node.start(t)
			running.wait(t, "ready")
			keys, _ := events.NewKeys(node.Secret)
			n.awaitNode(keys.PublicKey())
			type outcome struct {
				*consumer.Delivery
				error
			}
			done := make(chan outcome, 1)
			go func() {
				got, err := buyer.Do(ctx, Text("one two three four", func(o *consumer.Order) { byHold(o); o.Life = 12 * time.Second }), nil)
				done <- outcome{got, err}
			}()
			running.killed(t)
			Eventually(t, "the money is locked", func() bool {
				have, err := alice.(wallet.Balancer).Balance(ctx)
				return err == nil && have < before
			})
			if err := lightning.Test(t).Mine(ctx, events.MaxHoldBlocks); err != nil { // hours later
				t.Fatal(err)
			}
			got := <-done
			if open, err := buyer.Unfinished(); err != nil || len(open) > 0 {
				d, err := settles(t, buyer)
				if got.Delivery == nil {
					got = outcome{d, err}
				}
			}
			if (step == "delivered") != (got.error == nil) {
				t.Errorf("it ended with %+v, %v", got.Delivery, got.error)
			}
			if left := before - quiet(t, alice); left != 0 {
				t.Errorf("%s left", left.Human())
			}
		})
	}
}

// TestLightningHeldMoneyComesBackWhenTheCustomerCancels cancels in the middle of a stream: the node lets the money go at once.
func TestLightningHeldMoneyComesBackWhenTheCustomerCancels(t *testing.T) {
	n, alice, buyer := onLightning(t)
	n.Provider("node", "echo:?delay=50ms&tokens=1000", paidTo(n, nil))
	before := quiet(t, alice)
	jobCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	_, err := buyer.Do(jobCtx, Text("one two", func(o *consumer.Order) {
		byHold(o)
		o.Params = events.Params{param("stream", "true"), param("max_tokens", "1000")}
	}), func(s consumer.Step) {
		if s.Delta != "" {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the cancelled job ended with %v", err)
	}
	if left := before - quiet(t, alice); left != 0 {
		t.Errorf("%s left", left.Human())
	}
	over(t, buyer, err)
}
