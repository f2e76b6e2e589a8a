package relay

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/nbd-wtf/go-nostr"
)

// expiration is when an event expires (NIP-40), if it does.
func expiration(ev *nostr.Event) (at nostr.Timestamp, ok bool) {
	tag := ev.Tags.Find("expiration")
	if tag == nil {
		return 0, false
	}
	n, err := strconv.ParseInt(tag[1], 10, 64)
	return nostr.Timestamp(n), err == nil
}

func expired(ev *nostr.Event, now nostr.Timestamp) bool {
	at, ok := expiration(ev)
	return ok && at <= now
}

// expires notes when an event expires, so that sweeping need not look at all of them. A note that is lost leaves the
// event on the disk; it is not served all the same.
func (s *store) expires(ev *nostr.Event) {
	if at, ok := expiration(ev); ok {
		s.note(expiryKey(at, ev.ID), nil)
	}
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
	for _, key := range s.due() {
		if ctx.Err() != nil {
			return
		}
		if ev := s.byID(ctx, hex.EncodeToString(key[9:])); ev != nil {
			if s.remove(ctx, ev) != nil {
				continue // its note stays, for the next sweep
			}
		}
		s.db.Update(func(tx *badger.Txn) error { return tx.Delete(key) })
	}
}

// due are the notes of what has expired.
func (s *store) due() (keys [][]byte) {
	end := expiryKey(nostr.Timestamp(s.now().Unix()+1), "")
	s.db.View(func(tx *badger.Txn) error {
		it := tx.NewIterator(badger.IteratorOptions{Prefix: []byte{keyExpires}})
		defer it.Close()
		for it.Rewind(); it.Valid() && string(it.Item().Key()) < string(end); it.Next() {
			keys = append(keys, it.Item().KeyCopy(nil))
		}
		return nil
	})
	return keys
}
