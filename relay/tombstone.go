package relay

import (
	"encoding/binary"

	"github.com/nbd-wtf/go-nostr"

	"infernet/relay/eventlog"
)

// bury removes an author's events for good, together with the write whose turn it is. An event that comes later finds the
// tombstone when it is its turn.
func bury(t *eventlog.Turn, ids []string, author string) {
	key, _ := rawID(author)
	for _, id := range ids {
		t.Mark(eventlog.Mark{Key: deletedKey(id, author), Value: []byte{1}})
		raw, ok := rawID(id)
		if !ok {
			continue
		}
		if at, meta, ok := t.Find(raw); ok && meta.Author == key {
			t.Kill(at)
		}
	}
}

// buryAddress removes the version of an address up to a time, and keeps older ones away.
func buryAddress(t *eventlog.Turn, at eventlog.Address, until nostr.Timestamp) {
	t.Mark(eventlog.Mark{Key: deletedAddressKey(at), Value: timeMark(int64(until))})
	if old, meta, ok := t.Version(at); ok && meta.At <= until {
		t.Kill(old)
	}
}

// marks are read in a write's turn, or from the log as it is.
type marks interface{ Marks(key []byte) [][]byte }

// buried says whether an event was deleted by its author.
func buried(m marks, ev *nostr.Event) bool {
	if len(m.Marks(deletedKey(ev.ID, ev.PubKey))) > 0 {
		return true
	}
	at, ok := versionOf(ev)
	return ok && ev.CreatedAt <= deletedUntil(m, at)
}

// deletedUntil is the created_at up to which an address is deleted; -1 if it is not.
func deletedUntil(m marks, at eventlog.Address) nostr.Timestamp {
	until := int64(-1)
	for _, v := range m.Marks(deletedAddressKey(at)) {
		until = max(until, markTime(v))
	}
	return nostr.Timestamp(until)
}

func deletedKey(id, author string) []byte { return append([]byte{markDeleted}, id+author...) }

func deletedAddressKey(at eventlog.Address) []byte {
	return append([]byte{markDeletedAddress}, at[:]...)
}

func timeMark(at int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(at)) }

func markTime(v []byte) int64 {
	if len(v) != 8 {
		return -1
	}
	return int64(binary.BigEndian.Uint64(v))
}
