package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/durable"
	"infernet/internal/ledger"
	"infernet/wallet"
)

// item takes one line to its end. An error stops the whole batch.
func (r *run) item(ctx, feeding context.Context, line int) error {
	it := Item{Line: line}
	var state, tries int
	err := r.db.QueryRow("select custom_id, raw, state, tries from items where batch = ? and line = ?", r.id, line).Scan(&it.ID, &it.Raw, &state, &tries)
	if err != nil {
		return err
	}
	req, err := it.request(r.spec.Plain, r.spec.Base, r.api)
	if err != nil { // it was read once: another version of the program wrote it
		return r.end(it, market{Tries: tries}, req, nil, err, 0)
	}
	began := time.Now()
	for {
		var d *consumer.Delivery
		if state == running { // what was bought before a kill
			d, err = r.resume(ctx, it)
		} else {
			if feeding.Err() != nil {
				return nil
			}
			d, err = r.buy(ctx, feeding, it, req.Order())
		}
		if errors.Is(err, errNone) {
			if err := r.back(it, tries); err != nil {
				return err
			}
			state = waiting
			continue
		}
		if errors.Is(err, errStopped) {
			return nil
		}
		if err != nil && ctx.Err() != nil { // the next run goes on
			return nil
		}
		var budget *BudgetError
		if errors.As(err, &budget) || errors.Is(err, ledger.ErrBudget) || errors.Is(err, wallet.ErrInsufficient) {
			return errors.Join(r.back(it, tries), err)
		}
		if err == nil || forGood(err) {
			return r.end(it, market{Tries: tries + 1}, req, d, err, time.Since(began))
		}
		if !crowded(err) || time.Since(began) > r.life() {
			if tries++; tries >= r.spec.Tries {
				return r.end(it, market{Tries: tries}, req, nil, err, time.Since(began))
			}
		}
		r.Log.Info("a line of a batch is tried again", "batch", r.id, "line", it.Line, "tries", tries, "err", err)
		if err := r.back(it, tries); err != nil {
			return err
		}
		state = waiting
		select {
		case <-time.After(min(time.Second<<min(tries, 4), 10*time.Second)):
		case <-feeding.Done():
			return nil
		}
	}
}

// life is how long a line waits for a node that is there and has room.
func (r *run) life() time.Duration {
	if r.spec.Base.Life > 0 {
		return r.spec.Base.Life
	}
	return 5 * time.Minute
}

// buy buys a line. Each job of it is written down before anything can be paid for it.
func (r *run) buy(ctx, feeding context.Context, it Item, o consumer.Order) (*consumer.Delivery, error) {
	reserved, err := r.reserve(ctx, feeding, &o)
	if err != nil {
		return nil, err
	}
	defer func() { r.release(reserved) }()
	if o.Hedge == 0 && o.Way != consumer.Plain && o.Node == "" {
		o.Hedge = r.hedge()
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	o.Label = r.label(it.Line)
	return r.c.Do(ctx, o, r.noting(it, stop))
}

// noting writes down each job that is bought for a line, and stops what cannot be written down.
func (r *run) noting(it Item, stop context.CancelCauseFunc) func(consumer.Step) {
	noted := map[events.ID]bool{}
	return func(s consumer.Step) {
		if s.Job == "" || noted[s.Job] {
			return
		}
		noted[s.Job] = true
		if err := r.note(it, s.Job); err != nil {
			stop(err)
		}
	}
}

// note writes down a job of a line.
func (r *run) note(it Item, job events.ID) error {
	return r.db.Write(func(tx *durable.Tx) error {
		if _, err := tx.Exec("insert or ignore into jobs (batch, line, job) values (?, ?, ?)", r.id, it.Line, string(job)); err != nil {
			return err
		}
		_, err := tx.Exec("update items set state = ?, job = ? where batch = ? and line = ?", running, string(job), r.id, it.Line)
		return err
	})
}

// resume goes on with the jobs that were bought for a line: one may have been delivered, or may still be.
func (r *run) resume(ctx context.Context, it Item) (*consumer.Delivery, error) {
	jobs, err := r.jobs(it)
	if err != nil {
		return nil, err
	}
	last := errNone
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if jobs, err = r.hopeful(jobs); err != nil {
		return nil, err
	}
	for i, job := range jobs {
		d, err := r.c.Resume(ctx, job, r.noting(it, stop))
		if err == nil {
			return d, r.cancel(ctx, jobs[i+1:])
		}
		if last = err; ctx.Err() != nil {
			return nil, err
		}
	}
	return nil, last
}

// hopeful are the jobs that are delivered, then those that are paid, then those that can still be: the others have failed,
// or are not in the ledger.
func (r *run) hopeful(jobs []events.ID) ([]events.ID, error) {
	var sorted [3][]events.ID
	for _, job := range jobs {
		rows, err := r.c.Ledger.Rows(job)
		if err != nil {
			return nil, err
		}
		paid, err := r.c.Ledger.Commitment(job)
		if err != nil {
			return nil, err
		}
		ended := func(end string) bool {
			return slices.ContainsFunc(rows, func(row ledger.Row) bool { return row.Role == ledger.Customer && row.End == end })
		}
		switch {
		case ended(consumer.Delivered):
			sorted[0] = append(sorted[0], job)
		case ended("") && paid != nil:
			sorted[1] = append(sorted[1], job)
		case ended(""):
			sorted[2] = append(sorted[2], job)
		}
	}
	return slices.Concat(sorted[:]...), nil
}

// cancel cancels jobs of a line that has its result, as far as nothing was paid for them.
func (r *run) cancel(ctx context.Context, jobs []events.ID) error {
	for _, job := range jobs {
		rows, err := r.c.Ledger.Rows(job)
		if err != nil {
			return err
		}
		paid, err := r.c.Ledger.Commitment(job)
		if err != nil {
			return err
		}
		if paid != nil || !slices.ContainsFunc(rows, func(row ledger.Row) bool { return row.End == "" }) {
			continue
		}
		if err := r.c.Cancel(ctx, job); err != nil {
			r.Log.Warn("cannot cancel a job of a line that has its result", "job", job, "err", err)
		}
	}
	return nil
}

// label is what the ledger calls the jobs of a line.
func (r *run) label(line int) string { return fmt.Sprintf("batch %s line %d", r.id, line) }

// adopt finds jobs of the batch that a kill kept from being written down here: the ledger has them.
func (r *run) adopt() error {
	open, err := r.c.Unfinished()
	if err != nil {
		return err
	}
	for _, job := range open {
		o, err := r.c.Ordered(job)
		if err != nil {
			return err
		}
		var id string
		var line int
		if n, _ := fmt.Sscanf(o.Label, "batch %s line %d", &id, &line); n != 2 || id != r.id {
			continue
		}
		var known int
		if err := r.db.QueryRow("select count(*) from jobs where batch = ? and line = ? and job = ?", id, line, string(job)).Scan(&known); err != nil {
			return err
		}
		var state int
		if err := r.db.QueryRow("select state from items where batch = ? and line = ?", id, line).Scan(&state); err != nil {
			return err
		}
		switch {
		case known > 0:
		case state == delivered:
			if err := r.cancel(context.Background(), []events.ID{job}); err != nil {
				return err
			}
		default:
			if err := r.note(Item{Line: line}, job); err != nil {
				return err
			}
		}
	}
	return nil
}

// errNone says that none of a line's jobs can still be delivered.
var errNone = errors.New("no job of the line is left")

func (r *run) jobs(it Item) (all []events.ID, err error) {
	rows, err := r.db.Query("select job from jobs where batch = ? and line = ?", r.id, it.Line)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var job events.ID
		if err := rows.Scan(&job); err != nil {
			return nil, err
		}
		all = append(all, job)
	}
	return all, rows.Err()
}

// back puts a line back among those that wait.
func (r *run) back(it Item, tries int) error {
	return r.db.Write(func(tx *durable.Tx) error {
		_, err := tx.Exec("update items set state = ?, tries = ? where batch = ? and line = ?", waiting, tries, r.id, it.Line)
		return err
	})
}

// end writes a line's result down, once.
func (r *run) end(it Item, m market, req Request, d *consumer.Delivery, failure error, took time.Duration) error {
	jobs, err := r.jobs(it)
	if err != nil {
		return err
	}
	if m.Paid, err = spent(r.c.Ledger, jobs); err != nil {
		return err
	}
	state := failed
	if d != nil {
		m.Job, m.Node, state = d.Job, d.Node, delivered
	} else if len(jobs) > 0 {
		m.Job = jobs[len(jobs)-1]
	}
	result, err := r.write(it, m, req, d, failure)
	if err != nil {
		return err
	}
	err = r.db.Write(func(tx *durable.Tx) error {
		_, err := tx.Exec("update items set state = ?, tries = ?, job = ?, node = ?, result = ?, paid = ?, took_ms = ?, at = ? where batch = ? and line = ? and state < ?",
			state, m.Tries, string(m.Job), string(m.Node), result, int64(m.Paid), took.Milliseconds(), time.Now().UnixMilli(), r.id, it.Line, delivered)
		return err
	})
	if err != nil {
		return err
	}
	r.told(it, state, m.Paid, took, result)
	return nil
}

// forGood says whether no other try would end otherwise: the line itself is wrong.
func forGood(err error) bool {
	var param *events.ParamError
	var refused *consumer.RefusedError
	if errors.As(err, &refused) {
		return refused.Code == events.CodeInvalidParameter || refused.Code == events.CodeTooLarge
	}
	return errors.As(err, &param)
}

// crowded says whether nobody has had the line yet: nodes or relays are away, or have no room now.
func crowded(err error) bool {
	var (
		none     *consumer.NoOffersError
		refused  *consumer.RefusedError
		vanished *consumer.VanishedError
	)
	switch {
	case errors.As(err, &none):
		return len(none.Near) == 0 && none.About <= none.MaxCost && len(none.Dear) == 0
	case errors.As(err, &refused):
		return refused.Owed == 0 && (refused.Code == events.CodeUnavailable || refused.Code == events.CodeRateLimited)
	case errors.As(err, &vanished):
		return vanished.Paid == 0 || vanished.Held
	}
	return errors.Is(err, wallet.ErrUnavailable)
}

func quantile(all []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
