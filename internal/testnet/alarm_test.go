package testnet

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"infernet/consumer"
	"infernet/consumer/gateway"
	"infernet/events"
	"infernet/wallet"
)

// TestBudgetsGiveAlarms spends a day's budget, and an app's: each mark is told once, in its order.
func TestBudgetsGiveAlarms(t *testing.T) {
	t.Parallel()
	n := Start(t)
	n.Provider("node", "echo:", nil)
	var mu sync.Mutex
	var said []string
	note := func(who string, a consumer.Alarm) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, fmt.Sprintf("%s %d", who, a.Percent))
	}
	order := Text("spell lantern", func(o *consumer.Order) {
		o.Way, o.Pay, o.Params = consumer.Direct, []string{events.PayPrepaid}, events.Params{{Name: "max_tokens", Values: []string{"8"}}}
	})
	first, err := n.Buyer("first").Do(ctx, order, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := n.Consumer("buyer", func(c *consumer.Config) {
		c.Wallet, c.PerDay = n.Wallet("buyer").(wallet.Payer), 10*first.Paid
		c.Alarm = func(a consumer.Alarm) { note("day", a) }
	})
	for i := range 10 {
		if _, err := c.Do(ctx, order, nil); err != nil {
			t.Fatalf("job %d: %v", i, err)
		}
	}
	if _, err := c.Do(ctx, order, nil); err == nil {
		t.Error("more than the day's budget was spent")
	}
	d := n.gateway(t, func(c *gateway.Config) { c.Alarm = note })
	day := 100 * first.Paid
	if err := d.Budgets().Set("", gateway.Limit{Day: &day}); err != nil {
		t.Fatal(err)
	}
	for range 82 { // for more, what a job can cost at most is not left
		d.post("/v1/completions", map[string]any{"model": "echo", "prompt": "spell lantern", "max_tokens": 8})
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"day 50", "day 80", "day 100"}; len(said) < 3 || !slices.Equal(said[:3], want) {
		t.Errorf("told %v, want %v first", said, want)
	}
	if apps := said[min(3, len(said)):]; !slices.Equal(apps, []string{" 50", " 80"}) {
		t.Errorf("of the app's day told %q", apps)
	}
}
