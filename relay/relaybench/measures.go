package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nbd-wtf/go-nostr"
)

var measures = []struct {
	name string
	run  func(*server) (string, error)
}{
	{"publish: 1 kB events, 64 connections, 4 under way on each, acked", func(s *server) (string, error) { return publish(s, 64, 4, 12_000) }},
	{"ack: one connection, one event under way, 200 a second", acks},
	{"hop: publish to delivery at the one of 1 subscription, 200 a second", func(s *server) (string, error) { return hop(s, 0, 1) }},
	{"hop, ephemeral: the same, kind 21999's like", func(s *server) (string, error) { return hop(s, 0, 20001) }},
	{"hop: the one of 1,000 subscriptions, 200 a second", func(s *server) (string, error) { return hop(s, 999, 1) }},
	{"others: CPU per ephemeral event, 0 and 8,000 subscriptions of others", others},
	{"crowd: 1,000 connections that all match, CPU per delivery, beside a bare loopback write of the same bytes", crowd},
	{"chunks: ephemeral events over 16 streams, as fast as they go", chunks},
	{"queries: result by #e, jobs by #p (50), 31990 (500), one connection", queries},
	{"idle: 5,000 connections with 2 subscriptions each", idle},
}

type times []time.Duration

func (t times) String() string {
	slices.Sort(t)
	if len(t) == 0 {
		return "nothing"
	}
	at := func(q float64) float64 { return float64(t[int(q*float64(len(t)-1))].Microseconds()) / 1000 }
	return fmt.Sprintf("p50 %.3f ms, p99 %.3f ms", at(0.5), at(0.99))
}

func publish(s *server, conns, window, n int) (string, error) {
	all := sign(n, 1, nostr.Tag{"p", nodeKey(1)})
	var next atomic.Int64
	var mu sync.Mutex
	var took times
	var failed error
	refused := 0
	var group sync.WaitGroup
	var clients []*conn
	for range conns {
		c, err := connect(s)
		if err != nil {
			return "", err
		}
		defer c.Close()
		clients = append(clients, c)
	}
	cpu, began := s.cpu(), time.Now()
	for _, c := range clients {
		group.Go(func() {
			at := map[string]time.Time{}
			var mine times
			var room []byte
			send := func() bool {
				i := int(next.Add(1)) - 1
				if i >= len(all) {
					return false
				}
				at[all[i].id] = time.Now()
				_, err := c.Write(all[i].frame)
				return err == nil
			}
			for range window {
				send()
			}
			for len(at) > 0 {
				m, err := c.next(room)
				if err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					return
				}
				room = m
				if id, ok := okID(m); ok {
					mine = append(mine, time.Since(at[id]))
					delete(at, id)
					if !bytes.Contains(m[71:76], []byte("tru")) {
						mu.Lock()
						refused++
						mu.Unlock()
					}
					send()
				}
			}
			mu.Lock()
			took = append(took, mine...)
			mu.Unlock()
		})
	}
	group.Wait()
	wall := time.Since(began)
	used := s.cpu() - cpu
	return fmt.Sprintf("%6.0f events/s, ack %v, CPU %.0f µs/event, %d refused", float64(len(took))/wall.Seconds(), took,
		float64(used.Microseconds())/float64(max(1, len(took))), refused), failed
}

func paced(n int, each time.Duration, do func(i int) error) error {
	tick := time.NewTicker(each)
	defer tick.Stop()
	for i := range n {
		<-tick.C
		if err := do(i); err != nil {
			return err
		}
	}
	return nil
}

func acks(s *server) (string, error) {
	c, err := connect(s)
	if err != nil {
		return "", err
	}
	defer c.Close()
	var took times
	all := sign(600, 1, nostr.Tag{"p", nodeKey(1)})
	err = paced(len(all), 5*time.Millisecond, func(i int) error {
		began := time.Now()
		c.Write(all[i].frame)
		_, err := c.until("OK")
		took = append(took, time.Since(began))
		return err
	})
	return fmt.Sprint("publish to OK ", took), err
}

// hop measures publish → delivery, with other subscriptions on other keys.
func hop(s *server, others, kind int) (string, error) {
	for i := 0; i < others; i += 50 {
		c, err := connect(s)
		if err != nil {
			return "", err
		}
		defer c.Close()
		for j := i; j < min(others, i+50); j++ {
			if err := c.listen(fmt.Sprint(j), nostr.Filter{Kinds: []int{kind}, Tags: nostr.TagMap{"p": {nodeKey(1000 + j)}}}); err != nil {
				return "", err
			}
		}
		go drain(c)
	}
	reader, err := connect(s)
	if err != nil {
		return "", err
	}
	defer reader.Close()
	if err := reader.listen("x", nostr.Filter{Kinds: []int{kind}, Tags: nostr.TagMap{"p": {nodeKey(3)}}, LimitZero: true}); err != nil {
		return "", err
	}
	c, err := connect(s)
	if err != nil {
		return "", err
	}
	defer c.Close()
	go drain(c)
	all := sign(800, kind, nostr.Tag{"p", nodeKey(3)})
	var took times
	cpu := s.cpu()
	err = paced(len(all), 5*time.Millisecond, func(i int) error {
		began := time.Now()
		c.Write(all[i].frame)
		m, err := reader.until("EVENT")
		took = append(took, time.Since(began))
		if err == nil && eventID(m) != all[i].id {
			return fmt.Errorf("another event came")
		}
		return err
	})
	return fmt.Sprintf("%v, CPU %.0f µs/event", took, float64((s.cpu()-cpu).Microseconds())/float64(len(all))), err
}

func drain(c *conn) {
	var room []byte
	for {
		m, err := c.next(room)
		if err != nil {
			return
		}
		room = m
	}
}

// pour sends all on a few connections without waiting for anything but OKs at last, and gives CPU per event.
func pour(s *server, all []signed, conns int) (cpu float64, perSecond float64, err error) {
	var group sync.WaitGroup
	before, began := s.cpu(), time.Now()
	for i := range conns {
		c, err := connect(s)
		if err != nil {
			return 0, 0, err
		}
		defer c.Close()
		mine := 0
		for j := i; j < len(all); j += conns {
			mine++
		}
		group.Go(func() {
			var room []byte
			for n := 0; n < mine; {
				m, err := c.next(room)
				if err != nil {
					return
				}
				room = m
				if _, ok := okID(m); ok {
					n++
				}
			}
		})
		go func() {
			for j := i; j < len(all); j += conns {
				c.Write(all[j].frame)
			}
		}()
	}
	group.Wait()
	wall := time.Since(began)
	return float64((s.cpu() - before).Microseconds()) / float64(len(all)), float64(len(all)) / wall.Seconds(), nil
}

func others(s *server) (string, error) {
	none, rate, err := pour(s, sign(4000, 20001, nostr.Tag{"p", nodeKey(5)}), 4)
	if err != nil {
		return "", err
	}
	const n = 8000
	for i := 0; i < n; i += 50 {
		c, err := connect(s)
		if err != nil {
			return "", err
		}
		defer c.Close()
		for j := i; j < i+50; j++ {
			if err := c.listen(fmt.Sprint(j), nostr.Filter{Kinds: []int{20001}, Tags: nostr.TagMap{"p": {nodeKey(1000 + j)}}}); err != nil {
				return "", err
			}
		}
		go drain(c)
	}
	crowded, rateThen, err := pour(s, sign(4000, 20001, nostr.Tag{"p", nodeKey(5)}), 4)
	return fmt.Sprintf("%.0f → %.0f µs/event (%.2f times), %.0f → %.0f events/s", none, crowded, crowded/none, rate, rateThen), err
}

func crowd(s *server) (string, error) {
	const readers, n = 1000, 100
	var got atomic.Int64
	var size atomic.Int64
	for range readers {
		c, err := connect(s)
		if err != nil {
			return "", err
		}
		defer c.Close()
		if err := c.listen("x", nostr.Filter{Kinds: []int{20001}, Tags: nostr.TagMap{"p": {nodeKey(9)}}}); err != nil {
			return "", err
		}
		go func() {
			var room []byte
			for {
				m, err := c.next(room)
				if err != nil {
					return
				}
				room = m
				if bytes.HasPrefix(m, []byte(`["EVENT"`)) {
					size.Store(int64(len(m)))
					got.Add(1)
				}
			}
		}()
	}
	c, err := connect(s)
	if err != nil {
		return "", err
	}
	defer c.Close()
	go drain(c)
	all := sign(n, 20001, nostr.Tag{"p", nodeKey(9)})
	cpu := s.cpu()
	var took times
	err = paced(n, 50*time.Millisecond, func(i int) error {
		began := time.Now()
		c.Write(all[i].frame)
		for end := time.Now().Add(20 * time.Second); got.Load() < int64((i+1)*readers); time.Sleep(200 * time.Microsecond) {
			if time.Now().After(end) {
				return fmt.Errorf("%d of %d came", got.Load(), (i+1)*readers)
			}
		}
		took = append(took, time.Since(began))
		return nil
	})
	each := float64((s.cpu() - cpu).Nanoseconds()) / 1000 / float64(got.Load())
	bare, berr := bareWrite(int(size.Load()) + 4)
	if err == nil {
		err = berr
	}
	return fmt.Sprintf("%.1f µs per delivery, a bare write %.1f µs (%.1f times); all have it: %v", each, bare, each/bare, took), err
}

// bareWrite is what a write to a loopback socket costs its writer, with a reader behind it, in µs.
func bareWrite(size int) (float64, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	var out []net.Conn
	for range 100 {
		in, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return 0, err
		}
		defer in.Close()
		go func() {
			b := make([]byte, 4096)
			for {
				if _, err := in.Read(b); err != nil {
					return
				}
			}
		}()
		c, err := l.Accept()
		if err != nil {
			return 0, err
		}
		defer c.Close()
		out = append(out, c)
	}
	body := make([]byte, size)
	var took times
	for range 200 {
		for _, c := range out {
			began := time.Now()
			c.Write(body)
			took = append(took, time.Since(began))
		}
		time.Sleep(time.Millisecond)
	}
	slices.Sort(took)
	return float64(took[len(took)/2].Nanoseconds()) / 1000, nil
}

func chunks(s *server) (string, error) {
	const streams, each = 16, 1500
	var wrong, got atomic.Int64
	var group sync.WaitGroup
	var all [streams][]signed
	for i := range streams {
		all[i] = sign(each, 20002, nostr.Tag{"e", jobID(i)})
	}
	for i := range streams {
		c, err := connect(s)
		if err != nil {
			return "", err
		}
		defer c.Close()
		if err := c.listen("x", nostr.Filter{Kinds: []int{20002}, Tags: nostr.TagMap{"e": {jobID(i)}}}); err != nil {
			return "", err
		}
		group.Go(func() {
			c.SetReadDeadline(time.Now().Add(30 * time.Second))
			for n := range each {
				m, err := c.until("EVENT")
				if err != nil {
					return
				}
				got.Add(1)
				if eventID(m) != all[i][n].id {
					wrong.Add(1)
				}
			}
		})
	}
	cpu, began := s.cpu(), time.Now()
	for i := range streams {
		c, err := connect(s)
		if err != nil {
			return "", err
		}
		defer c.Close()
		go drain(c)
		go func() {
			for _, ev := range all[i] {
				c.Write(ev.frame)
			}
		}()
	}
	group.Wait()
	wall := time.Since(began)
	return fmt.Sprintf("%.0f a second, %d of %d out of order, %d lost, CPU %.0f µs each", float64(got.Load())/wall.Seconds(), wrong.Load(), got.Load(),
		streams*each-got.Load(), float64((s.cpu()-cpu).Microseconds())/float64(max(1, got.Load()))), nil
}

func queries(s *server) (string, error) {
	if !strings.HasPrefix(s.name, "ours") || strings.HasSuffix(s.name, "empty") {
		return "not measured: nothing is stored", nil
	}
	c, err := connect(s)
	if err != nil {
		return "", err
	}
	defer c.Close()
	var text []string
	for _, q := range []struct {
		name   string
		n      int
		filter func() nostr.Filter
	}{
		{"#e", 1000, func() nostr.Filter {
			return nostr.Filter{Kinds: []int{6050}, Tags: nostr.TagMap{"e": {jobID(rand.IntN(fillJobs))}}}
		}},
		{"#p", 500, func() nostr.Filter {
			return nostr.Filter{Kinds: []int{5050}, Tags: nostr.TagMap{"p": {nodeKey(rand.IntN(fillNodes))}}, Limit: 50}
		}},
		{"31990", 100, func() nostr.Filter { return nostr.Filter{Kinds: []int{31990}, Limit: 500} }},
	} {
		var took times
		found := 0
		for i := range q.n {
			f := frame("REQ", fmt.Sprint("q", i%5), q.filter())
			began := time.Now()
			c.Write(f)
			var room []byte
			for {
				m, err := c.next(room)
				if err != nil {
					return "", err
				}
				room = m
				if bytes.HasPrefix(m, []byte(`["EOSE"`)) {
					break
				}
				found++
			}
			took = append(took, time.Since(began))
		}
		text = append(text, fmt.Sprintf("%s %v (%.1f events)", q.name, took, float64(found)/float64(q.n)))
	}
	return strings.Join(text, "; "), nil
}

func idle(s *server) (string, error) {
	const n = 5000
	before := s.memory()
	for i := range n {
		c, err := connect(s)
		if err != nil {
			return "", fmt.Errorf("connection %d: %w", i, err)
		}
		defer c.Close()
		for j := range 2 {
			if err := c.listen(fmt.Sprint(j), nostr.Filter{Kinds: []int{7000}, Tags: nostr.TagMap{"p": {fmt.Sprintf("%064x", i*2+j)}}}); err != nil {
				return "", err
			}
		}
	}
	time.Sleep(time.Second)
	return fmt.Sprintf("%.1f KiB each", float64(s.memory()-before)/n), nil
}
