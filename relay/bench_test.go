package relay

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nbd-wtf/go-nostr"
)

// Run with -benchtime 1000x: each round publishes an event that was signed before. ns/op is one round over loopback;
// the client's share, reading and writing JSON, is in it.

const rounds = 4096

func BenchmarkDelivery(b *testing.B) {
	for _, c := range []struct {
		name string
		kind int
	}{{"ephemeral", 20001}, {"durable", 1}} {
		b.Run(c.name, func(b *testing.B) { benchmarkDelivery(b, c.kind, 0) })
	}
	b.Run("ephemeral among 1000 subscriptions", func(b *testing.B) { benchmarkDelivery(b, 20001, 1000) })
}

// benchmarkDelivery measures publish → subscriber, while others subscribe to other keys.
func benchmarkDelivery(b *testing.B, kind, others int) {
	r := start(b, unlimited)
	reader, c := dial(b, r), dial(b, r)
	for i := range others {
		reader.say("REQ", fmt.Sprint(i), nostr.Filter{Kinds: []int{kind}, Tags: nostr.TagMap{"p": {fmt.Sprintf("%064x", i)}}})
		reader.hear("EOSE")
	}
	reader.say("REQ", "x", nostr.Filter{Kinds: []int{kind}, Tags: nostr.TagMap{"p": {string(customer.PublicKey())}}})
	reader.hear("EOSE")
	bodies := published(b, kind)
	var slow []time.Duration
	i := 0
	for b.Loop() {
		if i == len(bodies) {
			b.Fatal("more rounds than events were signed: use -benchtime 1000x")
		}
		began := time.Now()
		c.ws.Write(ctx, websocket.MessageText, bodies[i])
		reader.hear("EVENT")
		slow = append(slow, time.Since(began))
		b.StopTimer()
		c.hear("OK")
		b.StartTimer()
		i++
	}
	report(b, slow)
}

// BenchmarkAck measures publish → OK; of a durable event that is a write to the disk.
func BenchmarkAck(b *testing.B) {
	for _, c := range []struct {
		name string
		kind int
	}{{"ephemeral", 20001}, {"durable", 1}} {
		b.Run(c.name, func(b *testing.B) {
			r := start(b, unlimited)
			p := dial(b, r)
			bodies := published(b, c.kind)
			var took []time.Duration
			i := 0
			for b.Loop() {
				if i == len(bodies) {
					b.Fatal("more rounds than events were signed: use -benchtime 1000x")
				}
				began := time.Now()
				p.ws.Write(ctx, websocket.MessageText, bodies[i])
				p.hear("OK")
				took = append(took, time.Since(began))
				i++
			}
			report(b, took)
		})
	}
}

// BenchmarkPublishers measures durable events a second of one connection that does not wait for its OKs.
func BenchmarkPublishers(b *testing.B) {
	r := start(b, unlimited)
	c := dial(b, r)
	bodies := published(b, 1)
	n := min(b.N, len(bodies))
	b.ResetTimer()
	go func() {
		for _, body := range bodies[:n] {
			c.ws.Write(ctx, websocket.MessageText, body)
		}
	}()
	for range n {
		c.hear("OK")
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}

func unlimited(c *Config) { c.Rate, c.Burst, c.MaxSubs = 1e9, 1e9, 2000 }

func published(b *testing.B, kind int) (bodies [][]byte) {
	for i := range rounds {
		tags := []nostr.Tag{{"p", string(customer.PublicKey())}, {"expiration", fmt.Sprint(time.Now().Unix() + 3600)}}
		bodies = append(bodies, mustJSON("EVENT", sign(b, node, kind, time.Now(), fmt.Sprint(i), tags...)))
	}
	return bodies
}

func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	at := func(share float64) float64 { return float64(took[int(share*float64(len(took)-1))].Microseconds()) }
	b.ReportMetric(at(0.5), "µs-p50")
	b.ReportMetric(at(0.99), "µs-p99")
}
