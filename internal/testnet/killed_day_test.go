package testnet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/pool"
	"infernet/wallet/bolt11"
	"infernet/wallet/play"
)

// shopping is what one customer buys in a day: so many jobs, some of every sort, several at a time.
type shopping struct {
	Jobs, Flight int
	Seed         uint64
	Paid         []events.PubKey // nodes that want money
	Free         events.PubKey   // one that does not
}

// order is the i-th job.
func (s *shopping) order(i int) consumer.Order {
	rnd := rand.New(rand.NewPCG(s.Seed, uint64(i)))
	pay := []string{events.PayPrepaid, events.PayPrepaid, events.PaySealed, events.PaySealed, events.PayHold, events.PayHold, events.PayFree}[rnd.IntN(7)]
	way := []string{consumer.Auction, consumer.Direct, consumer.Plain}[rnd.IntN(3)]
	node, model := s.Paid[rnd.IntN(len(s.Paid))], "dear"
	if pay == events.PayFree {
		node, model = s.Free, "free"
	}
	if way == consumer.Plain && pay != events.PayFree {
		pay = events.PayPrepaid // what plain clients know
	}
	return Text(strings.Repeat("word ", 1+rnd.IntN(30)), func(o *consumer.Order) {
		o.Way, o.Pay, o.Params, o.Life, o.Window = way, []string{pay}, events.Params{{Name: "model", Values: []string{model}}}, 3*time.Minute, 5*time.Second
		if way != consumer.Auction {
			o.Node = node
		}
		if way == consumer.Plain && pay == events.PayFree {
			o.MaxCost = 0
		}
	})
}

// shop buys until all is bought and nothing is open; started again after a kill, it goes on where it was.
func (p *process) shop(ctx context.Context, c *consumer.Consumer, l *ledger.Ledger) error {
	fmt.Println("ready")
	places := make(chan struct{}, p.Shopping.Flight)
	var all sync.WaitGroup
	one := func(f func()) {
		places <- struct{}{}
		all.Go(func() { defer func() { <-places }(); f() })
	}
	for {
		open, err := c.Unfinished()
		if err != nil {
			return err
		}
		rows, err := l.Jobs(ledger.Customer, 1<<20)
		if err != nil {
			return err
		}
		if len(open) == 0 && len(rows) >= p.Shopping.Jobs {
			fmt.Println("shopped")
			<-ctx.Done()
			return nil
		}
		for _, id := range open {
			one(func() { c.Resume(ctx, id, nil) }) // how it ended is in the ledger
		}
		for i := len(rows); i < p.Shopping.Jobs; i++ {
			one(func() { c.Do(ctx, p.Shopping.order(i), nil) })
		}
		all.Wait()
	}
}

// TestKillsOfADay is a day of a market whose nodes and customers are killed all the time, and go on. Every job that was paid for is
// delivered once, and what the customers have paid by their ledgers, what the nodes have received by theirs, and what the
// bank's accounts say is the same to the millisatoshi. INFERNET_LONG=1 buys 5,000 jobs, else 60.
func TestKillsOfADay(t *testing.T) {
	if testing.Short() {
		t.Skip("a whole day, with processes that start slowly under the race detector, takes minutes")
	}
	jobs, customers, flight, pause := 60, 3, 4, 15*time.Millisecond
	if os.Getenv("INFERNET_LONG") != "" {
		jobs, customers, flight, pause = 5000, 4, 6, 60*time.Millisecond
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	d := startMarket(t)
	s := shopping{Jobs: jobs / customers, Flight: flight}
	nodes := []string{"one", "two", "three", "free"}
	for _, name := range nodes {
		key := d.node(name).PublicKey()
		if name == "free" {
			s.Free = key
		} else {
			s.Paid = append(s.Paid, key)
		}
	}
	var names []string
	for i := range customers {
		s.Seed = seed + uint64(i)
		names = append(names, d.customer(fmt.Sprint("customer ", i), s))
	}
	began, kills, all := time.Now(), map[string]int{}, 0
	for limit := time.After(50 * time.Minute); d.shopped.Load() < int64(customers); {
		select {
		case <-limit:
			t.Fatalf("after 50 min, %d of %d customers have all", d.shopped.Load(), customers)
		case <-time.After(time.Duration(rnd.Int64N(int64(2*pause))) << (all / (5 * jobs))): // ever less, or the last jobs would never end
			whom := slices.Concat(nodes, names)[rnd.IntN(len(nodes)+len(names))]
			if d.worked(whom) {
				d.kill(whom)
				kills[whom]++
				all++
			}
		}
	}
	took := time.Since(began)
	d.settle(nodes)
	d.sums(nodes, names, jobs/customers*customers, kills, took)
}

// market is one of many processes.
type market struct {
	*parties
	keys    map[string]*events.Keys
	shopped atomic.Int64

	mu   sync.Mutex
	born map[string]time.Time // when each was started last
	ripe map[string]time.Time // and from when on it may be killed
}

// worked says whether a process has lived long enough to have done something: as long again as its start took, so that a
// machine that is slow kills less often.
func (d *market) worked(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	from, ok := d.ripe[name]
	return ok && time.Now().After(from)
}

// starts and started note when a process was started, and when it was ready.
func (d *market) starts(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.born[name] = time.Now()
	delete(d.ripe, name)
}

func (d *market) started(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ripe[name] = time.Now().Add(time.Since(d.born[name]))
}

func startMarket(t *testing.T) *market {
	listen := place(t)
	d := &market{keys: map[string]*events.Keys{}, born: map[string]time.Time{}, ripe: map[string]time.Time{}, parties: &parties{
		t: t, change: func(string, *process) {}, wires: map[string]*wire{}, all: map[string]*party{}, account: map[string]*events.Keys{}, bank: events.GenerateKeys(),
		url: "ws://" + listen, whole: make(chan struct{}),
	}}
	d.run("relay", process{Role: "relay", Listen: listen})
	d.run("bank", process{Role: "bank", Relay: d.url, Secret: d.bank.Secret()})
	return d
}

// run keeps a process running until the test ends.
func (d *market) run(name string, p process) {
	p.Dir = d.t.TempDir()
	p.hear = func(line string) {
		d.cries.hear(name, line)
		switch line {
		case "ready":
			d.started(name)
		case "shopped":
			d.all[name].once.Do(func() { d.shopped.Add(1) })
		}
	}
	one := &party{process: p}
	d.all[name] = one
	var wait sync.WaitGroup
	wait.Go(func() {
		for d.starts(name); one.start(); d.starts(name) {
			<-one.running().done
			time.Sleep(20 * time.Millisecond) // a lock may still be held
		}
	})
	d.t.Cleanup(func() {
		one.end()
		wait.Wait()
	})
}

func (d *market) wallet(name string) string {
	d.account[name] = events.GenerateKeys()
	address, err := play.Address([]string{d.url}, string(d.bank.PublicKey()), d.account[name].Secret())
	if err != nil {
		d.t.Fatal(err)
	}
	return address
}

func (d *market) node(name string) *events.Keys {
	keys := events.GenerateKeys()
	d.keys[name] = keys
	p := process{Role: "provider", Relay: d.url, Secret: keys.Secret(), Wallet: d.wallet(name), Engine: "echo:?model=dear&delay=2ms&slots=8"}
	if name == "free" {
		p.Engine, p.Free = "echo:?model=free&slots=8", true
	}
	d.run(name, p)
	return keys
}

func (d *market) customer(name string, s shopping) string {
	d.run(name, process{Role: "consumer", Relay: d.url, Wallet: d.wallet(name), Shopping: &s})
	return name
}

// settle waits until the nodes have nothing open any more that money may come of.
func (d *market) settle(nodes []string) {
	d.t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		open := 0
		for _, name := range nodes {
			d.in(name, ledger.Provider, func(l *ledger.Ledger) error {
				ids, err := l.Unfinished(ledger.Provider)
				open += len(ids)
				return err
			})
		}
		if open == 0 {
			return
		}
		if time.Now().After(deadline) {
			d.t.Logf("the nodes still have %d jobs open: awards that never came", open)
			return
		}
	}
}

func (d *market) in(name string, role ledger.Role, f func(*ledger.Ledger) error) {
	d.t.Helper()
	l, err := ledger.Open(filepath.Join(d.all[name].dir(), map[ledger.Role]string{ledger.Provider: "provider.db", ledger.Customer: "consumer.db"}[role]))
	if err != nil {
		d.t.Fatal(err)
	}
	defer l.Close()
	if err := f(l); err != nil {
		d.t.Fatal(err)
	}
}

// sums compares what everybody has written down.
func (d *market) sums(nodes, customers []string, jobs int, kills map[string]int, took time.Duration) {
	t := d.t
	t.Helper()
	paid, received := map[events.PubKey]events.Msat{}, map[events.PubKey]events.Msat{} // by node
	bought, ends, delivered := map[events.ID]events.Msat{}, map[string]int{}, []events.ID{}
	total := 0
	for _, name := range customers {
		var sum events.Msat
		d.in(name, ledger.Customer, func(l *ledger.Ledger) error {
			rows, err := l.Jobs(ledger.Customer, 1<<20)
			for _, row := range rows {
				total++
				ends[kindOf(row.End)]++
				c, err := l.Commitment(row.Job)
				switch {
				case err != nil:
					return err
				case row.End == "delivered":
					delivered = append(delivered, row.Job)
				case c != nil:
					t.Errorf("job %s was paid with %s and ended with %q", row.Job, c.Amount.Human(), row.End)
				}
				if c == nil {
					continue
				}
				if !c.Settled || c.Preimage.Hash() != c.Hash {
					t.Errorf("job %s was paid, and the customer has no key: %+v", row.Job, c)
				}
				bought[row.Job] = c.Amount
				paid[c.Payee] += c.Amount
				sum += c.Amount
			}
			return err
		})
		if have := d.balance(name); have != opening-sum {
			t.Errorf("%s paid %d msat by its ledger, and has %d msat, not %d", name, sum, have, opening-sum)
		}
	}
	for _, name := range nodes {
		key := d.keys[name]
		d.in(name, ledger.Provider, func(l *ledger.Ledger) error {
			rows, err := l.Jobs(ledger.Provider, 1<<20)
			for _, row := range rows {
				amount, err := earned(l, row.Job, key)
				if err != nil {
					return err
				}
				if amount != bought[row.Job] && amount > 0 {
					t.Errorf("node %s has %d msat for job %s, the customer paid %d", name, amount, row.Job, bought[row.Job])
				}
				received[key.PublicKey()] += amount
			}
			return err
		})
		if have := d.balance(name); have != opening+received[key.PublicKey()] {
			t.Errorf("node %s received %d msat by its ledger, and has %d msat, not %d", name, received[key.PublicKey()], have, opening+received[key.PublicKey()])
		}
		if paid[key.PublicKey()] != received[key.PublicKey()] {
			t.Errorf("node %s: paid %d msat, received %d msat", name, paid[key.PublicKey()], received[key.PublicKey()])
		}
	}
	d.results(delivered)
	var all [2]events.Msat
	for key := range paid {
		all[0] += paid[key]
		all[1] += received[key]
	}
	t.Logf("%d jobs in %s (%.1f a second), killed: %v", total, took.Round(time.Second), float64(total)/took.Seconds(), kills)
	t.Logf("%d delivered, %d of them paid; how they ended: %v", len(delivered), len(bought), ends)
	t.Logf("customers' ledgers: %d msat paid; nodes' ledgers: %d msat received", all[0], all[1])
	// what is not delivered is not paid; how many those are depends on the machine
	if total < jobs || len(delivered) < total/2 || len(bought) == 0 {
		t.Errorf("%d of %d jobs were ordered, %d delivered, %d paid", total, jobs, len(delivered), len(bought))
	}
	d.audit()
}

// kindOf is what jobs' ends are counted by.
func kindOf(end string) string {
	for _, kind := range []string{"delivered", "fell silent", "no provider offers", "deadline", "UNAVAILABLE", "CONFLICT", "EXPIRED", "went on as", "not paid: it has expired"} {
		if strings.Contains(end, kind) {
			return kind
		}
	}
	return end
}

// earned is what a node has for a job by its own ledger: a receipt that it signed, or a payment that it claimed.
func earned(l *ledger.Ledger, job events.ID, key *events.Keys) (events.Msat, error) {
	kept, err := l.Events(job)
	if err != nil {
		return 0, err
	}
	var claimed events.Msat
	for _, ev := range kept {
		m, err := events.Open(ctx, ev, key)
		if err != nil {
			return 0, err
		}
		text, amount := "", events.Msat(0)
		switch m := m.(type) {
		case *events.Receipt:
			return m.Amount, nil
		case *events.Offer:
			text, amount = m.Bolt11, m.Amount
		case *events.Invoice:
			if m.Pay != events.PayHold {
				text, amount = m.Bolt11, m.Amount
			}
		}
		if text == "" {
			continue
		}
		v, err := bolt11.Decode(text)
		if err != nil {
			return 0, err
		}
		if by, err := l.Claimed(v.PaymentHash); err != nil {
			return 0, err
		} else if by == job {
			claimed = amount
		}
	}
	return claimed, nil
}

// results checks that the relay has one result of each job, and no two.
func (d *market) results(jobs []events.ID) {
	t := d.t
	t.Helper()
	p := pool.New(ctx, []string{d.url})
	defer p.Close()
	count := map[events.ID]int{}
	for some := range slices.Chunk(jobs, 50) {
		ids := make([]string, len(some))
		for i, id := range some {
			ids[i] = string(id)
		}
		found, err := p.Query(ctx, nostr.Filter{Kinds: []int{events.KindText + 1000}, Tags: nostr.TagMap{"e": ids}})
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range found {
			count[events.ID(ev.Tags.Find("e")[1])]++
		}
	}
	wrong := map[int]int{}
	for _, id := range jobs {
		if count[id] != 1 {
			wrong[count[id]]++
		}
	}
	if len(wrong) > 0 {
		t.Errorf("jobs with another number of results than one: %v", wrong)
	}
}
