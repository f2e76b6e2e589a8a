package relay

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/fiatjaf/eventstore"
	eventbadger "github.com/fiatjaf/eventstore/badger"
	"github.com/nbd-wtf/go-nostr"
)

// store is Badger through eventstore, with what it lacks: events under way are found too, expired ones are not,
// deletions leave tombstones, and one event is taken once.
type store struct {
	db  *eventbadger.BadgerBackend
	now func() time.Time

	mu     sync.Mutex
	coming map[string]*nostr.Event // admitted, not on the disk yet
	recent map[string]struct{}     // ids taken lately, ephemeral ones among them
	older  map[string]struct{}
}

// Our own keys beside eventstore's, which begin with 0 to 8 and 255.
const (
	keyDeleted        byte = 100 // id → author of the deletion
	keyDeletedAddress byte = 101 // address → created_at of the deletion
	keyExpires        byte = 102 // time, id → nothing
)

func openStore(c Config) (*store, error) {
	db := &eventbadger.BadgerBackend{
		Path: c.Dir, MaxLimit: c.MaxLimit,
		BadgerOptionsModifier: func(o badger.Options) badger.Options {
			o = o.WithLogger(nil).WithSyncWrites(true).WithValueLogFileSize(64 << 20).WithMemTableSize(16 << 20).
				WithNumMemtables(2).WithBlockCacheSize(32 << 20).WithMetricsEnabled(false)
			if c.Dir == "" {
				return o.WithInMemory(true).WithSyncWrites(false)
			}
			return o
		},
	}
	if err := db.Init(); err != nil {
		return nil, err
	}
	return &store{db: db, now: c.Now, coming: map[string]*nostr.Event{}, recent: map[string]struct{}{}}, nil
}

func (s *store) close() error { return s.db.DB.Close() }

// recentIDs is how many ids are remembered at least: a repeat within them is answered without a look at the disk.
const recentIDs = 20_000

// begin takes an event on, unless the relay has it or is taking it.
func (s *store) begin(ev *nostr.Event) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.coming[ev.ID] != nil {
		return false
	}
	if _, ok := s.recent[ev.ID]; ok {
		return false
	}
	if _, ok := s.older[ev.ID]; ok {
		return false
	}
	if !nostr.IsEphemeralKind(ev.Kind) && s.has(ev.ID) {
		return false
	}
	s.coming[ev.ID] = ev
	return true
}

// end ends what begin began: from now on the event is on the disk, was ephemeral, or was refused and may come again.
func (s *store) end(ev *nostr.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.coming, ev.ID)
	if !nostr.IsEphemeralKind(ev.Kind) {
		return
	}
	if len(s.recent) >= recentIDs {
		s.older, s.recent = s.recent, make(map[string]struct{}, recentIDs)
	}
	s.recent[ev.ID] = struct{}{}
}

// has says whether an event is on the disk.
func (s *store) has(id string) bool { return s.byID(context.Background(), id) != nil }

func (s *store) byID(ctx context.Context, id string) *nostr.Event {
	found := s.ask(ctx, nostr.Filter{IDs: []string{id}, Limit: 1})
	if len(found) == 0 {
		return nil
	}
	return found[0]
}

// find is byID, over events under way too.
func (s *store) find(ctx context.Context, id string) *nostr.Event {
	s.mu.Lock()
	ev := s.coming[id]
	s.mu.Unlock()
	if ev != nil {
		return ev
	}
	return s.byID(ctx, id)
}

// ask runs one filter on the disk.
func (s *store) ask(ctx context.Context, f nostr.Filter) (found []*nostr.Event) {
	events, err := s.db.QueryEvents(ctx, f)
	if err != nil {
		return nil
	}
	for ev := range events {
		found = append(found, ev)
	}
	return found
}

// query gives what filters find, newest first: on the disk and under way, nothing expired, at most limit for each.
func (s *store) query(ctx context.Context, filters nostr.Filters, limit int) (all []*nostr.Event) {
	now, seen := nostr.Timestamp(s.now().Unix()), map[string]bool{}
	for _, f := range filters {
		if f.LimitZero {
			continue
		}
		if f.Limit <= 0 || f.Limit > limit {
			f.Limit = limit
		}
		found := s.underWay(f)
		found = append(found, s.ask(ctx, f)...)
		slices.SortStableFunc(found, newestFirst)
		n := 0
		for _, ev := range found {
			if n == f.Limit {
				break
			}
			if !seen[ev.ID] && !expired(ev, now) {
				seen[ev.ID] = true
				all = append(all, ev)
				n++
			}
		}
	}
	slices.SortStableFunc(all, newestFirst)
	return all
}

func (s *store) underWay(f nostr.Filter) (found []*nostr.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ev := range s.coming {
		if nostr.IsRegularKind(ev.Kind) && f.Matches(ev) {
			found = append(found, ev)
		}
	}
	return found
}

func newestFirst(a, b *nostr.Event) int {
	return cmp.Or(cmp.Compare(b.CreatedAt, a.CreatedAt), cmp.Compare(a.ID, b.ID))
}

func expired(ev *nostr.Event, now nostr.Timestamp) bool {
	at := expiration(ev)
	return at > 0 && at <= now
}

// save and replace are khatru's hooks; what they return is on the disk.
func (s *store) save(ctx context.Context, ev *nostr.Event) error {
	if err := s.db.SaveEvent(ctx, ev); err != nil && !errors.Is(err, eventstore.ErrDupEvent) {
		return err
	}
	return s.remember(ev)
}

func (s *store) replace(ctx context.Context, ev *nostr.Event) error {
	if err := s.db.ReplaceEvent(ctx, ev); err != nil && !errors.Is(err, eventstore.ErrDupEvent) {
		return err
	}
	if s.byID(ctx, ev.ID) == nil {
		return errors.New("duplicate: a newer version is stored")
	}
	return s.remember(ev)
}

// remember notes when an event expires, so that sweeping need not look at all of them.
func (s *store) remember(ev *nostr.Event) error {
	at := expiration(ev)
	if at <= 0 {
		return nil
	}
	return s.db.Update(func(tx *badger.Txn) error { return tx.Set(expiryKey(at, ev.ID), nil) })
}

func expiryKey(at nostr.Timestamp, id string) []byte {
	key := binary.BigEndian.AppendUint64([]byte{keyExpires}, uint64(at))
	raw, _ := hex.DecodeString(id)
	return append(key, raw...)
}

// sweepEachMinute removes what has expired, until ctx ends.
func (s *store) sweepEachMinute(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		s.sweep(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *store) sweep(ctx context.Context) {
	var keys [][]byte
	end := expiryKey(nostr.Timestamp(s.now().Unix()+1), "")
	s.db.View(func(tx *badger.Txn) error {
		it := tx.NewIterator(badger.IteratorOptions{Prefix: []byte{keyExpires}})
		defer it.Close()
		for it.Rewind(); it.Valid() && string(it.Item().Key()) < string(end); it.Next() {
			keys = append(keys, it.Item().KeyCopy(nil))
		}
		return nil
	})
	for _, key := range keys {
		if ctx.Err() != nil {
			return
		}
		if ev := s.byID(ctx, hex.EncodeToString(key[9:])); ev != nil {
			s.db.DeleteEvent(ctx, ev)
		}
		s.db.Update(func(tx *badger.Txn) error { return tx.Delete(key) })
	}
}

// bury removes an event for good and leaves a tombstone for its author's id.
func (s *store) bury(ctx context.Context, id, author string) error {
	if ev := s.byID(ctx, id); ev != nil && ev.PubKey == author {
		if err := s.db.DeleteEvent(ctx, ev); err != nil {
			return err
		}
	}
	return s.db.Update(func(tx *badger.Txn) error { return tx.Set(append([]byte{keyDeleted}, id+author...), nil) })
}

// buryAddress removes the versions of an address up to a time, and leaves a tombstone.
func (s *store) buryAddress(ctx context.Context, kind int, author, d string, until nostr.Timestamp) error {
	f := nostr.Filter{Kinds: []int{kind}, Authors: []string{author}, Until: &until, Limit: 10}
	if nostr.IsAddressableKind(kind) {
		f.Tags = nostr.TagMap{"d": {d}}
	}
	for _, ev := range s.ask(ctx, f) {
		if err := s.db.DeleteEvent(ctx, ev); err != nil {
			return err
		}
	}
	return s.db.Update(func(tx *badger.Txn) error {
		return tx.Set(addressKey(kind, author, d), binary.BigEndian.AppendUint64(nil, uint64(until)))
	})
}

func addressKey(kind int, author, d string) []byte {
	key := binary.BigEndian.AppendUint32([]byte{keyDeletedAddress}, uint32(kind))
	return append(key, author+":"+d...)
}

// buried says whether an event was deleted by its author.
func (s *store) buried(ev *nostr.Event) (deleted bool) {
	s.db.View(func(tx *badger.Txn) error {
		if _, err := tx.Get(append([]byte{keyDeleted}, ev.ID+ev.PubKey...)); err == nil {
			deleted = true
			return nil
		}
		if nostr.IsRegularKind(ev.Kind) {
			return nil
		}
		item, err := tx.Get(addressKey(ev.Kind, ev.PubKey, ev.Tags.GetD()))
		if err != nil {
			return nil
		}
		return item.Value(func(until []byte) error {
			deleted = uint64(ev.CreatedAt) <= binary.BigEndian.Uint64(until)
			return nil
		})
	})
	return deleted
}
