package ledger

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/durable"
)

func event(i int) *nostr.Event {
	return &nostr.Event{ID: fmt.Sprintf("%064x", i), Content: fmt.Sprint(i)}
}

// TestAnOlderLedgerIsUpgraded opens files of the first and of the second version: what is in them stays, and what is new works.
func TestAnOlderLedgerIsUpgraded(t *testing.T) {
	tables := strings.Replace(schema.Tables, accounts, "", 1)
	upgraded(t, durable.Schema{Version: 2, Tables: tables})
	upgraded(t, durable.Schema{Version: 1, Tables: strings.Replace(tables, records, "", 1)})
}

func upgraded(t *testing.T, from durable.Schema) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger.db")
	db, err := durable.Open(path, from)
	ok(t, err)
	old := &Ledger{db}
	ok(t, old.Take(jobOf(1), Provider, nil, event(1)))
	if err := old.Record("setting", "a", nil); err == nil && from.Version == 1 {
		t.Fatal("the first version knows records")
	}
	if _, err := old.Account("c"); err == nil {
		t.Fatal("the old version knows accounts")
	}
	ok(t, old.Close())
	for range 2 {
		l, err := Open(path)
		ok(t, err)
		if evs, err := l.Events(jobOf(1)); err != nil || len(evs) != 1 {
			t.Errorf("%d events, %v", len(evs), err)
		}
		_, err = l.Account("c")
		ok(t, errors.Join(err, l.Record("setting", "a", []byte("1")), l.Close()))
	}
}

func TestFollowersMissNothing(t *testing.T) {
	l, _ := fresh(t)
	ok(t, l.Take(jobOf(1), Provider, nil, event(1), event(2)))
	ok(t, l.Take(jobOf(2), Customer, nil, event(3)))
	ok(t, l.Keep(jobOf(1), event(4)))
	var seen []events.ID
	mark := int64(0)
	for {
		jobs, next, err := l.Touched(mark, 2)
		ok(t, err)
		if len(jobs) == 0 {
			break
		}
		seen, mark = append(seen, jobs...), next
	}
	if want := []events.ID{jobOf(1), jobOf(2), jobOf(1)}; !slices.Equal(seen, want) {
		t.Errorf("saw %v", seen)
	}
	ok(t, l.Keep(jobOf(2), event(5)))
	if jobs, _, err := l.Touched(mark, 100); err != nil || !slices.Equal(jobs, []events.ID{jobOf(2)}) {
		t.Errorf("then %v, %v", jobs, err)
	}
	if rows, err := l.Rows(jobOf(1)); err != nil || len(rows) != 1 || rows[0].Role != Provider || rows[0].Seq == 0 {
		t.Errorf("rows %+v, %v", rows, err)
	}
}

// TestTheNewestRecordHolds changes a record that is the newest of all: its mark has to rise, or followers miss it.
func TestTheNewestRecordHolds(t *testing.T) {
	l, _ := fresh(t)
	mark := int64(0)
	for i, value := range []string{"1", "2", ""} {
		ok(t, l.Record("setting", "a", []byte(value)))
		got, err := l.Records("setting", mark)
		ok(t, err)
		if len(got) != 1 || string(got[0].Value) != value || got[0].Name != "a" || got[0].At.IsZero() {
			t.Fatalf("change %d: %+v", i, got)
		}
		mark = got[0].Seq
	}
	ok(t, l.Record("other", "a", nil))
	if got, err := l.Records("setting", mark); err != nil || len(got) != 0 {
		t.Errorf("another topic's: %+v, %v", got, err)
	}
	if _, last, err := l.Last(); err != nil || last <= mark {
		t.Errorf("last %d, %v", last, err)
	}
}
