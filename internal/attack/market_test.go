package attack

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/consumer"
	"infernet/engine"
	"infernet/events"
	"infernet/internal/pool"
	"infernet/internal/testnet"
	"infernet/provider"
	"infernet/relay"
	"infernet/wallet"
)

// counting is an engine that counts what it is made to do.
type counting struct {
	engine.Engine
	runs *atomic.Int64
}

func (c counting) Run(ctx context.Context, job engine.Job, emit func(engine.Part) error) (*engine.Output, error) {
	c.runs.Add(1)
	return c.Engine.Run(ctx, job, emit)
}

func balance(t *testing.T, w wallet.Wallet) events.Msat {
	t.Helper()
	b, err := w.(wallet.Balancer).Balance(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// recorder hears everything that a relay gives to a stranger who asks for all.
type recorder struct {
	mu  sync.Mutex
	all []*nostr.Event
}

func record(t *testing.T, url string) *recorder {
	t.Helper()
	p := pool.New(ctx, []string{url})
	t.Cleanup(func() { p.Close() })
	sub := p.Subscribe(ctx, nostr.Filter{})
	<-sub.EOSE
	r := &recorder{}
	go func() {
		for ev := range sub.Events {
			r.mu.Lock()
			r.all = append(r.all, ev)
			r.mu.Unlock()
		}
	}()
	return r
}

func (r *recorder) events() []*nostr.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*nostr.Event{}, r.all...)
}

// TestReplays records all that a relay carries while jobs are bought and paid, ephemeral messages of the wallets among it, and
// publishes each three more times: at the same relay, and at one that has never seen any of it. Nothing is done or paid a
// second time.
func TestReplays(t *testing.T) {
	n := testnet.Start(t)
	other, err := relay.Open(ctx, relay.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); other.Run(running) }()
	t.Cleanup(func() { stop(); <-done })
	heard := record(t, n.URL)
	var runs atomic.Int64
	var earned wallet.Wallet
	n.Provider("node", "echo:", func(c *provider.Config) {
		c.Engine = counting{c.Engine, &runs}
		c.Relays = []string{n.URL, other.URL()}
		c.Pool = pool.New(ctx, c.Relays, pool.WithSigner(c.Signer))
		t.Cleanup(func() { c.Pool.Close() })
		earned = c.Wallet.(wallet.Wallet)
	})
	paying := n.Wallet("buyer")
	buyer := n.Consumer("buyer", func(c *consumer.Config) { c.Wallet = paying.(wallet.Payer) })
	jobs := more(3, 20)
	for i := range jobs {
		if _, err := buyer.Do(ctx, testnet.Text(fmt.Sprint("do it once ", i), nil), nil); err != nil {
			t.Fatal(err)
		}
	}
	before := [3]int64{runs.Load(), int64(balance(t, earned)), int64(balance(t, paying))}
	recorded := heard.events()
	if runs.Load() != int64(jobs) || len(recorded) < 5*jobs {
		t.Fatalf("%d runs, %d events recorded", runs.Load(), len(recorded))
	}
	attacker := pool.New(ctx, []string{n.URL, other.URL()})
	defer attacker.Close()
	for range 3 {
		for _, ev := range recorded {
			bounded, cancel := context.WithTimeout(ctx, 20*time.Second)
			attacker.Publish(bounded, ev) // a duplicate is answered OK true
			cancel()
		}
	}
	after := [3]int64{runs.Load(), int64(balance(t, earned)), int64(balance(t, paying))}
	if after != before {
		t.Errorf("runs, the node's and the customer's msat were %v, and are %v after the replays", before, after)
	}
	if _, err := buyer.Do(ctx, testnet.Text("one more", nil), nil); err != nil { // who had queued something would do it by now
		t.Fatal(err)
	}
	if runs.Load() != before[0]+1 {
		t.Errorf("%d runs in place of %d", runs.Load(), before[0]+1)
	}
	figure(t, 7, "%d jobs, %d recorded events replayed 3 times at two relays: %d second executions, %d msat paid twice",
		jobs, len(recorded), runs.Load()-before[0]-1, before[2]-after[2])
}

// TestNobodyElseReadsPrompts buys directly, which is the way to buy privately, with a canary in the prompt, and another in a file.
// They are looked for in all that the relay gives to a stranger, and in the relay's and the files' folders. A prompt of an auction
// is for everybody to read who may offer: only its prices are not.
func TestNobodyElseReadsPrompts(t *testing.T) {
	n := testnet.Start(t)
	heard := record(t, n.URL)
	n.Provider("node", "echo:", nil)
	buyer := n.Buyer("buyer")
	jobs := more(4, 40)
	const canary = "canary-7f3a91"
	for i := range jobs {
		got, err := buyer.Do(ctx, testnet.Text(fmt.Sprintf("the %s is number %d", canary, i), func(o *consumer.Order) { o.Way = consumer.Direct }), nil)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(got.Result.Content, canary) {
			t.Fatalf("got %q", got.Result.Content)
		}
	}
	hits := 0
	for _, ev := range heard.events() {
		if strings.Contains(ev.String(), canary) {
			hits++
			t.Errorf("kind %d shows the prompt", ev.Kind)
		}
	}
	var looked int64
	for _, dir := range []string{"relay", "files"} {
		filepath.WalkDir(filepath.Join(n.Dir, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil
			}
			f, err := os.Open(path)
			if err != nil {
				return nil
			}
			defer f.Close()
			body, _ := io.ReadAll(f)
			looked += int64(len(body))
			if strings.Contains(string(body), canary) {
				hits++
				t.Errorf("%s holds the prompt", path)
			}
			return nil
		})
	}
	figure(t, 10, "%d prompts with a canary: %d hits in %d events that a stranger gets and %d KiB of the relay's and the files' folders", jobs, hits, len(heard.events()), looked>>10)
}

// TestNobodyElseSeesOffers holds auctions and looks, as a stranger, for offers that show their price.
func TestNobodyElseSeesOffers(t *testing.T) {
	n := testnet.Start(t)
	heard := record(t, n.URL)
	n.Provider("cheap", "echo:", nil)
	n.Provider("dear", "echo:", func(c *provider.Config) { c.Policy.Price.Base = 7000 })
	buyer := n.Buyer("buyer")
	jobs := more(2, 40)
	for i := range jobs {
		if _, err := buyer.Do(ctx, testnet.Text(fmt.Sprint("bid for this ", i), func(o *consumer.Order) { o.First = false; o.Window = time.Second }), nil); err != nil {
			t.Fatal(err)
		}
	}
	prices, messages := 0, 0
	for _, ev := range heard.events() {
		if ev.Kind != events.KindFeedback {
			continue
		}
		messages++
		if m, err := events.Parse(ev); err == nil {
			if _, clear := m.(*events.Offer); clear {
				prices++
			}
		}
	}
	if messages < 2*jobs {
		t.Errorf("only %d messages were heard", messages)
	}
	if prices > 0 {
		t.Errorf("%d offers show their price", prices)
	}
	figure(t, 19, "%d auctions of two nodes: %d prices that others see, in %d messages", jobs, prices, messages)
}

// cable is the network between a party and a relay: it can be cut.
type cable struct {
	to   string
	url  string
	mu   sync.Mutex
	cut  bool
	open map[net.Conn]struct{}
}

func newCable(t *testing.T, url string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{to: strings.TrimPrefix(url, "ws://"), url: "ws://" + l.Addr().String(), open: map[net.Conn]struct{}{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { c.carry(conn) })
		}
	})
	t.Cleanup(func() { l.Close(); c.set(true); serving.Wait() })
	return c
}

func (c *cable) carry(conn net.Conn) {
	defer conn.Close()
	far, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	defer far.Close()
	c.mu.Lock()
	if c.cut {
		c.mu.Unlock()
		return
	}
	c.open[conn], c.open[far] = struct{}{}, struct{}{}
	c.mu.Unlock()
	done := make(chan struct{})
	go func() { io.Copy(far, conn); far.Close(); close(done) }()
	io.Copy(conn, far)
	conn.Close()
	<-done
	c.mu.Lock()
	delete(c.open, conn)
	delete(c.open, far)
	c.mu.Unlock()
}

// set cuts the cable, or mends it.
func (c *cable) set(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut = cut; cut {
		for conn := range c.open {
			conn.Close()
		}
	}
}

// TestPartitions has node and customer at two relays, and cuts in each run one of them off from the customer and the other from the
// node, at moments that vary, so that for a while they have none in common; then mends both: each job is done once and paid once.
func TestPartitions(t *testing.T) {
	n := testnet.Start(t)
	other, err := relay.Open(ctx, relay.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); other.Run(running) }()
	t.Cleanup(func() { stop(); <-done })
	nodeTo, buyerTo := newCable(t, n.URL), newCable(t, other.URL())
	var runs atomic.Int64
	var paid, got events.Msat
	count := more(5, 200)
	for i := range count { // node and customer are new each time: connections that were lost often are tried again later and later
		var earned wallet.Wallet
		signer := events.GenerateKeys()
		node := n.Provider(fmt.Sprint("node", i), "echo:?delay=20ms", func(c *provider.Config) {
			c.Engine = counting{c.Engine, &runs}
			c.Signer, c.Relays = signer, []string{nodeTo.url, other.URL()}
			c.Pool = pool.New(ctx, c.Relays, pool.WithSigner(signer))
			t.Cleanup(func() { c.Pool.Close() })
			earned = c.Wallet.(wallet.Wallet)
		})
		paying := n.Wallet(fmt.Sprint("buyer", i))
		reach := []string{n.URL, buyerTo.url}
		p := pool.New(ctx, reach, pool.WithSigner(events.GenerateKeys()))
		buyer := n.Consumer(fmt.Sprint("buyer", i), func(c *consumer.Config) { c.Wallet, c.Pool, c.Relays = paying.(wallet.Payer), p, reach })
		before := [2]events.Msat{balance(t, earned), balance(t, paying)}
		healed := make(chan struct{})
		go func() {
			defer close(healed)
			time.Sleep(time.Duration(i*37%250) * time.Millisecond)
			buyerTo.set(true)
			time.Sleep(time.Duration(i*29%120) * time.Millisecond)
			nodeTo.set(true)
			time.Sleep(time.Duration(100+i*53%300) * time.Millisecond)
			buyerTo.set(false)
			nodeTo.set(false)
		}()
		text := fmt.Sprintf("one two three four five six %d", i)
		delivery, err := buyer.Do(ctx, testnet.Text(text, func(o *consumer.Order) { o.Only = []events.PubKey{node.Key} }), nil)
		<-healed
		if err != nil {
			t.Fatalf("run %d: %v", i, err)
		}
		if delivery.Result.Content != text {
			t.Errorf("run %d: got %q", i, delivery.Result.Content)
		}
		got += balance(t, earned) - before[0]
		paid += before[1] - balance(t, paying)
		node.Stop()
		p.Close()
	}
	if runs.Load() != int64(count) {
		t.Errorf("%d jobs were done %d times", count, runs.Load())
	}
	if got != paid || got == 0 {
		t.Errorf("the customer has paid %s, the node has %s", paid.Human(), got.Human())
	}
	figure(t, 20, "%d jobs over two relays, one cut off and mended in each: done %d times, paid %s, received %s", count, runs.Load(), paid.Human(), got.Human())
}
