package blob

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"infernet/events"
	"infernet/internal/durable"
)

// store is the files that are whole, and who wants them for how long. A file lives while somebody does.
type store struct {
	dir string
	db  *durable.DB

	mu    sync.Mutex // a file and its rows change together
	total int64      // bytes of all files
}

var schema = durable.Schema{Version: 1, Tables: `
create table files    (sum text primary key, size integer not null, kind text not null, at integer not null) without rowid;
create table owners   (sum text not null, key text not null, at integer not null, expires integer not null, primary key (sum, key)) without rowid;
create index owners_key on owners (key, at);
create index owners_expires on owners (expires);
create table banned   (sum text primary key, report text not null, at integer not null) without rowid;
create table reports  (id text primary key, event text not null, at integer not null) without rowid;
create table invoices (hash text primary key, sum text not null, key text not null, size integer not null, bolt11 text not null,
                       until integer not null, used integer not null default 0) without rowid;
create index invoices_ask on invoices (sum, key);
`}

// file is one row: a whole file.
type file struct {
	sum     string
	size    int64
	kind    string // MIME type
	at      int64  // when it came, unix
	expires int64  // when nobody wants it any more, unix
}

func openStore(c Config) (*store, error) {
	db, err := durable.Open(filepath.Join(c.Dir, "index.db"), schema)
	if err != nil {
		return nil, err
	}
	st := &store{dir: filepath.Join(c.Dir, "files"), db: db}
	if err := errors.Join(st.dropOrphans(), st.sweep(c.Now()), st.count()); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return st, nil
}

func (st *store) close() error { return st.db.Close() }

func (st *store) path(sum string) string { return filepath.Join(st.dir, sum[:2], sum) }

func (st *store) count() error {
	return st.db.QueryRow("select coalesce(sum(size), 0) from files").Scan(&st.total)
}

// dropOrphans removes files that have no row: the process ended between the two.
func (st *store) dropOrphans() error {
	return filepath.WalkDir(st.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		var n int
		if err := st.db.QueryRow("select count(*) from files where sum = ?", d.Name()).Scan(&n); err != nil || n > 0 {
			return err
		}
		return os.Remove(path)
	})
}

// find finds a file that somebody still wants; nil if there is none.
func (st *store) find(sum string, now time.Time) (*file, error) {
	f := &file{sum: sum}
	err := st.db.QueryRow(`select f.size, f.kind, f.at, max(o.expires) from files f join owners o using (sum)
		where f.sum = ? and o.expires > ? group by f.sum`, sum, now.Unix()).Scan(&f.size, &f.kind, &f.at, &f.expires)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return f, err
}

// lies says whether a file is where it should be.
func (st *store) lies(sum string) bool {
	info, err := os.Stat(st.path(sum))
	return err == nil && info.Mode().IsRegular()
}

// used is how many bytes a key keeps here, beside one file.
func (st *store) used(key events.PubKey, beside string, now time.Time) (n int64, err error) {
	err = st.db.QueryRow("select coalesce(sum(f.size), 0) from owners o join files f using (sum) where o.key = ? and o.sum <> ? and o.expires > ?",
		string(key), beside, now.Unix()).Scan(&n)
	return n, err
}

func (st *store) bytes() int64 {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.total
}

// add makes a whole part a file, or what is a file already, where path is "", owned by a key. paid is the hash of the payment
// that is used up with it. Since somebody has looked, a file may have gone, or been banned: errors are *refusal then.
func (st *store) add(path string, f *file, key events.PubKey, paid string) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := st.checkBanned(f.sum); err != nil {
		return err
	}
	if path == "" && !st.lies(f.sum) {
		return refuse(http.StatusConflict, "the last who wanted this file has just removed it: send it again")
	}
	if path != "" {
		to := st.path(f.sum)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		if err := os.Rename(path, to); err != nil {
			return err
		}
		if err := errors.Join(syncDir(filepath.Dir(to)), syncDir(st.dir)); err != nil {
			return err
		}
	}
	grown := int64(0)
	err := st.db.Write(func(tx *durable.Tx) error {
		res, err := tx.Exec("insert into files (sum, size, kind, at) values (?, ?, ?, ?) on conflict do nothing", f.sum, f.size, f.kind, f.at)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err == nil {
			grown = n * f.size
		}
		if _, err := tx.Exec(`insert into owners (sum, key, at, expires) values (?, ?, ?, ?)
			on conflict do update set expires = max(expires, excluded.expires)`, f.sum, string(key), f.at, f.expires); err != nil {
			return err
		}
		if paid == "" {
			return nil
		}
		_, err = tx.Exec("update invoices set used = 1 where hash = ?", paid)
		return err
	})
	switch {
	case err == nil:
		st.total += grown
	case path != "":
		st.forget(f.sum)
	}
	return err
}

// forget removes a file that came and could not be written down: nobody would find it, and it takes room.
func (st *store) forget(sum string) {
	var known bool
	if err := st.db.QueryRow("select exists (select 1 from files where sum = ?)", sum).Scan(&known); err == nil && !known {
		os.Remove(st.path(sum))
	}
}

// drop forgets that a key wants a file; there is false if it never did.
func (st *store) drop(sum string, key events.PubKey) (there bool, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	err = st.db.Write(func(tx *durable.Tx) error {
		res, err := tx.Exec("delete from owners where sum = ? and key = ?", sum, string(key))
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		there = n > 0
		return err
	})
	if err != nil || !there {
		return there, err
	}
	return true, st.prune()
}

// ban removes a file for good.
func (st *store) ban(sums []string, report string, now time.Time) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	err := st.db.Write(func(tx *durable.Tx) error {
		for _, sum := range sums {
			if _, err := tx.Exec("insert into banned (sum, report, at) values (?, ?, ?) on conflict do nothing", sum, report, now.Unix()); err != nil {
				return err
			}
			if _, err := tx.Exec("delete from owners where sum = ?", sum); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, st.prune())
}

// checkBanned refuses a file that a moderator reported.
func (st *store) checkBanned(sum string) error {
	var banned bool
	if err := st.db.QueryRow("select exists (select 1 from banned where sum = ?)", sum).Scan(&banned); err != nil || !banned {
		return err
	}
	return refuse(http.StatusForbidden, "this file was reported and is not taken")
}

// sweep removes what has expired.
func (st *store) sweep(now time.Time) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	err := st.db.Write(func(tx *durable.Tx) error {
		if _, err := tx.Exec("delete from owners where expires <= ?", now.Unix()); err != nil {
			return err
		}
		_, err := tx.Exec("delete from invoices where until <= ?", now.Add(-24*time.Hour).Unix())
		return err
	})
	return errors.Join(err, st.prune())
}

// prune removes the files that nobody wants: the row first, then the bytes. A crash between the two leaves an orphan.
func (st *store) prune() error {
	rows, err := st.db.Query("select sum, size from files where sum not in (select sum from owners)")
	if err != nil {
		return err
	}
	var gone []file
	for rows.Next() {
		var f file
		if err := rows.Scan(&f.sum, &f.size); err != nil {
			rows.Close()
			return err
		}
		gone = append(gone, f)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, f := range gone {
		if _, err := st.db.Exec("delete from files where sum = ?", f.sum); err != nil {
			return err
		}
		st.total -= f.size
		if err := os.Remove(st.path(f.sum)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove a file: %w", err)
		}
	}
	return nil
}

// owns says whether a key wants a file.
func (st *store) owns(key events.PubKey, sum string) (there bool, err error) {
	err = st.db.QueryRow("select exists (select 1 from owners where key = ? and sum = ?)", string(key), sum).Scan(&there)
	return there, err
}

// of lists a key's files, newest first, after the one that the last page ended with.
func (st *store) of(key events.PubKey, after string, since, until int64, limit int, now time.Time) ([]*file, error) {
	rows, err := st.db.Query(`select f.sum, f.size, f.kind, o.at, o.expires from owners o join files f using (sum)
		where o.key = ?1 and o.expires > ?2 and o.at >= ?3 and o.at <= ?4
		and (?5 = '' or (o.at, o.sum) < (select at, sum from owners where key = ?1 and sum = ?5))
		order by o.at desc, o.sum desc limit ?6`, string(key), now.Unix(), since, until, after, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []*file
	for rows.Next() {
		f := &file{}
		if err := rows.Scan(&f.sum, &f.size, &f.kind, &f.at, &f.expires); err != nil {
			return nil, err
		}
		found = append(found, f)
	}
	return found, rows.Err()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
