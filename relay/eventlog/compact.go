package eventlog

import (
	"errors"
	"fmt"
	"math"
	"os"
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

// compactOne copies what is left of a segment into a new one, which then takes its place.
func (l *Log) compactOne(old *segment) (saved int64, err error) {
	var id uint32
	if err := l.between(func() error { l.lastID++; id = l.lastID; return nil }); err != nil {
		return 0, err
	}
	to := &segment{id: id, from: old.id}
	path := logPath(l.Dir, id)
	f, err := os.OpenFile(path+".tmp", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	to.f = disk{f}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(path + ".tmp")
			os.Remove(indexPath(l.Dir, id))
		}
	}()
	there := map[uint32]bool{}
	for _, s := range *l.segments.Load() {
		there[s.id] = s != old
	}
	x, moved := newFresh(), map[uint32]Ref{}
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
		return 0, err
	}
	to.size.Store(int64(len(b)))
	to.set(x)
	if err := errors.Join(second(f.WriteAt(b, 0)), f.Sync(), l.sealOne(to), os.Rename(path+".tmp", path), syncDir(path)); err != nil {
		return 0, err
	}
	return old.size.Load() - int64(len(b)), l.between(func() error { return l.swap(old, to, moved) })
}

// swap puts a segment in the place of another. What was deleted meanwhile is deleted there, too. A crash before the old one
// is gone leaves both: the head of the new one says so.
func (l *Log) swap(old, to *segment, moved map[uint32]Ref) error {
	var late []place
	old.mu.Lock()
	for offset := range old.dead {
		if r, ok := moved[offset]; ok {
			if rec, err := to.read(r.offset); err == nil && rec.event != nil {
				late = append(late, place{to.id, r.offset})
				to.kill(r.offset)
			}
		}
	}
	old.moved = moved
	old.mu.Unlock()
	if len(late) > 0 {
		b := appendRecord(nil, late, nil, nil, nil)
		if err := l.store(b); err != nil {
			return err
		}
		l.active.size.Add(int64(len(b)))
		l.active.kills = append(l.active.kills, late...)
	}
	var segments []*segment
	for _, s := range *l.segments.Load() {
		if s == old {
			s = to
		}
		segments = append(segments, s)
	}
	l.segments.Store(&segments)
	return errors.Join(os.Remove(logPath(l.Dir, old.id)), os.Remove(indexPath(l.Dir, old.id)))
}

// between runs something on the writer's goroutine, between two batches.
func (l *Log) between(then func() error) error {
	end := make(chan error, 1)
	l.enqueue(&op{then: then, done: func(_ Ref, err error) { end <- err }})
	return <-end
}
