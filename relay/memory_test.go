package relay

import (
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"
)

// rawDial is a WebSocket connection whose owner reads nothing, and tells the kernel to keep little for it.
func rawDial(t *testing.T, r *Relay) net.Conn {
	t.Helper()
	raw, err := net.Dial("tcp", strings.TrimPrefix(r.URL(), "ws://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	raw.(*net.TCPConn).SetReadBuffer(4096)
	fmt.Fprintf(raw, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	return raw
}

// textFrame is one masked text frame of at most 125 bytes; the mask is zero.
func textFrame(body string) []byte {
	return append([]byte{0x81, 0x80 | byte(len(body)), 0, 0, 0, 0}, body...)
}

// fill stores events of 58,000 bytes each; apart is the time between two of them.
func fill(t *testing.T, r *Relay, n int, apart time.Duration) (all []*nostr.Event) {
	t.Helper()
	content := strings.Repeat("x", 58_000)
	for i := range n {
		ev := sign(t, node, 1, time.Now().Add(-time.Minute-time.Duration(i)*apart), fmt.Sprint(i, apart, content), nostr.Tag{"p", string(customer.PublicKey())})
		if err := r.store.save(ctx, ev); err != nil {
			t.Fatal(err)
		}
		all = append(all, ev)
	}
	return all
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestAnswersToWhoDoesNotReadCostLittle: the whole answer would be 9 MB for each of them.
func TestAnswersToWhoDoesNotReadCostLittle(t *testing.T) {
	for name, apart := range map[string]time.Duration{"in many seconds": 2 * time.Second, "in one second": 0} {
		t.Run(name, func(t *testing.T) {
			r := start(t, func(c *Config) { c.Dir, c.WriteIn = "", time.Hour })
			fill(t, r, 150, apart)
			dial(t, r).query(nostr.Filter{Kinds: []int{1}, Limit: 10})
			before := heap()
			const readers = 3
			for range readers {
				rawDial(t, r).Write(textFrame(`["REQ","x",{"kinds":[1]}]`))
			}
			stuck, was := 0, -1
			eventually(t, "not all are being answered", func() bool {
				answered, bytes := 0, 0
				r.mu.Lock()
				for s := range r.sessions {
					s.out.mu.Lock()
					if s.out.bytes > 100_000 {
						answered++
					}
					bytes += s.out.bytes
					s.out.mu.Unlock()
				}
				r.mu.Unlock()
				if stuck++; bytes != was || answered < readers {
					stuck, was = 0, bytes
				}
				return stuck == 3
			})
			if grown, whole := int64(heap())-int64(before), int64(readers*150*58_000); grown > whole/3 {
				t.Errorf("%d readers that do not read cost %d MB", readers, grown>>20)
			} else {
				t.Logf("%d readers that do not read cost %d MB", readers, grown>>20)
			}
		})
	}
}

// TestACrowdedSecondIsWhole: more events in one second than a page holds bytes, and the newest of them by id.
func TestACrowdedSecondIsWhole(t *testing.T) {
	r := start(t, func(c *Config) { c.Dir, c.MaxLimit = "", 20 })
	want := append(fill(t, r, 25, 0), fill(t, r, 3, -time.Second)...)
	slices.SortFunc(want, newestFirst)
	c := dial(t, r)
	for name, f := range map[string]nostr.Filter{
		"kind": {Kinds: []int{1}}, "author": {Authors: []string{string(node.PublicKey())}}, "all": {},
		"author and kind": {Authors: []string{string(node.PublicKey())}, Kinds: []int{1, 7}},
		"tag":             {Tags: nostr.TagMap{"p": {string(customer.PublicKey())}}},
	} {
		found := c.query(f)
		if len(found) != r.MaxLimit {
			t.Fatalf("%s: found %d", name, len(found))
		}
		for i, ev := range found {
			if ev.ID != want[i].ID {
				t.Fatalf("%s: another event in place %d", name, i)
			}
		}
	}
}
