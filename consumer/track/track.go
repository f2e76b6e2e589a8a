// Package track remembers what this client has measured of each node, over restarts: speed, price and failures of its own
// jobs, newer ones counting more, and which nodes have a pause (a circuit breaker).
//
// It promises that what was noted is seen at once by its own process, and by every other that shares the file within
// seconds. What a crash takes with it is the last moment: no money depends on it. Begin with Open, Note and Measured.
package track

import (
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"infernet/consumer/choose"
	"infernet/events"
	"infernet/internal/durable"
)

var schema = durable.Schema{Version: 1, Tables: `
create table nodes (
	node text not null, model text not null, -- '' is the node with all its models
	jobs integer not null, weight real not null, failed real not null, first_ms real not null, rate real not null, dear real not null, late real not null,
	in_row integer not null, until_ms integer not null, lied real not null, lied_ms integer not null, why text not null, at_ms integer not null,
	primary key (node, model)
) without rowid;
`}

// key is one model at one node; no model is the node with all of them.
type key struct {
	node  events.PubKey
	model string
}

// Record is an open file of what was measured.
type Record struct {
	db  *durable.DB
	log *slog.Logger

	mu      sync.Mutex
	rows    map[key]row
	read    time.Time        // when rows were read
	pending []choose.Outcome // that are not on the disk yet
	wake    chan struct{}
	closing chan struct{}
	ended   chan struct{}
}

// freshFor is how long what was read counts: other processes write, too.
const freshFor = 2 * time.Second

// Open opens the file, and makes it if there is none.
func Open(path string, log *slog.Logger) (*Record, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	db, err := durable.Open(path, schema)
	if err != nil {
		return nil, fmt.Errorf("what was measured: %w", err)
	}
	r := &Record{db: db, log: log, rows: map[key]row{}, wake: make(chan struct{}, 1), closing: make(chan struct{}), ended: make(chan struct{})}
	if r.rows, err = r.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("what was measured: %w", err), db.Close())
	}
	r.read = time.Now()
	go r.write()
	return r, nil
}

// Close writes what is not on the disk yet.
func (r *Record) Close() error {
	close(r.closing)
	<-r.ended
	return r.db.Close()
}

// Measured is what is known of a model at a node, and of the node: a lie of one model speaks against all.
func (r *Record) Measured(node events.PubKey, model string) choose.Measured {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refresh()
	whole, now := r.row(key{node, ""}), time.Now()
	if model == "" {
		return whole.measured(now)
	}
	m, all := r.row(key{node, model}).measured(now), whole.measured(now)
	if m.Lied = all.Lied; m.Lied > 0 && all.Until.After(m.Until) {
		m.Until, m.Why = all.Until, all.Why
	}
	if m.Jobs == 0 {
		m.Failed = all.Failed
	}
	return m
}

// row is a row as of now: with what is not on the disk yet.
func (r *Record) row(k key) row {
	now := r.rows[k]
	for _, o := range r.pending {
		if o.Node == k.node && (o.Model == k.model || k.model == "") {
			now = now.after(o)
		}
	}
	return now
}

// refresh reads again what others may have written.
func (r *Record) refresh() {
	if time.Since(r.read) < freshFor {
		return
	}
	r.read = time.Now()
	rows, err := r.load()
	if err != nil {
		r.log.Warn("cannot read what was measured", "err", err)
		return
	}
	r.rows = rows
}

// Note notes how a try ended.
func (r *Record) Note(o choose.Outcome) {
	r.mu.Lock()
	r.pending = append(r.pending, o)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// write writes what is noted: all that waits in one commit.
func (r *Record) write() {
	defer close(r.ended)
	for {
		select {
		case <-r.wake:
			r.flush()
		case <-r.closing:
			r.flush()
			return
		}
	}
}

func (r *Record) flush() {
	r.mu.Lock()
	batch := r.pending[:len(r.pending):len(r.pending)]
	r.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	changed := map[key]row{}
	err := r.db.Write(func(tx *durable.Tx) error {
		for _, o := range batch {
			for _, model := range []string{o.Model, ""} {
				k := key{o.Node, model}
				old, ok := changed[k]
				if !ok {
					var err error
					if old, err = one(tx, k); err != nil {
						return err
					}
				}
				changed[k] = old.after(o)
				if o.Model == "" {
					break
				}
			}
		}
		for k, row := range changed {
			if err := row.put(tx, k); err != nil {
				return err
			}
		}
		return nil
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil { // it counts in this process until it ends
		r.log.Warn("cannot write what was measured", "err", err)
		if len(r.pending) < 1000 {
			return
		}
	}
	r.pending = r.pending[len(batch):]
	for k, row := range changed {
		r.rows[k] = row
	}
}

// Forget forgets a node: all that was measured of it, and its pause. It says whether anything was known.
func (r *Record) Forget(node events.PubKey) (known bool, err error) {
	err = r.db.Write(func(tx *durable.Tx) error {
		res, err := tx.Exec("delete from nodes where node = ?", string(node))
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		known = n > 0
		return err
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read = time.Time{}
	return known, err
}

// Known is what is known of one model at one node.
type Known struct {
	Node  events.PubKey
	Model string
	At    time.Time // of the last job
	choose.Measured
}

// All is what is known of each model at each node, by node and model.
func (r *Record) All() (all []Known, err error) {
	rows, err := r.db.Query("select node, model from nodes where model <> '' or (select count(*) from nodes n where n.node = nodes.node) = 1 order by node, model")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var k Known
		if err := rows.Scan(&k.Node, &k.Model); err != nil {
			return nil, err
		}
		k.Measured = r.Measured(k.Node, k.Model)
		r.mu.Lock()
		k.At = time.UnixMilli(r.row(key{k.Node, k.Model}).at)
		r.mu.Unlock()
		all = append(all, k)
	}
	return all, rows.Err()
}

func (r *Record) load() (map[key]row, error) {
	rows, err := r.db.Query("select node, model, " + columns + " from nodes")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[key]row{}
	for rows.Next() {
		var k key
		var x row
		if err := rows.Scan(append([]any{&k.node, &k.model}, x.fields()...)...); err != nil {
			return nil, err
		}
		all[k] = x
	}
	return all, rows.Err()
}

func one(tx *durable.Tx, k key) (x row, err error) {
	err = tx.QueryRow("select "+columns+" from nodes where node = ? and model = ?", string(k.node), k.model).Scan(x.fields()...)
	if errors.Is(err, sql.ErrNoRows) {
		return row{}, nil
	}
	return x, err
}
