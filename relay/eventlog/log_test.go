package eventlog

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

func open(t testing.TB, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// made is an event that nobody has signed: a log keeps what it is given.
func made(r *rand.Rand, kind, author int, at nostr.Timestamp, content string, tags ...nostr.Tag) Write {
	ev := &nostr.Event{
		ID: fmt.Sprintf("%016x%048x", r.Uint64(), r.Uint64()), PubKey: fmt.Sprintf("%064x", author), Kind: kind, CreatedAt: at, Content: content,
		Tags: tags, Sig: strings.Repeat("ab", 64),
	}
	raw, err := json.Marshal(ev)
	if err != nil {
		panic(err)
	}
	return Write{Event: ev, Raw: raw}
}

func seeded(t testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

func mustDo(t testing.TB, l *Log, w Write) Ref {
	t.Helper()
	r, err := l.Do(w)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestQueriesFindWhatANaiveLoopFinds holds random filters against a loop over all events, over many small segments, with
// deletions, after a compaction and after the log was opened again.
func TestQueriesFindWhatANaiveLoopFinds(t *testing.T) {
	r := seeded(t)
	o := Options{Dir: t.TempDir(), SegmentSize: 40 << 10}
	l := open(t, o)
	alive := map[string]*nostr.Event{}
	refs := map[string]Ref{}
	hex := func(n int) string { return fmt.Sprintf("%064x", n) }
	for i := range 1500 {
		var tags nostr.Tags
		for range r.IntN(4) {
			tags = append(tags, nostr.Tag{[]string{"e", "p", "t", "long", "x"}[r.IntN(5)], hex(r.IntN(6))})
		}
		if r.IntN(5) == 0 {
			tags = append(tags, nostr.Tag{"t", fmt.Sprint("model", r.IntN(3))})
		}
		w := made(r, r.IntN(4), r.IntN(5), nostr.Timestamp(1000+r.IntN(300)), fmt.Sprint(i), tags...)
		refs[w.Event.ID] = mustDo(t, l, w)
		alive[w.Event.ID] = w.Event
		if r.IntN(2) == 0 {
			for id, ev := range alive { // map order is random enough
				mustDo(t, l, Write{Check: func(turn *Turn) error { turn.Kill(refs[ev.ID]); return nil }})
				delete(alive, id)
				break
			}
		}
	}
	ask := func(step string) {
		t.Helper()
		for range 300 {
			var f nostr.Filter
			pick := func() bool { return r.IntN(3) == 0 }
			if pick() {
				f.Kinds = []int{r.IntN(5), r.IntN(5)}
			}
			if pick() {
				f.Authors = []string{hex(r.IntN(6)), hex(r.IntN(6))}
			}
			if pick() {
				f.Tags = nostr.TagMap{[]string{"e", "p", "t", "x"}[r.IntN(4)]: {hex(r.IntN(7)), "model1"}}
			}
			if pick() {
				at := nostr.Timestamp(1000 + r.IntN(300))
				f.Since = &at
			}
			if pick() {
				at := nostr.Timestamp(1000 + r.IntN(300))
				f.Until = &at
			}
			if pick() {
				for id := range refs {
					f.IDs = append(f.IDs, id)
					if len(f.IDs) == 20 {
						break
					}
				}
			}
			f.Limit = []int{0, 1, 10, 100}[r.IntN(4)]
			var want []string
			all := make([]*nostr.Event, 0, len(alive))
			for _, ev := range alive {
				all = append(all, ev)
			}
			slices.SortFunc(all, func(a, b *nostr.Event) int {
				if a.CreatedAt != b.CreatedAt {
					return int(b.CreatedAt - a.CreatedAt)
				}
				return strings.Compare(a.ID, b.ID)
			})
			for _, ev := range all {
				if f.Matches(ev) && (f.Limit == 0 || len(want) < f.Limit) {
					want = append(want, ev.ID)
				}
			}
			var got []string
			for _, found := range l.Query(ctx, Search{Filter: f}) {
				got = append(got, found.Event().ID)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s: %v: found %d, want %d", step, f, len(got), len(want))
			}
		}
	}
	ask("as it was written")
	before, _ := filepath.Glob(filepath.Join(o.Dir, "*.log"))
	if len(before) < 10 {
		t.Fatalf("only %d segments", len(before))
	}
	saved, err := l.Compact(0.3)
	if err != nil || saved == 0 {
		t.Fatalf("compacted %d bytes, %v", saved, err)
	}
	ask("compacted")
	for id, ev := range alive { // what has moved can still be deleted by where it was
		mustDo(t, l, Write{Check: func(turn *Turn) error { turn.Kill(refs[ev.ID]); return nil }})
		delete(alive, id)
		if len(alive)%50 == 0 {
			break
		}
	}
	ask("deleted where it was")
	l.Close()
	l = open(t, o)
	ask("opened again")
	l.Close()
	indexes, _ := filepath.Glob(filepath.Join(o.Dir, "*.index"))
	for _, path := range indexes {
		os.Remove(path)
	}
	os.Remove(filepath.Join(o.Dir, "seed"))
	l = open(t, o)
	ask("with an index that was made again")
}

// TestATornEndIsCutAway cuts the log off at every byte of its last records: what is whole is there, and it goes on.
func TestATornEndIsCutAway(t *testing.T) {
	r := seeded(t)
	dir := t.TempDir()
	l := open(t, Options{Dir: dir})
	var ends []int64
	var writes []Write
	for i := range 4 {
		w := made(r, 1, 1, nostr.Timestamp(i), "x", nostr.Tag{"e", strings.Repeat("0", 64)})
		w.Marks = []Mark{{[]byte{byte(i)}, []byte("said")}}
		writes = append(writes, w)
		mustDo(t, l, w)
		ends = append(ends, l.active.size.Load())
	}
	l.Close()
	whole, err := os.ReadFile(logPath(dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	whole = whole[:ends[3]]
	for cut := ends[1]; cut <= ends[3]; cut += 61 {
		for _, garbage := range []string{"", "zeros", "damaged"} {
			dir := t.TempDir()
			b := slices.Clone(whole[:cut])
			switch garbage {
			case "zeros":
				b = append(b, make([]byte, 10_000)...)
			case "damaged":
				b = append(b, whole[cut:]...)
				b[cut-1]++
			}
			if err := os.WriteFile(logPath(dir, 1), b, 0o600); err != nil {
				t.Fatal(err)
			}
			want := 0
			for _, end := range ends {
				if end <= cut && (garbage != "damaged" || end < cut) {
					want++
				}
			}
			l := open(t, Options{Dir: dir})
			if got := len(l.Query(ctx, Search{})); got != want {
				t.Fatalf("cut at %d, then %s: %d events, want %d", cut, garbage, got, want)
			}
			if got := len(l.Marks([]byte{2})); got != max(0, min(1, want-2)) {
				t.Fatalf("cut at %d: mark %d times", cut, got)
			}
			mustDo(t, l, made(r, 1, 1, 100, "after"))
			l.Close()
			l = open(t, Options{Dir: dir})
			if got := len(l.Query(ctx, Search{})); got != want+1 {
				t.Fatalf("cut at %d, then %s: %d events after one more, want %d", cut, garbage, got, want+1)
			}
			l.Close()
		}
	}
}

// TestOneTurnSeesTheOneBefore puts versions of one address, and a mark that refuses what comes after it, in at once.
func TestOneTurnSeesTheOneBefore(t *testing.T) {
	r := seeded(t)
	l := open(t, Options{Dir: t.TempDir()})
	refused := errors.New("refused")
	results := make(chan error, 200)
	for i := range 100 {
		w := made(r, 30000, 1, nostr.Timestamp(i), "x", nostr.Tag{"d", "a"})
		m, _ := metaOf(w.Event)
		a, _ := AddressOf(m.Kind, m.Author, "a")
		w.Check = func(turn *Turn) error {
			if len(turn.Marks([]byte("stop"))) > 0 {
				return refused
			}
			if at, _, ok := turn.Version(a); ok {
				turn.Kill(at)
			}
			return nil
		}
		l.Put(w, func(_ Ref, err error) { results <- err })
		if i == 49 {
			l.Put(Write{Marks: []Mark{{[]byte("stop"), nil}}}, func(_ Ref, err error) { results <- err })
		}
	}
	no := 0
	for range 101 {
		switch err := <-results; err {
		case refused:
			no++
		case nil:
		default:
			t.Fatal(err)
		}
	}
	if found := l.Query(ctx, Search{}); no != 50 || len(found) != 1 || found[0].At != 49 {
		t.Fatalf("%d refused, %d left", no, len(found))
	}
}

func TestAFolderHasOneOwner(t *testing.T) {
	dir := t.TempDir()
	open(t, Options{Dir: dir})
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrLocked) {
		t.Fatal(err)
	}
}

// TestADeletionBesideACompactionHolds deletes before a segment is copied, between the copy and its turn, and afterwards, and
// crashes in between: before the copy has its name, and while both have one.
func TestADeletionBesideACompactionHolds(t *testing.T) {
	for _, crash := range []string{"before the copy has its name", "while both are there", "afterwards"} {
		t.Run(crash, func(t *testing.T) {
			r := seeded(t)
			o := Options{Dir: t.TempDir(), SegmentSize: 40 << 10}
			l := open(t, o)
			var all []Write
			var refs []Ref
			for len(*l.segments.Load()) < 3 {
				w := made(r, 1, 1, nostr.Timestamp(1000+len(all)), "x")
				all, refs = append(all, w), append(refs, mustDo(t, l, w))
			}
			l.sealing.Wait()
			kill := func(n int) { mustDo(t, l, Write{Check: func(turn *Turn) error { turn.Kill(refs[n]); return nil }}) }
			old := (*l.segments.Load())[0]
			was, err := os.ReadFile(logPath(o.Dir, old.id))
			if err != nil {
				t.Fatal(err)
			}
			kill(0)
			to, moved, err := l.copyOf(old)
			if err != nil {
				t.Fatal(err)
			}
			kill(1)
			if crash == "before the copy has its name" {
				kill(2)
				to.f.Close()
			} else {
				if err := l.between(func() error { return l.swap(old, to, moved) }); err != nil {
					t.Fatal(err)
				}
				kill(2)
				if err := l.sealOne(to); err != nil {
					t.Fatal(err)
				}
			}
			l.Close()
			if crash == "while both are there" {
				if err := os.WriteFile(logPath(o.Dir, old.id), was, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			l = open(t, o)
			for i, w := range all {
				raw, _ := hex.DecodeString(w.Event.ID)
				if _, _, there := l.Find([32]byte(raw)); there != (i > 2) {
					t.Errorf("event %d of %d is there: %v", i, len(all), there)
				}
			}
		})
	}
}
