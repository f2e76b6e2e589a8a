package reconcile

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"iter"
	"math"
	"math/bits"
	"slices"
	"strings"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip77/negentropy"
)

// Item is one event of a set: 40 bytes.
type Item struct {
	At int64
	ID [32]byte
}

func (a Item) compare(b Item) int {
	return cmp.Or(cmp.Compare(a.At, b.At), slices.Compare(a.ID[:], b.ID[:]))
}

// Set is what a server has, in order, each event once.
type Set struct{ items []Item }

var _ negentropy.Storage = (*Set)(nil)

// NewSet orders items; it takes them over.
func NewSet(items []Item) *Set {
	slices.SortFunc(items, Item.compare)
	return &Set{slices.Compact(items)}
}

// Size is how many events there are.
func (s *Set) Size() int { return len(s.items) }

// Range gives items by their place.
func (s *Set) Range(begin, end int) iter.Seq2[int, negentropy.Item] {
	return func(yield func(int, negentropy.Item) bool) {
		for i := begin; i < end; i++ {
			if !yield(i, s.item(i)) {
				return
			}
		}
	}
}

func (s *Set) item(i int) negentropy.Item {
	return negentropy.Item{Timestamp: nostr.Timestamp(s.items[i].At), ID: hex.EncodeToString(s.items[i].ID[:])}
}

// FindLowerBound gives the first place that is not before a bound.
func (s *Set) FindLowerBound(begin, end int, bound negentropy.Bound) int {
	if bound.Timestamp == math.MaxInt64 {
		return end
	}
	key := Item{At: int64(bound.Timestamp)}
	hex.Decode(key.ID[:], []byte(strings.ToLower(bound.ID))) // Parse has seen that it is hex, and at most so long
	i, _ := slices.BinarySearchFunc(s.items[begin:end], key, Item.compare)
	return begin + i
}

// GetBound is the bound before an item.
func (s *Set) GetBound(i int) negentropy.Bound {
	if i < len(s.items) {
		return negentropy.Bound{Item: s.item(i)}
	}
	return negentropy.InfiniteBound
}

// Fingerprint is the digest of a part of the set.
func (s *Set) Fingerprint(begin, end int) string {
	var total [4]uint64
	for i := begin; i < end; i++ {
		id, carry := &s.items[i].ID, uint64(0)
		for w := range total {
			total[w], carry = bits.Add64(total[w], binary.LittleEndian.Uint64(id[8*w:]), carry)
		}
	}
	whole := sum{n: uint64(end - begin)}
	for w := range total {
		binary.LittleEndian.PutUint64(whole.total[8*w:], total[w])
	}
	print := whole.print()
	return hex.EncodeToString(print[:])
}

// FrameLimit is how many bytes a server's answer has, about; in hex twice as many.
const FrameLimit = 50_000

// Server answers messages about one set.
type Server struct {
	n    *negentropy.Negentropy
	Size int // events of the set
}

// NewServer answers messages about a set.
func NewServer(s *Set) *Server { return &Server{negentropy.New(s, FrameLimit), s.Size()} }

// Answer answers a message. A message of another version is answered with ours, as the NIP wants it.
func (s *Server) Answer(text string) (string, error) {
	if _, err := Parse(text); err != nil {
		if isVersion(err) {
			return hex.EncodeToString([]byte{Version}), nil
		}
		return "", err
	}
	return s.n.Reconcile(strings.ToLower(text))
}
