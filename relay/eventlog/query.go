package eventlog

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"math"
	"slices"

	"github.com/mailru/easyjson"
	"github.com/nbd-wtf/go-nostr"
)

// Found is an event that a query has found.
type Found struct {
	Meta
	Ref Ref
	Raw []byte // its JSON; nil if it is to be read again with Read

	ev *nostr.Event
}

// Event is the event itself; nil if it cannot be read.
func (f *Found) Event() *nostr.Event {
	if f.ev == nil && f.Raw != nil {
		var ev nostr.Event
		if easyjson.Unmarshal(f.Raw, &ev) == nil {
			f.ev = &ev
		}
	}
	return f.ev
}

// Read gives an event's JSON. It fails if the disk does; deleted events are still there until their segment is compacted.
func (l *Log) Read(r Ref) ([]byte, error) {
	rec, err := r.segment.read(r.offset)
	if err != nil || rec.event == nil {
		return nil, err
	}
	return rec.event[metaSize:], nil
}

// Alive says whether an event is still there.
func (l *Log) Alive(r Ref) bool { r = r.now(); return !r.segment.isDead(r.offset) }

// Find gives the event of an id.
func (l *Log) Find(id [32]byte) (r Ref, m Meta, ok bool) {
	l.scan([]key{l.key(byID, 0, "", id[:])}, 0, math.MaxUint32, func(at Ref) bool {
		if rec, err := at.segment.read(at.offset); err == nil && rec.event != nil {
			if m = readMeta(rec.event); m.ID == id {
				r, ok = at, true
			}
		}
		return !ok
	})
	return r, m, ok
}

// Version gives the newest event of an address; of one second, that with the lower id (NIP-01).
func (l *Log) Version(a Address) (r Ref, m Meta, ok bool) {
	l.scan([]key{l.key(byAddress, 0, "", a[:])}, 0, math.MaxUint32, func(at Ref) bool {
		rec, err := at.segment.read(at.offset)
		if err != nil || rec.event == nil {
			return true
		}
		found := readMeta(rec.event)
		if ok && found.At < m.At {
			return false
		}
		if !ok || bytes.Compare(found.ID[:], m.ID[:]) < 0 {
			r, m, ok = at, found, true
		}
		return true
	})
	return r, m, ok
}

// Marks gives all values of a mark's key.
func (l *Log) Marks(k []byte) (values [][]byte) {
	for _, s := range *l.segments.Load() {
		c := (*s.index.Load()).find(l.key(byMark, 0, "", k), 0, math.MaxUint32)
		if c == nil {
			continue
		}
		for e, ok := c.next(); ok; e, ok = c.next() { // deleted events' marks hold
			rec, err := s.read(e.offset)
			if err != nil {
				continue
			}
			for _, m := range rec.marks {
				if bytes.Equal(m.Key, k) {
					values = append(values, m.Value)
				}
			}
		}
	}
	return values
}

// Expired gives what has expired up to a time and is still there.
func (l *Log) Expired(until nostr.Timestamp) (all []Ref) {
	for _, s := range *l.segments.Load() {
		x := *s.index.Load()
		_, open := x.(*fresh)
		to := clampTime(until)
		c := x.find(l.key(byExpiry, 0, "", nil), s.sweptTo, to)
		if !open { // nothing comes to it any more
			s.sweptTo = to
		}
		if c == nil {
			continue
		}
		for e, ok := c.next(); ok; e, ok = c.next() {
			if !s.isDead(e.offset) {
				all = append(all, Ref{s, e.offset})
			}
		}
	}
	return all
}

// scan gives what keys have between two times, newest first, without what is deleted, until yield says false.
func (l *Log) scan(keys []key, since, until uint32, yield func(Ref) bool) {
	l.cursors(keys, since, until).each(func(_ uint32, r Ref) bool { return yield(r) })
}

// Search is a question to the log.
type Search struct {
	Filter nostr.Filter // its Limit is how many are wanted
	Keep   func(*Found) bool
	Pause  func() bool // called now and then; false ends the search
	Bytes  int         // how much JSON an answer keeps in memory; 512 KiB if unset
}

// Query gives the newest events that a filter finds, of one second the lower id first (NIP-01).
func (l *Log) Query(ctx context.Context, q Search) []Found {
	n := newest{limit: q.Filter.Limit, budget: cmp.Or(q.Bytes, 512<<10), versions: map[Address]int{}}
	if n.limit <= 0 {
		n.limit = math.MaxInt32
	}
	p, ok := l.plan(q.Filter)
	if !ok {
		return nil
	}
	looked := 0
	p.each(func(at uint32, r Ref) bool {
		if n.enough(at) {
			return false
		}
		if looked++; looked%64 == 0 && (ctx.Err() != nil || q.Pause != nil && !q.Pause()) {
			return false
		}
		rec, err := r.segment.read(r.offset)
		if err != nil || rec.event == nil {
			return true
		}
		found := Found{Meta: readMeta(rec.event), Ref: r, Raw: rec.event[metaSize:]}
		if Matches(q.Filter, &found) && (q.Keep == nil || q.Keep(&found)) {
			n.add(found)
		}
		return true
	})
	return n.take()
}

// Matches holds an event against a filter, and reads its JSON only if tags are asked for.
func Matches(f nostr.Filter, found *Found) bool {
	if f.Kinds != nil && !slices.Contains(f.Kinds, found.Kind) ||
		f.Since != nil && found.At < *f.Since || f.Until != nil && found.At > *f.Until ||
		f.IDs != nil && !oneOf(f.IDs, found.ID) || f.Authors != nil && !oneOf(f.Authors, found.Author) {
		return false
	}
	if len(f.Tags) == 0 {
		return true
	}
	ev := found.Event()
	return ev != nil && f.Matches(ev)
}

func oneOf(all []string, id [32]byte) bool {
	var room [64]byte
	hex.Encode(room[:], id[:])
	for _, s := range all {
		if s == string(room[:]) {
			return true
		}
	}
	return false
}

// newest gathers the newest events, a few more than the limit at times.
type newest struct {
	limit    int
	budget   int
	all      []Found
	ids      map[[32]byte]bool
	versions map[Address]int
	sorted   bool
}

func (n *newest) add(f Found) {
	if n.ids == nil {
		n.ids = map[[32]byte]bool{}
	}
	if n.ids[f.ID] {
		return
	}
	if n.budget -= len(f.Raw) + 200; n.budget < 0 {
		f.Raw, f.ev = nil, nil
	}
	f.ev = nil
	n.ids[f.ID] = true
	n.all = append(n.all, f)
	if n.sorted = false; len(n.all) > 2*n.limit+512 {
		n.take()
	}
}

// take gives what was gathered, in order.
func (n *newest) take() []Found {
	if n.sorted {
		return n.all
	}
	slices.SortFunc(n.all, Newer)
	for _, f := range n.all[min(n.limit, len(n.all)):] {
		delete(n.ids, f.ID)
		if f.Raw != nil {
			n.budget += len(f.Raw) + 200
		}
	}
	clear(n.all[min(n.limit, len(n.all)):])
	n.all, n.sorted = n.all[:min(n.limit, len(n.all))], true
	return n.all
}

// enough says whether nothing of a time is wanted any more.
func (n *newest) enough(at uint32) bool {
	if len(n.all) < n.limit {
		return false
	}
	all := n.take()
	return clampTime(all[n.limit-1].At) > at
}

// Newer orders events as a relay gives them.
func Newer(a, b Found) int {
	return cmp.Or(cmp.Compare(b.At, a.At), bytes.Compare(a.ID[:], b.ID[:]))
}
