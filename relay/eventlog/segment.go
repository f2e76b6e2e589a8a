package eventlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// place is where a record is, as the log itself says it.
type place struct{ segment, offset uint32 }

// Ref is where a record is.
type Ref struct {
	segment *segment
	offset  uint32
}

// segment is one file of the log. It begins with a head: magic, its number, the number of the one that it was
// compacted from.
type segment struct {
	id      uint32
	from    uint32 // the segment that it replaces; 0 if none
	f       file
	size    atomic.Int64 // up to where records are whole
	index   atomic.Pointer[index]
	kills   []place // of its records, while its index is in memory
	sweptTo uint32  // up to what time nothing expired is left in it; the sweeper's own
	mu      sync.RWMutex
	dead    map[uint32]struct{} // records whose event is deleted
	moved   map[uint32]Ref      // where its records are since it was compacted
	full    bool                // nothing more is written to it; the writer's own
}

const (
	segmentMagic = "inftlog1"
	segmentHead  = 16
)

func (s *segment) head() []byte {
	b := binary.LittleEndian.AppendUint32([]byte(segmentMagic), s.id)
	return binary.LittleEndian.AppendUint32(b, s.from)
}

func readHead(b []byte) (id, from uint32, ok bool) {
	if len(b) < segmentHead || !bytes.Equal(b[:8], []byte(segmentMagic)) {
		return 0, 0, false
	}
	return binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:]), true
}

func logPath(dir string, id uint32) string { return filepath.Join(dir, fmt.Sprintf("%08d.log", id)) }

func indexPath(dir string, id uint32) string {
	return filepath.Join(dir, fmt.Sprintf("%08d.index", id))
}

func (s *segment) isDead(offset uint32) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, dead := s.dead[offset]
	return dead
}

// kill marks a record's event as deleted.
func (s *segment) kill(offset uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead == nil {
		s.dead = map[uint32]struct{}{}
	}
	s.dead[offset] = struct{}{}
}

// few is how much is read at first: most records are whole in it.
const few = 2048

// read reads the record at an offset. Its check sum was looked at when it was written, or found after a crash.
func (s *segment) read(offset uint32) (record, error) {
	b := make([]byte, few)
	n, err := s.f.ReadAt(b, int64(offset))
	if n < headSize {
		return record{}, fmt.Errorf("read segment %d at %d: %w", s.id, offset, err)
	}
	length := int(binary.LittleEndian.Uint32(b))
	if length < headSize || length > maxRecord {
		return record{}, fmt.Errorf("read segment %d at %d: %w", s.id, offset, errTorn)
	}
	if length > n {
		b = append(b[:n], make([]byte, length-n)...)
		if _, err := s.f.ReadAt(b[n:], int64(offset)+int64(n)); err != nil {
			return record{}, fmt.Errorf("read segment %d at %d: %w", s.id, offset, err)
		}
	}
	r, err := readRecord(b[:length])
	if err != nil {
		return r, fmt.Errorf("read segment %d at %d: %w", s.id, offset, err)
	}
	return r, nil
}
