package attack

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

func dialTCP(t *testing.T, x *target) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(x.url, "ws://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestOversizedAndMalformedMessages sends frames of 1 MB from many connections, and what has crashed relays: each large one ends its
// connection and costs no memory, each malformed one is answered, and the relay lives.
func TestOversizedAndMalformedMessages(t *testing.T) {
	x := newTarget(t)
	n := more(200, 2000)
	large := []byte(`["EVENT",{"id":"` + strings.Repeat("a", 1<<20) + `"}]`)
	var closed atomic.Int64
	grown := x.watched(func() {
		var sending sync.WaitGroup
		turn := make(chan struct{}, 32)
		for range n {
			turn <- struct{}{}
			sending.Go(func() {
				defer func() { <-turn }()
				ws, _, err := websocket.Dial(ctx, x.url, nil)
				if err != nil {
					return
				}
				defer ws.CloseNow()
				ws.Write(ctx, websocket.MessageText, large)
				for {
					if _, _, err = ws.Read(ctx); err != nil {
						closed.Add(1)
						return
					}
				}
			})
		}
		sending.Wait()
	})
	if int(closed.Load()) != n {
		t.Errorf("%d of %d connections were ended", closed.Load(), n)
	}
	x.bounded(grown, 64<<20)
	keys := events.GenerateKeys()
	deep := `["REQ","x",` + strings.Repeat(`{"a":[`, 20_000) + strings.Repeat(`]}`, 20_000) + `]`
	tags := make(nostr.Tags, 5000)
	for i := range tags {
		tags[i] = nostr.Tag{"x"}
	}
	longSig := signed(keys, 1, "x")
	longSig.Sig += longSig.Sig
	c := x.dial()
	malformed := [][]byte{
		message("EVENT", signed(keys, 30078, "", nostr.Tag{"d"})), message("EVENT", signed(keys, 1, "", nostr.Tag{})), message("EVENT", signed(keys, 1, "", tags...)),
		message("EVENT", longSig), message("EVENT", nil), message("EVENT"), message("REQ"), message("REQ", "x"), message("CLOSE"), message("AUTH"),
		[]byte(deep), []byte(`[`), []byte(`{}`), []byte(`["REQ","x",{"ids":["` + strings.Repeat("f", 60_000) + `"]}]`), []byte(`["REQ","x",{"since":-9e99,"until":9e99,"limit":-5}]`),
	}
	for _, body := range malformed {
		if err := c.write(body); err != nil {
			c = x.dial()
		}
	}
	x.alive()
	figure(t, 14, "%d frames of 1 MB: %d connections ended, memory +%d MiB; %d malformed messages, the relay lives", n, closed.Load(), grown>>20, len(malformed))
}

// TestUploadsThatAreNotThere announces 64 GiB a thousand times, with good tokens, and brings nothing; then drips: the server lives
// and takes no memory for what was announced.
func TestUploadsThatAreNotThere(t *testing.T) {
	x := newTarget(t)
	n := more(1000, 20_000)
	token := func(sum string) string {
		ev := signed(events.GenerateKeys(), 24242, "upload", nostr.Tag{"t", "upload"}, nostr.Tag{"x", sum}, nostr.Tag{"expiration", fmt.Sprint(time.Now().Add(time.Hour).Unix())})
		body, _ := json.Marshal(ev)
		return "Nostr " + base64.RawURLEncoding.EncodeToString(body)
	}
	answers := map[int]int{}
	var mu sync.Mutex
	var once sync.Once
	grown := x.watched(func() {
		var asking sync.WaitGroup
		turn := make(chan struct{}, 32)
		for range n {
			turn <- struct{}{}
			asking.Go(func() {
				defer func() { <-turn }()
				sum := make([]byte, 32)
				rand.Read(sum)
				conn, err := net.Dial("tcp", strings.TrimPrefix(x.url, "ws://"))
				if err != nil {
					return
				}
				defer conn.Close()
				fmt.Fprintf(conn, "PUT /upload HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nX-SHA-256: %x\r\nContent-Length: 68719476736\r\n\r\n0123456789", token(hex.EncodeToString(sum)), sum)
				conn.SetReadDeadline(time.Now().Add(10 * time.Second))
				code := 0
				if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
					code = resp.StatusCode
					if code != 413 {
						said, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
						once.Do(func() { t.Logf("answered %d: %s", code, said) })
					}
				}
				mu.Lock()
				answers[code]++
				mu.Unlock()
			})
		}
		asking.Wait()
	})
	x.bounded(grown, 64<<20)
	if answers[413] != n {
		t.Errorf("answers by status: %v, want %d of 413", answers, n)
	}
	body := []byte("an honest file")
	resp, err := http.DefaultClient.Do(upload(t, x, body, token))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusOK {
		t.Errorf("an honest upload: %s %s", resp.Status, said)
	}
	figure(t, 16, "%d uploads that announce 64 GiB: all answered 413, memory +%d MiB, an honest upload goes through", n, grown>>20)
}

func upload(t *testing.T, x *target, body []byte, token func(sum string) string) *http.Request {
	t.Helper()
	req, err := http.NewRequest("PUT", x.http()+"/upload", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", token(sumOf(body)))
	return req
}

func sumOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
