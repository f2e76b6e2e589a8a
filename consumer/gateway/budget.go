package gateway

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/durable"
	"infernet/internal/ledger"
)

// Budget remembers what each caller may spend and has spent, on the disk. What a job can cost at most is taken off before
// it is ordered, in one commit with the check that it is there: callers at once get no more than one after the other. What
// is counted is what nodes were paid; the fees of the payments are not in it. Days are UTC.
type Budget struct {
	db     *durable.DB
	maxDay events.Msat                        // of all callers together, where nothing else is set; 0 does not bound
	alarm  func(who string, a consumer.Alarm) // told when a day's budget reaches a mark; may be nil
}

// Everybody is whose limit holds for all callers together; "" is who shows no app key.
const Everybody = "*"

// Limit is what a caller may do. A field that is nil or empty does not limit.
type Limit struct {
	Day    *events.Msat // most a day
	Total  *events.Msat // most ever
	Models []string     // only these
}

// Spent is what a caller has spent, and what is out for jobs under way.
type Spent struct{ Day, Total events.Msat }

// ShortError says that a budget does not have what a job can cost.
type ShortError struct {
	Who         string
	Span        string // day, or in all
	Limit, Left events.Msat
	Need        events.Msat
}

func (e *ShortError) Error() string {
	whose := "the app key " + e.Who
	switch e.Who {
	case Everybody:
		whose = "all callers together"
	case "":
		whose = "callers without an app key"
	}
	return fmt.Sprintf("the budget of %s %s is %s, %s of it is left, and this job can cost %s", whose, e.Span, e.Limit.Human(), e.Left.Human(), e.Need.Human())
}

var budgetSchema = durable.Schema{Version: 2, Next: []string{shelfTables}, Tables: `
create table limits (who text primary key, day integer, total integer, models text not null default '');
create table sums (who text not null, day text not null, msat integer not null, primary key (who, day)) without rowid;
create table holds (id integer primary key, who text not null, day text not null, msat integer not null);
create table hold_jobs (hold integer not null, job text not null, primary key (hold, job)) without rowid;
` + shelfTables}

// OpenBudget opens the file, and makes it if there is none.
func OpenBudget(path string) (*Budget, error) {
	db, err := durable.Open(path, budgetSchema)
	if err != nil {
		return nil, fmt.Errorf("budgets: %w", err)
	}
	return &Budget{db: db}, nil
}

func (b *Budget) Close() error { return b.db.Close() }

func dayOf(now time.Time) string { return now.UTC().Format(time.DateOnly) }

// everTotal is the day under which what was ever spent is summed up.
const everTotal = ""

// Set sets a caller's limit; the zero Limit takes it away.
func (b *Budget) Set(who string, l Limit) error {
	return b.db.Write(func(tx *durable.Tx) error {
		_, err := tx.Exec("insert or replace into limits (who, day, total, models) values (?, ?, ?, ?)", who, msat(l.Day), msat(l.Total), strings.Join(l.Models, ","))
		return err
	})
}

func msat(m *events.Msat) any {
	if m == nil {
		return nil
	}
	return int64(*m)
}

type querier interface {
	QueryRow(query string, args ...any) *sql.Row
}

// Limit is what was set for a caller.
func (b *Budget) Limit(who string) (Limit, error) { return limitOf(b.db, who) }

func limitOf(q querier, who string) (l Limit, err error) {
	var models string
	err = q.QueryRow("select day, total, models from limits where who = ?", who).Scan(&l.Day, &l.Total, &models)
	if errors.Is(err, sql.ErrNoRows) {
		return Limit{}, nil
	}
	if models != "" {
		l.Models = strings.Split(models, ",")
	}
	return l, err
}

// Spent is what a caller has spent.
func (b *Budget) Spent(who string, now time.Time) (s Spent, err error) {
	if s.Day, err = sumOf(b.db, who, dayOf(now)); err == nil {
		s.Total, err = sumOf(b.db, who, everTotal)
	}
	return s, err
}

func sumOf(q querier, who, day string) (sum events.Msat, err error) {
	err = q.QueryRow("select msat from sums where who = ? and day = ?", who, day).Scan(&sum)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return sum, err
}

// Callers are all that have a limit or have spent.
func (b *Budget) Callers() (all []string, err error) {
	rows, err := b.db.Query("select who from limits union select who from sums order by who")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var who string
		if err := rows.Scan(&who); err != nil {
			return nil, err
		}
		all = append(all, who)
	}
	return all, rows.Err()
}

// hold is money that was taken off a budget for a job under way.
type hold struct {
	b       *Budget
	id      int64
	storage events.Msat // what file servers were paid; no ledger has it
}

// take takes what a job can cost off its caller's budget and that of all, or says which has too little (*ShortError).
// maxDay bounds the day of all callers; 0 does not.
func (b *Budget) take(who string, amount, maxDay events.Msat, now time.Time) (*hold, error) {
	h, day := &hold{b: b}, dayOf(now)
	err := b.db.Write(func(tx *durable.Tx) error {
		for _, of := range []string{who, Everybody} {
			l, err := limitOf(tx, of)
			if err != nil {
				return err
			}
			if of == Everybody && l.Day == nil && maxDay > 0 {
				l.Day = &maxDay
			}
			for _, span := range []struct {
				limit     *events.Msat
				day, word string
			}{{l.Day, day, "for a day"}, {l.Total, everTotal, "in all"}} {
				if span.limit == nil {
					continue
				}
				sum, err := sumOf(tx, of, span.day)
				if err != nil {
					return err
				}
				if sum+amount > *span.limit {
					return &ShortError{of, span.word, *span.limit, max(0, *span.limit-sum), amount}
				}
			}
		}
		res, err := tx.Exec("insert into holds (who, day, msat) values (?, ?, ?)", who, day, int64(amount))
		if err != nil {
			return err
		}
		if h.id, err = res.LastInsertId(); err != nil {
			return err
		}
		return add(tx, who, day, amount)
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// add changes a caller's sums and those of all.
func add(tx *durable.Tx, who, day string, amount events.Msat) error {
	for _, of := range []string{who, Everybody} {
		for _, when := range []string{day, everTotal} {
			if _, err := tx.Exec("insert into sums (who, day, msat) values (?, ?, ?) on conflict do update set msat = msat + excluded.msat", of, when, int64(amount)); err != nil {
				return err
			}
		}
	}
	return nil
}

// note writes down which job the money is for, before anything is paid.
func (h *hold) note(job events.ID) error {
	if h == nil {
		return nil
	}
	return h.b.db.Write(func(tx *durable.Tx) error {
		_, err := tx.Exec("insert or ignore into hold_jobs (hold, job) values (?, ?)", h.id, string(job))
		return err
	})
}

// settle gives back what the jobs did not cost, as the ledger knows it. Until over, the money may still move.
func (h *hold) settle(l *ledger.Ledger, over bool) error {
	if h == nil {
		return nil
	}
	return h.b.settle(h.id, h.storage, l, over)
}

func (b *Budget) settle(id int64, paid events.Msat, l *ledger.Ledger, over bool) error {
	rows, err := b.db.Query("select job from hold_jobs where hold = ?", id)
	if err != nil {
		return err
	}
	var jobs []events.ID
	for rows.Next() {
		var job events.ID
		if err := rows.Scan(&job); err != nil {
			rows.Close()
			return err
		}
		jobs = append(jobs, job)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, job := range jobs {
		c, err := l.Commitment(job)
		if err != nil {
			return err
		}
		if c != nil {
			paid += c.Amount
		}
	}
	var reached []func()
	err = b.db.Write(func(tx *durable.Tx) error {
		var who, day string
		var held events.Msat
		err := tx.QueryRow("select who, day, msat from holds where id = ?", id).Scan(&who, &day, &held)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := add(tx, who, day, paid-held); err != nil {
			return err
		}
		for _, of := range []string{who, Everybody} {
			l, err := limitOf(tx, of)
			if err != nil {
				return err
			}
			if of == Everybody && l.Day == nil && b.maxDay > 0 {
				l.Day = &b.maxDay
			}
			if l.Day == nil {
				continue
			}
			sum, err := sumOf(tx, of, day)
			if err != nil {
				return err
			}
			var out events.Msat // for jobs that are under way
			if err := tx.QueryRow("select coalesce(sum(msat), 0) from holds where day = ? and id <> ? and (who = ? or ? = ?)", day, id, of, of, Everybody).Scan(&out); err != nil {
				return err
			}
			sum -= out
			if mark := consumer.Mark(sum, *l.Day); over && b.alarm != nil && mark > consumer.Mark(sum-paid, *l.Day) {
				reached = append(reached, func() { b.alarm(of, consumer.Alarm{Percent: mark, Spent: sum, Of: *l.Day}) })
			}
		}
		if !over {
			_, err = tx.Exec("update holds set msat = ? where id = ?", int64(paid), id)
			return err
		}
		if _, err := tx.Exec("delete from hold_jobs where hold = ?", id); err != nil {
			return err
		}
		_, err = tx.Exec("delete from holds where id = ?", id)
		return err
	})
	if err != nil {
		return err
	}
	for _, tell := range reached {
		tell()
	}
	return nil
}

// recover settles what an earlier run left open, but what is for jobs that go on.
func (b *Budget) recover(l *ledger.Ledger, on map[events.ID]bool) error {
	rows, err := b.db.Query("select id, coalesce((select max(job) from hold_jobs where hold = id), '') from holds")
	if err != nil {
		return err
	}
	var open []int64
	for rows.Next() {
		var id int64
		var job events.ID // of one hold there are several only where one follows the other
		if err := rows.Scan(&id, &job); err != nil {
			rows.Close()
			return err
		}
		if !on[job] {
			open = append(open, id)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, id := range open {
		if err := b.settle(id, 0, l, true); err != nil {
			return err
		}
	}
	return nil
}

// holdOf is the hold that is open for a job; nil if none is.
func (b *Budget) holdOf(job events.ID) (*hold, error) {
	h := &hold{b: b}
	err := b.db.QueryRow("select hold from hold_jobs where job = ?", string(job)).Scan(&h.id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return h, err
}
