package relay

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/dgraph-io/badger/v4"
	"github.com/nbd-wtf/go-nostr"
)

// bury removes an author's events for good. The tombstones come first: an event on its way to the disk looks for one
// after it got there, so one of the two sees the other.
func (s *store) bury(ctx context.Context, ids []string, author string) error {
	err := s.db.Update(func(tx *badger.Txn) error {
		for _, id := range ids {
			if err := tx.Set(deletedKey(id, author), []byte{1}); err != nil {
				return err
			}
		}
		return nil
	})
	for _, id := range ids {
		if ev := s.byID(ctx, id); ev != nil && ev.PubKey == author {
			err = errors.Join(err, s.remove(ctx, ev))
		}
	}
	return err
}

// buryAddress removes the version of an address up to a time, and keeps older ones away.
func (s *store) buryAddress(ctx context.Context, at address, until nostr.Timestamp) error {
	defer s.lock(at).Unlock()
	if s.deletedUntil(at) < until {
		if err := s.set(append([]byte{keyDeletedAddress}, at[:]...), binary.BigEndian.AppendUint64(nil, uint64(until))); err != nil {
			return err
		}
	}
	if ev := s.version(ctx, at); ev != nil && ev.CreatedAt <= until {
		return s.remove(ctx, ev)
	}
	return nil
}

// buried says whether an event was deleted by its author.
func (s *store) buried(ev *nostr.Event) bool {
	if s.value(deletedKey(ev.ID, ev.PubKey)) != nil {
		return true
	}
	return hasAddress(ev.Kind) && ev.CreatedAt <= s.deletedUntil(addressOf(ev))
}

// deletedUntil is the created_at up to which an address is deleted; -1 if it is not.
func (s *store) deletedUntil(at address) nostr.Timestamp {
	until := s.value(append([]byte{keyDeletedAddress}, at[:]...))
	if len(until) != 8 {
		return -1
	}
	return nostr.Timestamp(binary.BigEndian.Uint64(until))
}

func deletedKey(id, author string) []byte { return append([]byte{keyDeleted}, id+author...) }
