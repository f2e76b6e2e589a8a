package batch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/durable"
)

// Options say how a batch is watched while it runs. All may be unset.
type Options struct {
	Progress func(Status)         // after each line that is over; calls do not overlap
	Alarm    func(consumer.Alarm) // told when a half, four fifths and all of MaxTotal are spent
	Result   func(line string)    // each new result, as it comes, as a line of JSON; calls do not overlap
	Log      *slog.Logger
}

// BudgetError says that the batch may not cost as much as its next line can.
type BudgetError struct{ Paid, Need, Most events.Msat }

func (e *BudgetError) Error() string {
	return fmt.Sprintf("the batch has cost %s, its next line can cost %s, and all of it may cost %s", e.Paid.Human(), e.Need.Human(), e.Most.Human())
}

// run is a batch that runs.
type run struct {
	*Store
	Options
	c    *consumer.Consumer
	api  API
	id   string
	spec Spec

	mu       sync.Mutex
	status   Status
	reserved events.Msat     // for what is under way
	took     []time.Duration // of the last lines, without order
	nth      int             // of the next in took
	began    time.Time
	done     int   // lines that were over since
	failure  error // why the whole batch stops
	freed    *sync.Cond
}

// Run goes on with a batch until every line is over, it is cancelled, ctx ends, or nothing more may be paid (*BudgetError,
// ledger.ErrBudget, wallet.ErrInsufficient). What is under way when it returns is written down, and gone on with by the next
// Run. Only one may run at a time.
func (s *Store) Run(ctx context.Context, c *consumer.Consumer, api API, id string, o Options) error {
	spec, state, err := s.spec(id)
	if err != nil {
		return err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &run{Store: s, Options: o, c: c, api: api, id: id, spec: spec, began: time.Now()}
	r.freed = sync.NewCond(&r.mu)
	if r.status, err = s.Status(id, nil); err != nil {
		return err
	}
	if err := r.adopt(); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	feeding, stopFeeding := context.WithCancel(ctx)
	defer stopFeeding()
	go r.untilCancelled(feeding, stopFeeding)
	context.AfterFunc(feeding, r.wake)

	places := make(chan struct{}, spec.Parallel)
	var all sync.WaitGroup
	for _, of := range []int{running, waiting} { // what is paid for first
		if of == waiting && state != Open {
			break
		}
		lines, err := s.lines(id, of)
		if err != nil {
			return err
		}
		for _, line := range lines {
			if of == waiting && (feeding.Err() != nil || r.over()) {
				break
			}
			select {
			case places <- struct{}{}:
			case <-ctx.Done():
			}
			if ctx.Err() != nil || of == waiting && (feeding.Err() != nil || r.over()) {
				break
			}
			all.Go(func() {
				defer func() { <-places }()
				if err := r.item(ctx, feeding, line); err != nil {
					r.fail(err)
					stopFeeding()
				}
			})
		}
	}
	all.Wait()
	if r.failure != nil {
		return r.failure
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return s.finish(id)
}

// untilCancelled ends the feeding once another process has cancelled the batch.
func (r *run) untilCancelled(ctx context.Context, stop func()) {
	look := time.NewTicker(500 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			if _, state, err := r.Store.spec(r.id); err == nil && state != Open {
				stop()
				return
			}
		}
	}
}

func (r *run) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.freed.Broadcast()
}

func (r *run) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure == nil {
		r.failure = err
	}
	r.freed.Broadcast()
}

func (r *run) over() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failure != nil
}

// lines are the lines in a state, in order.
func (s *Store) lines(id string, state int) (all []int, err error) {
	rows, err := s.db.Query("select line from items where batch = ? and state = ? order by line", id, state)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var line int
		if err := rows.Scan(&line); err != nil {
			return nil, err
		}
		all = append(all, line)
	}
	return all, rows.Err()
}

// finish writes down that every line is over, if it is.
func (s *Store) finish(id string) error {
	return s.db.Write(func(tx *durable.Tx) error {
		_, err := tx.Exec("update batches set state = ? where id = ? and state = ? and not exists (select 1 from items where batch = batches.id and state < ?)", Done, id, Open, delivered)
		return err
	})
}

// reserve takes what a line can cost off what is left of the batch's money, and waits for what is under way if that is too
// little now.
func (r *run) reserve(ctx, feeding context.Context, o *consumer.Order) (events.Msat, error) {
	if r.spec.MaxTotal == 0 || o.MaxCost == 0 {
		return 0, nil
	}
	need := o.MaxCost
	if ranked, err := r.c.Rank(ctx, *o); err == nil && len(ranked) > 0 && !ranked[0].Out { // else it says itself what is wrong
		need = min(need, ranked[0].Most)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.status.Paid+r.reserved+need > r.spec.MaxTotal {
		if r.reserved == 0 {
			return 0, &BudgetError{r.status.Paid, need, r.spec.MaxTotal}
		}
		if feeding.Err() != nil || r.failure != nil {
			return 0, errStopped
		}
		r.freed.Wait()
	}
	r.reserved += need
	o.MaxCost = need
	return need, nil
}

func (r *run) release(amount events.Msat) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reserved -= amount
	r.freed.Broadcast()
}

// errStopped says that nothing more is to be begun.
var errStopped = errors.New("stopped")

// hedge is how long a line may take before it is bought from another node, too: twice what 95 of 100 took, once that is
// known; 0 is never.
func (r *run) hedge() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.took) < 20 {
		return 0
	}
	return max(2*quantile(r.took, 0.95), 500*time.Millisecond)
}

// told tells who watches that a line is over.
func (r *run) told(it Item, state int, paid events.Msat, took time.Duration, result string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := consumer.Mark(r.status.Paid, r.spec.MaxTotal)
	r.status.Paid += paid
	if mark := consumer.Mark(r.status.Paid, r.spec.MaxTotal); mark > before && r.Alarm != nil {
		r.Alarm(consumer.Alarm{Percent: mark, Spent: r.status.Paid, Of: r.spec.MaxTotal})
	}
	if state == delivered {
		r.status.Delivered++
		if r.nth++; len(r.took) < pace {
			r.took = append(r.took, took)
		} else {
			r.took[r.nth%pace] = took
		}
	} else {
		r.status.Failed++
	}
	r.done++
	st := r.status
	if left := st.Total - st.Delivered - st.Failed; r.done > 1 && left > 0 {
		st.ETA = time.Duration(float64(time.Since(r.began)) / float64(r.done) * float64(left))
	}
	if r.Result != nil {
		r.Result(result)
	}
	if r.Progress != nil {
		r.Progress(st)
	}
}
