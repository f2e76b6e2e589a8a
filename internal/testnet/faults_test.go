package testnet

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"infernet/events"
)

// fault is one thing that goes wrong in one job: at the n-th event that one party sends or gets, at one of its durable
// steps, or all the time.
type fault struct {
	Pay   string
	Party string // provider, consumer or bank: at whose event or step
	Way   string // in or out
	Nth   int    // from 1
	Step  string // a durable step of the party; it waits there until the fault has happened
	Act   string
	Whom  string        // what happens to whom; to the party if unset
	Skew  time.Duration // how far a clock is off, all the time
}

func (f fault) whom() string {
	if f.Whom != "" {
		return f.Whom
	}
	return f.Party
}

// where is at which moment of the job it happens.
func (f fault) where() string {
	switch {
	case f.Skew != 0:
		return "all the time"
	case f.Step != "":
		return f.Party + " " + f.Step
	}
	return fmt.Sprintf("%s %s %d", f.Party, f.Way, f.Nth)
}

func (f fault) String() string {
	return fmt.Sprintf("%s, %s, %s %s", f.Pay, f.where(), f.Act, f.whom())
}

// processes are the parties of a market.
var processes = []string{"relay", "bank", "provider", "consumer"}

// steps are what each party writes down in a paid job, in order.
func steps(party, pay string) []string {
	if party == "consumer" {
		return []string{"submitted", "awarded", "committed", "settled"}
	}
	return map[string][]string{
		events.PayPrepaid: {"offered", "awarded", "asked", "paid", "started", "running", "made", "delivered"},
		events.PayHold:    {"offered", "awarded", "asked", "held", "started", "running", "made", "delivered", "settled"},
		events.PaySealed:  {"offered", "awarded", "started", "running", "made", "delivered"},
	}[pay]
}

// faults are all there are. Of a party that says less than its last event, some do not happen: they are counted apart.
func faults(disks bool) (all []fault) {
	for _, pay := range []string{events.PayPrepaid, events.PaySealed, events.PayHold} {
		for _, party := range []string{"provider", "consumer", "bank"} {
			for _, way := range []string{in, out} {
				for nth := 1; nth <= 8; nth++ {
					f := fault{Pay: pay, Party: party, Way: way, Nth: nth}
					for _, act := range []string{"twice", "late", "cut", "kill before", "kill after"} {
						f.Act = act
						all = append(all, f)
					}
					f.Whom = "relay"
					for _, act := range []string{"kill before", "kill after"} {
						f.Act = act
						all = append(all, f)
					}
				}
			}
		}
		for _, party := range []string{"provider", "consumer"} {
			for _, step := range steps(party, pay) {
				for _, whom := range processes {
					for _, act := range []string{"kill", "long cut", "full"} {
						if act != "full" || disks {
							all = append(all, fault{Pay: pay, Party: party, Step: step, Whom: whom, Act: act})
						}
					}
				}
			}
		}
		for _, whom := range processes {
			for _, skew := range []time.Duration{-5 * time.Minute, 5 * time.Minute} {
				all = append(all, fault{Pay: pay, Whom: whom, Skew: skew, Act: fmt.Sprintf("clock %+d min", int(skew.Minutes()))})
			}
		}
	}
	return all
}

// few is a sample: some of everything that can go wrong, and with each act and each process.
func few(all []fault, most int) (some []fault) {
	seen := map[string]bool{}
	for _, f := range all {
		if !seen[f.Act+f.whom()] {
			seen[f.Act+f.whom()] = true
			some = append(some, f)
		}
	}
	return some[:min(len(some), most)]
}

// TestFaults lets something go wrong at each message and each durable step of a paid job, one fault for each job: all
// parties are processes of their own, that are started again when they die, and their folders are small disks of their own,
// that are full for a while. Whatever happens, the job is delivered once and paid once, the key is known to whoever paid,
// and the books of the bank agree. INFERNET_LONG=1 runs every fault, else a sample. The table says how often each happened.
func TestFaults(t *testing.T) {
	disks := inNamespace(t)
	if disks && os.Getenv(namespaceEnv) == "" {
		return // it was run in there
	}
	all := faults(disks)
	seed := uint64(time.Now().UnixNano())
	rnd := rand.New(rand.NewPCG(seed, 1))
	rnd.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	if os.Getenv("INFERNET_LONG") == "" {
		all = few(all, 36)
	}
	if one := os.Getenv("INFERNET_TEST_FAULT"); one != "" {
		all = slices.DeleteFunc(faults(disks), func(f fault) bool { return !strings.Contains(f.String(), one) })
	}
	table := &tally{seed: seed}
	t.Cleanup(func() { t.Log(table) })
	for _, f := range all {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			defer func() { table.add(f, t.Failed()) }()
			if f.Skew != 0 {
				wrongClock(t, f)
				return
			}
			m := startParties(t, f, nil)
			m.buy()
			if f.Step == "" && !m.wires[f.Party].happened() || f.Step != "" && !m.struck.Load() {
				f.Act = "" // not reached
			}
		})
	}
}

// wrongClock has one party's clock off. What is signed in the future is refused and what is long past is over, so a job may
// find nobody; but what is paid is delivered, and the books agree. The clock is set right before the customer looks again.
func wrongClock(t *testing.T, f fault) {
	m := startParties(t, f, func(of string, p *process) {
		if of == f.Whom {
			p.Skew = f.Skew
		}
		if p.Order != nil {
			p.Order.Life, p.Order.Window = 8*time.Second, 3*time.Second
		}
	})
	m.order()
	m.all[f.Whom].change(func(own *process) { own.Skew = 0 })
	if f.Whom != "consumer" {
		m.kill(f.Whom) // it is started again
	}
	for try := 0; try < 8 && !m.over(); try++ {
		resume := m.taken()
		m.all["consumer"].change(func(own *process) { own.Resume = resume })
		m.order()
	}
	if !m.over() {
		t.Fatalf("the job has no end: %+v", m.jobs())
	}
	t.Logf("delivered: %v, it ended with %q", m.check(), m.jobs()[0].End)
	m.audit()
}

// longCut and fullFor are how long a network is cut and a disk full: longer than everybody's first tries.
const (
	longCut = 4 * time.Second
	fullFor = 3 * time.Second
)

// listen has a process wait at the step of the fault, and hears its cries.
func (m *parties) listen(role string, p *process) {
	if role == m.fault.Party && m.fault.Step != "" {
		p.Pause, p.Go = m.fault.Step, filepath.Join(m.t.TempDir(), "go")
	}
	pause, gone := p.Pause, p.Go
	p.hear = func(line string) {
		m.cries.hear(role, line)
		if pause != "" && line == "step: "+pause {
			m.step.Do(func() { m.strike(gone) })
		}
	}
}

// strike lets the fault happen, and then the party go on.
func (m *parties) strike(gone string) {
	m.struck.Store(true)
	whom := m.fault.whom()
	let := func() {
		if err := os.WriteFile(gone, nil, 0o600); err != nil {
			panic(err)
		}
	}
	switch m.fault.Act {
	case "kill":
		if whom == m.fault.Party {
			let() // the next one does not wait
		}
		m.kill(whom)
	case "long cut":
		for name, w := range m.wires {
			if name == whom || whom == "relay" {
				w.cutNow(longCut)
			}
		}
		time.AfterFunc(longCut, func() { close(m.whole) })
	case "full":
		empty := fill(m.all[whom].dir())
		time.AfterFunc(fullFor, func() { empty(); close(m.whole) })
	}
	let()
}

func (p *party) dir() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.process.Dir
}

// cries are what no process may say, whatever happens to it.
type cries struct {
	mu   sync.Mutex
	said []string
}

func (c *cries) hear(role, line string) {
	for _, cry := range []string{"panic:", "fatal error:", "SIGBUS", "SIGSEGV", "DATA RACE", "database disk image is malformed"} {
		if strings.Contains(line, cry) {
			c.mu.Lock()
			c.said = append(c.said, role+": "+line)
			c.mu.Unlock()
		}
	}
}

func (c *cries) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.said
}

// tally counts what happened, and where.
type tally struct {
	seed uint64

	mu       sync.Mutex
	happened map[string]map[string]int // by where and act
	wrong    map[string]int            // by where
	unmet    int
}

func (c *tally) add(f fault, failed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.happened == nil {
		c.happened, c.wrong = map[string]map[string]int{}, map[string]int{}
	}
	if failed {
		c.wrong[f.where()]++
	}
	if f.Act == "" {
		c.unmet++
		return
	}
	if c.happened[f.where()] == nil {
		c.happened[f.where()] = map[string]int{}
	}
	c.happened[f.where()][f.Act+" "+f.whom()]++
}

func (c *tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	acts := map[string]int{}
	for _, row := range c.happened {
		for act, n := range row {
			acts[act] += n
		}
	}
	var out strings.Builder
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(where string, cell func(act string) any, last any) {
		fmt.Fprintf(table, "%s\t", where)
		for _, act := range []string{"kill", "cut", "twice", "late", "full", "clock"} {
			for _, whom := range processes {
				fmt.Fprintf(table, "%v\t", cell(act+" "+whom))
			}
		}
		fmt.Fprintf(table, "%v\t\n", last)
	}
	sum := func(row map[string]int, column string) (n int) {
		act, whom, _ := strings.Cut(column, " ")
		for name, k := range row {
			if strings.HasSuffix(name, whom) && (strings.HasPrefix(name, act) || act == "cut" && strings.HasPrefix(name, "long cut")) {
				n += k
			}
		}
		return n
	}
	dot := func(n int) any {
		if n == 0 {
			return "·"
		}
		return n
	}
	line("at", func(column string) any {
		return strings.NewReplacer("relay", "rel", "provider", "prov", "consumer", "cons").Replace(column)
	}, "violations")
	total, violations := 0, 0
	for _, where := range slices.Sorted(maps.Keys(c.happened)) {
		line(where, func(column string) any { return dot(sum(c.happened[where], column)) }, c.wrong[where])
	}
	for _, n := range acts {
		total += n
	}
	for _, n := range c.wrong {
		violations += n
	}
	line("all", func(column string) any { return dot(sum(acts, column)) }, violations)
	table.Flush()
	fmt.Fprintf(&out, "%d faults happened, %d were at events that did not come, %d violations; seed %d", total, c.unmet, violations, c.seed)
	return "\n" + out.String()
}
