package blob

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"infernet/events"
)

// parts are the uploads that are not whole yet. A cut one waits for its rest, also over a restart. What it announced
// counts against its key's quota at once; the disk is only touched by what arrives.
type parts struct {
	Config
	store *store
	dir   string

	mu      sync.Mutex
	all     map[string]*part // by name
	left    map[string]int64 // bytes of parts that an earlier process left and nobody has gone on with, by name
	arrived int64            // bytes of all parts, and of those that were left
}

// part is one upload. While it is busy it belongs to its request.
type part struct {
	name    string
	path    string
	key     events.PubKey
	sum     string // as it was announced; "" if it was not
	size    int64  // as it was announced
	have    int64
	hash    hash.Hash
	file    *os.File
	busy    bool
	peer    netip.Prefix // whose request it belongs to
	touched time.Time
}

func newParts(c Config, st *store) *parts {
	ps := &parts{Config: c, store: st, dir: filepath.Join(c.Dir, "parts"), all: map[string]*part{}, left: map[string]int64{}}
	found, err := os.ReadDir(ps.dir)
	if err != nil {
		c.Log.Error("cannot look for old uploads", "err", err)
	}
	for _, e := range found {
		if info, err := e.Info(); err == nil {
			ps.left[e.Name()] = info.Size()
			ps.arrived += info.Size()
		}
	}
	return ps
}

// begin opens an upload, or goes on with a cut one: have is where it stands. Errors are *refusal, and what the disk says.
func (ps *parts) begin(key events.PubKey, sum string, size int64, peer netip.Prefix) (*part, error) {
	switch {
	case size < 0:
		return nil, refuse(http.StatusLengthRequired, "say how many bytes there are (Content-Length)")
	case size > ps.MaxBlob:
		return nil, refuse(http.StatusRequestEntityTooLarge, "%d bytes, at most %d are taken", size, ps.MaxBlob)
	case ps.store.bytes()+size > ps.Total || freeBytes(ps.dir)-size < ps.MinFree:
		return nil, refuse(http.StatusInsufficientStorage, "the server is full")
	}
	used, err := ps.store.used(key, sum, ps.Now())
	if err != nil {
		return nil, err
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	name := sum + "-" + string(key)
	if sum == "" {
		name = "unnamed-" + rand.Text() + "-" + string(key)
	}
	busy, mine, near := 0, 0, 0
	for _, p := range ps.all {
		if p.busy {
			busy++
		}
		if p.busy && peer.IsValid() && p.peer == peer {
			near++
		}
		if p.key != key || p.name == name {
			continue
		}
		if used += p.size; p.busy {
			mine++
		}
	}
	for other, n := range ps.left {
		if other != name && strings.HasSuffix(other, "-"+string(key)) {
			used += n
		}
	}
	if used+size > ps.Quota {
		return nil, refuse(http.StatusTooManyRequests, "your key keeps or uploads %d bytes here, at most %d", used, ps.Quota)
	}
	if busy >= ps.Uploads {
		return nil, refuse(http.StatusServiceUnavailable, "%d uploads are under way already", busy)
	}
	if near >= ps.PerPeer {
		return nil, refuse(http.StatusTooManyRequests, "%d uploads of your address are under way already", near)
	}
	if mine >= ps.PerKey {
		return nil, refuse(http.StatusTooManyRequests, "%d uploads of your key are under way already", mine)
	}
	p := ps.all[name]
	if p != nil && p.busy {
		return nil, refuse(http.StatusConflict, "this file is being uploaded already")
	}
	if p != nil && p.size == size {
		p.busy, p.peer = true, peer
		return p, nil
	}
	if p != nil {
		ps.dropLocked(p)
	}
	ps.makeRoom()
	p = &part{name: name, path: filepath.Join(ps.dir, name), key: key, sum: sum, size: size, busy: true, peer: peer}
	ps.all[name] = p
	ps.mu.Unlock() // it is this request's now; reading what is there may take a while
	have, err := p.open()
	ps.mu.Lock()
	if err != nil {
		delete(ps.all, name)
		return nil, err
	}
	p.have, ps.arrived = have, ps.arrived+have
	ps.forget(name) // it is counted as this part's
	return p, nil
}

// forget takes a part that an earlier process left out of the count.
func (ps *parts) forget(name string) {
	ps.arrived -= ps.left[name]
	delete(ps.left, name)
}

// open opens the part's file. What an earlier process left in it is read once, for the hash.
func (p *part) open() (have int64, err error) {
	if p.file, err = os.OpenFile(p.path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return 0, err
	}
	p.hash = sha256.New()
	if have, err = io.Copy(p.hash, io.LimitReader(p.file, p.size)); err == nil {
		err = p.file.Truncate(have)
	}
	if err != nil {
		return 0, errors.Join(err, p.file.Close())
	}
	return have, nil
}

// restart throws away what a part has.
func (ps *parts) restart(p *part) error {
	ps.mu.Lock()
	ps.arrived -= p.have
	p.have, p.hash = 0, sha256.New()
	ps.mu.Unlock()
	_, err := p.file.Seek(0, io.SeekStart)
	return errors.Join(err, p.file.Truncate(0))
}

// offset is how much of an upload is here; 0 if nothing.
func (ps *parts) offset(key events.PubKey, sum string) int64 {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	name := sum + "-" + string(key)
	if p := ps.all[name]; p != nil {
		return p.have
	}
	if info, err := os.Stat(filepath.Join(ps.dir, name)); err == nil {
		return info.Size()
	}
	return 0
}

// write adds bytes to a part. Errors are *refusal where the server has no room.
func (ps *parts) write(p *part, b []byte) error {
	if ps.grow(int64(len(b))); ps.store.bytes()+ps.bytes() > ps.Total {
		ps.grow(-int64(len(b)))
		return refuse(http.StatusInsufficientStorage, "the server is full")
	}
	if _, err := p.file.Write(b); err != nil {
		ps.grow(-int64(len(b)))
		ps.Log.Error("cannot write an upload", "err", err)
		return refuse(http.StatusInsufficientStorage, "the server cannot write any more")
	}
	p.hash.Write(b)
	ps.mu.Lock()
	p.have += int64(len(b))
	ps.mu.Unlock()
	return nil
}

func (ps *parts) grow(n int64) {
	ps.mu.Lock()
	ps.arrived += n
	ps.mu.Unlock()
}

func (ps *parts) bytes() int64 {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.arrived
}

// got is the hash of what is here.
func (p *part) got() string { return hex.EncodeToString(p.hash.Sum(nil)) }

// rest puts a cut upload aside, to go on later; one whose hash was not announced cannot.
func (ps *parts) rest(p *part) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p.sum == "" || p.have == 0 {
		ps.dropLocked(p)
		return
	}
	p.busy, p.touched = false, ps.Now()
}

// drop forgets an upload and its bytes.
func (ps *parts) drop(p *part) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.dropLocked(p)
}

func (ps *parts) dropLocked(p *part) {
	delete(ps.all, p.name)
	ps.arrived -= p.have
	p.file.Close()
	os.Remove(p.path) // it is not there any more if it became a file
}

// makeRoom lets go of the uploads that wait longest, where there are too many.
func (ps *parts) makeRoom() {
	var waiting []*part
	for _, p := range ps.all {
		if !p.busy {
			waiting = append(waiting, p)
		}
	}
	slices.SortFunc(waiting, func(a, b *part) int { return a.touched.Compare(b.touched) })
	for i := range len(waiting) - ps.Parts + 1 {
		ps.dropLocked(waiting[i])
	}
}

// sweep lets go of uploads that waited too long, also of those that an earlier process left.
func (ps *parts) sweep(now time.Time) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.all {
		if !p.busy && now.Sub(p.touched) > ps.Idle {
			ps.dropLocked(p)
		}
	}
	left, err := os.ReadDir(ps.dir)
	if err != nil {
		ps.Log.Error("cannot look for old uploads", "err", err)
		return
	}
	for _, e := range left {
		info, err := e.Info()
		if err == nil && ps.all[e.Name()] == nil && now.Sub(info.ModTime()) > ps.Idle {
			os.Remove(filepath.Join(ps.dir, e.Name()))
			ps.forget(e.Name())
		}
	}
}

func (ps *parts) close() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.all {
		if p.file != nil {
			p.file.Close() // what is there may go on after the next start
		}
	}
}
