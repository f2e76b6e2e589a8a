package eventlog

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"math"
	"strconv"

	"github.com/nbd-wtf/go-nostr"
)

// A record is what one Write put into the log, whole or not at all:
//
//	length u32 · crc32c of the rest u32 · kills u16 · marks u16 · event u32
//	kills: segment u32, offset u32 each
//	marks: length of key u16, of value u16, key, value each
//	event: id 32, author 32, created_at i64, expires i64, kind u16, then its JSON
//
// All numbers are little-endian.
const (
	headSize = 16
	metaSize = 32 + 32 + 8 + 8 + 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Mark is a small fact that is found by its key. Several of one key may be there; none is ever replaced.
type Mark struct{ Key, Value []byte }

// Meta is what is known of an event without reading its JSON.
type Meta struct {
	ID, Author [32]byte
	At         nostr.Timestamp
	Expires    nostr.Timestamp // NIP-40; math.MaxInt64 if it does not
	Kind       int
}

var errShape = errors.New("id and pubkey are 64 hex digits")

func metaOf(ev *nostr.Event) (m Meta, err error) {
	if len(ev.ID) != 64 || len(ev.PubKey) != 64 {
		return m, errShape
	}
	if _, err := hex.Decode(m.ID[:], []byte(ev.ID)); err != nil {
		return m, errShape
	}
	if _, err := hex.Decode(m.Author[:], []byte(ev.PubKey)); err != nil {
		return m, errShape
	}
	if ev.Kind < 0 || ev.Kind > math.MaxUint16 {
		return m, errors.New("kinds are 0 to 65535")
	}
	m.At, m.Kind, m.Expires = ev.CreatedAt, ev.Kind, math.MaxInt64
	if at, ok := expiration(ev); ok {
		m.Expires = at
	}
	return m, nil
}

// expiration is when an event expires (NIP-40), if it does.
func expiration(ev *nostr.Event) (at nostr.Timestamp, ok bool) {
	tag := ev.Tags.Find("expiration")
	if tag == nil {
		return 0, false
	}
	n, err := strconv.ParseInt(tag[1], 10, 64)
	return nostr.Timestamp(n), err == nil
}

// appendRecord adds a record to what is to be written.
func appendRecord(to []byte, kills []place, marks []Mark, meta *Meta, raw []byte) []byte {
	began := len(to)
	size := 0
	if meta != nil {
		size = metaSize + len(raw)
	}
	le := binary.LittleEndian
	to = append(to, 0, 0, 0, 0, 0, 0, 0, 0)
	to = le.AppendUint16(to, uint16(len(kills)))
	to = le.AppendUint16(to, uint16(len(marks)))
	to = le.AppendUint32(to, uint32(size))
	for _, k := range kills {
		to = le.AppendUint32(to, k.segment)
		to = le.AppendUint32(to, k.offset)
	}
	for _, m := range marks {
		to = le.AppendUint16(to, uint16(len(m.Key)))
		to = le.AppendUint16(to, uint16(len(m.Value)))
		to = append(append(to, m.Key...), m.Value...)
	}
	if meta != nil {
		to = append(append(to, meta.ID[:]...), meta.Author[:]...)
		to = le.AppendUint64(to, uint64(meta.At))
		to = le.AppendUint64(to, uint64(meta.Expires))
		to = le.AppendUint16(to, uint16(meta.Kind))
		to = append(to, raw...)
	}
	le.PutUint32(to[began:], uint32(len(to)-began))
	le.PutUint32(to[began+4:], crc32.Checksum(to[began+8:], castagnoli))
	return to
}

// record is one that was read; its parts share the bytes it was read from.
type record struct {
	length int
	kills  []place
	marks  []Mark
	event  []byte // with its meta; nil if the record has none
}

// maxRecord is the longest record: an event and what is deleted with it.
const maxRecord = 1 << 20

var errTorn = errors.New("the record is torn or damaged")

// readRecord reads the record at the beginning of b.
func readRecord(b []byte) (r record, err error) {
	le := binary.LittleEndian
	if len(b) < headSize {
		return r, errTorn
	}
	r.length = int(le.Uint32(b))
	if r.length < headSize || r.length > maxRecord || r.length > len(b) || crc32.Checksum(b[8:r.length], castagnoli) != le.Uint32(b[4:]) {
		return r, errTorn
	}
	kills, marks, size := int(le.Uint16(b[8:])), int(le.Uint16(b[10:])), int(le.Uint32(b[12:]))
	rest := b[headSize:r.length]
	if len(rest) < 8*kills {
		return r, errTorn
	}
	for i := range kills {
		r.kills = append(r.kills, place{le.Uint32(rest[8*i:]), le.Uint32(rest[8*i+4:])})
	}
	rest = rest[8*kills:]
	for range marks {
		if len(rest) < 4 {
			return r, errTorn
		}
		k, v := int(le.Uint16(rest)), int(le.Uint16(rest[2:]))
		if len(rest) < 4+k+v {
			return r, errTorn
		}
		r.marks = append(r.marks, Mark{rest[4 : 4+k : 4+k], rest[4+k : 4+k+v : 4+k+v]})
		rest = rest[4+k+v:]
	}
	if size != len(rest) || size > 0 && size < metaSize {
		return r, errTorn
	}
	if size > 0 {
		r.event = rest
	}
	return r, nil
}

// eventOf is where the event of a record begins, from the record's first bytes; marks have to be walked.
func readMeta(b []byte) (m Meta) {
	le := binary.LittleEndian
	copy(m.ID[:], b)
	copy(m.Author[:], b[32:])
	m.At = nostr.Timestamp(le.Uint64(b[64:]))
	m.Expires = nostr.Timestamp(le.Uint64(b[72:]))
	m.Kind = int(le.Uint16(b[80:]))
	return m
}
