package testnet

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/consumer"
	"infernet/engine/enginetest"
	"infernet/events"
	"infernet/internal/ledger"
	"infernet/provider"
	"infernet/wallet"
)

// call is one job, by some path: when the first token came and when all was there.
type call func(b *testing.B) (first, all time.Duration)

// BenchmarkFirstToken compares the market's path with a direct HTTP call to the same llama-server, in one run: the
// rounds take turns, so that what slows one slows all.
func BenchmarkFirstToken(b *testing.B) {
	base := enginetest.LlamaServer(b, "--parallel", "2")
	n := Start(b)
	n.Provider("free", "openai+"+base+"?slots=2", free)
	n.Provider("paid", "openai+"+base+"?slots=2", nil)
	paths := []struct {
		name string
		call call
	}{
		{"direct HTTP call", httpCall(base, "Count to 12", 0)},
		{"market, direct, free", n.marketCall("free", "Count to 12", consumer.Direct, events.PayFree)},
		{"market, direct, prepaid", n.marketCall("paid", "Count to 12", consumer.Direct, events.PayPrepaid)},
		{"market, auction, prepaid", n.marketCall("paid", "Count to 12", consumer.Auction, events.PayPrepaid)},
	}
	firsts, alls := make([][]time.Duration, len(paths)), make([][]time.Duration, len(paths))
	for _, p := range paths { // warm up
		p.call(b)
	}
	for b.Loop() {
		for i, p := range paths {
			first, all := p.call(b)
			firsts[i], alls[i] = append(firsts[i], first), append(alls[i], all)
		}
	}
	var table strings.Builder
	fmt.Fprintf(&table, "\n%-26s %26s %26s\n", fmt.Sprintf("%d rounds", len(alls[0])), "first token p50 / p99", "whole result p50 / p99")
	for i, p := range paths {
		fmt.Fprintf(&table, "%-26s %12.2f / %8.2f ms %12.2f / %8.2f ms\n", p.name, ms(q(firsts[i], 50)), ms(q(firsts[i], 99)), ms(q(alls[i], 50)), ms(q(alls[i], 99)))
		if i > 0 {
			fmt.Fprintf(&table, "%-26s %+12.2f / %+8.2f ms %+12.2f / %+8.2f ms\n", "  later than direct", ms(q(firsts[i], 50)-q(firsts[0], 50)), ms(q(firsts[i], 99)-q(firsts[0], 99)), ms(q(alls[i], 50)-q(alls[0], 50)), ms(q(alls[i], 99)-q(alls[0], 99)))
			b.ReportMetric(ms(q(firsts[i], 50)-q(firsts[0], 50)), strings.ReplaceAll(strings.TrimPrefix(p.name, "market, "), ", ", "-")+"-ms-later")
		}
	}
	fmt.Fprintln(os.Stderr, table.String())
}

// BenchmarkStream compares streamed tokens a second at 100 tokens a second, from an engine that keeps that pace.
func BenchmarkStream(b *testing.B) {
	const tokens = 100
	base := paced(b, tokens, 10*time.Millisecond)
	n := Start(b)
	n.Provider("paced", "openai+"+base+"?kinds=5050", func(c *provider.Config) { c.Price = events.Price{} })
	direct, market := httpCall(base, "x", tokens), n.marketCall("paced", "x", consumer.Direct, events.PayFree)
	var took [2][]time.Duration
	for range 3 {
		for i, c := range []call{direct, market} {
			_, all := c(b)
			took[i] = append(took[i], all)
		}
	}
	for b.Loop() { // the pace decides how long it takes: three rounds are enough
	}
	rate := func(d time.Duration) float64 { return tokens / d.Seconds() }
	d, m := rate(q(took[0], 50)), rate(q(took[1], 50))
	fmt.Fprintf(os.Stderr, "\nstreamed, %d tokens at 100 a second: direct %.2f tok/s, market %.2f tok/s, ratio %.3f\n\n", tokens, d, m, m/d)
	b.ReportMetric(m/d, "of-direct")
}

// BenchmarkMadeOf says what the path is made of.
func BenchmarkMadeOf(b *testing.B) {
	keys, peer := events.GenerateKeys(), events.GenerateKeys()
	req := &events.Request{
		Head: events.Head{At: events.At(time.Now())}, Kind: events.KindText, Profile: true, Deadline: events.At(time.Now()) + 60,
		Inputs: []events.Input{{Value: "Count to 12", Type: "text"}}, To: []events.PubKey{peer.PublicKey()}, Encrypted: true,
	}
	ev, err := events.Sign(ctx, req, keys)
	if err != nil {
		b.Fatal(err)
	}
	l, err := ledger.Open(filepath.Join(b.TempDir(), "l.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	parts := []struct {
		name string
		do   func(i int)
	}{
		{"sign", func(int) { c := *ev; keys.Sign(ctx, &c) }},
		{"check id and signature", func(int) { events.Verify(ev) }},
		{"first encryption to a peer", func(int) { k, _ := events.NewKeys(keys.Secret()); k.Encrypt(ctx, peer.PublicKey(), "Count to 12") }},
		{"encrypt and sign a request", func(int) { events.Sign(ctx, req, keys) }},
		{"open a request", func(int) { events.Open(ctx, ev, peer) }},
		{"ledger: one durable commit", func(int) { h := wallet.NewPreimage().Hash(); l.Begin(events.ID(h.String()), &h) }},
		{"file: append and sync", appendSync(b)},
	}
	n := Start(b)
	from, to := n.Pool(ctx, keys), n.Pool(ctx, peer)
	sub := to.Subscribe(ctx, nostr.Filter{Kinds: []int{events.KindChunk}})
	<-sub.EOSE
	parts = append(parts, struct {
		name string
		do   func(i int)
	}{"relay hop: sign to verified", func(i int) {
		chunk := &events.Chunk{Head: events.Head{At: events.At(time.Now())}, Job: events.ID(ev.ID), To: peer.PublicKey(), Seq: int64(i), Delta: "x"}
		out, _ := events.Sign(ctx, chunk, keys)
		from.Send(ctx, out)
		<-sub.Events
	}})
	for b.Loop() { // measured below, part by part
	}
	fmt.Fprintln(os.Stderr)
	for _, p := range parts {
		var took []time.Duration
		for i := range 300 {
			began := time.Now()
			p.do(i)
			took = append(took, time.Since(began))
		}
		fmt.Fprintf(os.Stderr, "%-28s p50 %8.1f µs   p99 %8.1f µs\n", p.name, ms(q(took, 50))*1000, ms(q(took, 99))*1000)
	}
	fmt.Fprintln(os.Stderr)
}

func appendSync(b *testing.B) func(int) {
	f, err := os.Create(filepath.Join(b.TempDir(), "f"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	block := make([]byte, 4096)
	return func(int) { f.Write(block); f.Sync() }
}

// marketCall buys one streamed job of a model's node.
func (n *Net) marketCall(node, prompt, way, pay string) call {
	buyer := n.Buyer("buyer-" + node + way)
	var key events.PubKey
	return func(b *testing.B) (time.Duration, time.Duration) {
		if key == "" {
			nodes, err := buyer.Nodes(ctx)
			if err != nil {
				b.Fatal(err)
			}
			for _, found := range nodes {
				if found.Profile.Name == node {
					key = found.Author
				}
			}
		}
		o := Text(prompt, func(o *consumer.Order) {
			o.Way, o.Params, o.Pay = way, events.Params{param("stream", "true"), param("temperature", "0")}, []string{pay}
			if way == consumer.Direct {
				o.Node = key
			} else {
				o.Only = []events.PubKey{key}
			}
		})
		var first, done time.Duration
		began := time.Now()
		got, err := buyer.Do(ctx, o, func(s consumer.Step) {
			if s.Delta != "" && first == 0 {
				first = time.Since(began)
			}
		})
		if err != nil {
			b.Fatal(err)
		}
		if done = got.Took; (pay == events.PayFree) != (got.Paid == 0) {
			b.Fatalf("paid %s", got.Paid.Human())
		}
		return first, done
	}
}

// httpCall streams one completion from an OpenAI-compatible server, on a fresh connection: llama-server hangs up after
// a stream.
func httpCall(base, prompt string, maxTokens int) call {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := map[string]any{
		"messages": []map[string]string{{"role": "user", "content": prompt}}, "stream": true, "temperature": 0,
		"stream_options": map[string]bool{"include_usage": true},
	}
	if maxTokens > 0 {
		ask["max_tokens"] = maxTokens
	}
	body, _ := json.Marshal(ask)
	return func(b *testing.B) (first, all time.Duration) {
		began := time.Now()
		resp, err := client.Post(strings.TrimSuffix(base, "/v1")+"/v1/chat/completions", "application/json", bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok || data == "[DONE]" {
				continue
			}
			var chunk struct {
				Choices []struct{ Delta struct{ Content string } }
			}
			if err := json.Unmarshal([]byte(data), &chunk); err != nil {
				b.Fatal(err)
			}
			if first == 0 && len(chunk.Choices) > 0 && chunk.Choices[0].Delta.Content != "" {
				first = time.Since(began)
			}
		}
		if all = time.Since(began); first == 0 {
			b.Fatalf("no token came: %d", resp.StatusCode)
		}
		return first, all
	}
}

// paced is an OpenAI-compatible server that says one token every so often.
func paced(b *testing.B, tokens int, every time.Duration) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/models") {
			fmt.Fprint(w, `{"object":"list","data":[{"id":"paced","object":"model"}]}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		tick := time.NewTicker(every)
		defer tick.Stop()
		for range tokens {
			select {
			case <-r.Context().Done():
				return
			case <-tick.C:
			}
			fmt.Fprint(w, `data: {"choices":[{"index":0,"delta":{"content":"tok "}}]}`+"\n\n")
			w.(http.Flusher).Flush()
		}
		fmt.Fprintf(w, `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":%d}}`+"\n\ndata: [DONE]\n\n", tokens)
	}))
	b.Cleanup(s.Close)
	return s.URL + "/v1"
}

func q(all []time.Duration, percent int) time.Duration {
	sorted := slices.SortedFunc(slices.Values(all), cmp.Compare[time.Duration])
	return sorted[min(len(sorted)-1, len(sorted)*percent/100)]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
