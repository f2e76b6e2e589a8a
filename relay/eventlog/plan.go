package eventlog

import (
	"encoding/hex"
	"math"
	"slices"

	"github.com/nbd-wtf/go-nostr"
)

// maxLookups is how many keys are looked up one by one for a filter, before it is searched along another dimension.
const maxLookups = 5000

// plan finds the dimension of a filter along which there is least to read. It says false if nothing can match.
func (l *Log) plan(f nostr.Filter) (merged, bool) {
	since, until := uint32(0), uint32(math.MaxUint32)
	if f.Since != nil {
		since = clampTime(*f.Since)
	}
	if f.Until != nil {
		if *f.Until < 0 {
			return nil, false
		}
		until = clampTime(*f.Until)
	}
	ways, ok := l.ways(f)
	if !ok {
		return nil, false
	}
	var best merged
	least := -1
	for _, keys := range ways {
		m := l.cursors(keys, since, until)
		size := 0
		for _, c := range m {
			size += c.size()
		}
		if least < 0 || size < least {
			best, least = m, size
		}
		if size == 0 {
			break
		}
	}
	return best, true
}

// ways gives, for each dimension of a filter, the keys under which all that it finds is.
func (l *Log) ways(f nostr.Filter) (ways [][]key, ok bool) {
	kinds := slices.DeleteFunc(slices.Clone(f.Kinds), func(k int) bool { return k < 0 || k > math.MaxUint16 })
	authors := hexed(f.Authors)
	if f.Kinds != nil && len(kinds) == 0 || f.Authors != nil && len(authors) == 0 {
		return nil, false
	}
	add := func(n int, keys func(yield func(key))) {
		if n > maxLookups {
			return
		}
		var all []key
		keys(func(k key) { all = append(all, k) })
		slices.Sort(all)
		ways = append(ways, slices.Compact(all))
	}
	if f.IDs != nil {
		ids := hexed(f.IDs)
		add(0, func(yield func(key)) {
			for _, id := range ids {
				yield(l.key(byID, 0, "", id))
			}
		})
		return ways, len(ids) > 0
	}
	for letter, values := range f.Tags {
		if values == nil {
			continue
		}
		if len(values) == 0 {
			return nil, false
		}
		if len(letter) != 1 {
			continue
		}
		var room [32]byte
		if withKind[letter] && kinds != nil && len(kinds)*len(values) <= maxLookups {
			add(0, func(yield func(key)) {
				for _, v := range values {
					for _, k := range kinds {
						yield(l.key(byTagKind, k, letter, packed(v, room[:])))
					}
				}
			})
			continue
		}
		add(len(values), func(yield func(key)) {
			for _, v := range values {
				yield(l.key(byTag, 0, letter, packed(v, room[:])))
			}
		})
	}
	switch {
	case authors != nil && kinds != nil && len(authors)*len(kinds) <= maxLookups:
		add(0, func(yield func(key)) {
			for _, a := range authors {
				for _, k := range kinds {
					yield(l.key(byAuthorKind, k, "", a))
				}
			}
		})
	case authors != nil:
		add(len(authors), func(yield func(key)) {
			for _, a := range authors {
				yield(l.key(byAuthor, 0, "", a))
			}
		})
	case kinds != nil && len(ways) == 0:
		add(len(kinds), func(yield func(key)) {
			for _, k := range kinds {
				yield(l.key(byKind, k, "", nil))
			}
		})
	}
	if len(ways) == 0 {
		ways = [][]key{{l.key(byTime, 0, "", nil)}}
	}
	return ways, true
}

// hexed gives ids and keys as bytes, without what is none.
func hexed(all []string) (raw [][]byte) {
	for _, s := range all {
		if b, err := hex.DecodeString(s); err == nil && len(b) == 32 && lower(s) {
			raw = append(raw, b)
		}
	}
	return raw
}

// merged are cursors that are read as one.
type merged []*head

type head struct {
	cursor
	segment *segment
	e       entry
}

func (l *Log) cursors(keys []key, since, until uint32) (m merged) {
	segments := *l.segments.Load()
	for _, s := range segments {
		x := *s.index.Load()
		for _, k := range keys {
			if c := x.find(k, since, until); c != nil {
				m = append(m, &head{cursor: c, segment: s})
			}
		}
	}
	return m
}

// each gives entries, the latest first, without what is deleted, until yield says false.
func (m merged) each(yield func(at uint32, r Ref) bool) {
	heap := make([]*head, 0, len(m))
	for _, h := range m {
		if e, ok := h.next(); ok {
			h.e = e
			heap = append(heap, h)
		}
	}
	down := func(i int) {
		for {
			big := i
			for _, c := range []int{2*i + 1, 2*i + 2} {
				if c < len(heap) && heap[c].e.at > heap[big].e.at {
					big = c
				}
			}
			if big == i {
				return
			}
			heap[i], heap[big] = heap[big], heap[i]
			i = big
		}
	}
	for i := len(heap)/2 - 1; i >= 0; i-- {
		down(i)
	}
	for len(heap) > 0 {
		top := heap[0]
		at, r := top.e.at, Ref{top.segment, top.e.offset}
		if e, ok := top.next(); ok {
			top.e = e
		} else {
			heap[0] = heap[len(heap)-1]
			heap = heap[:len(heap)-1]
		}
		down(0)
		if !r.segment.isDead(r.offset) && !yield(at, r) {
			return
		}
	}
}
