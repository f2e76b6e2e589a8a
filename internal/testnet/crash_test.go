package testnet

import (
	"strings"
	"testing"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/wallet"
)

// TestProviderKilledAtEveryStep kills a node with SIGKILL at each durable step of a paid job and starts it again: the
// customer gets one result and pays once.
func TestProviderKilledAtEveryStep(t *testing.T) {
	for way, steps := range map[string][]string{
		events.PayPrepaid: {"offered", "awarded", "asked", "paid", "started", "running", "made", "delivered"},
		events.PayHold:    {"offered", "awarded", "asked", "held", "started", "running", "made", "delivered", "settled"},
		events.PaySealed:  {"offered", "awarded", "started", "running", "made", "delivered"},
	} {
		for _, step := range steps {
			t.Run(way+" "+step, func(t *testing.T) {
				t.Parallel()
				n := Start(t)
				address, err := n.Bank.Address(events.GenerateKeys())
				if err != nil {
					t.Fatal(err)
				}
				node := process{
					Role: "provider", Relay: n.URL, Dir: t.TempDir(), Wallet: address, Secret: events.GenerateKeys().Secret(),
					Engine: "echo:?delay=5ms", Crash: step,
				}
				first := node.start(t)
				first.wait(t, "ready")
				keys, _ := events.NewKeys(node.Secret)
				n.awaitNode(keys.PublicKey())
				w := n.Wallet("buyer")
				buyer := n.Consumer("buyer", func(c *consumer.Config) { c.Wallet = w.(wallet.Payer) })
				type outcome struct {
					*consumer.Delivery
					error
				}
				done := make(chan outcome, 1)
				go func() {
					got, err := buyer.Do(ctx, Text("one two three four", func(o *consumer.Order) { o.Pay = []string{way} }), nil)
					done <- outcome{got, err}
				}()
				first.killed(t)
				node.Crash = ""
				node.start(t).wait(t, "ready")
				select {
				case got := <-done:
					if got.error != nil {
						t.Fatal(got.error)
					}
					if got.Text != "one two three four" || got.Paid == 0 {
						t.Errorf("got %q for %s", got.Text, got.Paid.Human())
					}
					if got.Receipt != nil && got.Receipt.Amount != got.Paid {
						t.Errorf("the receipt says %s, paid was %s", got.Receipt.Amount.Human(), got.Paid.Human())
					}
					have, err := w.(wallet.Balancer).Balance(ctx)
					if err != nil || have != 100_000*events.Sat-got.Paid {
						t.Errorf("paid %s, but %s are left, %v", got.Paid.Human(), have.Human(), err)
					}
					n.oneResult(got.Job)
				case <-time.After(60 * time.Second):
					t.Fatal("no result within 60 s")
				}
				if err := n.Bank.Check(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestConsumerKilledAtEveryStep kills a customer at each durable step and has it resume: one result, one payment.
func TestConsumerKilledAtEveryStep(t *testing.T) {
	for _, way := range []string{events.PayPrepaid, events.PayHold, events.PaySealed} {
		for _, step := range []string{"submitted", "awarded", "committed", "settled"} {
			t.Run(way+" "+step, func(t *testing.T) {
				t.Parallel()
				n := Start(t)
				n.Provider("node", "echo:?delay=5ms", nil)
				account := events.GenerateKeys()
				address, err := n.Bank.Address(account)
				if err != nil {
					t.Fatal(err)
				}
				order := Text("one two three four", func(o *consumer.Order) { o.Pay = []string{way} })
				buyer := process{Role: "consumer", Relay: n.URL, Dir: t.TempDir(), Wallet: address, Order: &order, Crash: step}
				buyer.start(t).killed(t)
				buyer.Crash, buyer.Resume = "", true
				line := buyer.start(t).wait(t, "got:")
				parts := strings.SplitN(line, " ", 4)
				if parts[3] != "one two three four" {
					t.Errorf("got %q", line)
				}
				paid, err := events.ParseMsat(parts[2])
				if err != nil || paid == 0 {
					t.Fatalf("paid %q: %v", parts[2], err)
				}
				w, err := Wallets.Open(n.ctx, address, n.log)
				if err != nil {
					t.Fatal(err)
				}
				defer w.Close()
				have, err := w.(wallet.Balancer).Balance(ctx)
				if err != nil || have != 100_000*events.Sat-paid {
					t.Errorf("paid %s, but %s are left, %v", paid.Human(), have.Human(), err)
				}
				n.oneResult(events.ID(parts[1]))
			})
		}
	}
}
