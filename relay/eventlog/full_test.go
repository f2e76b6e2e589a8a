package eventlog

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/nbd-wtf/go-nostr"
)

// failing is a file on a disk that can be told to fail.
type failing struct {
	file
	how *atomic.Pointer[fault]
}

// fault is how a disk fails: in which call, and how much of a write comes to it all the same.
type fault struct {
	grow, write, sync error
	some              bool
}

func (f failing) Grow(size int64) error {
	if how := f.how.Load(); how != nil && how.grow != nil {
		return how.grow
	}
	return f.file.Grow(size)
}

func (f failing) WriteAt(b []byte, at int64) (int, error) {
	if how := f.how.Load(); how != nil && how.write != nil {
		n := 0
		if how.some {
			n, _ = f.file.WriteAt(b[:len(b)/2], at)
		}
		return n, how.write
	}
	return f.file.WriteAt(b, at)
}

func (f failing) Sync() error {
	if how := f.how.Load(); how != nil && how.sync != nil {
		return how.sync
	}
	return f.file.Sync()
}

func (f failing) Stat() (os.FileInfo, error) { return f.file.(disk).Stat() }

// TestAFullDiskRefusesAndRecovers lets the disk fail in each of its calls: nothing is called stored that is not, what is
// stored is found, the next write after it is well again goes through, and a log that is opened then has exactly that.
func TestAFullDiskRefusesAndRecovers(t *testing.T) {
	for name, how := range map[string]fault{
		"no room to grow":   {grow: syscall.ENOSPC},
		"half a write":      {write: syscall.ENOSPC, some: true},
		"no write":          {write: syscall.EDQUOT},
		"a sync that fails": {sync: syscall.ENOSPC},
		"all of it":         {grow: syscall.ENOSPC, write: syscall.ENOSPC, sync: syscall.ENOSPC},
	} {
		t.Run(name, func(t *testing.T) {
			r := seeded(t)
			var now atomic.Pointer[fault]
			o := Options{Dir: t.TempDir(), SegmentSize: 64 << 10, through: func(f file) file { return failing{f, &now} }}
			l := open(t, o)
			stored := map[string]bool{}
			put := func(at nostr.Timestamp) error {
				w := made(r, 1, 1, at, strings.Repeat("x", 3000))
				_, err := l.Do(w)
				if err == nil {
					stored[w.Event.ID] = true
				}
				return err
			}
			for round := range 4 {
				for i := range 15 { // one segment is full in between
					if err := put(nostr.Timestamp(round*100 + i)); err != nil {
						t.Fatal(err)
					}
				}
				l.grown = 0 // the room that was taken ahead is used up
				now.Store(&how)
				refused := 0
				for i := range 5 {
					if err := put(nostr.Timestamp(round*100 + 50 + i)); errors.Is(err, ErrFull) {
						refused++
					} else if err != nil {
						t.Fatalf("refused with %v", err)
					}
				}
				if refused == 0 || l.Well() == nil {
					t.Fatalf("round %d: %d of 5 were refused, well: %v", round, refused, l.Well())
				}
				if found := len(l.Query(ctx, Search{Bytes: 1 << 30})); found != len(stored) {
					t.Fatalf("round %d: on a full disk %d are found, %d were stored", round, found, len(stored))
				}
				now.Store(nil)
				if err := put(nostr.Timestamp(round*100 + 90)); err != nil || l.Well() != nil {
					t.Fatalf("round %d: with room again: %v, well: %v", round, err, l.Well())
				}
			}
			l.Close()
			l = open(t, o)
			for _, found := range l.Query(ctx, Search{Bytes: 1 << 30}) {
				if id := found.Event().ID; !stored[id] {
					t.Errorf("%s is there, and was refused", id)
				} else {
					delete(stored, id)
				}
			}
			if len(stored) > 0 {
				t.Errorf("%d that were stored are missing", len(stored))
			}
		})
	}
}

// TestALogOnAFullDiskOpens opens a log whose last segment is full where no other can be begun, and whose index cannot be
// written: what is there is served.
func TestALogOnAFullDiskOpens(t *testing.T) {
	r := seeded(t)
	var now atomic.Pointer[fault]
	o := Options{Dir: t.TempDir(), SegmentSize: 16 << 10, through: func(f file) file { return failing{f, &now} }}
	l := open(t, o)
	for i := range 20 {
		mustDo(t, l, made(r, 1, 1, nostr.Timestamp(i), strings.Repeat("x", 3000)))
	}
	l.Close()
	o.SegmentSize = 1000 // each is full
	o.KeepFree = 1 << 62
	l = open(t, o)
	if n := len(l.Query(ctx, Search{Bytes: 1 << 30})); n != 20 {
		t.Errorf("%d of 20 are found", n)
	}
	if _, err := l.Do(made(r, 1, 1, 30, "x")); !errors.Is(err, ErrFull) || !errors.Is(l.Well(), ErrFull) {
		t.Errorf("written with %v", err)
	}
	l.Close()
	o.KeepFree = 0
	l = open(t, o)
	mustDo(t, l, made(r, 1, 1, 30, "x"))
}

// TestASnapshotIsWholeWhileTheLogGoesOn takes a snapshot, then deletes, compacts and writes more: the snapshot's files are
// a log with exactly what was there.
func TestASnapshotIsWholeWhileTheLogGoesOn(t *testing.T) {
	r := seeded(t)
	o := Options{Dir: t.TempDir(), SegmentSize: 32 << 10}
	l := open(t, o)
	want := map[string]bool{}
	var refs []Ref
	for i := range 100 {
		w := made(r, 1, 1, nostr.Timestamp(i), strings.Repeat("x", 1000))
		refs = append(refs, mustDo(t, l, w))
		want[w.Event.ID] = true
	}
	gone := l.Query(ctx, Search{Filter: nostr.Filter{Limit: 1}})[0]
	mustDo(t, l, Write{Check: func(t *Turn) error { t.Kill(gone.Ref); return nil }})
	delete(want, gone.Event().ID)
	s, err := l.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	mustDo(t, l, Write{Check: func(t *Turn) error {
		for _, r := range refs[:90] {
			t.Kill(r)
		}
		return nil
	}})
	if saved, err := l.Compact(0.3); err != nil || saved == 0 {
		t.Fatalf("saved %d, %v", saved, err)
	}
	for i := range 50 {
		mustDo(t, l, made(r, 1, 1, nostr.Timestamp(1000+i), "later"))
	}
	now := 0
	if err := s.Each(func(Found) error { now++; return nil }); err != nil || now != 9 {
		t.Errorf("of the snapshot %d are still there, want 9 (%v)", now, err)
	}
	to := t.TempDir()
	for _, p := range s.Parts {
		f, err := os.Create(filepath.Join(to, p.Name))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := f.ReadFrom(p.Reader()); err != nil || n != p.Size {
			t.Fatalf("%s: %d of %d bytes, %v", p.Name, n, p.Size, err)
		}
		if _, err := CheckSegment(f, p.Size); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		f.Close()
	}
	copied := open(t, Options{Dir: to})
	for _, found := range copied.Query(ctx, Search{Bytes: 1 << 30}) {
		if !want[found.Event().ID] {
			t.Errorf("%s is there", found.Event().ID)
		}
		delete(want, found.Event().ID)
	}
	if len(want) > 0 {
		t.Errorf("%d are missing", len(want))
	}
	if stat := copied.Stat(); stat.Events != 99 || stat.Deleted != 1 {
		t.Errorf("%+v", stat)
	}
}
