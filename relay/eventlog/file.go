package eventlog

import (
	"io"
	"os"
	"sync"
)

// file is where a segment's bytes are: on a disk, or in memory for a log without a folder.
type file interface {
	io.ReaderAt
	io.WriterAt
	// Sync returns once what was written survives a loss of power.
	Sync() error
	// Grow makes room, so that writing there later changes nothing but the bytes.
	Grow(size int64) error
	Truncate(size int64) error
	Close() error
}

type disk struct{ *os.File }

func (d disk) Sync() error           { return syncData(d.File) }
func (d disk) Grow(size int64) error { return allocate(d.File, size) }

// memory is a file that is nowhere else. Its parts never move: they are read while it grows.
type memory struct {
	mu    sync.RWMutex
	parts [][]byte
	size  int64
}

const partSize = 256 << 10

func (m *memory) WriteAt(b []byte, at int64) (n int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for n < len(b) {
		i, from := int((at+int64(n))/partSize), int((at+int64(n))%partSize)
		for len(m.parts) <= i {
			m.parts = append(m.parts, make([]byte, partSize))
		}
		n += copy(m.parts[i][from:], b[n:])
	}
	m.size = max(m.size, at+int64(n))
	return n, nil
}

func (m *memory) ReadAt(b []byte, at int64) (n int, err error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for n < len(b) && at+int64(n) < m.size {
		i, from := int((at+int64(n))/partSize), int((at+int64(n))%partSize)
		n += copy(b[n:min(len(b), int(m.size-at))], m.parts[i][from:])
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memory) Sync() error          { return nil }
func (m *memory) Grow(int64) error     { return nil }
func (m *memory) Close() error         { return nil }
func (m *memory) Truncate(int64) error { return nil }
