package eventlog

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"

	"github.com/nbd-wtf/go-nostr"
)

// A key is the first 8 bytes of a SHA-256 over the store's own seed and what is looked for: nobody can make two values
// collide, and what is found by chance is held against the filter all the same.
type key uint64

// entry is where the index says an event is: at what time, and where in its segment.
type entry struct{ at, offset uint32 }

const (
	byID         byte = 'i'
	byTime       byte = '*'
	byKind       byte = 'k'
	byAuthor     byte = 'a'
	byAuthorKind byte = 'A'
	byTag        byte = 't'
	byTagKind    byte = 'T'
	byAddress    byte = 'v'
	byExpiry     byte = 'x'
	byMark       byte = 'm'
)

// keyed are the tags that are looked for with a kind: jobs of a node, of a model; what else has a tag is told apart by reading.
var withKind = map[string]bool{"p": true, "t": true, "k": true}

type hasher struct{ seed [16]byte }

func (h *hasher) key(space byte, kind int, letter string, value []byte) key {
	var room [96]byte
	b := append(room[:0], h.seed[:]...)
	b = append(b, space)
	b = binary.LittleEndian.AppendUint16(b, uint16(kind))
	b = append(append(b, letter...), value...)
	sum := sha256.Sum256(b)
	return key(binary.LittleEndian.Uint64(sum[:]))
}

// packed is a value as keys hold it: ids and keys at half their length.
func packed(value string, room []byte) []byte {
	if len(value) == 64 {
		if n, err := hex.Decode(room[:32], []byte(value)); err == nil && lower(value) {
			return room[:n]
		}
	}
	return []byte(value)
}

func lower(s string) bool {
	for _, c := range []byte(s) {
		if c >= 'A' && c <= 'F' {
			return false
		}
	}
	return true
}

func clampTime(at nostr.Timestamp) uint32 { return uint32(min(max(at, 0), math.MaxUint32)) }

// keysOf gives each key under which a record is found, with its time.
func (h *hasher) keysOf(meta *Meta, tags nostr.Tags, marks []Mark, yield func(key, uint32)) {
	for _, m := range marks {
		yield(h.key(byMark, 0, "", m.Key), 0)
	}
	if meta == nil {
		return
	}
	at := clampTime(meta.At)
	yield(h.key(byID, 0, "", meta.ID[:]), at)
	yield(h.key(byTime, 0, "", nil), at)
	yield(h.key(byKind, meta.Kind, "", nil), at)
	yield(h.key(byAuthor, 0, "", meta.Author[:]), at)
	yield(h.key(byAuthorKind, meta.Kind, "", meta.Author[:]), at)
	if address, ok := AddressOf(meta.Kind, meta.Author, tags.GetD()); ok {
		yield(h.key(byAddress, 0, "", address[:]), at)
	}
	if meta.Expires != math.MaxInt64 {
		yield(h.key(byExpiry, 0, "", nil), clampTime(meta.Expires))
	}
	var room [32]byte
	for i, tag := range tags {
		if len(tag) < 2 || len(tag[0]) != 1 || repeated(tags[:i], tag) {
			continue
		}
		value := packed(tag[1], room[:])
		yield(h.key(byTag, 0, tag[0], value), at)
		if withKind[tag[0]] {
			yield(h.key(byTagKind, meta.Kind, tag[0], value), at)
		}
	}
}

// repeated says whether a tag's value came before. Of very many tags, one key may come twice; a query tells.
func repeated(before nostr.Tags, tag nostr.Tag) bool {
	if len(before) > 64 {
		return false
	}
	for _, t := range before {
		if len(t) > 1 && t[0] == tag[0] && t[1] == tag[1] {
			return true
		}
	}
	return false
}

// Address is the hash of kind, author and d: what replaceable and addressable events are known by (NIP-01).
type Address [sha256.Size]byte

// AddressOf is the address of an event of a kind; ok is false if such events have none.
func AddressOf(kind int, author [32]byte, d string) (a Address, ok bool) {
	if !nostr.IsReplaceableKind(kind) && !nostr.IsAddressableKind(kind) {
		return a, false
	}
	if !nostr.IsAddressableKind(kind) {
		d = ""
	}
	return sha256.Sum256([]byte(strconv.Itoa(kind) + ":" + hex.EncodeToString(author[:]) + ":" + d)), true
}
