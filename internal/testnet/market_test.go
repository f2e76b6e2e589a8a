package testnet

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/provider"
)

var ctx = context.Background()

func free(c *provider.Config) { c.Price = events.Price{} }

func TestWaysToBuyAndPay(t *testing.T) {
	n := Start(t)
	n.Provider("free", "echo:", free)
	n.Provider("paid", "echo:?model=dear", nil)
	buyer := n.Buyer("buyer")
	model := func(name string) events.Params { return events.Params{{Name: "model", Values: []string{name}}} }
	stream := events.Param{Name: "stream", Values: []string{"true"}}
	for _, c := range []struct {
		name string
		edit func(*consumer.Order)
		pay  string
		said []string // in this order, among others
	}{
		{"auction free", func(o *consumer.Order) { o.Params = model("echo") }, events.PayFree, []string{"Request", "Offer", "Award", "Running", "Result", "Receipt"}},
		{"direct free", func(o *consumer.Order) { o.Params, o.Way = model("echo"), consumer.Direct }, events.PayFree, []string{"Request", "Running", "Result", "Receipt"}},
		{"plain free", func(o *consumer.Order) { o.Params, o.Way, o.MaxCost = model("echo"), consumer.Plain, 0 }, events.PayFree, []string{"Request", "Running", "Result"}},
		{"auction prepaid", func(o *consumer.Order) { o.Params, o.Pay = model("dear"), []string{events.PayPrepaid} }, events.PayPrepaid, []string{"Request", "Offer", "Award", "Invoice", "Running", "Result", "Receipt"}},
		{"direct prepaid", func(o *consumer.Order) { o.Params, o.Way = model("dear"), consumer.Direct }, events.PayPrepaid, []string{"Request", "Invoice", "Running", "Result", "Receipt"}},
		{"plain prepaid", func(o *consumer.Order) { o.Params, o.Way = model("dear"), consumer.Plain }, events.PayPrepaid, []string{"Request", "Offer", "Running", "Result"}},
		{"auction hold", func(o *consumer.Order) { o.Params, o.Pay = model("dear"), []string{events.PayHold} }, events.PayHold, []string{"Request", "Offer", "Award", "Invoice", "Running", "Result", "Receipt"}},
		{"direct hold", func(o *consumer.Order) {
			o.Params, o.Pay, o.Way = model("dear"), []string{events.PayHold}, consumer.Direct
		}, events.PayHold, []string{"Request", "Invoice", "Running", "Result", "Receipt"}},
		{"auction sealed", func(o *consumer.Order) { o.Params, o.Pay = model("dear"), []string{events.PaySealed} }, events.PaySealed, []string{"Request", "Offer", "Award", "Running", "Result", "Receipt"}},
		{"direct sealed", func(o *consumer.Order) {
			o.Params, o.Pay, o.Way = model("dear"), []string{events.PaySealed}, consumer.Direct
		}, events.PaySealed, []string{"Request", "Running", "Result", "Receipt"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var told Told
			order := Text("one two three", c.edit)
			if c.pay != events.PaySealed && order.Way != consumer.Plain {
				order.Params = append(order.Params, stream)
			}
			began := time.Now()
			got, err := buyer.Do(ctx, order, told.Hear)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s: took %s, first token %s, paid %s in %s", c.name, got.Took, got.First, got.Paid.Human(), time.Since(began))
			if got.Text != "one two three" || got.Pay != c.pay {
				t.Errorf("got %q by %s", got.Text, got.Pay)
			}
			if (got.Paid > 0) != (c.pay != events.PayFree) || (got.Paid > 0) != (got.Preimage.Hash() == got.Hash) {
				t.Errorf("paid %s, hash %s, preimage %s", got.Paid, got.Hash, got.Preimage)
			}
			if order.Way != consumer.Plain && (got.Receipt == nil || got.Receipt.Amount != got.Paid) {
				t.Errorf("receipt %+v for %s", got.Receipt, got.Paid)
			}
			if streamed := told.Streamed(); slices.ContainsFunc(order.Params, func(p events.Param) bool { return p.Name == "stream" }) && streamed != got.Text {
				t.Errorf("streamed %q", streamed)
			}
			if names := told.Names(); !inOrder(names, c.said) {
				t.Errorf("heard %s, want %s in it", strings.Join(names, " "), strings.Join(c.said, " "))
			}
		})
	}
}

// inOrder says whether want stands in have, in order.
func inOrder(have, want []string) bool {
	for _, name := range have {
		if len(want) > 0 && name == want[0] {
			want = want[1:]
		}
	}
	return len(want) == 0
}
