// Package pbstore is the store on PocketBase: collections, migrations and backups.
//
// PocketBase is used as a library and nothing else. It listens on no port, sends nothing anywhere, and its admin page is
// not in the program: only packages core and migrations are, not apis and ui. Begin with Open.
package pbstore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"

	"github.com/pocketbase/dbx"
	"github.com/pocketbase/pocketbase/core"
	_ "github.com/pocketbase/pocketbase/migrations" // its own collections

	"infernet/internal/store"
)

// Store is an open store.
type Store struct{ app *core.BaseApp }

var (
	_ store.Store    = (*Store)(nil)
	_ store.Backuper = (*Store)(nil)
)

// Open opens the store in a folder, and makes it if there is none. One process at a time may do so.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	app := core.NewBaseApp(core.BaseAppConfig{DataDir: dir, DBConnect: connect, DataMaxOpenConns: 8, AuxMaxOpenConns: 2, AuxMaxIdleConns: 1})
	const watcher, files = "__pbNotifyWatcherSystemHook__", "__pbFilesManagerDelete__"
	app.OnBootstrap().Unbind(watcher) // for several processes on one folder: here is one
	app.OnTerminate().Unbind(watcher)
	app.OnModelAfterDeleteSuccess().Unbind(files) // of rows: there are none, and it races with the settings
	s := &Store{app}
	if err := s.bootstrap(); err != nil {
		return nil, errors.Join(fmt.Errorf("store %s: %w", dir, err), s.Close())
	}
	return s, nil
}

func (s *Store) bootstrap() error {
	if err := s.app.Bootstrap(); err != nil {
		return err
	}
	_, err := core.NewMigrationsRunner(s.app, ours).Up()
	return err
}

// connect opens a database file as PocketBase does, whatever its path is made of.
func connect(path string) (*dbx.DB, error) {
	pragmas := url.Values{"_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "journal_size_limit(20000000)", "synchronous(NORMAL)", "foreign_keys(ON)",
		"temp_store(MEMORY)", "cache_size(-8000)",
	}}
	return dbx.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+pragmas.Encode())
}

// Close closes the store.
func (s *Store) Close() error {
	event := &core.TerminateEvent{App: s.app}
	ended := s.app.OnTerminate().Trigger(event, func(*core.TerminateEvent) error { return nil })
	return errors.Join(ended, s.app.ResetBootstrapState())
}

// Put writes a batch in one transaction.
func (s *Store) Put(ctx context.Context, b store.Batch) error {
	return s.app.RunInTransaction(func(tx core.App) error {
		for _, job := range b.Jobs {
			if err := put(ctx, tx, jobs, job.Key(), jobColumns(&job), job); err != nil {
				return fmt.Errorf("job %s: %w", job.ID, err)
			}
		}
		for _, n := range b.Notices {
			if err := put(ctx, tx, notices, n.ID, map[string]any{"seq": n.Seq, "at": int64(n.At), "title": n.Title}, row{n, n.Seq}); err != nil {
				return fmt.Errorf("notice %s: %w", n.ID, err)
			}
		}
		for _, setting := range b.Settings {
			if err := putSetting(ctx, tx, setting); err != nil {
				return fmt.Errorf("setting %s: %w", setting.Name, err)
			}
		}
		for name, mark := range b.Marks {
			if err := put(ctx, tx, marks, name, nil, mark); err != nil {
				return fmt.Errorf("mark %s: %w", name, err)
			}
		}
		return ctx.Err()
	})
}

func putSetting(ctx context.Context, tx core.App, setting store.Setting) error {
	have, err := find(ctx, tx, settings, setting.Name)
	if err != nil {
		return err
	}
	if have != nil && int64(have.GetFloat("at")) > int64(setting.At) {
		return nil
	}
	return put(ctx, tx, settings, setting.Name, map[string]any{"at": int64(setting.At)}, setting)
}

// put writes a row: its key, the columns that queries look at, and the whole of it as JSON, for a column's number is a
// float64 and loses digits.
func put(ctx context.Context, tx core.App, collection, key string, columns map[string]any, whole any) error {
	rec, err := find(ctx, tx, collection, key)
	if err != nil {
		return err
	}
	if rec == nil {
		c, err := tx.FindCachedCollectionByNameOrId(collection)
		if err != nil {
			return err
		}
		rec = core.NewRecord(c)
		rec.Set("key", key)
	}
	for name, value := range columns {
		rec.Set(name, value)
	}
	rec.Set("whole", whole)
	return tx.SaveWithContext(ctx, rec)
}

// find gives the row of a key; nil if there is none.
func find(ctx context.Context, app core.App, collection, key string) (*core.Record, error) {
	var found []*core.Record
	err := app.RecordQuery(collection).WithContext(ctx).AndWhere(dbx.HashExp{"key": key}).Limit(1).All(&found)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}
