package testnet

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/store"
	"infernet/internal/store/pbstore"
	"infernet/internal/store/storetest"
	"infernet/provider"
)

// TestHistoryOfRealJobs buys in every way, follows both sides' ledgers while it happens, and looks at the history; then the
// database is deleted, and comes back as it was.
func TestHistoryOfRealJobs(t *testing.T) {
	n := Start(t)
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	signer := events.GenerateKeys()
	c := store.Config{
		Dir: dir, Open: func(dir string) (store.Store, error) { return pbstore.Open(dir) },
		Files: store.Files{
			Ledgers: map[string]string{"node": filepath.Join(n.Dir, "node.db"), "customer": filepath.Join(n.Dir, "buyer.db")}, Signer: signer,
		},
	}
	own := func() *store.Owner {
		t.Helper()
		o, err := store.Own(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { o.Close() })
		return o
	}
	o := own()
	node := n.Provider("node", "echo:", func(c *provider.Config) {
		c.Signer = signer
		c.Step = func(events.ID, string) { o.Nudge() }
	})
	buyer := n.Buyer("buyer")
	ways := map[string]consumer.Order{
		"prepaid": Text("prepaid text", nil),
		"sealed":  Text("sealed text", func(o *consumer.Order) { o.Pay = []string{events.PaySealed} }),
		"hold":    Text("hold text", func(o *consumer.Order) { o.Pay = []string{events.PayHold} }),
		"direct":  Text("direct text", func(o *consumer.Order) { o.Way, o.Node = consumer.Direct, node.Key }),
		"plain":   Text("plain text", func(o *consumer.Order) { o.Way, o.Node = consumer.Plain, node.Key }),
	}
	bought := map[events.ID]*consumer.Delivery{}
	for name, order := range ways {
		d, err := buyer.Do(ctx, order, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d.Pay != name && name != "direct" && name != "plain" {
			t.Errorf("%s was paid %s", name, d.Pay)
		}
		bought[d.Job] = d
		if err := o.CatchUp(ctx); err != nil { // also in the midst of a job
			t.Fatal(err)
		}
	}
	if _, err := buyer.Do(ctx, Text("refused", func(o *consumer.Order) { o.MaxCost = 0; o.Way, o.Node = consumer.Direct, node.Key }), nil); err == nil {
		t.Fatal("it was done for nothing")
	}
	Eventually(t, "the node has closed its jobs", func() bool {
		rows, err := o.Jobs(ctx, store.JobQuery{Role: ledger.Provider, Live: true})
		return err == nil && len(rows) == 0
	})
	before := storetest.All(t, o)
	seen := 0
	for _, row := range before.Jobs {
		d := bought[row.ID]
		if d == nil {
			if row.Role == ledger.Customer && (row.End == "" || row.Paid != 0) {
				t.Errorf("the refused job: %+v", row)
			}
			continue
		}
		seen++
		if row.Paid != d.Paid || !row.Sure || d.Paid == 0 || row.End != "delivered" || row.Kind != events.KindText || row.Done == 0 || row.Model != d.Model || row.Out == 0 {
			t.Errorf("%s of %+v: %+v", row.Role, d, row)
		}
		switch row.Role {
		case ledger.Customer:
			if row.Output != d.Text || row.Input != d.Text || row.Peer != node.Key {
				t.Errorf("a customer's: %+v", row)
			}
		case ledger.Provider:
			if row.Output != "" || row.Input != "" || row.Peer == "" || row.Peer == node.Key {
				t.Errorf("a node's: %+v", row)
			}
		}
	}
	if seen != 2*len(ways) {
		t.Fatalf("%d rows of %d jobs", seen, len(ways))
	}
	journals, err := store.OpenJournals(c.Files)
	if err != nil {
		t.Fatal(err)
	}
	defer journals.Close()
	same(t, "the journals", storetest.All(t, journals), before)
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(store.DataDir(dir)); err != nil {
		t.Fatal(err)
	}
	o = own()
	if err := o.CatchUp(ctx); err != nil {
		t.Fatal(err)
	}
	same(t, "made anew", storetest.All(t, o), before)
}

func same(t *testing.T, what string, got, want storetest.Content) {
	t.Helper()
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("%s:\n%+v\nbefore:\n%+v", what, got, want)
	}
}
