package cli

import (
	"context"
	"errors"
	"time"

	"infernet/engine"
	"infernet/events"
	"infernet/fleet"
	"infernet/internal/ledger"
	"infernet/internal/store"
	"infernet/wallet"
)

// limits are beyond what the owner is told, as the settings in force say.
func (d *desk) limits() fleet.Limits {
	s, _, err := d.inForce(d.ledger)
	if err != nil {
		d.log.Error("the limits of alerts are not known", "err", err)
		s = d.app.settings
	}
	return fleet.Limits{
		Hot: float64(s.number("provide.alert.hot")), Free: s.number("provide.alert.free") << 20,
		Success: int(s.number("provide.alert.success")), Earnings: events.Msat(s.number("provide.alert.earnings")) * events.Sat,
	}
}

// newAlarms makes what tells the owner when something goes wrong at a node.
func (d *desk) newAlarms() *fleet.Alarms {
	return &fleet.Alarms{Name: cell(d.name), Limits: d.limits, Outbox: d.outbox, Log: d.log}
}

// Who is asked how often: engine and relays each time, the wallet and the last day each fourth time.
const (
	standardCheck = 15 * time.Second
	seldom        = 4
)

// check asks the parts that the node needs how they are, until ctx ends.
func (d *desk) check(ctx context.Context) {
	every := standardCheck
	if set := d.app.settings.duration("provide.sample"); set > 0 {
		every = max(set, time.Second)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		d.checkOnce(ctx, n%seldom == 0)
	}
}

func (d *desk) checkOnce(ctx context.Context, all bool) {
	ask := func(part string, look func(context.Context) error) {
		asking, cancel := context.WithTimeout(ctx, askIn)
		err := look(asking)
		cancel()
		if ctx.Err() == nil { // what ends with the node has not failed
			d.alarms.Asked(part, err)
		}
	}
	ask("relays", func(context.Context) error {
		for _, one := range d.pool.Status() {
			if one.Connected {
				return nil
			}
		}
		return errors.New("none answers, so nobody can buy")
	})
	ask("engine", func(ctx context.Context) error { return engine.Check(ctx, d.engine) })
	if !all {
		return
	}
	if purse, ok := d.purse.(wallet.Balancer); ok {
		ask("wallet", func(ctx context.Context) error {
			_, err := purse.Balance(ctx)
			if err != nil && !errors.Is(err, wallet.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
				return nil // it answers, and shows its balance to others
			}
			return err
		})
	}
	sum, whole, err := d.lastDay(ctx, time.Now())
	if err != nil {
		d.log.Debug("the last day's sum", "err", err)
		return
	}
	d.alarms.Day(sum, whole)
}

// lastDay counts the jobs of the last 24 hours; whole says that there are older ones.
func (d *desk) lastDay(ctx context.Context, now time.Time) (sum fleet.Sum, whole bool, err error) {
	since := events.At(now.Add(-24 * time.Hour))
	q := store.JobQuery{Since: since, Limit: 1000}
	for {
		page, err := d.page(ctx, q)
		if err != nil {
			return sum, false, err
		}
		for i := range page {
			sum.Add(&page[i])
		}
		if len(page) < q.Limit {
			break
		}
		mark := page[len(page)-1].Mark()
		q.Before = &mark
	}
	old, err := d.page(ctx, store.JobQuery{Before: &store.Mark{At: since}, Limit: 1})
	return sum, len(old) > 0, err
}

// ended judges a job whose row has changed.
func (d *desk) ended(j *store.Job) {
	if j.Role == ledger.Provider && j.End != "" && d.alarms != nil && !j.At.Time().Before(d.since.Add(-24*time.Hour)) {
		d.alarms.Ended(j)
	}
}
