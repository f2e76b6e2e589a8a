package eventlog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/mailru/easyjson"
	"github.com/nbd-wtf/go-nostr"
)

// load brings in a segment: by its index, or if that is missing by reading it. It gives what its records delete.
func (l *Log) load(s *segment) ([]place, error) {
	path := indexPath(l.Dir, s.id)
	size, err := sizeOf(s.f)
	if err != nil {
		return nil, err
	}
	if s != l.active {
		x, described, err := openSealed(path, l.seed)
		if err == nil && described <= size {
			s.size.Store(described)
			s.set(x)
			return x.killed(), nil
		}
	}
	os.Remove(path)
	x := newFresh()
	whole, err := readRecords(s.f, size, func(offset uint32, r record) error {
		s.kills = append(s.kills, r.kills...)
		return l.index(x, offset, r)
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", logPath(l.Dir, s.id), err)
	}
	s.size.Store(whole)
	s.set(x)
	kills := s.kills
	if s == l.active {
		l.grown = whole
		return kills, s.f.Truncate(whole) // what is behind was never promised, and must not be read after the next record
	}
	if rest := readRest(s.f, whole, size); rest {
		l.Log.Error("a segment is damaged; what comes after is not served", "file", logPath(l.Dir, s.id), "at", whole)
	}
	if err := l.sealOne(s); err != nil {
		l.Log.Error("cannot write an index: it stays in memory, and is made again at the next start", "err", err)
	}
	return kills, nil
}

// readRest says whether anything but zeros follows what is whole.
func readRest(f file, from, size int64) bool {
	b := make([]byte, min(4096, size-from))
	f.ReadAt(b, from)
	return !allZero(b)
}

func (s *segment) set(x index) { s.index.Store(&x) }

// index puts a record that was read into an index.
func (l *Log) index(x *fresh, offset uint32, r record) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	add := func(k key, at uint32) { x.add(k, entry{at, offset}) }
	if r.event == nil {
		l.keysOf(nil, nil, r.marks, add)
		return nil
	}
	meta := readMeta(r.event)
	var ev nostr.Event
	if err := easyjson.Unmarshal(r.event[metaSize:], &ev); err != nil {
		return err
	}
	l.keysOf(&meta, ev.Tags, r.marks, add)
	return nil
}

// readRecords reads records in order until one is not whole, and gives up to where they are.
func readRecords(f io.ReaderAt, size int64, each func(offset uint32, r record) error) (whole int64, err error) {
	const window = 4 << 20
	b := make([]byte, 0, window)
	at := int64(segmentHead) // of b[0]
	for {
		end := at + int64(len(b))
		if len(b) < maxRecord && end < size {
			n := int(min(int64(window-len(b)), size-end))
			read, err := f.ReadAt(b[len(b):len(b)+n], end)
			if err != nil && !errors.Is(err, io.EOF) {
				return 0, err
			}
			b = b[:len(b)+read]
			if read < n {
				size = end + int64(read)
			}
		}
		used := 0
		for {
			r, err := readRecord(b[used:])
			if err != nil {
				break
			}
			if err := each(uint32(at)+uint32(used), r); err != nil {
				return 0, err
			}
			used += r.length
		}
		at += int64(used)
		b = append(make([]byte, 0, window), b[used:]...)
		if used == 0 && (len(b) >= maxRecord || at+int64(len(b)) >= size) {
			return at, nil
		}
	}
}

func sizeOf(f file) (int64, error) {
	d, ok := f.(interface{ Stat() (os.FileInfo, error) })
	if !ok {
		return 0, errors.New("a file whose size is not known")
	}
	info, err := d.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// sealOne writes the index of a segment that is written no more, and maps it in the place of the one in memory.
func (l *Log) sealOne(s *segment) error {
	x, ok := (*s.index.Load()).(*fresh)
	if !ok || l.Dir == "" {
		return nil
	}
	path := indexPath(l.Dir, s.id)
	if err := x.seal(path, s.size.Load(), l.seed, s.kills); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	written, _, err := openSealed(path, l.seed)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	s.set(written)
	s.kills = nil
	return nil
}

// syncDir makes sure that a new file's name survives a loss of power.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
