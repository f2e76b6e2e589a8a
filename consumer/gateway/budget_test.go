package gateway

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/wallet"
)

var day = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// TestBudgetTakesTheLedgersWord ends a gateway between a payment and its entry: the next one counts what was committed to,
// and gives back the rest.
func TestBudgetTakesTheLedgersWord(t *testing.T) {
	dir := t.TempDir()
	l, err := ledger.Open(filepath.Join(dir, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	open := func() *Budget {
		t.Helper()
		b, err := OpenBudget(filepath.Join(dir, "budget.db"))
		if err == nil {
			err = b.recover(l, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b := open()
	most := 100 * events.Sat
	if err := b.Set("app", Limit{Day: &most}); err != nil {
		t.Fatal(err)
	}
	paid, err := b.take("app", 60*events.Sat, 0, day)
	if err != nil {
		t.Fatal(err)
	}
	if err := paid.note("a"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.take("app", 30*events.Sat, 0, day); err != nil { // nothing is paid of it
		t.Fatal(err)
	}
	var short *ShortError
	if _, err := b.take("app", 11*events.Sat, 0, day); !errors.As(err, &short) || short.Left != 10*events.Sat {
		t.Errorf("%v", err)
	}
	if _, err := l.Commit(ledger.Commitment{Job: "a", Hash: wallet.Hash{1}, Amount: 25 * events.Sat, At: day}); err != nil {
		t.Fatal(err)
	}
	b.Close() // as a crash leaves it: nothing is settled

	b = open()
	defer func() { b.Close() }()
	want := func(who string, today, ever events.Msat) {
		t.Helper()
		if got, err := b.Spent(who, day); err != nil || got.Day != today || got.Total != ever {
			t.Errorf("%s: %+v %v, want %s and %s", who, got, err, today, ever)
		}
	}
	want("app", 25_000, 25_000)
	want(Everybody, 25_000, 25_000)
	if _, err := b.take("app", 75*events.Sat, 0, day); err != nil {
		t.Errorf("what was given back: %v", err)
	}
	if _, err := b.take("app", 100*events.Sat, 0, day.Add(24*time.Hour)); err != nil {
		t.Errorf("the next day: %v", err)
	}
	if _, err := b.take("other", 100*events.Sat, 150*events.Sat, day); !errors.As(err, &short) || short.Who != Everybody || short.Left != 50*events.Sat {
		t.Errorf("all together: %v", err)
	}
	held, err := b.take("third", 10*events.Sat, 0, day)
	if err != nil {
		t.Fatal(err)
	}
	// money that is out stays taken until its end is known
	if err := held.note("h"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Commit(ledger.Commitment{Job: "h", Hash: wallet.Hash{2}, Amount: 4 * events.Sat, At: day}); err != nil {
		t.Fatal(err)
	}
	if err := held.settle(l, false); err != nil {
		t.Fatal(err)
	}
	want("third", 4_000, 4_000)
	if err := l.Void("h", "it came back"); err != nil {
		t.Fatal(err)
	}
	if err := held.settle(l, true); err != nil {
		t.Fatal(err)
	}
	want("third", 0, 0)
}
