package testnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"infernet/consumer"
	"infernet/consumer/batch"
	"infernet/consumer/track"
	"infernet/events"
	"infernet/internal/ledger"
)

// batching is what a customer buys out of a file.
type batching struct {
	Lines, Parallel int
	Pay             []string
}

// text is a line of the file.
func (b *batching) text(i int) string { return fmt.Sprintf("line number %d of %d", i, b.Lines) }

// batch buys the file's lines; started again after a kill, it goes on where it was.
func (p *process) batch(ctx context.Context, c *consumer.Consumer) error {
	memory, err := track.Open(filepath.Join(p.Dir, "nodes.db"), nil)
	if err != nil {
		return err
	}
	c.Memory = memory
	path := filepath.Join(p.Dir, "batches.db")
	store, err := batch.OpenStore(path)
	if err != nil {
		return err
	}
	base := Text("", func(o *consumer.Order) {
		o.Inputs, o.Way, o.Pay, o.Life, o.First = nil, consumer.Direct, p.Batch.Pay, 3*time.Minute, false
	})
	id, err := store.Whole("last")
	if errors.Is(err, batch.ErrUnknown) {
		var file strings.Builder
		for i := 1; i <= p.Batch.Lines; i++ {
			fmt.Fprintln(&file, p.Batch.text(i))
		}
		items, plain, err := batch.Read(strings.NewReader(file.String()), base, nil)
		if err != nil {
			return err
		}
		if id, err = store.Create(batch.Spec{Name: "test", Plain: plain, Base: base, Parallel: p.Batch.Parallel, Tries: 20}, items); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	fmt.Println("ready")
	if err := store.Run(ctx, c, nil, id, batch.Options{}); err != nil {
		return err
	}
	for { // what lost a race, or is locked, comes to its end
		open, err := c.Unfinished()
		if err != nil {
			return err
		}
		if len(open) == 0 {
			break
		}
		for _, job := range open {
			c.Resume(ctx, job, nil)
		}
	}
	fmt.Println("shopped")
	<-ctx.Done()
	return nil
}

// TestABatchSurvivesKills buys a file's lines while the customer and the nodes are killed all the time. Each line has one
// result, and it is the line's; what was paid for them by the ledger, what the batch says that it has cost, what the nodes
// received and what the bank's accounts say is the same. INFERNET_LONG=1 buys 10,000 lines, else 60.
func TestABatchSurvivesKills(t *testing.T) {
	if testing.Short() {
		t.Skip("processes that are killed and started all the time take long under the race detector")
	}
	b := batching{Lines: 60, Parallel: 6, Pay: []string{events.PayPrepaid, events.PayHold, events.PaySealed}}
	pause := 60 * time.Millisecond
	if os.Getenv("INFERNET_LONG") != "" {
		b.Lines, b.Parallel, pause = 10_000, 16, 3*time.Second
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	d := startMarket(t)
	nodes := []string{"one", "two", "three"}
	for _, name := range nodes {
		d.node(name)
	}
	d.run("buyer", process{Role: "consumer", Relay: d.url, Wallet: d.wallet("buyer"), Batch: &b})
	began, kills, all := time.Now(), map[string]int{}, 0
	for limit := time.After(30 * time.Minute); d.shopped.Load() < 1; {
		select {
		case <-limit:
			t.Fatal("after 30 min the batch is not done")
		case <-time.After(time.Duration(rnd.Int64N(int64(2*pause))) << (all / (2 * b.Lines))): // ever less, or the last lines would never end
			if whom := append(slices.Clone(nodes), "buyer")[rnd.IntN(len(nodes)+1)]; d.worked(whom) {
				d.kill(whom)
				kills[whom]++
				all++
			}
		}
	}
	took := time.Since(began)
	d.settle(nodes)
	store, err := batch.OpenStore(filepath.Join(d.all["buyer"].dir(), "batches.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	id, err := store.Whole("last")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	if err := store.Results(id, func(text string) error {
		lines++
		var r struct {
			Line    int
			Content *string
			Error   string
		}
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return err
		}
		if r.Line != lines || r.Content == nil || *r.Content != b.text(r.Line) {
			t.Errorf("result %d is %s", lines, text)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var paid events.Msat
	d.in("buyer", ledger.Customer, func(l *ledger.Ledger) error {
		st, err := store.Status(id, l)
		if err != nil {
			return err
		}
		if st.State != batch.Done || st.Delivered != b.Lines || st.Failed > 0 || lines != b.Lines {
			t.Errorf("%d results, status %+v", lines, st)
		}
		paid = st.Paid
		return nil
	})
	if have := d.balance("buyer"); have != opening-paid {
		t.Errorf("the batch says that it has cost %s, the wallet has %s less", paid.Human(), (opening - have).Human())
	}
	t.Logf("%d lines in %s (%.1f a second), %d kills, %s", b.Lines, took.Round(time.Second), float64(b.Lines)/took.Seconds(), all, paid.Human())
	d.sums(nodes, []string{"buyer"}, b.Lines, kills, took)
}
