package ledger

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/wallet"
)

const childEnv = "INFERNET_TEST_LEDGER"

// TestMain is also the process that tests race against and kill.
func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		l, err := Open(path)
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		for i := 0; i < 20_000; i++ {
			h := hashOf(i)
			first, err := l.Begin(jobOf(i), &h)
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

func TestTwoProcessesBeginEachJobOnce(t *testing.T) {
	_, path := fresh(t)
	const each = 150
	firsts := make([]int, each)
	var mu sync.Mutex
	var wait sync.WaitGroup
	for range 2 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+path)
		out, err := cmd.StdoutPipe()
		ok(t, err)
		ok(t, cmd.Start())
		wait.Go(func() {
			scan := bufio.NewScanner(out)
			for scan.Scan() {
				var i int
				var first bool
				if n, _ := fmt.Sscan(scan.Text(), &i, &first); n != 2 {
					t.Errorf("said %q", scan.Text())
					break
				}
				if i >= each {
					break
				}
				if first {
					mu.Lock()
					firsts[i]++
					mu.Unlock()
				}
			}
			cmd.Process.Kill()
			cmd.Wait()
		})
	}
	wait.Wait()
	for i, n := range firsts {
		if n != 1 {
			t.Errorf("job %d was first %d times", i, n)
		}
	}
}

func TestWhatWasSaidSurvivesAKill(t *testing.T) {
	_, path := fresh(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	out, err := cmd.StdoutPipe()
	ok(t, err)
	ok(t, cmd.Start())
	said := 0
	scan := bufio.NewScanner(out)
	for scan.Scan() {
		if said++; said == 200 {
			cmd.Process.Kill() // and read what it had said until then
		}
	}
	cmd.Wait()
	l, err := Open(path)
	ok(t, err)
	defer l.Close()
	for i := range said {
		if job, err := l.Claimed(hashOf(i)); err != nil || job != jobOf(i) {
			t.Errorf("claim %d was said and is gone: %s %v", i, job, err)
		}
	}
	if said < 200 {
		t.Errorf("only %d were said", said)
	}
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

func TestForeignFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	ok(t, os.WriteFile(path, []byte(strings.Repeat("not a database ", 1000)), 0o600))
	if _, err := Open(path); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
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
