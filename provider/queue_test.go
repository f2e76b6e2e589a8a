package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestQueueOrder fills a queue while its only slot is taken and reads in which order it is emptied.
func TestQueueOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		q := newQueue(1)
		first, err := q.slot(t.Context(), place{model: "m"})
		if err != nil {
			t.Fatal(err)
		}
		var order []string
		var wait sync.WaitGroup
		for _, w := range []struct {
			name string
			rank int
			due  int
		}{{"low", 0, 1}, {"late", 1, 90}, {"soon", 1, 10}, {"high late", 2, 80}, {"high soon", 2, 5}, {"soon too", 1, 10}} {
			wait.Go(func() {
				done, err := q.slot(t.Context(), place{w.rank, began.Add(time.Duration(w.due) * time.Minute), "m"})
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, w.name) // one at a time
				done()
			})
			synctest.Wait()
		}
		first()
		wait.Wait()
		// the fourth turn is of who has waited longest
		if want := []string{"high soon", "high late", "soon", "low", "soon too", "late"}; !slices.Equal(order, want) {
			t.Errorf("order %v, want %v", order, want)
		}
		if q.running() != 0 || q.waiting() != 0 || len(q.runs) != 0 {
			t.Errorf("%d run, %d wait, %v", q.running(), q.waiting(), q.runs)
		}
	})
}

// TestQueueStarvesNobody has one customer of low priority among an endless stream of high ones that fill the queue.
func TestQueueStarvesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1)
		ctx, stop := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		var served atomic.Int64
		before := int64(-1)
		for range 16 { // each comes again at once
			wait.Go(func() {
				for {
					done, err := q.slot(ctx, place{rank: 2, due: time.Now().Add(time.Second)})
					if err != nil {
						return
					}
					time.Sleep(time.Second)
					served.Add(1)
					done()
				}
			})
		}
		time.Sleep(10 * time.Second)
		begun := served.Load()
		wait.Go(func() {
			done, err := q.slot(ctx, place{rank: 0, due: time.Now().Add(time.Hour)})
			if err == nil {
				before = served.Load() - begun
				done()
			}
			stop()
		})
		wait.Wait()
		if before < 0 || before > fourth*17 {
			t.Errorf("%d were served before it, at most %d may be", before, fourth*17)
		}
		t.Logf("a job of low priority behind 16 of high priority that come again and again was served after %d of them", before)
	})
}

// TestQueueBoundsEachModel has one model at one job at a time beside another that may use the other slots.
func TestQueueBoundsEachModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(3)
		q.set(3, map[string]int{"big": 1})
		var mu sync.Mutex
		now, most := map[string]int{}, map[string]int{}
		var wait sync.WaitGroup
		for i := range 24 {
			model := []string{"big", "small"}[i%2]
			wait.Go(func() {
				done, err := q.slot(t.Context(), place{rank: 1, due: time.Now().Add(time.Hour), model: model})
				if err != nil {
					t.Error(err)
					return
				}
				defer done()
				mu.Lock()
				now[model]++
				most[model] = max(most[model], now[model])
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				now[model]--
				mu.Unlock()
			})
		}
		wait.Wait()
		if most["big"] != 1 || most["small"] < 2 || most["small"] > 3 {
			t.Errorf("at once ran %v", most)
		}
		q.set(1, nil) // an owner who takes slots away
		done, err := q.slot(t.Context(), place{})
		if err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("waited"))
		defer cancel()
		if _, err := q.slot(short, place{}); fmt.Sprint(err) != "waited" {
			t.Errorf("a second slot: %v", err)
		}
		done()
		if q.running() != 0 || q.waiting() != 0 {
			t.Errorf("%d run, %d wait", q.running(), q.waiting())
		}
	})
}
