package eventlog

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/nbd-wtf/go-nostr"
)

// Write is what goes into the log as one.
type Write struct {
	Event *nostr.Event // none if unset
	Raw   []byte       // its JSON; not changed afterwards
	Marks []Mark

	// Check is asked when it is this write's turn, with all that was written before: it may refuse, and say what is deleted
	// with it. It runs on the writer's goroutine.
	Check func(*Turn) error
}

// op is a write on its way.
type op struct {
	Write
	meta Meta
	keys []keyed
	done func(Ref, error)
	then func() error // instead of a write: something that must not happen beside one

	at    Ref
	kills []Ref
}

type keyed struct {
	key key
	at  uint32
}

// maxQueued is how many bytes wait to be written before who brings more waits.
const maxQueued = 8 << 20

// Put queues a write. done hears when it is durable, or why it is not; it must not wait for anything.
func (l *Log) Put(w Write, done func(Ref, error)) {
	o := &op{Write: w, done: done}
	var meta *Meta
	if w.Event != nil {
		m, err := metaOf(w.Event)
		if err != nil {
			done(Ref{}, err)
			return
		}
		o.meta, meta = m, &o.meta
	}
	o.keys = make([]keyed, 0, 16)
	var tags nostr.Tags
	if w.Event != nil {
		tags = w.Event.Tags
	}
	l.keysOf(meta, tags, w.Marks, func(k key, at uint32) { o.keys = append(o.keys, keyed{k, at}) })
	l.enqueue(o)
}

func (l *Log) enqueue(o *op) {
	l.mu.Lock()
	for l.queued > maxQueued && !l.closing {
		l.room.Wait()
	}
	if l.closing {
		l.mu.Unlock()
		o.done(Ref{}, ErrClosed)
		return
	}
	l.queue = append(l.queue, o)
	l.queued += len(o.Raw) + 512
	if len(l.queue) == 1 {
		l.work.Signal()
	}
	l.mu.Unlock()
}

// Do is Put that waits.
func (l *Log) Do(w Write) (at Ref, err error) {
	end := make(chan struct{})
	l.Put(w, func(r Ref, e error) { at, err = r, e; close(end) })
	<-end
	return at, err
}

// write is the writer: it takes what has gathered while the disk was busy, writes it at once, and syncs once.
func (l *Log) write() {
	var took []*op
	for {
		l.mu.Lock()
		for len(l.queue) == 0 && !l.closing {
			l.work.Wait()
		}
		if len(l.queue) == 0 {
			l.mu.Unlock()
			return
		}
		took, l.queue = l.queue, took[:0]
		l.queued = 0
		l.room.Broadcast()
		l.mu.Unlock()
		l.commit(took)
		clear(took)
	}
}

// batch is what is written at once.
type batch struct {
	ops     []*op
	bytes   []byte
	ids     map[[32]byte]Ref
	newest  map[Address]Ref // versions that are in this batch
	killed  map[Ref]bool
	marks   map[string][][]byte
	members map[Ref]*op
	refused []refusal
}

// refusal is told only when the disk has what was before it: it may be the reason.
type refusal struct {
	op  *op
	why error
}

func newBatch() *batch {
	return &batch{ids: map[[32]byte]Ref{}, newest: map[Address]Ref{}, killed: map[Ref]bool{}, marks: map[string][][]byte{}, members: map[Ref]*op{}}
}

// commit writes ops, in order.
func (l *Log) commit(ops []*op) {
	b := newBatch()
	for _, o := range ops {
		if o.then != nil {
			l.flush(b)
			b = newBatch()
			o.done(Ref{}, o.then())
			continue
		}
		if size := l.active.size.Load() + int64(len(b.bytes)) + int64(len(o.Raw)); l.active.full || size+4096 > l.SegmentSize && size > segmentHead+4096 {
			l.flush(b)
			b = newBatch()
			if err := l.roll(); err != nil {
				l.failed(err)
				o.done(Ref{}, plain(err))
				continue
			}
		}
		if err := l.add(b, o); err != nil {
			b.refused = append(b.refused, refusal{o, err})
		}
	}
	l.flush(b)
}

// add gives a write its turn.
func (l *Log) add(b *batch, o *op) error {
	t := &Turn{log: l, batch: b}
	if o.Check != nil {
		if err := o.Check(t); err != nil {
			return err
		}
	}
	if len(t.marks) > 0 {
		o.Marks = append(o.Marks, t.marks...)
		l.keysOf(nil, nil, t.marks, func(k key, at uint32) { o.keys = append(o.keys, keyed{k, at}) })
	}
	o.at = Ref{l.active, uint32(l.active.size.Load()) + uint32(len(b.bytes))}
	var kills []place
	for _, r := range t.kills {
		r = r.now()
		o.kills = append(o.kills, r)
		kills = append(kills, place{r.segment.id, r.offset})
		b.killed[r] = true
	}
	var meta *Meta
	if o.Event != nil {
		meta = &o.meta
	}
	before := len(b.bytes)
	b.bytes = appendRecord(b.bytes, kills, o.Marks, meta, o.Raw)
	if len(b.bytes)-before > maxRecord || len(kills) > maxKills || len(o.Marks) > maxKills {
		b.bytes = b.bytes[:before]
		return fmt.Errorf("a write of %d bytes, at most %d fit into a record", len(b.bytes)-before, maxRecord)
	}
	b.ops = append(b.ops, o)
	for _, m := range o.Marks {
		b.marks[string(m.Key)] = append(b.marks[string(m.Key)], m.Value)
	}
	if o.Event != nil {
		b.ids[o.meta.ID] = o.at
		b.members[o.at] = o
		if a, ok := AddressOf(o.meta.Kind, o.meta.Author, o.Event.Tags.GetD()); ok {
			b.newest[a] = o.at
		}
	}
	return nil
}

const maxKills = 60_000

// now is where a record is after compactions that it did not hear of.
func (r Ref) now() Ref {
	for {
		r.segment.mu.RLock()
		to, moved := r.segment.moved[r.offset]
		r.segment.mu.RUnlock()
		if !moved {
			return r
		}
		r = to
	}
}

// flush writes a batch and syncs it, makes it visible, then tells.
func (l *Log) flush(b *batch) {
	if len(b.ops) > 0 {
		if err := l.store(b.bytes); err != nil {
			l.failed(err)
			for _, o := range b.ops {
				o.done(Ref{}, plain(err))
			}
			for _, r := range b.refused {
				r.op.done(Ref{}, plain(err))
			}
			return
		}
		l.show(b)
	}
	for _, o := range b.ops {
		o.done(o.at, nil)
	}
	for _, r := range b.refused {
		r.op.done(Ref{}, r.why)
	}
}

// show makes what is on the disk visible.
func (l *Log) show(b *batch) {
	l.failed(nil)
	s := l.active
	s.size.Add(int64(len(b.bytes)))
	x := (*s.index.Load()).(*fresh)
	x.mu.Lock()
	for _, o := range b.ops {
		for _, k := range o.keys {
			x.add(k.key, entry{k.at, o.at.offset})
		}
	}
	x.mu.Unlock()
	for _, o := range b.ops {
		for _, r := range o.kills {
			r.segment.kill(r.offset)
			s.kills = append(s.kills, place{r.segment.id, r.offset})
		}
	}
}

// growBy is how much room a segment takes at a time.
const growBy = 4 << 20

// store brings bytes to the disk.
func (l *Log) store(b []byte) error {
	s, at := l.active, l.active.size.Load()
	if end := at + int64(len(b)); end > l.grown {
		grown := max(end, l.grown+growBy)
		if err := l.mayGrow(grown - l.grown); err != nil {
			return err
		}
		if err := s.f.Grow(grown); err != nil {
			return err
		}
		l.grown = grown
	}
	if _, err := s.f.WriteAt(b, at); err != nil {
		return err
	}
	if err := s.f.Sync(); err != nil {
		// what the disk has of it is unknown, and a second sync would say nothing about it: go on elsewhere
		s.full = true
		s.f.Truncate(at)
		return err
	}
	l.syncs.Add(1)
	return nil
}

// mayGrow says whether a file may grow: some of the disk is left to others, and to what compacting needs.
func (l *Log) mayGrow(more int64) error {
	if l.Dir == "" || l.KeepFree <= 0 || Free(l.Dir)-more >= l.KeepFree {
		return nil
	}
	return ErrFull
}

// roll begins a new segment, and seals the one before.
func (l *Log) roll() error {
	if err := l.mayGrow(growBy); err != nil {
		return err
	}
	s := &segment{id: l.lastID + 1, f: &memory{}}
	s.set(newFresh())
	s.size.Store(segmentHead)
	if l.Dir != "" {
		path := logPath(l.Dir, s.id)
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		s.f = l.onDisk(f)
		if err := errors.Join(s.f.Grow(growBy), second(s.f.WriteAt(s.head(), 0)), s.f.Sync(), syncDir(path)); err != nil {
			f.Close()
			os.Remove(path)
			return err
		}
	}
	l.lastID, l.grown = s.id, growBy
	before := l.active
	l.active = s
	segments := append(append([]*segment(nil), *l.segments.Load()...), s)
	l.segments.Store(&segments)
	if before != nil {
		before.full = true
		l.sealing.Go(func() {
			err := errors.Join(before.f.Truncate(before.size.Load()), l.sealOne(before))
			if err != nil {
				l.Log.Error("cannot write an index: it stays in memory, and is made again at the next start", "err", err)
			}
		})
	}
	return nil
}

func second(_ int, err error) error { return err }

func (l *Log) failed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && l.broken == nil {
		l.Log.Error("cannot write events", "err", err)
	}
	if l.broken != nil && err == nil {
		l.Log.Info("events are written again")
	}
	l.broken = plain(err)
}

// ErrFull says that the disk is full. What is stored is served all the same.
var ErrFull = errors.New("the relay's disk is full")

func plain(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return ErrFull
	}
	return err
}
