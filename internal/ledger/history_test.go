package ledger

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"infernet/events"
)

// Few of each, so that everybody wants the same.
const (
	jobs   = 3
	hashes = 4
	offers = 2
	day    = events.Msat(5) // what may be committed to in a day
)

// call is one call of a ledger's method; said what it answered. Both travel between processes as JSON.
type call struct {
	Op     string
	Job    int // from 0
	Hash   int // from 0
	Amount events.Msat
}

type said struct {
	First bool   // or ours, or known, or settled
	N     int    // a job or hash from 1, or a sum; 0: none
	Err   string // "", budget or refused
	Lost  bool   // nobody heard the answer: the process was killed
}

// money is all that a ledger knows of money, of so few: what its calls are held to, one after the other.
type money struct {
	claims  [hashes]int8 // by which job, from 1
	starts  [jobs]bool
	uses    [offers]int8
	commits [jobs]struct {
		hash    int8 // from 1; 0: none
		amount  events.Msat
		settled bool
	}
	voids [hashes]bool
}

func (m *money) known(h int) bool {
	for _, c := range m.commits {
		if c.hash == int8(h+1) {
			return true
		}
	}
	return m.voids[h]
}

func (m *money) spent() (sum events.Msat) {
	for _, c := range m.commits {
		if c.hash != 0 {
			sum += c.amount
		}
	}
	return sum
}

// do is what a call has to answer, and what is known then.
func (m money) do(c call) (said, money) {
	mine, hash := int8(c.Job+1), int8(c.Hash+1)
	switch at := &m.commits[c.Job]; c.Op {
	case "claim", "start", "begin":
		free := (c.Op == "start" || m.claims[c.Hash] == 0) && (c.Op == "claim" || !m.starts[c.Job])
		if free && c.Op != "start" {
			m.claims[c.Hash] = mine
		}
		if free && c.Op != "claim" {
			m.starts[c.Job] = true
		}
		return said{First: free}, m
	case "use":
		if at := &m.uses[c.Hash%offers]; *at == 0 {
			*at = mine
		}
		return said{First: m.uses[c.Hash%offers] == mine}, m
	case "commit":
		switch {
		case m.known(c.Hash):
			return said{}, m
		case m.spent()+c.Amount > day:
			return said{Err: "budget"}, m
		case at.hash != 0:
			return said{}, m
		}
		at.hash, at.amount = hash, c.Amount
		return said{First: true}, m
	case "settle":
		if at.hash != hash {
			return said{Err: "refused"}, m
		}
		at.settled = true
		return said{}, m
	case "void":
		if at.hash == 0 || at.settled {
			return said{Err: "refused"}, m
		}
		m.voids[at.hash-1] = true
		at.hash, at.amount = 0, 0
		return said{}, m
	case "claimed":
		return said{N: int(m.claims[c.Hash])}, m
	case "commitment":
		return said{N: int(at.hash), First: at.settled}, m
	case "known":
		return said{First: m.known(c.Hash)}, m
	case "spent":
		return said{N: int(m.spent())}, m
	}
	panic(c.Op)
}

var ops = []string{"claim", "start", "begin", "use", "commit", "commit", "commit", "settle", "settle", "void", "claimed", "commitment", "known", "spent"}

// ask calls a real ledger.
func (c call) ask(l *Ledger, at time.Time) (s said, err error) {
	job, h := jobOf(c.Job), hashOf(c.Hash)
	switch c.Op {
	case "claim":
		s.First, err = l.Claim(h, job)
	case "start":
		s.First, err = l.Start(job)
	case "begin":
		s.First, err = l.Begin(job, &h)
	case "use":
		s.First, err = l.Use(jobOf(100+c.Hash%offers), job)
	case "commit":
		s.First, err = l.CommitWithin(Commitment{Job: job, Hash: h, Amount: c.Amount, At: at}, day)
		if errors.Is(err, ErrBudget) {
			return said{Err: "budget"}, nil
		}
	case "settle", "void": // their errors are what the rule forbids
		if c.Op == "settle" {
			err = l.Settle(job, preimageOf(c.Hash))
		} else {
			err = l.Void(job, "failed")
		}
		if err != nil {
			return said{Err: "refused"}, nil
		}
	case "claimed":
		var by events.ID
		by, err = l.Claimed(h)
		for i := range jobs {
			if by == jobOf(i) {
				s.N = i + 1
			}
		}
	case "commitment":
		var got *Commitment
		got, err = l.Commitment(job)
		for i := range hashes {
			if got != nil && got.Hash == hashOf(i) {
				s.N, s.First = i+1, got.Settled
			}
		}
	case "known":
		s.First, err = l.HashKnown(h)
	case "spent":
		var sum events.Msat
		sum, err = l.SpentSince(at)
		s.N = int(sum)
	}
	return s, err
}

func anyCall(rnd *rand.Rand) call {
	return call{Op: ops[rnd.IntN(len(ops))], Job: rnd.IntN(jobs), Hash: rnd.IntN(hashes), Amount: events.Msat(1 + rnd.IntN(3))}
}

// rule is the ledger as porcupine reads it. A call whose answer nobody heard may have been done or not.
var rule = porcupine.Model{
	Init: func() any { return money{} },
	Step: func(state, input, output any) (bool, any) {
		want, next := state.(money).do(input.(call))
		got := output.(said)
		return got.Lost || got == want, next
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}

func linearizable(t *testing.T, history []porcupine.Operation) porcupine.CheckResult {
	t.Helper()
	return porcupine.CheckOperationsTimeout(rule, history, 20*time.Second)
}

func times(seldom, often int) int {
	if os.Getenv("INFERNET_LONG") != "" {
		return often
	}
	return seldom
}

// TestHistoriesAreLinearizable has several clients, each with the ledger opened for itself, call all of its methods about the
// same few jobs and payments at once: what they are answered is what one after the other would have been, in an order that
// no client contradicts. A history that was changed in one answer is told apart.
func TestHistoriesAreLinearizable(t *testing.T) {
	for range times(2, 40) {
		seed := rand.Uint64()
		history := together(t, seed)
		if got := linearizable(t, history); got != porcupine.Ok {
			t.Fatalf("seed %d: %s: %+v", seed, got, history)
		}
		caught := 0
		for i := range history {
			op := &history[i]
			was := op.Output.(said)
			if c := op.Input.(call); !was.First || c.Op == "known" || c.Op == "commitment" {
				continue
			}
			op.Output = said{} // who was first hears that it was not
			if linearizable(t, history) == porcupine.Illegal {
				caught++
			}
			op.Output = was
		}
		if caught == 0 {
			t.Errorf("seed %d: no changed history was told apart", seed)
		}
	}
}

// together records what clients of one ledger were answered.
func together(t *testing.T, seed uint64) (history []porcupine.Operation) {
	_, path := fresh(t)
	at := time.Unix(1_800_000_000, 0)
	var mu sync.Mutex
	var wait sync.WaitGroup
	for client := range 5 {
		l, err := Open(path)
		ok(t, err)
		defer l.Close()
		rnd := rand.New(rand.NewPCG(seed, uint64(client)))
		wait.Go(func() {
			for range 16 {
				c := anyCall(rnd)
				began := time.Now().UnixNano()
				s, err := c.ask(l, at)
				if err != nil {
					t.Errorf("%+v: %v", c, err)
					return
				}
				mu.Lock()
				history = append(history, porcupine.Operation{ClientId: client, Input: c, Call: began, Output: s, Return: time.Now().UnixNano()})
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return history
}

// line is what a process says before and after a call.
type line struct {
	Call *call
	Said *said
	At   int64 // unix nanoseconds
}

const historyEnv = "INFERNET_TEST_LEDGER_HISTORY" // a seed

// remember is a process that calls the ledger of a test until it is killed.
func remember(path, seed string) error {
	l, err := Open(path)
	if err != nil {
		return err
	}
	var n uint64
	fmt.Sscan(seed, &n)
	rnd, out, at := rand.New(rand.NewPCG(n, 1)), json.NewEncoder(os.Stdout), time.Unix(1_800_000_000, 0)
	for {
		c := anyCall(rnd)
		out.Encode(line{Call: &c, At: time.Now().UnixNano()})
		s, err := c.ask(l, at)
		if err != nil {
			return err
		}
		out.Encode(line{Said: &s, At: time.Now().UnixNano()})
	}
}

// TestHistoriesOfKilledProcessesAreLinearizable kills processes with SIGKILL while they call one ledger, and starts others: what
// was answered holds, and a call whose answer nobody heard was done whole or not at all.
func TestHistoriesOfKilledProcessesAreLinearizable(t *testing.T) {
	for range times(2, 40) {
		seed := rand.Uint64()
		path := filepath.Join(t.TempDir(), "ledger.db")
		l, err := Open(path)
		ok(t, err)
		var mu sync.Mutex
		var wait sync.WaitGroup
		var history []porcupine.Operation
		for client := range 3 {
			wait.Go(func() {
				for life := range 2 {
					ops := killedAfter(t, path, seed+uint64(10*client+life), 10+client)
					mu.Lock()
					for i := range ops {
						ops[i].ClientId = 2*client + life
					}
					history = append(history, ops...)
					mu.Unlock()
				}
			})
		}
		wait.Wait()
		for i := range jobs { // what is there at the end
			c := call{Op: "commitment", Job: i}
			began := time.Now().UnixNano()
			s, err := c.ask(l, time.Unix(1_800_000_000, 0))
			ok(t, err)
			history = append(history, porcupine.Operation{ClientId: 99, Input: c, Call: began, Output: s, Return: time.Now().UnixNano()})
		}
		l.Close()
		if got := linearizable(t, history); got != porcupine.Ok {
			t.Fatalf("seed %d: %s: %+v", seed, got, history)
		}
	}
}

// killedAfter runs a process, kills it after so many calls, in the midst of one, and gives what it had said.
func killedAfter(t *testing.T, path string, seed uint64, calls int) (ops []porcupine.Operation) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path, historyEnv+"="+fmt.Sprint(seed))
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Error(err)
		return nil
	}
	scan := bufio.NewScanner(out)
	var open *porcupine.Operation
	for scan.Scan() {
		var l line
		if err := json.Unmarshal(scan.Bytes(), &l); err != nil { // the last one may be cut
			break
		}
		if l.Call != nil {
			open = &porcupine.Operation{Input: *l.Call, Call: l.At, Output: said{Lost: true}, Return: math.MaxInt64}
			if len(ops) == calls {
				cmd.Process.Kill()
			}
			continue
		}
		open.Output, open.Return = *l.Said, l.At
		ops, open = append(ops, *open), nil
	}
	cmd.Process.Kill()
	cmd.Wait()
	if open != nil {
		ops = append(ops, *open)
	}
	if len(ops) < calls {
		t.Errorf("a process ended after %d calls: %s", len(ops), scan.Text())
	}
	return ops
}
