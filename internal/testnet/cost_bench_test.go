package testnet

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nbd-wtf/go-nostr"

	"infernet/consumer"
	"infernet/events"
	"infernet/provider"
)

// cpu is how long this process has worked.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkAdmission says what an event costs from the line to its OK, as often as its signature's check: both are measured
// in turns, in one run. Reading and writing the client's side of the line is in it.
func BenchmarkAdmission(b *testing.B) {
	const count = 2000
	n := Start(b)
	node, customer := events.GenerateKeys(), events.GenerateKeys()
	sorts := []struct {
		name string
		make func(i int) events.Message
	}{
		{"request, stored", func(i int) events.Message {
			return &events.Request{
				Head: events.Head{At: events.At(time.Now())}, Kind: events.KindText, Profile: true, Deadline: events.At(time.Now()) + 60,
				Inputs: []events.Input{{Value: fmt.Sprint("Count to ", i), Type: "text"}}, Bids: &events.Auction{Seconds: 1, Mode: "auto"},
			}
		}},
		{"chunk, passed on", func(i int) events.Message {
			return &events.Chunk{Head: events.Head{At: events.At(time.Now())}, Job: events.ID(strings.Repeat("ab", 32)), To: customer.PublicKey(), Seq: int64(i), Delta: "word"}
		}},
	}
	for b.Loop() { // measured below, once
	}
	fmt.Fprintln(os.Stderr)
	for _, sort := range sorts {
		var all []*nostr.Event
		for i := range count {
			signer := node
			if i%20 == 0 { // not one key's flood
				node = events.GenerateKeys()
			}
			ev, err := events.Sign(ctx, sort.make(i), signer)
			if err != nil {
				b.Fatal(err)
			}
			all = append(all, ev)
		}
		ws, _, err := websocket.Dial(ctx, n.URL, nil)
		if err != nil {
			b.Fatal(err)
		}
		ws.SetReadLimit(1 << 20)
		began, refused := cpu(b), 0
		at := time.Now()
		go func() {
			for _, ev := range all {
				ws.Write(ctx, websocket.MessageText, []byte(`["EVENT",`+ev.String()+`]`))
			}
		}()
		for answers := 0; answers < count; {
			_, body, err := ws.Read(ctx)
			if err != nil {
				b.Fatal(err)
			}
			if m, ok := nostr.ParseMessage(string(body)).(*nostr.OKEnvelope); ok {
				if answers++; !m.OK {
					refused++
				}
			}
		}
		took, used := time.Since(at)/count, (cpu(b)-began)/count
		ws.CloseNow()
		began = cpu(b)
		for _, ev := range all {
			if err := events.Verify(ev); err != nil {
				b.Fatal(err)
			}
		}
		check := (cpu(b) - began) / count
		fmt.Fprintf(os.Stderr, "admission, %-18s %7.1f µs of CPU, %7.1f µs on the clock; its signature %6.1f µs: %.1f times that (%d of %d refused)\n",
			sort.name, us(used), us(took), us(check), float64(used)/float64(check), refused, count)
		b.ReportMetric(float64(used)/float64(check), strings.Fields(sort.name)[0][:5]+"-per-signature")
	}
	fmt.Fprintln(os.Stderr)
}

func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// BenchmarkStreams streams jobs at the same time through the relay, from an engine that keeps a pace, and compares each with
// a direct call at the same number of streams.
func BenchmarkStreams(b *testing.B) {
	const tokens, pace = 40, 50 * time.Millisecond
	base := paced(b, tokens, pace)
	n := Start(b)
	n.Provider("paced", "openai+"+base+"?kinds=5050&slots=128", func(c *provider.Config) { c.Price = events.Price{} })
	for b.Loop() { // the pace decides how long it takes: once is enough
	}
	fmt.Fprintln(os.Stderr)
	for _, streams := range []int{1, 10, 100} {
		direct := together(streams, func(int) time.Duration {
			_, all := httpCall(base, "x", tokens)(b)
			return all
		})
		calls := make([]call, streams)
		for i := range calls {
			calls[i] = n.marketCall("paced", "x", consumer.Direct, events.PayFree)
		}
		calls[0](b) // the customer gets to know the node
		began := cpu(b)
		market := together(streams, func(i int) time.Duration {
			_, all := calls[i](b)
			return all
		})
		used := cpu(b) - began
		ratio := float64(q(direct, 50)) / float64(q(market, 50))
		fmt.Fprintf(os.Stderr, "%3d streams of %d tokens at %.0f a second: direct p50 %.0f ms, market p50 %.0f ms, p99 %.0f ms; rate %.3f of direct; %.0f µs of CPU a token, all parties together\n",
			streams, tokens, 1/pace.Seconds(), ms(q(direct, 50)), ms(q(market, 50)), ms(q(market, 99)), ratio, us(used)/float64(streams*tokens))
		b.ReportMetric(ratio, fmt.Sprint("of-direct-at-", streams))
	}
	fmt.Fprintln(os.Stderr)
}

// together does something so often at the same time.
func together(times int, do func(i int) time.Duration) []time.Duration {
	took := make([]time.Duration, times)
	var all sync.WaitGroup
	for i := range times {
		all.Go(func() { took[i] = do(i) })
	}
	all.Wait()
	return took
}

// BenchmarkMemory says what a job in flight holds, of all parties together: relay, node, wallet and customer are in this
// process.
func BenchmarkMemory(b *testing.B) {
	n := Start(b)
	n.Provider("slow", "echo:?delay=1h&slots=1000", func(c *provider.Config) { c.Price = events.Price{} })
	var buyers []*consumer.Consumer // a relay gives 64 subscriptions to one connection, and a job in flight has one
	for i := range 8 {
		buyers = append(buyers, n.Buyer(fmt.Sprint("buyer", i)))
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	for b.Loop() { // measured below, once
	}
	var all sync.WaitGroup
	begin := func(jobs int) {
		var begun sync.WaitGroup
		for i := range jobs {
			begun.Wait() // one after the other: what is measured is a job that runs
			begun.Add(1)
			var once sync.Once
			all.Go(func() {
				_, err := buyers[i%len(buyers)].Do(running, Text("one two three", func(o *consumer.Order) {
					o.Way, o.Pay, o.Life = consumer.Direct, []string{events.PayFree}, time.Hour
				}), func(s consumer.Step) {
					if _, ok := s.Message.(*events.Running); ok {
						once.Do(begun.Done)
					}
				})
				once.Do(func() {
					b.Errorf("a job does not run: %v", err)
					begun.Done()
				})
			})
		}
		begun.Wait()
	}
	begin(24) // what all jobs share
	none, line := heap(), ""
	for _, jobs := range []int{100, 100} {
		before := heap()
		began := runtime.NumGoroutine()
		begin(jobs)
		line += fmt.Sprintf("; %d more: %.1f KiB and %.1f goroutines each", jobs, float64(heap()-before)/1024/float64(jobs), float64(runtime.NumGoroutine()-began)/float64(jobs))
	}
	fmt.Fprintf(os.Stderr, "\nmemory of a job in flight, all parties together%s\n\n", line)
	b.ReportMetric(float64(heap()-none)/1024/200, "KiB/job")
	stop()
	all.Wait()
}

// BenchmarkGrowth says how the cost of a job grows with twice the nodes and twice the jobs, as ratios in one run.
func BenchmarkGrowth(b *testing.B) {
	for b.Loop() { // measured below, once
	}
	cost := func(nodes, jobs int) (each time.Duration) {
		n := Start(b)
		for i := range nodes {
			n.Provider(fmt.Sprint("node", i), "echo:?slots=64", func(c *provider.Config) { c.Price = events.Price{} })
		}
		buyer := n.Buyer("buyer")
		buy := func() time.Duration {
			began := time.Now()
			_, err := buyer.Do(ctx, Text("one two three", func(o *consumer.Order) { o.Pay = []string{events.PayFree} }), nil)
			if err != nil {
				b.Error(err)
			}
			return time.Since(began)
		}
		buy()
		began := cpu(b)
		for done := 0; done < jobs; done += 8 {
			together(8, func(int) time.Duration { return buy() })
		}
		return (cpu(b) - began) / time.Duration(jobs)
	}
	const jobs = 80
	base := cost(2, jobs)
	fmt.Fprintf(os.Stderr, "\ncost of a free auction, CPU of all parties: 2 nodes, %d jobs: %.2f ms a job\n", jobs, ms(base))
	for _, c := range []struct{ nodes, jobs int }{{4, jobs}, {8, jobs}, {2, 2 * jobs}, {2, 4 * jobs}} {
		each := cost(c.nodes, c.jobs)
		fmt.Fprintf(os.Stderr, "  %d nodes, %3d jobs: %.2f ms a job, %.2f times\n", c.nodes, c.jobs, ms(each), float64(each)/float64(base))
		b.ReportMetric(float64(each)/float64(base), fmt.Sprintf("times-at-%d-nodes-%d-jobs", c.nodes, c.jobs))
	}
	fmt.Fprintln(os.Stderr)
}
