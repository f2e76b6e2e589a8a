package relay

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	eventbadger "github.com/fiatjaf/eventstore/badger"
	"github.com/mailru/easyjson"
	"github.com/nbd-wtf/go-nostr"

	"infernet/relay/eventlog"
)

// migrate brings what an earlier version of this program kept in Badger into the log, once. The log is complete before it
// has its name; Badger's files are moved beside it then, and nothing of them is lost. A crash in between begins it again.
func migrate(dir string, log *slog.Logger) error {
	if _, err := os.Stat(filepath.Join(dir, "MANIFEST")); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	to := filepath.Join(dir, "events")
	if _, err := os.Stat(to); err == nil { // only the moving was cut off
		return moveAside(dir)
	}
	if err := os.RemoveAll(to + ".new"); err != nil {
		return err
	}
	log.Info("bringing the relay's events into the form of this version; this happens once", "dir", dir)
	n, err := migrateInto(dir, to+".new")
	if err != nil {
		return fmt.Errorf("bring the events of an earlier version into the form of this one: %w (nothing was changed in %s)", err, dir)
	}
	if err := errors.Join(os.Rename(to+".new", to), moveAside(dir)); err != nil {
		return err
	}
	log.Info("the relay's events are in the form of this version", "events", n, "before", filepath.Join(dir, "badger"))
	return nil
}

// moveAside moves Badger's files into a folder of their own.
func moveAside(dir string) error {
	aside := filepath.Join(dir, "badger")
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.IsDir() || f.Name() == "MANIFEST" { // which says that there is something to move: last
			continue
		}
		if err := os.Rename(filepath.Join(dir, f.Name()), filepath.Join(aside, f.Name())); err != nil {
			return err
		}
	}
	return os.Rename(filepath.Join(dir, "MANIFEST"), filepath.Join(aside, "MANIFEST"))
}

// Tables of Badger: eventstore's events, and our own keys, of which the others need not be carried over.
const (
	badgerEvents         byte = 0   // serial → id and the rest
	badgerDeleted        byte = 100 // as markDeleted
	badgerMet            byte = 104 // as markMet
	badgerDeletedAddress byte = 105 // as markDeletedAddress
)

func migrateInto(dir, to string) (n int, err error) {
	db := &eventbadger.BadgerBackend{Path: dir, MaxLimit: 1 << 20, BadgerOptionsModifier: func(o badger.Options) badger.Options {
		return o.WithLogger(nil).WithValueLogFileSize(64 << 20).WithMemTableSize(16 << 20).WithNumMemtables(2).WithBlockCacheSize(32 << 20)
	}}
	if err := db.Init(); err != nil {
		return 0, err
	}
	defer db.Close()
	l, err := eventlog.Open(eventlog.Options{Dir: to})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	failed := make(chan error, 1)
	put := func(w eventlog.Write) {
		l.Put(w, func(_ eventlog.Ref, err error) {
			if err != nil && !errors.Is(err, errOlder) && !errors.Is(err, errSame) {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	ctx := context.Background()
	err = db.View(func(tx *badger.Txn) error {
		for _, table := range []byte{badgerDeleted, badgerMet, badgerDeletedAddress} {
			if err := each(tx, table, func(key, value []byte) error {
				put(eventlog.Write{Marks: []eventlog.Mark{{Key: key, Value: value}}})
				return nil
			}); err != nil {
				return err
			}
		}
		return each(tx, badgerEvents, func(_, value []byte) error {
			if len(value) < 32 {
				return nil
			}
			id := hex.EncodeToString(value[:32])
			found, err := db.QueryEvents(ctx, nostr.Filter{IDs: []string{id}})
			if err != nil {
				return err
			}
			for ev := range found {
				if ev == nil || ev.ID != id { // eventstore looks at 16 digits of 64
					continue
				}
				raw, err := easyjson.Marshal(ev)
				if err != nil {
					return err
				}
				n++
				put(eventlog.Write{Event: ev, Raw: raw, Check: func(t *eventlog.Turn) error { return supersede(t, ev) }})
			}
			return nil
		})
	})
	if err != nil {
		return 0, err
	}
	if _, err := l.Do(eventlog.Write{}); err != nil { // all before it have come to the disk
		return 0, err
	}
	select {
	case err := <-failed:
		return 0, err
	default:
		return n, nil
	}
}

func each(tx *badger.Txn, table byte, do func(key, value []byte) error) error {
	it := tx.NewIterator(badger.IteratorOptions{Prefix: []byte{table}, PrefetchValues: true, PrefetchSize: 100})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		value, err := it.Item().ValueCopy(nil)
		if err != nil {
			return err
		}
		if err := do(it.Item().KeyCopy(nil), value); err != nil {
			return err
		}
	}
	return nil
}
