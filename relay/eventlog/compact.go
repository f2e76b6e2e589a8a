package eventlog

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"github.com/mailru/easyjson"
	"github.com/nbd-wtf/go-nostr"
)

// compactEachMinute takes deleted events off the disk, until the log is closed.
func (l *Log) compactEachMinute() {
	tick := time.NewTicker(l.Sweep)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
		if _, err := l.Compact(0.5); err != nil && !errors.Is(err, ErrClosed) {
			l.Log.Error("cannot compact", "err", err)
		}
	}
}

// Compact writes the segments anew of whose events more than a share is deleted, without these. It gives the bytes saved.
func (l *Log) Compact(share float64) (saved int64, err error) {
	l.sealing.Wait()
	for _, s := range *l.segments.Load() {
		x, closed := (*s.index.Load()).(*sealed)
		if !closed {
			continue
		}
		total := 0
		if c := x.find(l.key(byTime, 0, "", nil), 0, math.MaxUint32); c != nil {
			total = c.size()
		}
		s.mu.RLock()
		dead := len(s.dead)
		s.mu.RUnlock()
		if dead == 0 || float64(dead) < share*float64(total) {
			continue
		}
		n, err := l.compactOne(s)
		if err != nil {
			return saved, fmt.Errorf("compact %s: %w", logPath(l.Dir, s.id), err)
		}
		saved += n
	}
	return saved, nil
}

// compactOne puts a copy of what is left of a segment in its place.
func (l *Log) compactOne(old *segment) (saved int64, err error) {
	to, moved, err := l.copyOf(old)
	if err != nil {
		return 0, err
	}
	if err := l.between(func() error { return l.swap(old, to, moved) }); err != nil {
		to.f.Close()
		os.Remove(logPath(l.Dir, to.id) + ".tmp")
		return 0, err
	}
	return old.size.Load() - to.size.Load(), l.sealOne(to)
}

// copyOf writes what is left of a segment into a new one, which has no name yet. It says where each record went.
func (l *Log) copyOf(old *segment) (to *segment, moved map[uint32]Ref, err error) {
	var id uint32
	if err := l.between(func() error { l.lastID++; id = l.lastID; return nil }); err != nil {
		return nil, nil, err
	}
	to = &segment{id: id, from: old.id}
	path := logPath(l.Dir, id) + ".tmp"
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, nil, err
	}
	to.f = l.onDisk(f)
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(path)
		}
	}()
	there := map[uint32]bool{}
	for _, s := range *l.segments.Load() {
		there[s.id] = s != old
	}
	x := newFresh()
	moved = map[uint32]Ref{}
	b := to.head()
	if _, err := readRecords(old.f, old.size.Load(), func(offset uint32, r record) error {
		var meta *Meta
		var tags nostr.Tags
		var raw []byte
		if r.event != nil && !old.isDead(offset) {
			var ev nostr.Event
			if err := easyjson.Unmarshal(r.event[metaSize:], &ev); err != nil {
				return err
			}
			m := readMeta(r.event)
			meta, tags, raw = &m, ev.Tags, r.event[metaSize:]
		}
		var kills []place
		for _, k := range r.kills {
			if there[k.segment] {
				kills = append(kills, k)
			}
		}
		if meta == nil && len(kills) == 0 && len(r.marks) == 0 {
			return nil
		}
		at := uint32(len(b))
		b = appendRecord(b, kills, r.marks, meta, raw)
		to.kills = append(to.kills, kills...)
		moved[offset] = Ref{to, at}
		l.keysOf(meta, tags, r.marks, func(k key, time uint32) { x.add(k, entry{time, at}) })
		return nil
	}); err != nil {
		return nil, nil, err
	}
	to.size.Store(int64(len(b)))
	to.set(x)
	return to, moved, errors.Join(second(to.f.WriteAt(b, 0)), to.f.Sync())
}

// swap puts a segment in the place of another, between two batches. What was deleted since it was copied is deleted in it
// before it has its name: from then on it is the one that counts, also if a crash leaves both.
func (l *Log) swap(old, to *segment, moved map[uint32]Ref) error {
	var late []place
	old.mu.RLock()
	for offset := range old.dead {
		if r, ok := moved[offset]; ok {
			if rec, err := to.read(r.offset); err == nil && rec.event != nil {
				late = append(late, place{to.id, r.offset})
			}
		}
	}
	old.mu.RUnlock()
	for some := range slices.Chunk(late, maxKills) {
		b := appendRecord(nil, some, nil, nil, nil)
		if _, err := to.f.WriteAt(b, to.size.Load()); err != nil {
			return err
		}
		to.size.Add(int64(len(b)))
	}
	path := logPath(l.Dir, to.id)
	if err := errors.Join(to.f.Sync(), os.Rename(path+".tmp", path), syncDir(path)); err != nil {
		return err
	}
	to.kills = append(to.kills, late...)
	for _, k := range late {
		to.kill(k.offset)
	}
	old.mu.Lock()
	old.moved = moved
	old.mu.Unlock()
	segments := slices.Clone(*l.segments.Load())
	segments[slices.Index(segments, old)] = to
	l.segments.Store(&segments)
	if err := errors.Join(os.Remove(logPath(l.Dir, old.id)), os.Remove(indexPath(l.Dir, old.id))); err != nil {
		l.Log.Error("cannot remove a segment that was compacted; the next start does", "err", err)
	}
	return nil
}

// between runs something on the writer's goroutine, between two batches.
func (l *Log) between(then func() error) error {
	end := make(chan error, 1)
	l.enqueue(&op{then: then, done: func(_ Ref, err error) { end <- err }})
	return <-end
}
