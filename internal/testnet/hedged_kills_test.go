package testnet

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/pool"
	"infernet/wallet"
)

// phases are the steps at which a node is killed. A node that is killed is away for as long as a small machine needs.
var phases = []string{"offered", "awarded", "held", "started", "running", "made", "delivered", "settled"}

const away = 2 * time.Second

// TestAKillForEachJob buys jobs from three nodes, of which for each job one is killed with SIGKILL at a random phase and
// started again. All but one of a hundred are delivered, nothing is lost: what left the wallet is what delivered jobs cost.
// With INFERNET_LONG=1 a hundred jobs are bought without hedging and a hundred with it, and their times stand side by side;
// else twelve with it, and no money is locked: it would take a minute until
// the last of it is back.
func TestAKillForEachJob(t *testing.T) {
	if testing.Short() {
		t.Skip("processes that are killed and started all the time take long under the race detector")
	}
	jobs, hedges := 12, []time.Duration{400 * time.Millisecond}
	if os.Getenv("INFERNET_LONG") != "" {
		jobs, hedges = 100, []time.Duration{0, 400 * time.Millisecond}
	}
	for _, hedge := range hedges {
		t.Run(fmt.Sprint("hedge ", hedge), func(t *testing.T) { killForEach(t, jobs, hedge) })
	}
}

func killForEach(t *testing.T, jobs int, hedge time.Duration) {
	ways := []string{events.PaySealed}
	if os.Getenv("INFERNET_LONG") != "" {
		ways = append(ways, events.PayHold)
	}
	seed := uint64(time.Now().UnixNano())
	rnd := rand.New(rand.NewPCG(seed, 1))
	d := startMarket(t)
	arm := filepath.Join(t.TempDir(), "arm")
	nodes := []string{"one", "two", "three"}
	for _, name := range nodes {
		keys := events.GenerateKeys()
		d.keys[name] = keys
		d.run(name, process{Role: "provider", Relay: d.url, Secret: keys.Secret(), Wallet: d.wallet(name), Engine: "echo:?model=dear&delay=10ms&slots=8", Arm: arm, Away: away})
	}
	w, err := Wallets.Open(ctx, d.wallet("buyer"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	dir := t.TempDir()
	l, err := ledger.Open(filepath.Join(dir, "buyer.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	memory := openTrack(t, filepath.Join(dir, "nodes.db"))
	defer memory.Close()
	p := pool.New(ctx, []string{d.url})
	defer p.Close()
	c, err := consumer.New(consumer.Config{Pool: p, Relays: []string{d.url}, Ledger: l, Wallet: w.(wallet.Payer), Memory: memory, Log: Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	Eventually(t, "all nodes are there", func() bool {
		all, err := c.Nodes(ctx)
		alive := 0
		for _, n := range all {
			if n.Alive(time.Now()) {
				alive++
			}
		}
		return err == nil && alive == len(nodes)
	})
	var took []time.Duration
	kills, failed := map[string]int{}, []string{}
	for i := range jobs {
		phase := phases[rnd.IntN(len(phases))]
		if err := os.WriteFile(arm+".new", []byte(phase), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(arm+".new", arm); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err := c.Do(ctx, Text(strings.Repeat("word ", 1+rnd.IntN(20)), func(o *consumer.Order) {
			o.Way, o.Hedge, o.Pay, o.Life = []string{consumer.Direct, consumer.Auction}[i/len(ways)%2], hedge, ways[i%len(ways):][:1], 2*time.Minute
			o.Params = events.Params{{Name: "max_tokens", Values: []string{"20"}}}
		}), nil)
		took = append(took, time.Since(began))
		if err != nil {
			failed = append(failed, fmt.Sprintf("job %d, killed when %s: %v", i, phase, err))
		}
		if os.Remove(arm) != nil { // somebody took it
			kills[phase]++
		}
	}
	for deadline := time.Now().Add(3 * time.Minute); ; { // what was locked comes back, or is delivered after all
		open, err := c.Unfinished()
		if err != nil {
			t.Fatal(err)
		}
		if len(open) == 0 || time.Now().After(deadline) {
			break
		}
		for _, id := range open {
			c.Resume(ctx, id, nil)
		}
	}
	rows, err := l.Jobs(ledger.Customer, 10*jobs)
	if err != nil {
		t.Fatal(err)
	}
	var paid, lost events.Msat
	for _, row := range rows {
		commitment, err := l.Commitment(row.Job)
		switch {
		case err != nil:
			t.Fatal(err)
		case commitment == nil:
		case row.End == consumer.Delivered:
			paid += commitment.Amount
		default:
			lost += commitment.Amount
			t.Errorf("job %s, which ended with %q, was paid %s", row.Job, row.End, commitment.Amount.Human())
		}
	}
	if have := d.balance("buyer"); have != opening-paid || lost > 0 {
		t.Errorf("the wallet has %s less, delivered jobs cost %s, %s are lost", (opening - have).Human(), paid.Human(), lost.Human())
	}
	if len(failed)*100 > jobs {
		t.Errorf("%d of %d jobs were not delivered: %v", len(failed), jobs, failed)
	}
	slices.Sort(took)
	at := func(q float64) time.Duration {
		return took[min(len(took)-1, int(q*float64(len(took))))].Round(time.Millisecond)
	}
	t.Logf("hedge %s: %d of %d delivered, %d kills %v; p50 %s, p95 %s, p99 %s, longest %s; %s paid, %s lost, %d jobs in the ledger (seed %d)",
		hedge, jobs-len(failed), jobs, sum(kills), kills, at(0.5), at(0.95), at(0.99), took[len(took)-1].Round(time.Millisecond), paid.Human(), lost.Human(), len(rows), seed)
}

func sum(of map[string]int) (all int) {
	for _, n := range of {
		all += n
	}
	return all
}
