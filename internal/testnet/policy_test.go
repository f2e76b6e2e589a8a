package testnet

import (
	"context"
	"strings"
	"testing"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/provider"
	"infernet/wallet"
)

// named makes a buyer that always uses the same key.
func (n *Net) named(name string) (*consumer.Consumer, events.PubKey) {
	keys := events.GenerateKeys()
	return n.Consumer(name, func(c *consumer.Config) { c.Signer, c.Wallet = keys, n.Wallet(name).(wallet.Payer) }), keys.PublicKey()
}

// TestOwnersDecideWhoBuysAndWhen turns every rule of a running node on and off.
func TestOwnersDecideWhoBuysAndWhen(t *testing.T) {
	n := Start(t)
	node := n.Provider("node", "echo:", nil)
	buyer, key := n.named("buyer")
	never, err := provider.ParseWindow(time.Now().UTC().Add(6*time.Hour).Format("15:04")+"-"+time.Now().UTC().Add(7*time.Hour).Format("15:04"), "UTC")
	if err != nil {
		t.Fatal(err)
	}
	first := *node.Policy()
	buy := func(change func(*consumer.Order)) (*consumer.Delivery, error) {
		return buyer.Do(ctx, Text("one two three", direct(node, change)), nil)
	}
	for _, c := range []struct {
		name   string
		change func(*provider.Policy)
		says   string
	}{
		{"paused", func(y *provider.Policy) { y.Paused = true }, events.CodeUnavailable + ": the node is paused"},
		{"out of hours", func(y *provider.Policy) { y.Open = []provider.Window{never} }, "the node opens at " + time.Now().UTC().Add(6*time.Hour).Format("2006-01-02T15:04")},
		{"blocked", func(y *provider.Policy) { y.Block = []events.PubKey{key} }, events.CodeDenied},
		{"others are allowed", func(y *provider.Policy) { y.Allow = []events.PubKey{node.Key} }, events.CodeDenied},
		{"another model", func(y *provider.Policy) { y.Models = []string{"other"} }, events.CodeUnsupportedModel},
		{"too long a prompt", func(y *provider.Policy) { y.Limits = map[string]provider.Limit{"echo": {MaxIn: 2}} }, "echo takes 2 here"},
	} {
		y := first
		c.change(&y)
		if err := node.Set(y); err != nil {
			t.Fatal(err)
		}
		if _, err := buy(nil); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.name, err, c.says)
		}
	}
	if err := node.Set(provider.Policy{Price: Price, Allow: []events.PubKey{key}}); err != nil {
		t.Fatal(err)
	}
	if _, err := buy(nil); err != nil {
		t.Errorf("it is allowed: %v", err)
	}
	if err := node.Set(provider.Policy{Percent: map[string]int{"high": -1}}); err == nil {
		t.Error("a wrong policy was taken")
	}
}

// TestPausedNodesShowIt follows the heartbeat, and the announcement of a price that changes.
func TestPausedNodesShowIt(t *testing.T) {
	n := Start(t)
	node := n.Provider("node", "echo:", nil)
	watch := n.Buyer("watch")
	seen := func() consumer.Node {
		nodes, err := watch.Nodes(ctx)
		if err != nil || len(nodes) != 1 {
			t.Fatalf("%d nodes, %v", len(nodes), err)
		}
		return nodes[0]
	}
	y := *node.Policy()
	y.Paused, y.Price.Base, y.Minimum, y.Percent = true, 9000, 12_000, map[string]int{"high": 500}
	if err := node.Set(y); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "it says that it takes no jobs, and the new price", func() bool {
		now := seen()
		market := now.Profile.Market
		return now.Beat.Status == "draining" && market.Models[0].Price.Base == 9000 && market.Minimum == 12_000 && market.PercentOf("high") == 500
	})
	y.Paused = false
	if err := node.Set(y); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "it is ready again", func() bool { return seen().Beat.Status == "ready" })
	c := n.Buyer("buyer")
	for priority, want := range map[string]events.Msat{"normal": 12_000, "high": 46_000} { // 9 sat and 3 units each way × 20 and 60 msat
		got, err := c.Do(ctx, Text("a b c", direct(node, func(o *consumer.Order) {
			o.Priority = priority
			o.Params = events.Params{{Name: "max_tokens", Values: []string{"3"}}}
		})), nil)
		if err != nil || got.Paid < want || got.Paid > want+4000 {
			t.Errorf("%s: paid %+v, want about %s, %v", priority, got, want.Human(), err)
		}
	}
}

// TestGiftsAreGivenOncePerDay gives two jobs away to a key, and goes on counting after a restart.
func TestGiftsAreGivenOncePerDay(t *testing.T) {
	n := Start(t)
	keys, l := events.GenerateKeys(), n.Ledger("kept")
	start := func() *Node {
		return n.Provider("node", "echo:", func(c *provider.Config) { c.Signer, c.Ledger, c.Quota = keys, l, provider.Quota{Jobs: 2} })
	}
	node := start()
	buyer, _ := n.named("buyer")
	var paid []events.Msat
	buy := func(text string) {
		t.Helper()
		got, err := buyer.Do(ctx, Text(text, nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		paid = append(paid, got.Paid)
	}
	buy("one")
	node.Stop()
	start()
	buy("two")
	buy("three")
	if paid[0] != 0 || paid[1] != 0 || paid[2] == 0 {
		t.Errorf("paid %v, want two for nothing", paid)
	}
}

// TestStrangersProveThemselvesUnderLoad: while many wait, an unknown key pays first or brings work.
func TestStrangersProveThemselvesUnderLoad(t *testing.T) {
	n := Start(t)
	node := n.Provider("node", "echo:?delay=200ms&slots=1", func(c *provider.Config) { c.Queue, c.Work, c.Price = 2, 8, events.Price{} })
	held, stop := context.WithCancel(ctx)
	defer stop()
	for range 2 {
		go n.Buyer("others").Do(held, Text(strings.Repeat("word ", 200), direct(node, nil)), nil) // one runs, one waits
	}
	Eventually(t, "one runs and one waits", func() bool {
		_, waiting, _ := node.Load()
		return waiting == 1
	})
	stranger := n.Buyer("stranger")
	_, err := stranger.Do(ctx, Text("hello", direct(node, nil)), nil)
	if err == nil || !strings.Contains(err.Error(), events.CodePOW) || !strings.Contains(err.Error(), "8 bits") {
		t.Errorf("refused with %v", err)
	}
	// where it has a price, paying first will do
	y := *node.Policy()
	y.Price = Price
	if err := node.Set(y); err != nil {
		t.Fatal(err)
	}
	for way, ok := range map[string]bool{events.PaySealed: false, events.PayPrepaid: true} {
		short, cancel := context.WithCancel(ctx)
		asked := make(chan bool, 1)
		_, err := stranger.Do(short, Text("hello", func(o *consumer.Order) {
			o.Only, o.Pay, o.Life = []events.PubKey{node.Key}, []string{way}, 10*time.Second
		}), func(s consumer.Step) {
			if _, invoice := s.Message.(*events.Invoice); invoice {
				select {
				case asked <- true:
				default:
				}
				cancel()
			}
		})
		cancel()
		if got := len(asked) == 1; got != ok {
			t.Errorf("%s: asked to pay %t, %v", way, got, err)
		}
	}
}

// TestAJobThatComesTooLateIsRefusedWithTheTime fills a node and asks for what cannot be done in time.
func TestAJobThatComesTooLateIsRefusedWithTheTime(t *testing.T) {
	n := Start(t)
	node := n.Provider("node", "echo:?delay=100ms&slots=1", func(c *provider.Config) { c.Price, c.PerKey = events.Price{}, 64 })
	buyer := n.Buyer("buyer")
	long := strings.Repeat("word ", 30) // 3 s
	if _, err := buyer.Do(ctx, Text(long, direct(node, nil)), nil); err != nil {
		t.Fatal(err)
	}
	held, stop := context.WithCancel(ctx)
	defer stop()
	for range 3 {
		go buyer.Do(held, Text(long, direct(node, nil)), nil)
	}
	Eventually(t, "three are open", func() bool { return node.Open() == 3 })
	_, err := buyer.Do(ctx, Text(long, direct(node, func(o *consumer.Order) { o.Life = 4 * time.Second })), nil)
	if err == nil || !strings.Contains(err.Error(), "it would be done at "+time.Now().UTC().Format("2006-01-02T15:")[:10]) {
		t.Errorf("a late job: %v", err)
	}
	if _, err := buyer.Do(ctx, Text("now", direct(node, func(o *consumer.Order) { o.Priority = "high" })), nil); err != nil {
		t.Errorf("a job with time and priority: %v", err)
	}
}

// TestDrainEndsWithTheLastJob lets a node go while it works.
func TestDrainEndsWithTheLastJob(t *testing.T) {
	n := Start(t)
	node := n.Provider("node", "echo:?delay=50ms", nil)
	buyer := n.Buyer("buyer")
	done := make(chan error, 1)
	go func() {
		got, err := buyer.Do(ctx, Text(strings.Repeat("word ", 10), direct(node, nil)), nil)
		if err == nil && got.Paid == 0 {
			t.Error("nothing was paid")
		}
		done <- err
	}()
	Eventually(t, "the job is taken", func() bool { return node.Open() == 1 })
	if err := node.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	node.Stop()
	if err := <-done; err != nil {
		t.Errorf("the last job: %v", err)
	}
}
