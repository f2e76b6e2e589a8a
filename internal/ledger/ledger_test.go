package ledger

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/durable"
	"infernet/wallet"
)

// What the process that tests start is told.
const (
	childEnv = "INFERNET_TEST_LEDGER"      // the ledger's file
	actEnv   = "INFERNET_TEST_LEDGER_ACT"  // what it does, again and again
	fromEnv  = "INFERNET_TEST_LEDGER_FROM" // the first job's number
)

// TestMain is also the process that tests race against and kill.
func TestMain(m *testing.M) {
	if seed := os.Getenv(historyEnv); seed != "" {
		fmt.Println("error", remember(os.Getenv(childEnv), seed))
		os.Exit(1)
	}
	if path := os.Getenv(childEnv); path != "" {
		l, err := Open(path)
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		act := map[string]func(i int) (bool, error){
			"begin": func(i int) (bool, error) { h := hashOf(i); return l.Begin(jobOf(i), &h) },
			"claim": func(i int) (bool, error) { return l.Claim(hashOf(i), jobOf(os.Getpid())) },
			"start": func(i int) (bool, error) { return l.Start(jobOf(i)) },
			"use":   func(i int) (bool, error) { return l.Use(jobOf(i), jobOf(os.Getpid())) },
			"commit": func(i int) (bool, error) {
				return l.Commit(Commitment{Job: jobOf(i), Hash: hashOf(i), Amount: 1, At: time.Now()})
			},
		}[os.Getenv(actEnv)]
		from, _ := strconv.Atoi(os.Getenv(fromEnv))
		for i := from; i < 20_000; i++ {
			first, err := act(i)
			if err != nil {
				fmt.Println("error", err)
				os.Exit(1)
			}
			fmt.Println(i, first)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func hashOf(i int) wallet.Hash { return preimageOf(i).Hash() }
func preimageOf(i int) (r wallet.Preimage) {
	copy(r[:], fmt.Sprint(i))
	return r
}
func jobOf(i int) events.ID { return events.ID(fmt.Sprintf("%064x", i)) }

func fresh(t testing.TB) (*Ledger, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "new", "ledger.db")
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, path
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAPaymentBuysOnceAndAJobRunsOnce(t *testing.T) {
	l, _ := fresh(t)
	for i, want := range []bool{true, false} {
		first, err := l.Claim(hashOf(1), jobOf(1))
		ok(t, err)
		if first != want {
			t.Errorf("claim %d: first %v", i, first)
		}
		first, err = l.Start(jobOf(1))
		ok(t, err)
		if first != want {
			t.Errorf("start %d: first %v", i, first)
		}
	}
	if job, err := l.Claimed(hashOf(1)); err != nil || job != jobOf(1) {
		t.Errorf("claimed by %s, %v", job, err)
	}
}

func TestBeginIsBothOrNeither(t *testing.T) {
	l, _ := fresh(t)
	h1, h2 := hashOf(1), hashOf(2)
	first, err := l.Begin(jobOf(1), &h1)
	ok(t, err)
	if !first {
		t.Fatal("the first one is not first")
	}
	for name, try := range map[string]func() (bool, error){
		"the same job with another payment": func() (bool, error) { return l.Begin(jobOf(1), &h2) },
		"another job with the same payment": func() (bool, error) { return l.Begin(jobOf(2), &h1) },
	} {
		if first, err := try(); first || err != nil {
			t.Errorf("%s: first %v, %v", name, first, err)
		}
	}
	if job, _ := l.Claimed(h2); job != "" {
		t.Error("a payment was claimed for a job that did not start")
	}
	if first, err := l.Start(jobOf(2)); !first || err != nil {
		t.Error("a job was started whose payment was taken")
	}
}

// child is a process that acts on a ledger and says what came of it.
func child(t *testing.T, path, act string, from int) (kill func(), said *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path, actEnv+"="+act, fmt.Sprintf("%s=%d", fromEnv, from))
	out, err := cmd.StdoutPipe()
	ok(t, err)
	ok(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return func() { cmd.Process.Kill() }, bufio.NewScanner(out)
}

// TestTwoProcessesAgreeWhoIsFirst has two processes do the same on one file, which neither of them has made.
func TestTwoProcessesAgreeWhoIsFirst(t *testing.T) {
	for _, act := range []string{"begin", "claim", "start", "use", "commit"} {
		t.Run(act, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ledger.db")
			const each = 60
			firsts := make([]int, each)
			won := [2]int{}
			var mu sync.Mutex
			var wait sync.WaitGroup
			for who := range 2 {
				kill, said := child(t, path, act, 0)
				wait.Go(func() {
					next := 0
					for said.Scan() {
						var i int
						var first bool
						if n, _ := fmt.Sscan(said.Text(), &i, &first); n != 2 || i != next {
							t.Errorf("said %q after %d", said.Text(), next)
							break
						}
						if next++; i >= each {
							break
						}
						if first {
							mu.Lock()
							firsts[i]++
							won[who]++
							mu.Unlock()
						}
					}
					if next <= each {
						t.Errorf("a process ended after %d", next)
					}
					kill()
				})
			}
			wait.Wait()
			for i, n := range firsts {
				if n != 1 {
					t.Errorf("job %d was first %d times", i, n)
				}
			}
			t.Logf("first: %d and %d times", won[0], won[1])
		})
	}
}

// TestWhatWasSaidSurvivesKills kills a process that begins jobs, again and again on one file, at random places.
func TestWhatWasSaidSurvivesKills(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	rounds := 8
	if os.Getenv("INFERNET_LONG") != "" {
		rounds = 200
	}
	path := filepath.Join(t.TempDir(), "ledger.db")
	from, half := 0, 0
	var all []int // the jobs that were said
	for range rounds {
		kill, scan := child(t, path, "begin", from)
		enough := 1 + rnd.IntN(40)
		said := 0
		for scan.Scan() { // to the end: also what it had said when it was killed
			var i int
			var first bool
			if n, _ := fmt.Sscan(scan.Text(), &i, &first); n != 2 {
				break // the kill cut the line
			}
			if i != from+said || !first {
				t.Fatalf("said %q, want job %d", scan.Text(), from+said)
			}
			all = append(all, i)
			if said++; said == enough {
				kill()
			}
		}
		if said < enough {
			t.Fatalf("only %d were said", said)
		}
		l, err := Open(path)
		ok(t, err)
		for _, i := range all {
			if job, err := l.Claimed(hashOf(i)); err != nil || job != jobOf(i) {
				t.Fatalf("claim %d was said and is gone: %s %v", i, job, err)
			}
			if first, err := l.Start(jobOf(i)); err != nil || first {
				t.Fatalf("start %d was said and is gone: %v", i, err)
			}
		}
		// the one that it was killed in is there with both halves or with none
		from += said
		claimed, err := l.Claimed(hashOf(from))
		ok(t, err)
		fresh, err := l.Start(jobOf(from))
		ok(t, err)
		if (claimed == "") != fresh {
			t.Errorf("job %d: claimed by %q, and its start was free: %v", from, claimed, fresh)
		}
		if claimed != "" {
			half++
		}
		from++
		ok(t, l.Close())
	}
	t.Logf("%d kills over %d jobs; %d were done and not yet said", rounds, from, half)
}

func TestOneCommitmentForAJob(t *testing.T) {
	l, _ := fresh(t)
	commit := func(job, hash int) bool {
		t.Helper()
		first, err := l.Commit(Commitment{Job: jobOf(job), Hash: hashOf(hash), Payee: "node", Bolt11: "lnbcrt1", Amount: 5000, At: time.Now()})
		ok(t, err)
		return first
	}
	if !commit(1, 1) || commit(1, 2) || commit(2, 1) {
		t.Error("a job or a hash was committed twice")
	}
	if err := l.Settle(jobOf(1), preimageOf(2)); err == nil {
		t.Error("settled with a preimage of another hash")
	}
	ok(t, l.Void(jobOf(1), "the wallet says no"))
	if known, err := l.HashKnown(hashOf(1)); err != nil || !known {
		t.Error("the void hash is forgotten")
	}
	if commit(1, 1) {
		t.Error("a void hash was committed to again")
	}
	if !commit(1, 3) {
		t.Error("no new commitment after the void one")
	}
	ok(t, l.Settle(jobOf(1), preimageOf(3)))
	if err := l.Void(jobOf(1), "too late"); err == nil {
		t.Error("a settled commitment was freed")
	}
	c, err := l.Commitment(jobOf(1))
	if err != nil || !c.Settled || c.Preimage != preimageOf(3) || c.Amount != 5000 || c.Bolt11 != "lnbcrt1" {
		t.Errorf("kept %+v, %v", c, err)
	}
	if sum, err := l.SpentSince(time.Now().Add(-time.Hour)); err != nil || sum != 5000 {
		t.Errorf("spent %s, %v", sum, err)
	}
}

func TestAnOfferIsUsedByOneJob(t *testing.T) {
	l, _ := fresh(t)
	for _, c := range []struct {
		job  int
		ours bool
	}{{1, true}, {2, false}, {1, true}} {
		if ours, err := l.Use(jobOf(9), jobOf(c.job)); err != nil || ours != c.ours {
			t.Errorf("job %d: ours %v, %v", c.job, ours, err)
		}
	}
}

func TestTheJournalKeepsWhatAJobReliesOn(t *testing.T) {
	l, path := fresh(t)
	keys := events.GenerateKeys()
	var evs []*nostr.Event
	for i := range 3 {
		ev := &nostr.Event{Kind: 1, CreatedAt: 5, Content: fmt.Sprintf("%d ü \"quoted\"", i), Tags: nostr.Tags{{"e", "x"}}}
		ok(t, keys.Sign(context.Background(), ev))
		evs = append(evs, ev)
	}
	ok(t, l.Take(jobOf(1), Customer, map[string][]byte{"key": []byte("secret"), "none": nil}, evs[0]))
	ok(t, l.Take(jobOf(2), Customer, nil))
	ok(t, l.Keep(jobOf(1), evs[1], evs[0], evs[2]))
	if kept, err := l.Put(jobOf(1), "key", []byte("another")); err != nil || string(kept) != "secret" {
		t.Errorf("the first write did not win: %q %v", kept, err)
	}
	ok(t, l.Finish(jobOf(2), "done"))
	ok(t, l.Close())
	l, err := Open(path)
	ok(t, err)
	defer l.Close()
	got, err := l.Events(jobOf(1))
	if err != nil || len(got) != 3 {
		t.Fatalf("%d events, %v", len(got), err)
	}
	for i, ev := range got {
		if err := events.Verify(ev); err != nil || ev.ID != evs[i].ID {
			t.Errorf("event %d: %v", i, err)
		}
	}
	if open, err := l.Unfinished(Customer); err != nil || len(open) != 1 || open[0] != jobOf(1) {
		t.Errorf("unfinished: %v, %v", open, err)
	}
	if rows, err := l.Jobs(Customer, 10); err != nil || len(rows) != 2 || rows[0].Job != jobOf(2) || rows[0].End != "done" {
		t.Errorf("jobs: %+v, %v", rows, err)
	}
	if _, found, err := l.Value(jobOf(1), "missing"); found || err != nil {
		t.Error("found what is not there")
	}
}

func TestOnlyItsOwnerReadsIt(t *testing.T) {
	_, path := fresh(t)
	info, err := os.Stat(path)
	ok(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

// TestForeignFiles opens what is no ledger: a clear error that names the file, and the file stays as it is.
func TestForeignFiles(t *testing.T) {
	for name, make := range map[string]func(path string){
		"text": func(path string) {
			ok(t, os.WriteFile(path, []byte(strings.Repeat("not a database ", 1000)), 0o600))
		},
		"another program's database": func(path string) {
			db, err := durable.Open(path, durable.Schema{})
			ok(t, err)
			_, err = db.Exec("create table claims (x); insert into claims values (1)")
			ok(t, errors.Join(err, db.Close()))
		},
		"a ledger of the future": func(path string) {
			l, err := Open(path)
			ok(t, err)
			_, err = l.db.Exec(fmt.Sprintf("pragma user_version = %d", schema.Version+1))
			ok(t, errors.Join(err, l.Close()))
		},
	} {
		path := filepath.Join(t.TempDir(), "x.db")
		make(path)
		before, err := os.ReadFile(path)
		ok(t, err)
		if _, err := Open(path); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v", name, err)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s was changed", name)
		}
	}
	if _, err := Open(t.TempDir()); err == nil {
		t.Error("a folder is a ledger")
	}
}

// TestADamagedLedgerBuysNothing overwrites pages of a ledger: its answers are errors, never "first".
func TestADamagedLedgerBuysNothing(t *testing.T) {
	l, path := fresh(t)
	const n = 200
	for i := range n {
		h := hashOf(i)
		_, err := l.Begin(jobOf(i), &h)
		ok(t, err)
	}
	ok(t, l.Close())
	body, err := os.ReadFile(path)
	ok(t, err)
	const page = 4096
	for name, keep := range map[string]int{"all but the first page": page, "the second half": len(body) / page / 2 * page, "the header": 0} {
		damaged := bytes.Clone(body)
		for i := keep; i < len(damaged); i++ {
			damaged[i] = 0xff
		}
		path := filepath.Join(t.TempDir(), "damaged.db")
		ok(t, os.WriteFile(path, damaged, 0o600))
		l, err := Open(path)
		if err != nil {
			if !strings.Contains(err.Error(), path) {
				t.Errorf("%s: %v does not name the file", name, err)
			}
			continue
		}
		failed := 0
		for i := range n {
			h := hashOf(i)
			first, err := l.Begin(jobOf(i), &h)
			if first {
				t.Fatalf("%s: job %d began again", name, i)
			}
			if err != nil {
				failed++
			}
		}
		if failed == 0 {
			t.Errorf("%s: nothing was noticed", name)
		}
		l.Close()
	}
}

func BenchmarkBegin(b *testing.B) {
	l, _ := fresh(b)
	i := 0
	for b.Loop() {
		h := hashOf(i)
		if first, err := l.Begin(jobOf(i), &h); err != nil || !first {
			b.Fatal(first, err)
		}
		i++
	}
}

func TestTakeAndBeginIsBothOrNeither(t *testing.T) {
	l, _ := fresh(t)
	for i, want := range []bool{true, false} {
		first, err := l.TakeAndBegin(jobOf(1), Provider, map[string][]byte{"terms": {byte(i)}})
		ok(t, err)
		if first != want {
			t.Errorf("call %d: first %v", i, first)
		}
	}
	if terms, _, err := l.Value(jobOf(1), "terms"); err != nil || terms[0] != 0 {
		t.Errorf("the second call wrote: %v %v", terms, err)
	}
	if _, err := l.Start(jobOf(2)); err != nil {
		t.Fatal(err)
	}
	if first, err := l.TakeAndBegin(jobOf(2), Provider, nil); first || err != nil {
		t.Errorf("a started job began again: %v %v", first, err)
	}
	if open, err := l.Unfinished(Provider); err != nil || len(open) != 1 {
		t.Errorf("unfinished: %v %v", open, err)
	}
}
