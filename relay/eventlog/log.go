// Package eventlog keeps signed events on a disk: an append-only log, and an index beside it that can always be made
// again from the log.
//
// What a Write puts into the log is there whole or not at all, and its done is called once it survives a loss of power.
// Many writes share one sync of the disk. Reads never wait for writes. A log that was cut off anywhere opens with
// everything that done was called for. Deleted and replaced events go from the disk as segments are compacted.
//
// Begin with Open, then commit.go (the way in) and query.go (the way out).
package eventlog

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options say how a log is kept. Every field may be left out.
type Options struct {
	Dir         string        // where it is; in memory if unset
	SegmentSize int64         // bytes of one file; 32 MiB if unset
	Sweep       time.Duration // how often segments are looked at for what is deleted; a minute if unset
	KeepFree    int64         // bytes of the disk that are left to others: no file grows into them; 0 for none
	Log         *slog.Logger  // nothing is logged if unset

	through func(file) file // tests put a disk in between that fails
}

// Log is an open log.
type Log struct {
	Options
	hasher
	held *os.File // the lock of its folder

	segments atomic.Pointer[[]*segment] // in the order of their numbers, the one that is written last of those that are no copies
	active   *segment                   // the writer's own
	grown    int64                      // up to where the active one has its room; the writer's own
	lastID   uint32                     // the writer's own

	mu      sync.Mutex
	work    *sync.Cond // something is to be written
	room    *sync.Cond // there is room for more
	queue   []*op
	queued  int
	closing bool
	broken  error // what the last write failed with; nil after one that did not

	sealing sync.WaitGroup
	done    sync.WaitGroup
	stop    chan struct{}
	syncs   atomic.Int64
}

// ErrLocked says that another process has the log open.
var ErrLocked = errors.New("Another process is using this folder") //nolint:staticcheck // what Badger said, and scripts look for

// ErrClosed says that the log was closed.
var ErrClosed = errors.New("the log is closed")

// Open opens a log, or begins one. What was torn off by a crash at its end is cut away: nobody was told that it is there.
func Open(o Options) (*Log, error) {
	if o.SegmentSize <= 0 {
		o.SegmentSize = 32 << 20
	}
	if o.Sweep <= 0 {
		o.Sweep = time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &Log{Options: o, stop: make(chan struct{})}
	l.work, l.room = sync.NewCond(&l.mu), sync.NewCond(&l.mu)
	l.segments.Store(&[]*segment{})
	if err := l.open(); err != nil {
		l.release()
		return nil, err
	}
	l.done.Go(l.write)
	l.done.Go(l.compactEachMinute)
	return l, nil
}

func (l *Log) open() error {
	if l.Dir == "" {
		rand.Read(l.seed[:])
		return l.begin()
	}
	if err := os.MkdirAll(l.Dir, 0o700); err != nil {
		return err
	}
	var err error
	if l.held, err = lock(l.Dir); err != nil {
		return err
	}
	if err := l.readSeed(); err != nil {
		return err
	}
	if err := l.readSegments(); err != nil {
		return err
	}
	return l.begin()
}

// readSeed reads what the index's keys are made with. Without it the index is made again.
func (l *Log) readSeed() error {
	path := filepath.Join(l.Dir, "seed")
	b, err := os.ReadFile(path)
	if err == nil && len(b) == len(l.seed) {
		copy(l.seed[:], b)
		return nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	rand.Read(l.seed[:])
	return writeFile(path, l.seed[:])
}

// readSegments opens what is in the folder.
func (l *Log) readSegments() error {
	names, err := os.ReadDir(l.Dir)
	if err != nil {
		return err
	}
	all := map[uint32]*segment{}
	for _, name := range names {
		path := filepath.Join(l.Dir, name.Name())
		if strings.HasSuffix(path, ".tmp") {
			os.Remove(path)
			continue
		}
		if filepath.Ext(path) != ".log" {
			continue
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		head := make([]byte, segmentHead)
		f.ReadAt(head, 0)
		id, from, ok := readHead(head)
		if !ok || path != logPath(l.Dir, id) {
			info, err := f.Stat()
			f.Close()
			if err == nil && allZero(head) && info.Size() <= growBy { // a crash as it was begun: nothing is in it
				os.Remove(path)
				continue
			}
			return fmt.Errorf("%s is not a segment of this log: move it elsewhere, or bring back the backup of this folder", path)
		}
		all[id] = &segment{id: id, from: from, f: l.onDisk(f)}
		l.lastID = max(l.lastID, id)
	}
	for _, s := range all { // a crash between the two halves of a compaction
		if old := all[s.from]; s.from != 0 && old != nil {
			old.f.Close()
			os.Remove(logPath(l.Dir, old.id))
			os.Remove(indexPath(l.Dir, old.id))
			delete(all, old.id)
		}
	}
	var segments []*segment
	for _, s := range all {
		segments = append(segments, s)
		if s.from == 0 && (l.active == nil || s.id > l.active.id) {
			l.active = s
		}
	}
	slices.SortFunc(segments, func(a, b *segment) int { return int(int64(a.id) - int64(b.id)) })
	l.segments.Store(&segments)
	var kills []place
	for _, s := range segments {
		more, err := l.load(s)
		if err != nil {
			return err
		}
		kills = append(kills, more...)
	}
	for _, k := range kills {
		if s := all[k.segment]; s != nil {
			s.kill(k.offset)
		}
	}
	return nil
}

func (l *Log) onDisk(f *os.File) file {
	if l.through != nil {
		return l.through(disk{f})
	}
	return disk{f}
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// begin makes sure that there is a segment to write to.
func (l *Log) begin() error {
	if l.active != nil && l.active.size.Load() < l.SegmentSize && *l.active.index.Load() != nil {
		if _, open := (*l.active.index.Load()).(*fresh); open {
			return nil
		}
	}
	err := l.roll()
	if plain(err) == ErrFull && l.active != nil { // what is there is served; writing goes on once there is room
		l.active.full = true
		l.failed(err)
		return nil
	}
	return err
}

func (l *Log) release() {
	for _, s := range *l.segments.Load() {
		s.f.Close()
	}
	if l.held != nil {
		l.held.Close()
	}
}

// Close writes what is queued, and closes the log.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		return nil
	}
	l.closing = true
	close(l.stop)
	l.work.Broadcast()
	l.room.Broadcast()
	l.mu.Unlock()
	l.done.Wait()
	l.sealing.Wait()
	l.release()
	return nil
}

// Well says what the last write failed with, if it did.
func (l *Log) Well() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// Try is Well that finds out, after a write that failed: where there is room again, it writes something of no meaning.
func (l *Log) Try() error {
	err := l.Well()
	if err == nil || l.Dir != "" && Free(l.Dir) < l.KeepFree+growBy {
		return err
	}
	_, err = l.Do(Write{})
	return err
}

// Syncs is how often the disk was synced since the log was opened.
func (l *Log) Syncs() int64 { return l.syncs.Load() }

// Hold keeps other processes out of a log's folder, until what it gives is closed. It makes the folder if there is none.
func Hold(dir string) (io.Closer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return lock(dir)
}
