package testnet

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/ledger"
	"infernet/wallet"
	"infernet/wallet/play"
)

// fault is one thing that goes wrong in one job: at the n-th event that one party sends or gets.
type fault struct {
	Pay   string
	Party string // provider, consumer or bank
	Way   string // in or out
	Nth   int    // from 1
	Act   string
	Relay bool // a kill is the relay's, not the party's
}

func (f fault) String() string {
	whom := ""
	if f.Relay {
		whom = " relay"
	}
	return fmt.Sprintf("%s, %s %s %d, %s%s", f.Pay, f.Party, f.Way, f.Nth, f.Act, whom)
}

// faults are all there are. Of a party that says less than its last, some do not happen: they are counted apart.
func faults() (all []fault) {
	for _, pay := range []string{events.PayPrepaid, events.PaySealed, events.PayHold} {
		for _, party := range []string{"provider", "consumer", "bank"} {
			for _, way := range []string{in, out} {
				for nth := 1; nth <= 8; nth++ {
					f := fault{Pay: pay, Party: party, Way: way, Nth: nth}
					for _, act := range []string{"twice", "late", "cut", "kill before", "kill after"} {
						f.Act = act
						all = append(all, f)
					}
					f.Relay = true
					for _, act := range []string{"kill before", "kill after"} {
						f.Act = act
						all = append(all, f)
					}
				}
			}
		}
	}
	return all
}

// TestChaos lets something go wrong at each message of a paid job, one fault for each job: all parties are processes of
// their own, that are started again when they die. The job is delivered once and paid once, and the key is known to
// whoever paid. INFERNET_LONG=1 runs every fault, else a sample.
func TestChaos(t *testing.T) {
	all := faults()
	seed := uint64(time.Now().UnixNano())
	rnd := rand.New(rand.NewPCG(seed, 1))
	rnd.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	if os.Getenv("INFERNET_LONG") == "" {
		all = all[:24]
	}
	var mu sync.Mutex
	happened := map[string]int{}
	t.Cleanup(func() {
		total := 0
		for _, act := range slices.Sorted(maps.Keys(happened)) {
			t.Logf("%-20s %4d", act, happened[act])
			if act != "not reached" {
				total += happened[act]
			}
		}
		t.Logf("%-20s %4d, seed %d", "faults", total, seed)
	})
	for _, f := range all {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			m := startParties(t, f, nil)
			m.buy()
			act := f.Act
			if f.Relay {
				act += ", relay"
			}
			if !m.wires[f.Party].happened() {
				act = "not reached"
			}
			mu.Lock()
			defer mu.Unlock()
			happened[act]++
		})
	}
}

func (w *wire) happened() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.done
}

// parties is a market of four processes.
type parties struct {
	t       *testing.T
	change  func(role string, p *process)
	url     string // of the relay itself
	wires   map[string]*wire
	all     map[string]*party
	account map[string]*events.Keys // of the wallets
	bank    *events.Keys
}

// party is a process that is started again when it dies.
type party struct {
	process

	mu   sync.Mutex
	run  *running
	over bool
}

// startParties starts a market. change may set up a party before it starts.
func startParties(t *testing.T, f fault, change func(role string, p *process)) *parties {
	if change == nil {
		change = func(string, *process) {}
	}
	m := &parties{t: t, change: change, wires: map[string]*wire{}, all: map[string]*party{}, account: map[string]*events.Keys{}, bank: events.GenerateKeys()}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listen := l.Addr().String()
	l.Close()
	m.url = "ws://" + listen
	for _, role := range []string{"relay", "bank", "provider", "consumer"} {
		m.all[role] = &party{} // all are there before one runs
	}
	m.keep("relay", process{Listen: listen})
	for _, name := range []string{"bank", "provider", "consumer"} {
		here, victim := fault{}, name
		if f.Party == name {
			here = f
		}
		if f.Relay {
			victim = "relay"
		}
		m.wires[name], m.account[name] = newWire(t, m.url, here, func() { m.kill(victim) }), events.GenerateKeys()
	}
	m.keep("bank", process{Secret: m.bank.Secret()})
	m.keep("provider", process{Secret: events.GenerateKeys().Secret(), Wallet: m.address("provider"), Engine: "echo:?delay=5ms"})
	order := Text("one two three four", func(o *consumer.Order) { o.Pay = []string{f.Pay} })
	buyer := process{Role: "consumer", Relay: m.wires["consumer"].url, Dir: t.TempDir(), Wallet: m.address("consumer"), Order: &order}
	change("consumer", &buyer)
	m.all["consumer"].change(func(own *process) { *own = buyer })
	t.Cleanup(m.all["consumer"].end)
	return m
}

// address is a party's wallet, by its own wire.
func (m *parties) address(name string) string {
	address, err := play.Address([]string{m.wires[name].url}, string(m.bank.PublicKey()), m.account[name].Secret())
	if err != nil {
		m.t.Fatal(err)
	}
	return address
}

// keep starts a party and keeps it running.
func (m *parties) keep(role string, p process) {
	p.Role, p.Dir = role, m.t.TempDir()
	if w := m.wires[role]; w != nil {
		p.Relay = w.url
	}
	m.change(role, &p)
	one := m.all[role]
	one.change(func(own *process) { *own = p })
	var wait sync.WaitGroup
	wait.Go(func() {
		for one.start() {
			<-one.running().done
			time.Sleep(20 * time.Millisecond) // a port, a lock may still be held
		}
	})
	m.t.Cleanup(func() {
		one.end()
		wait.Wait()
	})
}

// change changes how the process is started the next time.
func (p *party) change(to func(own *process)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	to(&p.process)
}

// start starts the process, unless it is to run no more.
func (p *party) start() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return false
	}
	run, err := p.launch()
	if err != nil {
		panic(err) // the machine is at its end
	}
	p.run = run
	return true
}

func (p *party) running() *running {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.run
}

func (p *party) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	if p.run != nil {
		p.run.stop()
	}
}

// kill kills a party's process, with no chance to tidy up.
func (m *parties) kill(role string) {
	p := m.all[role]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run != nil {
		p.run.cmd.Process.Kill()
	}
}

// buy has the customer order, and go on as often as it is killed, and holds all that is left against what must be.
func (m *parties) buy() {
	m.t.Helper()
	for range 8 {
		said := m.order()
		if m.over() {
			if !m.check() {
				m.t.Errorf("not delivered: %+v", m.jobs())
			}
			return
		}
		resume := m.taken()
		m.all["consumer"].change(func(own *process) { own.Resume = resume })
		if len(said) > 0 && strings.HasPrefix(said[len(said)-1], "error:") {
			m.t.Logf("goes on after %q", said[len(said)-1])
		}
	}
	m.t.Error("the job has no end after 8 tries")
}

// order runs the customer's process once, to its end.
func (m *parties) order() (said []string) {
	one := m.all["consumer"]
	if !one.start() {
		m.t.Fatal("the test is over")
	}
	run := one.running()
	select {
	case <-run.done:
	case <-time.After(90 * time.Second):
		m.t.Error("the customer waits for more than 90 s")
		run.stop()
	}
	for len(run.lines) > 0 {
		said = append(said, <-run.lines)
	}
	return said
}

// jobs are the customer's, from its ledger.
func (m *parties) jobs() (rows []ledger.Row) {
	m.t.Helper()
	m.ledger(func(l *ledger.Ledger) (err error) {
		rows, err = l.Jobs(ledger.Customer, 10)
		return err
	})
	return rows
}

func (m *parties) ledger(f func(*ledger.Ledger) error) {
	m.t.Helper()
	l, err := ledger.Open(filepath.Join(m.all["consumer"].Dir, "consumer.db"))
	if err == nil {
		err = errors.Join(f(l), l.Close())
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *parties) taken() bool { return len(m.jobs()) > 0 }

func (m *parties) over() bool {
	rows := m.jobs()
	return len(rows) > 0 && rows[0].End != ""
}

// check says whether all is as it must be once the job is over: what was paid for was delivered, and the wallets say the
// same as the customer's ledger.
func (m *parties) check() (delivered bool) {
	m.t.Helper()
	rows := m.jobs()
	if len(rows) != 1 {
		m.t.Fatalf("the customer's jobs are %+v", rows)
	}
	delivered = rows[0].End == "delivered"
	var c *ledger.Commitment
	m.ledger(func(l *ledger.Ledger) (err error) {
		c, err = l.Commitment(rows[0].Job)
		return err
	})
	paid := events.Msat(0)
	if c != nil {
		paid = c.Amount
	}
	switch {
	case delivered != (c != nil):
		m.t.Errorf("the job ended with %q, its payment is %+v", rows[0].End, c)
	case delivered && (!c.Settled || c.Preimage.Hash() != c.Hash):
		m.t.Errorf("the customer paid and has no key: %+v", c)
	}
	const opening = 100_000 * events.Sat
	if have := m.balance("consumer"); have != opening-paid {
		m.t.Errorf("the customer has %s after paying %s", have.Human(), paid.Human())
	}
	if have := m.balance("provider"); have != opening+paid {
		m.t.Errorf("the node has %s after earning %s", have.Human(), paid.Human())
	}
	if delivered {
		(&Net{T: m.t, URL: m.url, ctx: ctx}).oneResult(rows[0].Job)
	}
	m.all["bank"].end()
	s, err := play.NewService(play.Config{Relays: []string{m.url}, Keys: m.bank, Path: filepath.Join(m.all["bank"].Dir, "bank.db")})
	if err != nil {
		m.t.Fatal(err)
	}
	if err := s.Check(); err != nil {
		m.t.Error(err)
	}
	return delivered
}

func (m *parties) balance(name string) (have events.Msat) {
	m.t.Helper()
	address, err := play.Address([]string{m.url}, string(m.bank.PublicKey()), m.account[name].Secret())
	if err != nil {
		m.t.Fatal(err)
	}
	w, err := Wallets.Open(ctx, address, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	defer w.Close()
	Eventually(m.t, "the bank answers", func() bool {
		have, err = w.(wallet.Balancer).Balance(ctx)
		return err == nil
	})
	return have
}
