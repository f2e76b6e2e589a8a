package store

import (
	"context"
	"fmt"
	"maps"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/notify"
)

// pieces is how many entries of a journal are read for one batch.
const pieces = 500

// follower keeps a store in step with the journals.
type follower struct {
	store    Store
	journals *Journals
	marks    map[string]int64
	live     map[string]source // rows that may still change, by key
	changed  func(Job)         // told each row that is new or has changed, once it is stored
}

// source is where a row comes from.
type source struct {
	journal string
	last    Job
}

// edition is how rows are computed. A store of another edition is computed anew.
const edition = 2

// follow opens a follower where the store stands. A store that is ahead of its journals has followed others: it starts
// anew with these, and what it has of others stays.
func follow(ctx context.Context, s Store, j *Journals, changed func(Job)) (*follower, error) {
	f := &follower{store: s, journals: j, live: map[string]source{}, changed: changed}
	marks, err := s.Marks(ctx)
	if err != nil {
		return nil, err
	}
	if f.marks = maps.Clone(marks); f.marks["edition"] != edition {
		f.marks = map[string]int64{}
		if err := s.Put(ctx, Batch{Marks: map[string]int64{"edition": edition}}); err != nil {
			return nil, err
		}
	}
	for q := (JobQuery{Live: true, Limit: 1000}); ; {
		rows, err := s.Jobs(ctx, q)
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			return f, nil
		}
		for _, row := range rows {
			f.live[row.Key()] = source{last: row}
		}
		mark := rows[len(rows)-1].Mark()
		q.Before = &mark
	}
}

// catchUp reads what the journals have that the store has not.
func (f *follower) catchUp(ctx context.Context) error {
	if err := f.journals.look(); err != nil {
		return err
	}
	ledgers, outbox := f.journals.seen()
	for name, l := range ledgers {
		if err := f.ledger(ctx, name, l); err != nil {
			return fmt.Errorf("follow the ledger %s: %w", name, err)
		}
	}
	if err := f.lively(ctx, ledgers); err != nil {
		return err
	}
	if err := f.notices(ctx, outbox); err != nil {
		return fmt.Errorf("follow the notices: %w", err)
	}
	return nil
}

func (f *follower) ledger(ctx context.Context, name string, l *ledger.Ledger) error {
	jobs, records := "jobs of "+name, "records of "+name
	lastEvent, lastRecord, err := l.Last()
	if err != nil {
		return err
	}
	if f.marks[jobs] > lastEvent || f.marks[records] > lastRecord {
		f.marks[jobs], f.marks[records] = 0, 0
	}
	for f.marks[jobs] < lastEvent {
		ids, mark, err := l.Touched(f.marks[jobs], pieces)
		if err != nil {
			return err
		}
		var rows []Job
		for _, id := range ids {
			more, err := f.rows(ctx, l, id)
			if err != nil {
				return err
			}
			rows = append(rows, more...)
		}
		if err := f.put(ctx, name, Batch{Jobs: rows, Marks: map[string]int64{jobs: mark}}); err != nil {
			return err
		}
	}
	if f.marks[records] == lastRecord {
		return nil
	}
	changed, err := l.Records(Topic, f.marks[records])
	if err != nil {
		return err
	}
	b := Batch{Marks: map[string]int64{records: lastRecord}}
	for _, r := range changed {
		b.Settings = append(b.Settings, settingOf(r))
		b.Marks[records] = max(b.Marks[records], r.Seq)
	}
	return f.put(ctx, name, b)
}

func (f *follower) rows(ctx context.Context, l *ledger.Ledger, id events.ID) (jobs []Job, err error) {
	rows, err := l.Rows(id)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		job, err := jobOf(ctx, l, row, f.journals.files.Signer)
		if err != nil {
			return nil, trouble(id, err)
		}
		jobs = append(jobs, job)
	}
	return jobs, nil
}

// lively looks again at the rows that may still change: an end, or a payment's word, is no event.
func (f *follower) lively(ctx context.Context, ledgers map[string]*ledger.Ledger) error {
	for name, l := range ledgers {
		var b Batch
		for key, at := range f.live {
			if at.journal != "" && at.journal != name {
				continue
			}
			rows, err := f.rows(ctx, l, at.last.ID)
			if err != nil {
				return err
			}
			for _, row := range rows {
				if row.Key() == key && row != at.last {
					b.Jobs = append(b.Jobs, row)
				}
			}
		}
		if len(b.Jobs) > 0 {
			if err := f.put(ctx, name, b); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *follower) notices(ctx context.Context, o *notify.Outbox) error {
	if o == nil {
		return nil
	}
	const name = "notices"
	last, err := o.Last()
	if err != nil {
		return err
	}
	if f.marks[name] > last {
		f.marks[name] = 0
	}
	for f.marks[name] < last {
		found, err := o.Notices(f.marks[name], pieces)
		if err != nil || len(found) == 0 {
			return err
		}
		if err := f.put(ctx, name, Batch{Notices: found, Marks: map[string]int64{name: found[len(found)-1].Seq}}); err != nil {
			return err
		}
	}
	return nil
}

func (f *follower) put(ctx context.Context, journal string, b Batch) error {
	if err := f.store.Put(ctx, b); err != nil {
		return err
	}
	maps.Copy(f.marks, b.Marks)
	for _, row := range b.Jobs {
		delete(f.live, row.Key())
		if row.Live() {
			f.live[row.Key()] = source{journal, row}
		}
		if f.changed != nil {
			f.changed(row)
		}
	}
	return nil
}
