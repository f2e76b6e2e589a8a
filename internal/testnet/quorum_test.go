package testnet

import (
	"errors"
	"path/filepath"
	"testing"

	"infernet/consumer"
	"infernet/consumer/quorum"
	"infernet/events"
	"infernet/provider"
	"infernet/wallet"
)

// TestWhoSaysSomethingElseLosesFavour has a node that is cheaper than three honest ones and sells another model's answers
// under the right name, which no single job shows. Held against others, it is found out, and single jobs go elsewhere. For
// all answers together no more is paid than the order allows, and the wallet says the same.
func TestWhoSaysSomethingElseLosesFavour(t *testing.T) {
	t.Parallel()
	n := Start(t)
	for _, name := range []string{"a", "b", "c"} {
		n.Provider(name, "echo:", nil)
	}
	silent := n.Provider("silent", "echo:?tokens=1", func(c *provider.Config) { c.Price = events.Price{Base: 1000} })
	memory := openTrack(t, filepath.Join(n.Dir, "nodes.db"))
	defer memory.Close()
	w := n.Wallet("buyer")
	c := n.Consumer("buyer", func(c *consumer.Config) { c.Wallet, c.Memory = w.(wallet.Payer), memory })
	order := Text("spell lantern", func(o *consumer.Order) {
		o.Way, o.MaxCost, o.Params = consumer.Direct, 60*events.Sat, events.Params{{Name: "max_tokens", Values: []string{"8"}}}
	})
	var paid events.Msat
	first, err := c.Do(ctx, order, nil)
	if err != nil || first.Node != silent.Key || first.Text != "spell" {
		t.Fatalf("a single job: %+v, %v", first, err)
	}
	paid += first.Paid
	caught := 0
	for i := range 4 {
		out, err := quorum.Buy(ctx, c, order, quorum.Plan{Nodes: 3}, nil)
		if err != nil || out.Text != "spell lantern" || out.Paid > order.MaxCost {
			t.Fatalf("job %d: %+v, %v", i, out, err)
		}
		for _, a := range out.Answers {
			if a.Node == silent.Key && a.Group > 0 {
				caught++
			}
		}
		paid += out.Paid
	}
	for i := range 10 {
		got, err := c.Do(ctx, order, nil)
		if err != nil {
			t.Fatal(err)
		}
		if paid += got.Paid; got.Node == silent.Key {
			t.Errorf("single job %d goes to the node that said something else", i)
		}
	}
	var disagree *quorum.DisagreeError
	order.Controls.Order = []events.PubKey{silent.Key}
	out, err := quorum.Buy(ctx, c, order, quorum.Plan{Nodes: 4, Need: 4}, nil)
	if !errors.As(err, &disagree) || out.Agree != 3 || len(out.Answers) != 4 {
		t.Errorf("all of four: %+v, %v", out, err)
	}
	paid += out.Paid
	if have, err := w.(wallet.Balancer).Balance(ctx); err != nil || have != opening-paid {
		t.Errorf("the wallet has %s, not %s less: %v", have.Human(), paid.Human(), err)
	}
	t.Logf("found out %d times, then not asked in 10 jobs", caught)
}
