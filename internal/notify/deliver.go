package notify

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"infernet/internal/durable"
)

const (
	sendIn    = 30 * time.Second // how long one try may take
	firstWait = 5 * time.Second  // after the first failure; doubled after each
	longest   = time.Hour
	lookEvery = 5 * time.Second // other processes put notices here too, and settings change
)

// Run tells what there is to tell until ctx ends, each way at its own pace.
func (o *Outbox) Run(ctx context.Context) error {
	var ways sync.WaitGroup
	defer ways.Wait()
	wakes := map[string]chan struct{}{}
	for _, way := range o.Ways {
		wake := make(chan struct{}, 1)
		wakes[way.Name()] = wake
		ways.Go(func() { o.run(ctx, way, wake) })
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-o.wake:
		}
		for _, wake := range wakes {
			select {
			case wake <- struct{}{}:
			default:
			}
		}
	}
}

func (o *Outbox) run(ctx context.Context, way Way, wake <-chan struct{}) {
	for ctx.Err() == nil {
		again, err := o.deliver(ctx, way)
		if err != nil && ctx.Err() == nil {
			o.Log.Error("cannot read the notices", "way", way.Name(), "err", err)
		}
		if again && err == nil {
			continue
		}
		timer := time.NewTimer(lookEvery)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// deliver tries the next notice that is due in one way. again is false if there was none.
func (o *Outbox) deliver(ctx context.Context, way Way) (again bool, err error) {
	n, since, tries, err := o.take(way.Name())
	if err != nil || n == nil {
		return false, err
	}
	sendCtx, cancel := context.WithTimeout(ctx, sendIn)
	sent := way.Send(sendCtx, *n)
	cancel()
	if ctx.Err() != nil && sent != nil { // the next run tries again, at once
		_, err := o.db.Exec("update deliveries set due = ? where way = ? and seq = ?", o.Now().UnixMilli(), way.Name(), n.Seq)
		return false, err
	}
	now := o.Now()
	switch {
	case sent == nil:
		_, err = o.db.Exec("update deliveries set done = ?, error = '' where way = ? and seq = ?", now.UnixMilli(), way.Name(), n.Seq)
	case now.Sub(since) >= o.Tries:
		o.Log.Warn("gave a notice up", "way", way.Name(), "notice", n.ID, "title", n.Title, "err", sent)
		_, err = o.db.Exec("update deliveries set done = ?, tries = tries + 1, error = ? where way = ? and seq = ?",
			now.UnixMilli(), sent.Error(), way.Name(), n.Seq)
	default:
		wait := pause(tries)
		o.Log.Info("could not tell a notice, tries again", "way", way.Name(), "notice", n.ID, "in", wait, "err", sent)
		_, err = o.db.Exec("update deliveries set due = ?, tries = tries + 1, error = ? where way = ? and seq = ?",
			now.Add(wait).UnixMilli(), sent.Error(), way.Name(), n.Seq)
	}
	return true, err
}

// pause is how long to wait after so many failures and one more: doubled each time, and up to a quarter more by chance, so
// that many nodes do not come back in step.
func pause(tries int) time.Duration {
	wait := min(firstWait<<min(tries, 20), longest)
	return wait + rand.N(wait/4)
}

// take takes the next notice that is due in one way, for longer than a try may last: other processes leave it alone, and a
// crash gives it back. An incident's end waits until its beginning is told. Quiet hours put off what is not urgent.
func (o *Outbox) take(way string) (n *Notice, since time.Time, tries int, err error) {
	now := o.Now()
	quiet := o.Quiet.Has(now) || o.Muted().After(now)
	var seq, due int64
	var began sql.NullInt64
	err = o.db.QueryRow(`select seq, tries, since, due from deliveries as d where way = ? and done is null and due <= ? and (urgent or not ?)
		and (incident = '' or not exists (select 1 from deliveries as e where e.way = d.way and e.incident = d.incident and e.done is null and e.seq < d.seq))
		order by urgent desc, seq limit 1`, way, now.UnixMilli(), quiet).Scan(&seq, &tries, &began, &due)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, now, 0, nil
	}
	if err != nil {
		return nil, now, 0, err
	}
	if since = now; began.Valid {
		since = time.UnixMilli(began.Int64)
	}
	found, err := o.notices("where seq = ?", seq)
	if err != nil || len(found) == 0 {
		return nil, since, 0, err
	}
	ours := false
	err = o.db.Write(func(tx *durable.Tx) error {
		res, err := tx.Exec("update deliveries set due = ?, since = ? where way = ? and seq = ? and due = ? and done is null",
			now.Add(2*sendIn).UnixMilli(), since.UnixMilli(), way, seq, due)
		if err != nil {
			return err
		}
		rows, err := res.RowsAffected()
		ours = rows == 1
		return err
	})
	if err != nil || !ours { // another process was quicker
		return nil, since, 0, err
	}
	return &found[0], since, tries, nil
}
