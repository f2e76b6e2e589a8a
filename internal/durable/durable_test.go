package durable

import (
	"errors"
	"path/filepath"
	"testing"
)

// TestOlderFilesAreBroughtUpToDate opens a file with schemas of growing version: what is in it stays.
func TestOlderFilesAreBroughtUpToDate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	first := Schema{Version: 1, Tables: "create table a (x integer not null)"}
	third := Schema{Version: 3, Tables: "create table a (x integer not null, y integer not null default 7, z integer not null default 9)", Next: []string{
		"alter table a add column y integer not null default 7", "alter table a add column z integer not null default 9",
	}}
	open := func(path string, s Schema) *DB {
		t.Helper()
		db, err := Open(path, s)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db := open(path, first)
	if _, err := db.Exec("insert into a (x) values (1)"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	for _, at := range []string{path, path, filepath.Join(t.TempDir(), "new.db")} {
		db := open(at, third)
		if _, err := db.Exec("insert into a (x) values (2)"); err != nil {
			t.Fatal(err)
		}
		var sum int
		if err := db.QueryRow("select min(y) + min(z) from a").Scan(&sum); err != nil || sum != 16 {
			t.Errorf("reads %d, %v", sum, err)
		}
		db.Close()
	}
	// an older program leaves the file alone, and so does one that does not know the way
	for _, s := range []Schema{first, {Version: 4, Tables: "create table b (x)"}} {
		if db, err := Open(path, s); !errors.Is(err, ErrForeign) {
			t.Errorf("version %d opens it: %v", s.Version, err)
			db.Close()
		}
	}
	db = open(path, third)
	defer db.Close()
	var rows int
	if err := db.QueryRow("select count(*) from a").Scan(&rows); err != nil || rows != 3 {
		t.Errorf("%d rows, %v", rows, err)
	}
}
