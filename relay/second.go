package relay

import (
	"context"
	"encoding/binary"
	"encoding/hex"

	"github.com/dgraph-io/badger/v4"
	"github.com/nbd-wtf/go-nostr"
)

// eventstore's tables, as far as we read them ourselves: it has no way to read one second in parts.
const (
	tableEvents     byte = 0 // serial → id and the rest
	tableTime       byte = 1 // created_at, serial
	tableKind       byte = 3 // kind, created_at, serial
	tableAuthor     byte = 4 // 8 bytes of the author, …
	tableAuthorKind byte = 5
	tableTag        byte = 7 // the tag's letter, 8 bytes of an id or key, …
)

// second reads all events of one look-up in one second, one by one: there may be any number of them.
func (s *store) second(ctx context.Context, f nostr.Filter, at nostr.Timestamp, n *newest) {
	prefix := binary.BigEndian.AppendUint32(table(f), uint32(at))
	s.db.View(func(tx *badger.Txn) error {
		it := tx.NewIterator(badger.IteratorOptions{Prefix: prefix})
		defer it.Close()
		for it.Rewind(); it.Valid() && ctx.Err() == nil; it.Next() {
			key := it.Item().Key()
			if len(key) != len(prefix)+4 {
				continue
			}
			item, err := tx.Get(append([]byte{tableEvents}, key[len(prefix):]...))
			if err != nil {
				continue
			}
			var id string
			item.Value(func(raw []byte) error {
				if len(raw) >= 32 {
					id = hex.EncodeToString(raw[:32])
				}
				return nil
			})
			if ev := s.byID(ctx, id); ev != nil {
				n.add(ev)
			}
		}
		return nil
	})
}

// table is where eventstore keeps what one look-up (lookups) finds, up to the time.
func table(f nostr.Filter) []byte {
	half := func(to []byte, full string) []byte {
		raw, _ := hex.DecodeString(full[:16])
		return append(to, raw...)
	}
	for tag, values := range f.Tags {
		return half([]byte{tableTag, tag[0]}, values[0])
	}
	switch {
	case f.Authors != nil && f.Kinds != nil:
		return binary.BigEndian.AppendUint16(half([]byte{tableAuthorKind}, f.Authors[0]), uint16(f.Kinds[0]))
	case f.Authors != nil:
		return half([]byte{tableAuthor}, f.Authors[0])
	case f.Kinds != nil:
		return binary.BigEndian.AppendUint16([]byte{tableKind}, uint16(f.Kinds[0]))
	}
	return []byte{tableTime}
}
