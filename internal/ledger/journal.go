package ledger

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/durable"
)

// Role is a party's part in a job.
type Role string

// The roles. One ledger may hold both.
const (
	Provider Role = "provider"
	Customer Role = "customer"
)

// Take writes down that a job is taken on, in one commit: its first events, and facts that belong to it. From now on it
// is unfinished.
func (l *Ledger) Take(job events.ID, role Role, facts map[string][]byte, evs ...*nostr.Event) error {
	return l.TakeAfter("", job, role, facts, evs...)
}

// TakeAfter is Take for a job that goes on from another one (if not ""), which ends in the same commit: never are both
// unfinished, or neither.
func (l *Ledger) TakeAfter(old, job events.ID, role Role, facts map[string][]byte, evs ...*nostr.Event) error {
	return l.db.Write(func(tx *durable.Tx) error {
		if old != "" {
			if err := finish(tx, old, "went on as "+string(job)); err != nil {
				return err
			}
		}
		return take(tx, job, role, facts, evs)
	})
}

// TakeAndBegin is Take and Begin, for a job that nobody pays for first, in one commit instead of two. Nothing is written
// if the job was started before.
func (l *Ledger) TakeAndBegin(job events.ID, role Role, facts map[string][]byte, evs ...*nostr.Event) (first bool, err error) {
	err = l.db.Write(func(tx *durable.Tx) error {
		if first, err = start(tx, job); err != nil || !first {
			return err
		}
		return take(tx, job, role, facts, evs)
	})
	return first, err
}

func take(tx *durable.Tx, job events.ID, role Role, facts map[string][]byte, evs []*nostr.Event) error {
	for name, value := range facts {
		if _, err := put(tx, job, name, value); err != nil {
			return err
		}
	}
	if err := keep(tx, job, evs); err != nil {
		return err
	}
	_, err := once(tx, "insert into jobs (job, role, at) values (?, ?, ?)", string(job), string(role), now())
	return err
}

// Keep writes signed events of a job into the journal. An event that is there already stays as it is.
func (l *Ledger) Keep(job events.ID, evs ...*nostr.Event) error {
	return l.db.Write(func(tx *durable.Tx) error { return keep(tx, job, evs) })
}

func keep(tx *durable.Tx, job events.ID, evs []*nostr.Event) error {
	for _, ev := range evs {
		body, err := json.Marshal(ev)
		if err != nil {
			return err
		}
		if _, err := once(tx, "insert into events (id, job, event) values (?, ?, ?)", ev.ID, string(job), string(body)); err != nil {
			return err
		}
	}
	return nil
}

// Events gives a job's journal, in the order it was kept.
func (l *Ledger) Events(job events.ID) ([]*nostr.Event, error) {
	rows, err := l.db.Query("select event from events where job = ? order by seq", string(job))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var evs []*nostr.Event
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return nil, err
		}
		ev := &nostr.Event{}
		if err := json.Unmarshal(body, ev); err != nil {
			return nil, fmt.Errorf("journal of job %s: %w", job, err)
		}
		evs = append(evs, ev)
	}
	return evs, rows.Err()
}

// Put keeps a fact or secret of a job: the first write wins, and what is kept is returned.
func (l *Ledger) Put(job events.ID, name string, value []byte) (kept []byte, err error) {
	err = l.db.Write(func(tx *durable.Tx) error {
		kept, err = put(tx, job, name, value)
		return err
	})
	return kept, err
}

func put(tx *durable.Tx, job events.ID, name string, value []byte) ([]byte, error) {
	if value == nil {
		value = []byte{}
	}
	first, err := once(tx, "insert into facts (job, name, value) values (?, ?, ?)", string(job), name, value)
	if first || err != nil {
		return value, err
	}
	err = tx.QueryRow("select value from facts where job = ? and name = ?", string(job), name).Scan(&value)
	return value, err
}

// Signer gives who ordered a job: the key that it was given for itself, else own, which may be nil.
func (l *Ledger) Signer(job events.ID, own events.Signer) (events.Signer, error) {
	secret, _, err := l.Value(job, "key")
	if err != nil || len(secret) == 0 {
		return own, err
	}
	return events.NewKeys(string(secret))
}

// Value gives a fact or secret of a job; ok is false if there is none.
func (l *Ledger) Value(job events.ID, name string) (value []byte, ok bool, err error) {
	err = l.db.QueryRow("select value from facts where job = ? and name = ?", string(job), name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	return value, err == nil, err
}

// Finish writes down how a job ended: it is not resumed any more.
func (l *Ledger) Finish(job events.ID, end string) error {
	return l.db.Write(func(tx *durable.Tx) error { return finish(tx, job, end) })
}

func finish(tx *durable.Tx, job events.ID, end string) error {
	_, err := tx.Exec("update jobs set end = ? where job = ? and end is null", end, string(job))
	return err
}

// Unfinished lists the jobs without an end, oldest first: what to resume.
func (l *Ledger) Unfinished(role Role) ([]events.ID, error) {
	rows, err := l.jobs("select seq, job, role, at, end from jobs where role = ? and end is null order by seq", string(role))
	var ids []events.ID
	for _, row := range rows {
		ids = append(ids, row.Job)
	}
	return ids, err
}

// Row is a job in the list of jobs.
type Row struct {
	Seq  int64 // rises with every job
	Job  events.ID
	Role Role
	At   time.Time
	End  string // "" while it has none
}

// Jobs lists a role's newest jobs, newest first.
func (l *Ledger) Jobs(role Role, limit int) ([]Row, error) {
	return l.jobs("select seq, job, role, at, end from jobs where role = ? order by seq desc limit ?", string(role), limit)
}

// Rows gives a job's rows: one for each role that it has here.
func (l *Ledger) Rows(job events.ID) ([]Row, error) {
	return l.jobs("select seq, job, role, at, end from jobs where job = ? order by seq", string(job))
}

func (l *Ledger) jobs(query string, args ...any) ([]Row, error) {
	rows, err := l.db.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []Row
	for rows.Next() {
		var row Row
		var at int64
		var end sql.NullString
		if err := rows.Scan(&row.Seq, &row.Job, &row.Role, &at, &end); err != nil {
			return nil, err
		}
		row.At, row.End = time.Unix(at, 0), end.String
		found = append(found, row)
	}
	return found, rows.Err()
}
