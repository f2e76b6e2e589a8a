package relay

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/fiatjaf/eventstore"
	eventbadger "github.com/fiatjaf/eventstore/badger"
	"github.com/nbd-wtf/go-nostr"
)

// store is Badger through eventstore, which keeps the events and finds them by one key at a time. What it gets wrong
// with more than that is ours: filters (query.go), versions (replace), deletions (tombstone.go), expiry (sweep.go).
type store struct {
	db        *eventbadger.BadgerBackend
	now       func() time.Time
	addresses [64]sync.Mutex // by address: versions of one address come one after the other
	notes     sync.WaitGroup // writes that nobody waits for but close

	coming
}

// Our own keys beside eventstore's, which begin with 0 to 8 and 255.
const (
	keyDeleted        byte = 100 // id, author of the deletion → nothing
	keyExpires        byte = 102 // time, id → nothing
	keyVersion        byte = 103 // hash of an address → id of the version that holds
	keyMet            byte = 104 // a node's key → when it was first announced here
	keyDeletedAddress byte = 105 // hash of an address → created_at up to which it is deleted
	keySchema         byte = 255 // eventstore's own
)

// pageLimit is more than one page of a query ever asks for: above it, eventstore would answer a quarter.
const pageLimit = 1 << 20

func openStore(c Config) (*store, error) {
	db := &eventbadger.BadgerBackend{
		Path: c.Dir, MaxLimit: pageLimit,
		BadgerOptionsModifier: func(o badger.Options) badger.Options {
			o = o.WithLogger(nil).WithSyncWrites(true).WithValueLogFileSize(64 << 20).WithMemTableSize(16 << 20).
				WithNumMemtables(2).WithBlockCacheSize(32 << 20).WithMetricsEnabled(false)
			if c.Dir == "" {
				return o.WithInMemory(true).WithSyncWrites(false)
			}
			return o
		},
	}
	if err := patiently(func() error { return initialise(db) }); err != nil {
		return nil, err
	}
	return &store{db: db, now: c.Now, coming: newComing()}, nil
}

// lockedFor is how long a directory that is in use is tried again.
const lockedFor = time.Second

// patiently opens what may have been closed a moment ago. A program that this one is just starting holds all open files,
// the lock of a closed database among them, until its own code begins.
func patiently(open func() error) error {
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		err := open()
		if err == nil || !strings.Contains(err.Error(), "directory lock") || time.Since(began) > lockedFor {
			return err
		}
	}
}

// initialise opens the database. A new one is given eventstore's schema first: else it migrates nothing, aloud.
func initialise(db *eventbadger.BadgerBackend) error {
	files, err := os.ReadDir(db.Path)
	if db.Path != "" && (len(files) > 0 || err != nil && !errors.Is(err, os.ErrNotExist)) {
		return db.Init()
	}
	fresh, err := badger.Open(db.BadgerOptionsModifier(badger.DefaultOptions(db.Path)))
	if err != nil {
		return err
	}
	if db.Path == "" { // nothing is in it, so there is no serial number to go on from, either
		db.DB = fresh
		return nil
	}
	err = fresh.Update(func(tx *badger.Txn) error { return tx.Set([]byte{keySchema}, []byte{0, 5}) })
	if err := errors.Join(err, fresh.Close()); err != nil {
		return err
	}
	return db.Init()
}

// well says whether the database can be read.
func (s *store) well() error {
	return s.db.DB.View(func(tx *badger.Txn) error {
		_, err := tx.Get([]byte{keySchema})
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		return err
	})
}

func (s *store) close() error {
	s.notes.Wait()
	return s.db.DB.Close()
}

// removing guards a counter that eventstore keeps once for all databases of a process, without a lock.
var removing sync.Mutex

// remove takes an event off the disk.
func (s *store) remove(ctx context.Context, ev *nostr.Event) error {
	removing.Lock()
	defer removing.Unlock()
	return s.db.DeleteEvent(ctx, ev)
}

// has says whether an event is on the disk.
func (s *store) has(id string) bool { return s.byID(context.Background(), id) != nil }

func (s *store) byID(ctx context.Context, id string) *nostr.Event {
	if !isHex64(id) {
		return nil
	}
	for _, ev := range s.ask(ctx, nostr.Filter{IDs: []string{id}}) {
		if ev.ID == id { // eventstore looks at 16 digits of 64
			return ev
		}
	}
	return nil
}

// find is byID, over events under way too.
func (s *store) find(ctx context.Context, id string) *nostr.Event {
	if ev := s.admitted(id); ev != nil {
		return ev
	}
	return s.byID(ctx, id)
}

// save and replace are khatru's hooks; what they return is on the disk.
func (s *store) save(ctx context.Context, _ *nostr.Event) error {
	ev := admittedEvent(ctx)
	s.expires(ev)
	if err := s.db.SaveEvent(ctx, ev); err != nil && !errors.Is(err, eventstore.ErrDupEvent) {
		return err
	}
	return nil
}

var (
	errOlder   = errors.New("duplicate: a newer version is stored")
	errSame    = errors.New("duplicate: the relay has this event")
	errDeleted = errors.New("blocked: this event was deleted by its author")
)

// replace stores a version of an address, if it is the newest: of one second, that with the lower id (NIP-01). First the
// event, then that it holds, then the old one goes: a crash in between leaves one of the two.
func (s *store) replace(ctx context.Context, shell *nostr.Event) error {
	ev := admittedEvent(ctx)
	if !hasAddress(ev.Kind) { // for khatru, kinds from 40000 on are replaceable too
		return s.save(ctx, shell)
	}
	at := addressOf(ev)
	defer s.lock(at).Unlock()
	if s.buried(ev) {
		return errDeleted
	}
	old := s.version(ctx, at)
	switch {
	case old == nil:
	case old.ID == ev.ID:
		return errSame
	case old.CreatedAt > ev.CreatedAt, old.CreatedAt == ev.CreatedAt && old.ID < ev.ID:
		return errOlder
	}
	if err := s.save(ctx, ev); err != nil {
		return err
	}
	if err := s.set(append([]byte{keyVersion}, at[:]...), []byte(ev.ID)); err != nil {
		return err
	}
	if old != nil {
		return s.remove(ctx, old)
	}
	return nil
}

// address is the hash of kind, author and d: what replaceable and addressable events are known by (NIP-01).
type address [sha256.Size]byte

func hasAddress(kind int) bool { return nostr.IsReplaceableKind(kind) || nostr.IsAddressableKind(kind) }

func addressOf(ev *nostr.Event) address { return addressFrom(ev.Kind, ev.PubKey, ev.Tags.GetD()) }

func addressFrom(kind int, author, d string) address {
	if !nostr.IsAddressableKind(kind) {
		d = ""
	}
	return sha256.Sum256([]byte(strconv.Itoa(kind) + ":" + author + ":" + d))
}

func (s *store) lock(at address) *sync.Mutex {
	mu := &s.addresses[int(at[0])%len(s.addresses)]
	mu.Lock()
	return mu
}

// version is the event that an address holds.
func (s *store) version(ctx context.Context, at address) *nostr.Event {
	id := s.value(append([]byte{keyVersion}, at[:]...))
	return s.byID(ctx, string(id))
}

// holds says whether an event is the one that its address holds, or has none.
func (s *store) holds(ev *nostr.Event) bool {
	if !hasAddress(ev.Kind) {
		return true
	}
	at := addressOf(ev)
	id := s.value(append([]byte{keyVersion}, at[:]...))
	return id == nil || string(id) == ev.ID
}

// meet remembers when a node was first announced here, by the relay's clock: created_at is whatever the node says.
func (s *store) meet(key string) {
	at := append([]byte{keyMet}, key...)
	if s.value(at) == nil {
		s.note(at, binary.BigEndian.AppendUint64(nil, uint64(s.now().Unix())))
	}
}

// met says when a node was first announced here.
func (s *store) met(key string) (time.Time, bool) {
	at := s.value(append([]byte{keyMet}, key...))
	if len(at) != 8 {
		return time.Time{}, false
	}
	return time.Unix(int64(binary.BigEndian.Uint64(at)), 0), true
}

func (s *store) value(key []byte) (value []byte) {
	s.db.View(func(tx *badger.Txn) error {
		item, err := tx.Get(key)
		if err != nil {
			return err
		}
		value, err = item.ValueCopy(nil)
		return err
	})
	return value
}

func (s *store) set(key, value []byte) error {
	return s.db.Update(func(tx *badger.Txn) error { return tx.Set(key, value) })
}

// note writes what may be lost in a crash: nobody waits for the disk.
func (s *store) note(key, value []byte) {
	tx := s.db.NewTransaction(true)
	if tx.Set(key, value) != nil {
		tx.Discard()
		return
	}
	s.notes.Add(1)
	tx.CommitWith(func(error) { s.notes.Done() })
}

func isHex64(s string) bool {
	if len(s) != 64 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
