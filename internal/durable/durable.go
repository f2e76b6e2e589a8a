// Package durable is a SQLite file whose commits survive kill -9 and power loss: write-ahead log, synchronous=FULL. Many
// processes may open one file, also while it is being made. Begin with Open and Write.
package durable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrForeign says that a file is no database, another program's, or of a later version.
var ErrForeign = errors.New("not a file of this version of infernet")

// ErrFull says that the disk takes nothing more. What is on it can be read, and written to again once there is room.
var ErrFull = errors.New("the disk is full")

// Schema is what a file holds: statements that make its tables, and their version, from 1.
type Schema struct {
	Version int
	Tables  string
	Next    []string // statements that bring a file of version 1 to 2, of 2 to 3 and so on; Version-1 of them, or none
}

// DB is an open file.
type DB struct{ *sql.DB }

// Tx is one commit in the making.
type Tx = sql.Tx

// patience is how long another process is waited for.
const patience = 10 * time.Second

// Open opens a file, and makes it and its tables if there are none, readable by its owner only. A file that is something
// else is left as it is: ErrForeign.
func Open(path string, schema Schema) (*DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	pragmas := url.Values{
		"_pragma": {fmt.Sprintf("busy_timeout(%d)", patience.Milliseconds()), "journal_mode(wal)", "synchronous(full)"},
		"_txlock": {"immediate"},
	}
	inner, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+pragmas.Encode())
	if err != nil {
		return nil, err
	}
	inner.SetMaxIdleConns(4) // as many as usually ask at once: opening one costs more than a commit
	db := &DB{inner}
	if err := db.ready(schema); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// ready sees to it that the file has its tables. While another process turns an empty file into a write-ahead one,
// SQLite answers "busy" at once, whatever its time-out: such an answer is no answer.
func (db *DB) ready(schema Schema) error {
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		err := db.tables(schema)
		if !is(err, sqlite3.SQLITE_BUSY) || time.Since(began) > patience {
			return err
		}
	}
}

func (db *DB) tables(schema Schema) error {
	version, tables, err := state(db.DB)
	switch {
	case is(err, sqlite3.SQLITE_NOTADB), is(err, sqlite3.SQLITE_CORRUPT):
		return fmt.Errorf("%w: %w", ErrForeign, err)
	case err != nil:
		return err
	case version == schema.Version:
		return nil
	case !schema.reads(version):
		return fmt.Errorf("%w: it is of version %d", ErrForeign, version)
	case version == 0 && tables > 0:
		return fmt.Errorf("%w: it is another program's", ErrForeign)
	}
	return db.Write(func(tx *Tx) error {
		version, _, err := state(tx)
		if err != nil || version == schema.Version {
			return err // another process was quicker
		}
		steps := []string{schema.Tables}
		if !schema.reads(version) {
			return fmt.Errorf("%w: it is of version %d", ErrForeign, version)
		}
		if version > 0 {
			steps = schema.Next[version-1 : schema.Version-1]
		}
		for _, step := range steps {
			if _, err := tx.Exec(step); err != nil {
				return err
			}
		}
		_, err = tx.Exec(fmt.Sprintf("pragma user_version = %d", schema.Version))
		return err
	})
}

// reads says whether a file of a version is this one's, or can be made so.
func (s Schema) reads(version int) bool {
	return version == 0 || version == s.Version || version < s.Version && len(s.Next) == s.Version-1
}

// state is a file's version and number of tables: both 0 if it is new.
func state(q interface{ QueryRow(string, ...any) *sql.Row }) (version, tables int, err error) {
	err = q.QueryRow("select (select user_version from pragma_user_version), (select count(*) from sqlite_master)").Scan(&version, &tables)
	return version, tables, err
}

// is says whether an error is of one of SQLite's kinds; the upper bits of a code say more about the same kind.
func is(err error, kind int) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == kind
}

// Write runs f in one commit: when Write returns nil, it is on the disk; when it returns an error, nothing of it is.
func (db *DB) Write(f func(tx *Tx) error) error {
	tx, err := db.BeginTx(context.Background(), nil) // a fact that money depends on is not given up half-way
	if err != nil {
		return full(err)
	}
	if err := f(tx); err != nil {
		undone := tx.Rollback()
		if is(err, sqlite3.SQLITE_FULL) || is(err, sqlite3.SQLITE_IOERR) {
			return full(err) // SQLite has rolled back by itself, and says so
		}
		return errors.Join(err, undone)
	}
	return full(tx.Commit())
}

// full tells a full disk from other trouble. SQLite calls it a fault of the disk where a file is made larger for memory
// that is shared.
func full(err error) error {
	if is(err, sqlite3.SQLITE_FULL) || is(err, sqlite3.SQLITE_IOERR) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}
