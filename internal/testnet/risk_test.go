package testnet

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"infernet/consumer"
	"infernet/consumer/choose"
	"infernet/events"
	"infernet/provider"
	"infernet/wallet"
)

// remembered is what a buyer knows of every node.
type remembered choose.Measured

func (m remembered) Measured(events.PubKey, string) choose.Measured { return choose.Measured(m) }
func (remembered) Note(choose.Outcome)                              {}

// TestTheWayToPayFollowsTheRisk has an order that names no way to pay: little is paid in advance, more is sealed or locked, and
// paid in advance only at a node that is known; what the rule forbids is not bought, and the explanation says all that.
func TestTheWayToPayFollowsTheRisk(t *testing.T) {
	t.Parallel()
	n := Start(t)
	n.Provider("all", "echo:?model=all", nil)
	n.Provider("in advance", "echo:?model=advance", func(c *provider.Config) { c.Pay = []string{events.PayPrepaid} })
	w := n.Wallet("buyer")
	known := remembered{Jobs: 5}
	for _, c := range []struct {
		name, model string
		stake       events.Msat
		stream      bool
		memory      consumer.Memory
		pay, why    string
	}{
		{"little", "all", choose.Stake, false, nil, events.PayPrepaid, "no more than the stake of 100 sat"},
		{"more", "all", events.Sat, false, nil, events.PaySealed, "more than the stake of 1 sat: the result first"},
		{"more, streamed", "all", events.Sat, true, nil, events.PayHold, "streamed, so not sealed: locked"},
		{"more, at a known node", "advance", 10 * events.Sat, false, known, events.PayPrepaid, "did 5 jobs here that went well"},
		{"little, in advance only", "advance", choose.Stake, true, nil, events.PayPrepaid, "no more than the stake"},
		{"more, in advance only", "advance", events.Sat, false, nil, "", "more than the stake of 1 sat"},
	} {
		for _, way := range []string{consumer.Auction, consumer.Direct} {
			t.Run(c.name+", "+way, func(t *testing.T) {
				t.Parallel()
				buyer := n.Consumer(strings.ReplaceAll(c.name+way, " ", "-"), func(o *consumer.Config) {
					o.Wallet, o.Stake, o.Memory = w.(wallet.Payer), c.stake, c.memory
				})
				var why []string
				got, err := buyer.Do(ctx, Text("one two three", func(o *consumer.Order) {
					o.Way, o.Explain, o.Params = way, true, events.Params{param("model", c.model)}
					if c.stream {
						o.Params = append(o.Params, param("stream", "true"))
					}
					if c.pay == "" {
						o.Window, o.First, o.Life = 2*time.Second, false, 10*time.Second
					}
				}), func(s consumer.Step) {
					for _, v := range s.Verdicts {
						why = append(why, v.Why)
					}
				})
				var none *consumer.NoOffersError
				var refused *consumer.RefusedError
				switch {
				case c.pay == "" && way == consumer.Auction:
					if !errors.As(err, &none) || len(none.Risky) != 1 || !strings.Contains(err.Error(), c.why) {
						t.Errorf("bought: %+v, %v", got, err)
					}
					return
				case c.pay == "":
					if !errors.As(err, &refused) || !strings.Contains(err.Error(), "only prepaid") {
						t.Errorf("bought: %+v, %v", got, err)
					}
				case err != nil || got.Pay != c.pay:
					t.Fatalf("paid by %+v, %v, want %s", got, err, c.pay)
				}
				if !slices.ContainsFunc(why, func(s string) bool {
					return strings.Contains(s, c.why) && (c.pay == "" || strings.Contains(s, "paid by "))
				}) {
					t.Errorf("explained by %q, want %q", why, c.why)
				}
			})
		}
	}
}
