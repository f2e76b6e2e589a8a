package eventlog

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	eventbadger "github.com/fiatjaf/eventstore/badger"
	"github.com/nbd-wtf/go-nostr"
)

// BenchmarkStores measures what the relay's storage was chosen by: durable saves of 1 kB events, by one writer and by 64,
// in a store that is empty or has INFERNET_STORED events; and the queries of the market. µs-cpu is the whole process's.
// Others: Badger as eventstore uses it, synced for each of its commits, and Badger under a group commit of our own.
func BenchmarkStores(b *testing.B) {
	for _, s := range []struct {
		name string
		open func(b *testing.B, dir string) saver
	}{{"log", openLog}, {"badger", openBadger}, {"badger-grouped", openGrouped}} {
		b.Run(s.name, func(b *testing.B) { benchmarkStore(b, s.open) })
	}
}

// saver saves one event durably, from many goroutines.
type saver struct {
	save  func(w Write) error
	fill  func(all []Write)
	query func(f nostr.Filter) int
	close func()
}

func benchmarkStore(b *testing.B, open func(b *testing.B, dir string) saver) {
	stored, _ := strconv.Atoi(os.Getenv("INFERNET_STORED"))
	dir := b.TempDir()
	s := open(b, dir)
	defer s.close()
	r := rand.New(rand.NewPCG(1, 2))
	for stored > 0 {
		n := min(stored, 5000)
		all := make([]Write, n)
		for i := range all {
			all[i] = marketEvent(r)
		}
		s.fill(all)
		stored -= n
	}
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprint("writers-", writers), func(b *testing.B) {
			all := make([]Write, b.N)
			for i := range all {
				all[i] = marketEvent(r)
			}
			took := make([]time.Duration, b.N)
			var next atomic.Int64
			var group sync.WaitGroup
			cpu := processCPU()
			b.ResetTimer()
			for range writers {
				group.Go(func() {
					for {
						i := int(next.Add(1)) - 1
						if i >= len(all) {
							return
						}
						began := time.Now()
						if err := s.save(all[i]); err != nil {
							b.Error(err)
						}
						took[i] = time.Since(began)
					}
				})
			}
			group.Wait()
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-p50")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
			b.ReportMetric(float64((processCPU()-cpu).Microseconds())/float64(b.N), "µs-cpu")
		})
	}
	for _, q := range marketQueries {
		b.Run(q.name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(3, 4))
			found := 0
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				found += s.query(q.filter(r))
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "µs-p50")
			b.ReportMetric(float64(found)/float64(b.N), "events")
		})
	}
}

const (
	benchJobs  = 30_000
	benchNodes = 500
)

func jobID(n int) string { return fmt.Sprintf("%016x%048x", n+1, n) }

// marketEvent is about 1 kB: requests, feedback and results of jobs, and announcements.
func marketEvent(r *rand.Rand) Write {
	job, node := r.IntN(benchJobs), r.IntN(benchNodes)
	tags := nostr.Tags{{"e", jobID(job)}, {"p", fmt.Sprintf("%064x", node)}, {"status", "success"}, {"expiration", "2000000000"}, {"alt", "Result of a job"}}
	kind := []int{5050, 7000, 7000, 6050, 31990}[r.IntN(5)]
	if kind == 31990 {
		tags = nostr.Tags{{"d", fmt.Sprint("node-", r.Uint64())}, {"k", "5050"}, {"t", "llama3.1:8b"}}
	}
	return made(r, kind, node, nostr.Timestamp(1_700_000_000+r.IntN(1_000_000)), fmt.Sprintf("%0400x", r.Uint64()), tags...)
}

var marketQueries = []struct {
	name   string
	filter func(r *rand.Rand) nostr.Filter
}{
	{"result-by-e", func(r *rand.Rand) nostr.Filter {
		return nostr.Filter{Kinds: []int{6050}, Tags: nostr.TagMap{"e": {jobID(r.IntN(benchJobs))}}, Limit: 1}
	}},
	{"jobs-by-p", func(r *rand.Rand) nostr.Filter {
		return nostr.Filter{Kinds: []int{5050}, Tags: nostr.TagMap{"p": {fmt.Sprintf("%064x", r.IntN(benchNodes))}}, Limit: 50}
	}},
	{"31990-500", func(r *rand.Rand) nostr.Filter { return nostr.Filter{Kinds: []int{31990}, Limit: 500} }},
}

func openLog(b *testing.B, dir string) saver {
	l := open(b, Options{Dir: dir})
	return saver{
		save: func(w Write) error { _, err := l.Do(w); return err },
		fill: func(all []Write) {
			var group sync.WaitGroup
			for _, w := range all {
				group.Add(1)
				l.Put(w, func(_ Ref, err error) { group.Done() })
			}
			group.Wait()
		},
		query: func(f nostr.Filter) int { return len(l.Query(ctx, Search{Filter: f})) },
		close: func() { l.Close() },
	}
}

func badgerOptions(o badger.Options) badger.Options {
	return o.WithLogger(nil).WithSyncWrites(true).WithValueLogFileSize(64 << 20).WithMemTableSize(16 << 20).
		WithNumMemtables(2).WithBlockCacheSize(32 << 20).WithMetricsEnabled(false)
}

// openBadger is eventstore's Badger, as the relay used it before.
func openBadger(b *testing.B, dir string) saver {
	fresh, err := badger.Open(badgerOptions(badger.DefaultOptions(dir)))
	if err != nil {
		b.Fatal(err)
	}
	if err := fresh.Update(func(tx *badger.Txn) error { return tx.Set([]byte{255}, []byte{0, 5}) }); err != nil {
		b.Fatal(err)
	}
	fresh.Close()
	db := &eventbadger.BadgerBackend{Path: dir, MaxLimit: 1 << 20, BadgerOptionsModifier: badgerOptions}
	if err := db.Init(); err != nil {
		b.Fatal(err)
	}
	saving := make(chan struct{}, 256)
	save := func(w Write) error {
		saving <- struct{}{}
		defer func() { <-saving }()
		return db.SaveEvent(ctx, w.Event)
	}
	return saver{
		save: save,
		fill: func(all []Write) {
			var group sync.WaitGroup
			for _, w := range all {
				group.Go(func() { save(w) })
			}
			group.Wait()
		},
		query: func(f nostr.Filter) (n int) {
			if f.Tags["p"] != nil { // as the relay asked it: page after page of one tag
				kinds := f.Kinds
				f.Kinds, f.Limit = nil, 512
				found, _ := db.QueryEvents(ctx, f)
				for ev := range found {
					if slices.Contains(kinds, ev.Kind) && n < 50 {
						n++
					}
				}
				return n
			}
			found, _ := db.QueryEvents(ctx, f)
			for range found {
				n++
			}
			return n
		},
		close: db.Close,
	}
}

// openGrouped is Badger with the keys of our index, and one synced transaction for all that has gathered.
func openGrouped(b *testing.B, dir string) saver {
	db, err := badger.Open(badgerOptions(badger.DefaultOptions(dir)))
	if err != nil {
		b.Fatal(err)
	}
	type one struct {
		w    Write
		done chan error
	}
	queue := make(chan one, 4096)
	var h hasher
	serial := uint64(0)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for first := range queue {
			all := []one{first}
			for len(queue) > 0 && len(all) < 1000 {
				all = append(all, <-queue)
			}
			batch := db.NewWriteBatch()
			var err error
			for _, o := range all {
				serial++
				at := binary.BigEndian.AppendUint64([]byte{0}, serial)
				batch.Set(at, o.w.Raw)
				m, _ := metaOf(o.w.Event)
				h.keysOf(&m, o.w.Event.Tags, nil, func(k key, time uint32) {
					entry := binary.BigEndian.AppendUint64([]byte{1}, uint64(k))
					batch.Set(append(binary.BigEndian.AppendUint32(entry, time), at[1:]...), nil)
				})
			}
			err = batch.Flush()
			for _, o := range all {
				o.done <- err
			}
		}
	}()
	save := func(w Write) error {
		o := one{w, make(chan error, 1)}
		queue <- o
		return <-o.done
	}
	return saver{
		save: save,
		fill: func(all []Write) {
			var group sync.WaitGroup
			for _, w := range all {
				group.Go(func() { save(w) })
			}
			group.Wait()
		},
		query: func(f nostr.Filter) (n int) {
			var prefix []byte
			keyOf := func(k key) []byte { return binary.BigEndian.AppendUint64([]byte{1}, uint64(k)) }
			var room [32]byte
			switch {
			case f.Tags["e"] != nil:
				prefix = keyOf(h.key(byTag, 0, "e", packed(f.Tags["e"][0], room[:])))
			case f.Tags["p"] != nil:
				prefix = keyOf(h.key(byTagKind, f.Kinds[0], "p", packed(f.Tags["p"][0], room[:])))
			default:
				prefix = keyOf(h.key(byKind, f.Kinds[0], "", nil))
			}
			db.View(func(tx *badger.Txn) error {
				it := tx.NewIterator(badger.IteratorOptions{Prefix: prefix, Reverse: true})
				defer it.Close()
				for it.Seek(append(slices.Clone(prefix), 255)); it.ValidForPrefix(prefix) && n < f.Limit; it.Next() {
					key := it.Item().Key()
					item, err := tx.Get(append([]byte{0}, key[len(key)-8:]...))
					if err != nil {
						return err
					}
					raw, _ := item.ValueCopy(nil)
					var ev nostr.Event
					if ev.UnmarshalJSON(raw) == nil && f.Matches(&ev) {
						n++
					}
				}
				return nil
			})
			return n
		},
		close: func() { close(queue); <-ended; db.Close() },
	}
}

// BenchmarkSync is the floor below all: one 1 kB write and its sync, into room that was taken before.
func BenchmarkSync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "f"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	d := disk{f}
	body := make([]byte, 1100)
	var took []time.Duration
	at, grown := int64(0), int64(0)
	for b.Loop() {
		if at+2000 > grown {
			grown += growBy
			d.Grow(grown)
		}
		began := time.Now()
		d.WriteAt(body, at)
		d.Sync()
		took = append(took, time.Since(began))
		at += int64(len(body))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
}

func processCPU() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
