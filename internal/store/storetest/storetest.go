// Package storetest holds a store to what its interface says. Begin with Run.
package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/notify"
	"infernet/internal/store"
)

// Run runs the suite. open opens the store in a folder, and makes it; it is opened again after it was closed.
func Run(t *testing.T, open func(t *testing.T, dir string) store.Store) {
	fresh := func(t *testing.T) store.Store {
		s := open(t, t.TempDir())
		t.Cleanup(func() { s.Close() })
		return s
	}
	t.Run("empty", func(t *testing.T) { empty(t, fresh(t)) })
	t.Run("what was put comes back as it was", func(t *testing.T) { roundTrip(t, fresh(t)) })
	t.Run("lists are filtered, ordered and paged", func(t *testing.T) { lists(t, fresh(t)) })
	t.Run("the newest replaces", func(t *testing.T) { replaces(t, fresh(t)) })
	t.Run("a batch is written or not", func(t *testing.T) { allOrNothing(t, fresh(t)) })
	t.Run("many at once", func(t *testing.T) { many(t, fresh(t)) })
	t.Run("it is there after it was closed", func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, dir)
		want := full(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir)
		defer s.Close()
		equal(t, All(t, s), want)
	})
}

// Content is all that a store holds.
type Content struct {
	Jobs     []store.Job
	Notices  []notify.Notice
	Settings []store.Setting
}

// All reads all that a store holds, page by page.
func All(t testing.TB, r store.Reader) (c Content) {
	t.Helper()
	for q := (store.JobQuery{Limit: 1000}); ; {
		rows, err := r.Jobs(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		c.Jobs = append(c.Jobs, rows...)
		if len(rows) < 1000 {
			break
		}
		mark := rows[len(rows)-1].Mark()
		q.Before = &mark
	}
	for q := (store.NoticeQuery{Limit: 1000}); ; {
		rows, err := r.Notices(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		c.Notices = append(c.Notices, rows...)
		if len(rows) < 1000 {
			break
		}
		q.Before = rows[len(rows)-1].Seq
	}
	var err error
	if c.Settings, err = r.Settings(context.Background()); err != nil {
		t.Fatal(err)
	}
	return c
}

// equal compares two lists or contents; empty ones are equal to none.
func equal(t testing.TB, got, want any) {
	t.Helper()
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func put(t testing.TB, s store.Store, b store.Batch) {
	t.Helper()
	if err := s.Put(context.Background(), b); err != nil {
		t.Fatal(err)
	}
}

func id(i int) events.ID { return events.ID(fmt.Sprintf("%064x", i)) }

func job(i int) store.Job {
	return store.Job{ID: id(i), Role: ledger.Customer, Seq: int64(i), At: events.Unix(1_700_000_000 + i), End: "delivered"}
}

func notice(i int) notify.Notice {
	return notify.Notice{ID: fmt.Sprint("n", i), Seq: int64(i), At: events.Unix(i), Level: notify.Info, Title: fmt.Sprint(i)}
}

// full puts something of everything.
func full(t testing.TB, s store.Store) Content {
	c := Content{[]store.Job{job(2), job(1)}, []notify.Notice{notice(3), notice(2)}, []store.Setting{{Name: "a", Value: "1", At: 7}}}
	put(t, s, store.Batch{Jobs: c.Jobs, Notices: c.Notices, Settings: c.Settings, Marks: map[string]int64{"x": 4}})
	return c
}

func empty(t *testing.T, s store.Store) {
	equal(t, All(t, s), Content{})
	if marks, err := s.Marks(t.Context()); err != nil || len(marks) != 0 {
		t.Errorf("marks %v, %v", marks, err)
	}
	put(t, s, store.Batch{})
}

func roundTrip(t *testing.T, s store.Store) {
	text := "\"quoted\" 'single' <b>&amp; ; drop table jobs; -- \u2028 ü 漢字 🙂 \n\ttab"
	full := store.Job{
		ID: id(1), Role: ledger.Provider, Seq: 1<<53 + 1, Kind: events.KindText, Model: text, Peer: events.PubKey(id(9)), At: 1_700_000_000, Done: 1_700_000_001,
		End: strings.Repeat(text, 100), Paid: events.MaxMsat, Sure: true, Owed: events.MaxMsat - 1, In: 1<<53 + 1, Out: 2, Ms: 3,
		Input: text, Output: strings.Repeat("x", 60_000),
	}
	n := notify.Notice{ID: "n", Seq: 5, At: 9, Level: notify.Urgent, Incident: text, Over: true, Title: text, Text: strings.Repeat(text, 50), Job: id(1)}
	setting := store.Setting{Name: text, Value: strings.Repeat(text, 100), At: 3}
	put(t, s, store.Batch{Jobs: []store.Job{full}, Notices: []notify.Notice{n}, Settings: []store.Setting{setting}, Marks: map[string]int64{text: 1<<53 + 1}})
	got := All(t, s)
	if len(got.Jobs) != 1 || got.Jobs[0] != full || len(got.Notices) != 1 || got.Notices[0] != n || !slices.Equal(got.Settings, []store.Setting{setting}) {
		t.Errorf("got %+v", got)
	}
	if marks, err := s.Marks(t.Context()); err != nil || marks[text] != 1<<53+1 {
		t.Errorf("marks %v, %v", marks, err)
	}
}

func lists(t *testing.T, s store.Store) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var all []store.Job
	for i := range 120 {
		j := job(i)
		j.At = events.Unix(1_700_000_000 + r.IntN(20)) // many at the same second
		if r.IntN(2) == 0 {
			j.Role = ledger.Provider
		}
		switch r.IntN(3) {
		case 0:
			j.End = ""
		case 1:
			j.Paid, j.Sure = 5, r.IntN(2) == 0
		}
		all = append(all, j)
		if r.IntN(10) == 0 { // both parties are here
			j.Role = map[ledger.Role]ledger.Role{ledger.Customer: ledger.Provider, ledger.Provider: ledger.Customer}[j.Role]
			all = append(all, j)
		}
	}
	put(t, s, store.Batch{Jobs: all})
	slices.SortFunc(all, func(a, b store.Job) int { return a.Mark().Compare(b.Mark()) })
	for _, q := range []store.JobQuery{
		{}, {Limit: 7}, {Role: ledger.Customer, Limit: 5}, {Role: ledger.Provider, Live: true, Limit: 3}, {Live: true}, {Since: 1_700_000_010, Limit: 10},
		{Role: ledger.Customer, Since: 1_700_000_010, Live: true, Limit: 2}, {Since: 1_800_000_000}, {Limit: 5000},
	} {
		var want, got []store.Job
		for _, j := range all {
			if q.Wants(&j) {
				want = append(want, j)
			}
		}
		for {
			page, err := s.Jobs(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			if len(page) > store.Limit(q.Limit) {
				t.Errorf("a page of %d", len(page))
			}
			got = append(got, page...)
			mark := page[len(page)-1].Mark()
			q.Before = &mark
		}
		equal(t, got, want)
	}
	var notices []notify.Notice
	for i := range 30 {
		notices = append(notices, notice(30-i))
	}
	put(t, s, store.Batch{Notices: notices})
	if page, err := s.Notices(t.Context(), store.NoticeQuery{Limit: 4}); err != nil || !slices.Equal(page, notices[:4]) {
		t.Errorf("notices %v, %v", page, err)
	}
	if page, err := s.Notices(t.Context(), store.NoticeQuery{Limit: 4, Before: 27}); err != nil || !slices.Equal(page, notices[4:8]) {
		t.Errorf("more notices %v, %v", page, err)
	}
}

func replaces(t *testing.T, s store.Store) {
	full(t, s)
	j, n := job(1), notice(2)
	j.End, j.Paid, n.Title = "cancelled", 5, "other"
	put(t, s, store.Batch{Jobs: []store.Job{j}, Notices: []notify.Notice{n}, Settings: []store.Setting{{Name: "a", Value: "2", At: 8}}, Marks: map[string]int64{"x": 5}})
	put(t, s, store.Batch{Settings: []store.Setting{{Name: "a", Value: "old", At: 6}, {Name: "b", At: 6}}, Marks: map[string]int64{"y": 1}})
	equal(t, All(t, s), Content{[]store.Job{job(2), j}, []notify.Notice{notice(3), n}, []store.Setting{{Name: "a", Value: "2", At: 8}, {Name: "b", At: 6}}})
	if marks, err := s.Marks(t.Context()); err != nil || !reflect.DeepEqual(marks, map[string]int64{"x": 5, "y": 1}) {
		t.Errorf("marks %v, %v", marks, err)
	}
}

func allOrNothing(t *testing.T, s store.Store) {
	want := full(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	j := job(9)
	err := s.Put(ctx, store.Batch{Jobs: []store.Job{j}, Notices: []notify.Notice{notice(9)}, Marks: map[string]int64{"x": 9}})
	if err == nil {
		t.Error("a batch that was given up was put")
	}
	equal(t, All(t, s), want)
	if marks, err := s.Marks(t.Context()); err != nil || marks["x"] != 4 {
		t.Errorf("marks %v, %v", marks, err)
	}
}

func many(t *testing.T, s store.Store) {
	var wait sync.WaitGroup
	const writers, each = 4, 10
	for w := range writers {
		wait.Go(func() {
			for i := range each {
				if err := s.Put(t.Context(), store.Batch{Jobs: []store.Job{job(w*each + i)}, Marks: map[string]int64{fmt.Sprint(w): int64(i)}}); err != nil {
					t.Error(err)
				}
			}
		})
		wait.Go(func() {
			for range each {
				if _, err := s.Jobs(t.Context(), store.JobQuery{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	if got := All(t, s); len(got.Jobs) != writers*each {
		t.Errorf("%d jobs", len(got.Jobs))
	}
}
