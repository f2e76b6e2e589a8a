// Package batch buys many jobs out of one file, over many nodes, and survives whatever happens meanwhile.
//
// It promises that each line gets one result: what is bought for a line is written down before anything is paid for it, so
// that who is killed goes on with that job and does not buy another; a line that has its result is never bought again. A
// line that cannot be read stops the whole file before the first job, by its number.
//
// Begin with Read, Store.Create and Store.Run.
package batch

import (
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/durable"
)

// States of a batch.
const (
	Open      = "open"      // to be gone on with
	Done      = "done"      // every line has its result, or has failed for good
	Cancelled = "cancelled" // no more is bought
)

// States of a line.
const (
	waiting   = 0
	running   = 1
	delivered = 2
	failed    = 3
)

var schema = durable.Schema{Version: 1, Tables: `
create table batches (
	id text primary key, name text not null, hash text not null, at integer not null, state text not null, plain integer not null,
	base text not null, parallel integer not null, tries integer not null, max_total integer not null, began integer not null default 0
);
create table items (
	batch text not null, line integer not null, custom_id text not null, raw text not null, state integer not null default 0, tries integer not null default 0,
	job text not null default '', node text not null default '', result text not null default '', paid integer not null default 0, took_ms integer not null default 0, at integer not null default 0,
	primary key (batch, line)
) without rowid;
create index items_by_state on items (batch, state, at);
create table jobs (batch text not null, line integer not null, job text not null, primary key (batch, line, job)) without rowid;
`}

// Store is the file of all batches.
type Store struct{ db *durable.DB }

// OpenStore opens the file, and makes it if there is none.
func OpenStore(path string) (*Store, error) {
	db, err := durable.Open(path, schema)
	if err != nil {
		return nil, fmt.Errorf("batches: %w", err)
	}
	return &Store{db}, nil
}

// Close closes the file. What runs on it has to have ended.
func (s *Store) Close() error { return s.db.Close() }

// Spec is what a batch is made of.
type Spec struct {
	Name     string         // of the file
	Hash     string         // of what is in it, for Find; may be empty
	Plain    bool           // its lines are prompts, not requests
	Base     consumer.Order // what each line's order begins with
	Parallel int            // jobs at once
	Tries    int            // for a line, before it has failed for good
	MaxTotal events.Msat    // most that the whole batch may cost; no bound if 0
}

// Create writes a batch down, in one commit.
func (s *Store) Create(spec Spec, items []Item) (id string, err error) {
	var raw [8]byte
	rand.Read(raw[:])
	id = hex.EncodeToString(raw[:])
	base, err := json.Marshal(spec.Base)
	if err != nil {
		return "", err
	}
	err = s.db.Write(func(tx *durable.Tx) error {
		_, err := tx.Exec("insert into batches (id, name, hash, at, state, plain, base, parallel, tries, max_total) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			id, spec.Name, spec.Hash, time.Now().Unix(), Open, spec.Plain, string(base), max(1, spec.Parallel), max(1, spec.Tries), int64(spec.MaxTotal))
		if err != nil {
			return err
		}
		insert, err := tx.Prepare("insert into items (batch, line, custom_id, raw) values (?, ?, ?, ?)")
		if err != nil {
			return err
		}
		defer insert.Close()
		for _, it := range items {
			if _, err := insert.Exec(id, it.Line, it.ID, it.Raw); err != nil {
				return err
			}
		}
		return nil
	})
	return id, err
}

// ErrUnknown says that there is no such batch.
var ErrUnknown = errors.New("no such batch")

// spec reads what a batch was made of.
func (s *Store) spec(id string) (spec Spec, state string, err error) {
	var base string
	err = s.db.QueryRow("select name, hash, state, plain, base, parallel, tries, max_total from batches where id = ?", id).
		Scan(&spec.Name, &spec.Hash, &state, &spec.Plain, &base, &spec.Parallel, &spec.Tries, &spec.MaxTotal)
	if errors.Is(err, sql.ErrNoRows) {
		return spec, "", fmt.Errorf("%w: %s", ErrUnknown, id)
	}
	if err == nil {
		err = json.Unmarshal([]byte(base), &spec.Base)
	}
	return spec, state, err
}

// Find is the id of the newest open batch of a file with this hash; "" if there is none.
func (s *Store) Find(hash string) (id string, err error) {
	err = s.db.QueryRow("select id from batches where hash = ? and state = ? order by rowid desc limit 1", hash, Open).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return id, err
}

// Whole finds the batch whose id begins so; "last" is the newest.
func (s *Store) Whole(beginning string) (id string, err error) {
	query, arg := "select id from batches where substr(id, 1, length(?1)) = ?1 limit 2", beginning
	if beginning == "last" {
		query = "select id from batches where ?1 = 'last' order by rowid desc limit 1"
	}
	rows, err := s.db.Query(query, arg)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var found []string
	for rows.Next() {
		if err := rows.Scan(&id); err != nil {
			return "", err
		}
		found = append(found, id)
	}
	switch {
	case rows.Err() != nil:
		return "", rows.Err()
	case len(found) == 0 || beginning == "":
		return "", fmt.Errorf("%w: %s", ErrUnknown, beginning)
	case len(found) > 1:
		return "", fmt.Errorf("%w: more than one begins with %s", ErrUnknown, beginning)
	}
	return found[0], nil
}

// Cancel sees to it that nothing more is bought for a batch. What is under way goes on to its end: it may be paid for.
func (s *Store) Cancel(id string) error {
	return s.db.Write(func(tx *durable.Tx) error {
		res, err := tx.Exec("update batches set state = ? where id = ? and state = ?", Cancelled, id, Open)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, errOver)
		}
		return nil
	})
}

var errOver = errors.New("the batch is over already")

// SetMaxTotal sets what the whole batch may cost; 0 does not bound it.
func (s *Store) SetMaxTotal(id string, most events.Msat) error {
	return s.db.Write(func(tx *durable.Tx) error {
		_, err := tx.Exec("update batches set max_total = ? where id = ?", int64(most), id)
		return err
	})
}
