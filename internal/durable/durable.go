// Package durable is a SQLite file whose commits survive kill -9 and power loss: write-ahead log, synchronous=FULL. Many
// processes may open one file. Begin with Open and Write.
package durable

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// DB is an open file.
type DB struct{ *sql.DB }

// Tx is one commit in the making.
type Tx = sql.Tx

// Open opens a file, and makes it if there is none, readable by its owner only.
func Open(path string) (*DB, error) {
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
	pragmas := url.Values{"_pragma": {"busy_timeout(10000)", "journal_mode(wal)", "synchronous(full)"}, "_txlock": {"immediate"}}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+pragmas.Encode())
	if err != nil {
		return nil, err
	}
	return &DB{db}, nil
}

// Write runs f in one commit: when Write returns nil, it is on the disk; when it returns an error, nothing of it is.
func (db *DB) Write(f func(tx *Tx) error) error {
	tx, err := db.BeginTx(context.Background(), nil) // a fact that money depends on is not given up half-way
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
