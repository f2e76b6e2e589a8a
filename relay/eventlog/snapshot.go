package eventlog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
)

// Snapshot is a log as it was at one moment, between two writes. It stays whole while the log goes on: what is compacted or
// deleted meanwhile is still in it.
type Snapshot struct {
	ID    string // of the log, hex: segments of one log that have a name in common are the same
	Parts []Part
}

// Part is one segment of a snapshot: a file of the log, up to where it was whole.
type Part struct {
	Name string // as the file is called, 00000001.log
	Size int64  // bytes
	s    *segment
}

// Snapshot takes one. It waits for what is being written.
func (l *Log) Snapshot() (s Snapshot, err error) {
	err = l.between(func() error {
		sum := sha256.Sum256(l.seed[:])
		s.ID = hex.EncodeToString(sum[:8])
		for _, one := range *l.segments.Load() {
			s.Parts = append(s.Parts, Part{filepath.Base(logPath("", one.id)), one.size.Load(), one})
		}
		return nil
	})
	return s, err
}

// Reader gives the part's bytes. It fails once the log is closed.
func (p Part) Reader() io.Reader {
	return io.MultiReader(bytes.NewReader(p.s.head()), io.NewSectionReader(p.s.f, segmentHead, p.Size-segmentHead))
}

// Each gives the events of a snapshot in the order in which they came, without those that are deleted by now. It ends
// with the first error that yield gives.
func (s Snapshot) Each(yield func(Found) error) error {
	for _, p := range s.Parts {
		_, err := readRecords(p.s.f, p.Size, func(offset uint32, r record) error {
			at := Ref{p.s, offset}
			if r.event == nil || p.s.isDead(offset) {
				return nil
			}
			if now := at.now(); now != at && now.segment.isDead(now.offset) { // compacted since, and deleted there
				return nil
			}
			return yield(Found{Meta: readMeta(r.event), Ref: at, Raw: r.event[metaSize:]})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// CheckSegment reads a segment's file from end to end, and gives how many events it holds, with those that are deleted. It
// fails if anything in it is torn or damaged.
func CheckSegment(f io.ReaderAt, size int64) (events int, err error) {
	head := make([]byte, segmentHead)
	if _, err := f.ReadAt(head, 0); err != nil {
		return 0, err
	}
	if _, _, ok := readHead(head); !ok {
		return 0, errTorn
	}
	whole, err := readRecords(f, size, func(_ uint32, r record) error {
		if r.event != nil {
			events++
		}
		return nil
	})
	if err == nil && whole != size {
		err = fmt.Errorf("at byte %d of %d: %w", whole, size, errTorn)
	}
	return events, err
}

// Holds says whether a segment's file holds anything, or cannot be read.
func Holds(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return true
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return true
	}
	some := errors.New("it does")
	whole, err := readRecords(f, info.Size(), func(uint32, record) error { return some })
	return err != nil || readRest(disk{f}, whole, info.Size())
}

// Stat is how much there is in a log.
type Stat struct {
	Segments int
	Bytes    int64 // of their files, as far as they are written
	Events   int   // that are found
	Deleted  int   // that are still on the disk, until their segment is compacted
}

// Stat counts what is in the log.
func (l *Log) Stat() (s Stat) {
	for _, one := range *l.segments.Load() {
		s.Segments++
		s.Bytes += one.size.Load()
		all := 0
		if c := (*one.index.Load()).find(l.key(byTime, 0, "", nil), 0, math.MaxUint32); c != nil {
			all = c.size()
		}
		one.mu.RLock()
		dead := len(one.dead)
		one.mu.RUnlock()
		s.Events += max(0, all-dead)
		s.Deleted += dead
	}
	return s
}
