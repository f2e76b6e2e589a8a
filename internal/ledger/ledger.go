// Package ledger remembers which payments bought what. A payment buys once, a job runs once, an offer is used once.
//
// What a method has returned is on the disk: it survives kill -9 and power loss (SQLite, WAL, synchronous=FULL). Many
// processes may open one ledger. Beside the money facts it keeps the journal: every signed event and secret that a job
// relies on, which jobs have no end yet, and records of what no event says, such as settings. Begin with Take and Begin for a provider, Take and Commit for a customer.
package ledger

import (
	"fmt"
	"time"

	"infernet/internal/durable"
)

// Ledger is an open ledger. Its methods may be called at the same time.
type Ledger struct {
	db *durable.DB
}

const records = `
create table records     (seq integer primary key autoincrement, topic text not null, name text not null, value blob not null, at integer not null, unique (topic, name));
`

var schema = durable.Schema{Version: 3, Next: []string{records, accounts}, Tables: records + accounts + `
create table claims      (hash text primary key, job text not null) without rowid;
create table starts      (job text primary key, at integer not null) without rowid;
create table uses        (offer text primary key, job text not null) without rowid;
create table commitments (job text primary key, hash text not null unique, payee text not null, bolt11 text not null,
                                        amount integer not null, at integer not null, preimage text) without rowid;
create table voids       (hash text primary key, job text not null, amount integer not null, why text not null, at integer not null) without rowid;
create table facts       (job text not null, name text not null, value blob not null, primary key (job, name)) without rowid;
create table events      (seq integer primary key, id text not null unique, job text not null, event text not null);
create index events_job  on events (job, seq);
create table jobs        (seq integer primary key, job text not null, role text not null, at integer not null, end text, unique (job, role));
create index jobs_open   on jobs (role, seq) where end is null;
`}

// ErrForeign says that a file is no ledger of this version.
var ErrForeign = durable.ErrForeign

// ErrFull says that the disk takes nothing more; nothing was written.
var ErrFull = durable.ErrFull

// Open opens a ledger, and makes it if there is none, readable by its owner only.
func Open(path string) (*Ledger, error) {
	db, err := durable.Open(path, schema)
	if err != nil {
		return nil, fmt.Errorf("ledger %s: %w", path, err)
	}
	return &Ledger{db}, nil
}

// Close closes the ledger.
func (l *Ledger) Close() error { return l.db.Close() }

// once inserts a row that may exist once, and says whether this call did.
func once(tx *durable.Tx, query string, args ...any) (first bool, err error) {
	res, err := tx.Exec(query+" on conflict do nothing", args...)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

func now() int64 { return time.Now().Unix() }
