package testnet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/engine"
	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/pool"
	"infernet/provider"
	"infernet/wallet"
)

// TestOneDay lets a node work for 24 hours of a clock that runs ahead: the real node, its ledger and its pool, over a relay
// without a network. Prices are others at night, the node is closed for two hours, it is stopped and started again in the
// middle of its work, and customers come in waves, with priorities and deadlines. No job that was paid for is lost, none
// is done twice, none starves, no lease lapses while its job runs.
func TestOneDay(t *testing.T) {
	jobs := 1200
	if testing.Short() {
		jobs = 300
	}
	if os.Getenv("INFERNET_LONG") != "" {
		jobs = 4000
	}
	seed := uint64(time.Now().UnixNano())
	if set, err := strconv.ParseUint(os.Getenv("INFERNET_TEST_SEED"), 10, 64); err == nil {
		seed = set
	}
	t.Logf("seed %d", seed)
	dir := t.TempDir()
	real := time.Now()
	synctest.Test(t, func(t *testing.T) {
		d := newDay(t, seed, dir)
		d.run(jobs)
		d.judge()
	})
	t.Logf("24 h in %s", time.Since(real).Round(time.Millisecond))
}

type day struct {
	t      *testing.T
	dir    string
	rand   *rand.Rand // of what is asked
	minds  *rand.Rand // of who changes his mind
	relay  *stillRelay
	wallet *stillWallet
	engine *dayEngine
	node   *events.Keys
	began  time.Time

	mu   sync.Mutex
	jobs map[events.ID]*dayJob
	stop func()
}

// dayJob is a job as its customer saw it.
type dayJob struct {
	priority string
	asked    time.Time
	deadline time.Time
	price    events.Msat
	paid     time.Time
	lease    events.Unix // the last that was heard
	lapsed   bool
	results  int
	receipts int
	refused  *events.Refusal
	over     chan struct{}
}

// dayEngine works as long as its job's text is long.
type dayEngine struct {
	mu    sync.Mutex
	began map[events.ID]time.Time // first
	done  map[events.ID]int
	now   int
	most  int
}

func (e *dayEngine) Models(context.Context) ([]engine.Model, error) {
	return []engine.Model{{ID: "day", Kinds: []int{events.KindText}, Context: 1 << 20, Slots: 2}}, nil
}

func (e *dayEngine) Run(ctx context.Context, job engine.Job, _ func(engine.Part) error) (*engine.Output, error) {
	e.mu.Lock()
	if _, again := e.began[job.ID]; !again {
		e.began[job.ID] = time.Now()
	}
	e.now++
	e.most = max(e.most, e.now)
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		e.now--
		e.mu.Unlock()
	}()
	select {
	case <-time.After(time.Duration(len(job.Inputs[0].Text)) * time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	e.mu.Lock()
	e.done[job.ID]++
	e.mu.Unlock()
	return &engine.Output{Text: "done", Usage: events.Usage{In: int64(len(job.Inputs[0].Text)), Out: 1}}, nil
}

func (e *dayEngine) Close() error { return nil }

func newDay(t *testing.T, seed uint64, dir string) *day {
	d := &day{
		t: t, dir: dir, rand: rand.New(rand.NewPCG(seed, 1)), minds: rand.New(rand.NewPCG(seed, 2)), engine: &dayEngine{began: map[events.ID]time.Time{}, done: map[events.ID]int{}},
		node: events.GenerateKeys(), began: time.Now(), jobs: map[events.ID]*dayJob{},
	}
	d.relay, d.wallet = newStillRelay(), newStillWallet()
	return d
}

const still = "ws://still.example"

func (d *day) window(text string) provider.Window {
	w, err := provider.ParseWindow(text, "UTC")
	if err != nil {
		d.t.Fatal(err)
	}
	return w
}

// start starts the node; stop ends it as a restart does.
func (d *day) start() {
	ctx, cancel := context.WithCancel(context.Background())
	l, err := ledger.Open(filepath.Join(d.dir, "node.db"))
	if err != nil {
		d.t.Fatal(err)
	}
	p := pool.New(context.Background(), []string{still}, pool.WithClient(d.relay.client()), pool.WithSigner(d.node)) // it has last words
	n, err := provider.New(ctx, provider.Config{
		Name: "day", Signer: d.node, Pool: p, Relays: []string{"wss://still.example"}, Ledger: l, Engine: d.engine, Wallet: d.wallet,
		Queue: 64, PerKey: 1000, Log: Log(d.t),
		Policy: provider.Policy{
			Price: events.Price{Base: 10_000}, Times: []provider.PriceTime{{Window: d.window("22:00-06:00"), Percent: 50}},
			Open: []provider.Window{d.window("05:00-03:00")}, Percent: map[string]int{"high": 200},
		},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { n.Run(ctx); close(ended) }()
	d.stop = func() {
		cancel()
		<-ended
		p.Close()
		l.Close()
	}
}

// run lets customers come for a day, and waits until all their jobs are over.
func (d *day) run(jobs int) {
	d.start()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	customer := events.GenerateKeys()
	p := pool.New(ctx, []string{still}, pool.WithClient(d.relay.client()), pool.WithSigner(customer))
	since := nostr.Timestamp(d.began.Unix())
	said := p.Subscribe(ctx, nostr.Filter{Kinds: []int{events.KindFeedback, events.KindText + 1000}, Authors: []string{string(d.node.PublicKey())}, Since: &since})
	var hearing, buying sync.WaitGroup
	hearing.Go(func() {
		for ev := range said.Events {
			d.hear(ctx, ev, customer)
		}
	})
	time.Sleep(time.Second)
	var come []time.Duration
	for len(come) < jobs { // two waves a day, and some who cannot sleep
		at := time.Duration(d.rand.Int64N(int64(24 * time.Hour)))
		if hour := at.Hours(); d.rand.Float64() < map[bool]float64{true: 1, false: 0.25}[hour > 9 && hour < 12 || hour > 18 && hour < 23] {
			come = append(come, at)
		}
	}
	slices.Sort(come)
	restarts := []time.Duration{}
	for at := 100 * time.Minute; at < 24*time.Hour; at += 3 * time.Hour {
		restarts = append(restarts, at)
	}
	for i, at := range come {
		for len(restarts) > 0 && restarts[0] <= at {
			time.Sleep(time.Until(d.began.Add(restarts[0])))
			d.stop()
			time.Sleep(5 * time.Second)
			d.start()
			restarts = restarts[1:]
		}
		time.Sleep(time.Until(d.began.Add(at)))
		j, ev := d.request(ctx, customer, i)
		buying.Go(func() {
			if err := p.Publish(ctx, ev); err != nil {
				d.t.Error(err)
			}
			late := time.NewTimer(time.Until(j.deadline) + 10*time.Minute)
			defer late.Stop()
			select {
			case <-j.over:
			case <-late.C:
			}
		})
	}
	buying.Wait()
	d.stop()
	cancel()
	hearing.Wait()
	p.Close()
	d.relay.end()
	synctest.Wait()
}

func (d *day) request(ctx context.Context, customer events.Signer, i int) (*dayJob, *nostr.Event) {
	j := &dayJob{priority: "normal", asked: time.Now(), over: make(chan struct{})}
	switch n := d.rand.IntN(10); {
	case n < 2:
		j.priority = "high"
	case n >= 7:
		j.priority = "low"
	}
	work := 20 + d.rand.IntN(100)
	if d.rand.IntN(20) == 0 {
		work = 300 // longer than a lease
	}
	j.deadline = j.asked.Add([]time.Duration{3 * time.Minute, 15 * time.Minute, 50 * time.Minute}[d.rand.IntN(3)] + time.Duration(work)*time.Second)
	text := fmt.Sprintf("%0*d", work, i)
	bid := 1000 * events.Sat
	ev, err := events.Sign(ctx, &events.Request{
		Head: events.Head{At: events.At(j.asked), Expires: events.At(j.deadline).Add(events.KeepJob)}, Kind: events.KindText, Profile: true, Deadline: events.At(j.deadline),
		Bid: &bid, Pay: []string{events.PayPrepaid}, To: []events.PubKey{d.node.PublicKey()}, Priority: j.priority,
		Inputs: []events.Input{{Value: text, Type: "text"}},
	}, customer)
	if err != nil {
		d.t.Fatal(err)
	}
	d.mu.Lock()
	d.jobs[events.ID(ev.ID)] = j
	d.mu.Unlock()
	return j, ev
}

// hear is what a customer does when the node says something.
func (d *day) hear(ctx context.Context, ev *nostr.Event, customer events.Signer) {
	m, err := events.Open(ctx, ev, customer)
	if err != nil {
		d.t.Errorf("event %s: %v", ev.ID, err)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	about, ok := m.(interface{ About() events.ID })
	if !ok || d.jobs[about.About()] == nil {
		return
	}
	j := d.jobs[about.About()]
	switch m := m.(type) {
	case *events.Invoice:
		if !j.paid.IsZero() {
			return // said again after a restart
		}
		j.price = m.Amount
		if d.minds.IntN(25) == 0 {
			return // who changes his mind
		}
		switch err := d.wallet.pay(m.Bolt11); {
		case errors.Is(err, wallet.ErrExpired): // said again after a restart, for nobody
		case err != nil:
			d.t.Errorf("pay: %v", err)
		default:
			j.paid = time.Now()
		}
	case *events.Running:
		if j.lease != 0 && events.At(time.Now()) > j.lease {
			j.lapsed = true
		}
		j.lease = m.Lease
	case *events.Result:
		if j.lease != 0 && events.At(time.Now()) > j.lease {
			j.lapsed = true
		}
		j.results++
	case *events.Refusal:
		j.refused = m
		close(j.over)
	case *events.Receipt:
		if j.receipts++; j.receipts == 1 {
			close(j.over)
		}
	}
}

// judge holds what came of the day against what is promised.
func (d *day) judge() {
	t := d.t
	waits, codes, late := map[string][]time.Duration{}, map[string]int{}, 0
	paid, delivered, owed, unpaid := 0, 0, 0, 0
	for id, j := range d.jobs {
		if n := d.engine.done[id]; n > 1 || n == 1 && j.paid.IsZero() {
			t.Errorf("job %s was done %d times, paid %s", id, n, j.paid)
		}
		closed := j.asked.UTC().Hour() >= 3 && j.asked.UTC().Hour() < 5
		switch {
		case j.paid.IsZero() && j.refused != nil:
			codes[j.refused.Code]++
			if !closed && j.refused.Code == events.CodeUnavailable && j.refused.Owed > 0 {
				t.Errorf("job %s: owed without payment", id)
			}
		case j.paid.IsZero():
			unpaid++
		case j.results == 1 && j.receipts >= 1:
			paid++
			delivered++
			waits[j.priority] = append(waits[j.priority], d.engine.began[id].Sub(j.paid))
			if j.lapsed {
				t.Errorf("job %s: its lease lapsed", id)
			}
		case j.results == 0 && j.refused != nil && j.refused.Owed == j.price:
			paid++
			owed++
			if d.engine.began[id].IsZero() && time.Since(j.deadline) > 0 {
				late++
			}
		default:
			t.Errorf("job %s (%s) is lost: paid %s, %d results, %d receipts, refused %v", id, j.priority, j.paid, j.results, j.receipts, j.refused)
		}
		if closed && !j.paid.IsZero() {
			t.Errorf("job %s was taken while the node was closed", id)
		}
		if want := price(j); j.price != 0 && j.price != want {
			t.Errorf("a %s job of %s costs %s, want %s", j.priority, j.asked.UTC().Format("15:04"), j.price.Human(), want.Human())
		}
	}
	if d.engine.most > 2 {
		t.Errorf("%d jobs at once, 2 slots", d.engine.most)
	}
	if delivered < len(d.jobs)/2 {
		t.Errorf("only %d of %d were delivered", delivered, len(d.jobs))
	}
	t.Logf("%d jobs: %d paid, %d delivered once, %d owed back at their deadline (%d of them waited in vain), %d unpaid by choice, refused %v", len(d.jobs), paid, delivered, owed, late, unpaid, codes)
	for _, priority := range []string{"high", "normal", "low"} {
		w := waits[priority]
		slices.Sort(w)
		if len(w) > 0 {
			t.Logf("wait for a slot, %-6s %4d jobs: p50 %5s  p95 %6s  longest %6s", priority, len(w), w[len(w)/2].Round(time.Second), w[len(w)*95/100].Round(time.Second), w[len(w)-1].Round(time.Second))
		}
	}
}

// price is what a job of that hour and priority costs.
func price(j *dayJob) events.Msat {
	p := 10 * events.Sat
	if hour := j.asked.UTC().Hour(); hour >= 22 || hour < 6 {
		p /= 2
	}
	return p * events.Msat(map[string]int{"high": 200, "normal": 100, "low": 80}[j.priority]) / 100
}
