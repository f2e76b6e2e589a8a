package testnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/ledger"
	"infernet/wallet"
	"infernet/wallet/play"
)

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
	fault   fault
	step    sync.Once     // the fault at a step
	struck  atomic.Bool   // it has happened
	whole   chan struct{} // closed once it is over
	cries   cries
}

// party is a process that is started again when it dies.
type party struct {
	process

	once sync.Once // for what it says
	mu   sync.Mutex
	run  *running
	over bool
}

// startParties starts a market. change may set up a party before it starts.
func startParties(t *testing.T, f fault, change func(role string, p *process)) *parties {
	if change == nil {
		change = func(string, *process) {}
	}
	m := &parties{
		t: t, change: change, wires: map[string]*wire{}, all: map[string]*party{}, account: map[string]*events.Keys{}, bank: events.GenerateKeys(),
		fault: f, whole: make(chan struct{}),
	}
	if f.Step == "" || f.Act == "kill" {
		close(m.whole)
	}
	listen := place(t)
	m.url = "ws://" + listen
	for _, role := range []string{"relay", "bank", "provider", "consumer"} {
		m.all[role] = &party{} // all are there before one runs
	}
	m.keep("relay", process{Listen: listen})
	for _, name := range []string{"bank", "provider", "consumer"} {
		here, victim := fault{}, f.whom()
		if f.Party == name && f.Step == "" {
			here = f
		}
		m.wires[name], m.account[name] = newWire(t, m.url, here, func() { m.kill(victim) }), events.GenerateKeys()
	}
	m.keep("bank", process{Secret: m.bank.Secret()})
	m.keep("provider", process{Secret: events.GenerateKeys().Secret(), Wallet: m.address("provider"), Engine: "echo:?delay=5ms"})
	order := Text("one two three four", func(o *consumer.Order) { o.Pay = []string{f.Pay} })
	buyer := process{Role: "consumer", Relay: m.wires["consumer"].url, Dir: m.dir("consumer"), Wallet: m.address("consumer"), Order: &order}
	m.listen("consumer", &buyer)
	change("consumer", &buyer)
	m.all["consumer"].change(func(own *process) { *own = buyer })
	t.Cleanup(m.all["consumer"].end)
	return m
}

// place is where a relay can listen, also when it is started again. Each has an address of its own, where the system has
// more than one that is this machine: else another market's relay might get its port while it is away.
func place(t *testing.T) string {
	t.Helper()
	host := fmt.Sprintf("127.%d.%d.%d", 1+os.Getpid()%250, places.Add(1)/250%250, 1+places.Load()%250)
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

var places atomic.Int64

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
	p.Role, p.Dir = role, m.dir(role)
	m.listen(role, &p)
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
	defer m.audit()
	for range 8 {
		said := m.order()
		if m.over() {
			if m.check() {
				return
			}
			if m.fault.Act != "full" {
				m.t.Errorf("not delivered: %+v", m.jobs())
				return
			}
			// a job may be refused by who cannot write it down, as long as nothing was paid; with room again, the next one is done
			m.t.Logf("refused: %+v", m.jobs())
			<-m.whole
			m.begin()
			continue
		}
		resume := m.taken()
		m.all["consumer"].change(func(own *process) { own.Resume = resume })
		if len(said) > 0 {
			m.t.Logf("goes on after %q", said[len(said)-1])
		}
		if m.struck.Load() {
			<-m.whole // who has no disk or no network gets no further
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

// begin has the customer forget the job and order anew.
func (m *parties) begin() {
	dir := m.t.TempDir()
	m.all["consumer"].change(func(own *process) { own.Dir, own.Resume, own.Pause = dir, false, "" })
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
	return delivered
}

// audit ends the bank, and looks through its books.
func (m *parties) audit() {
	m.t.Helper()
	for _, cry := range m.cries.all() {
		m.t.Errorf("a process broke: %s", cry)
	}
	m.all["bank"].end()
	s, err := play.NewService(play.Config{Relays: []string{m.url}, Keys: m.bank, Path: filepath.Join(m.all["bank"].Dir, "bank.db")})
	if err != nil {
		m.t.Fatal(err)
	}
	if err := s.Check(); err != nil {
		m.t.Error(err)
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	s.Run(over) // which closes the books
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
