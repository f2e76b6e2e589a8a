package relay

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nbd-wtf/go-nostr"
	"go.uber.org/goleak"
)

const childEnv = "INFERNET_TEST_RELAY"

// TestMain is also the relay that a test kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		r, err := Open(ctx, Config{Dir: dir, Listen: "127.0.0.1:0", Rate: 1e9, Burst: 1e9})
		if err != nil {
			panic(err)
		}
		fmt.Println(r.URL())
		r.Run(ctx)
		return
	}
	// khatru starts one goroutine for each relay and has no way to end it
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/fiatjaf/khatru.(*expirationManager).start"))
}

// TestOKMeansOnTheDisk kills a relay with SIGKILL under load of 8 connections, again and again in one folder: every event
// that ever got its OK is there, and the store opens clean. In its long form, 50 times.
func TestOKMeansOnTheDisk(t *testing.T) {
	dir, kills := t.TempDir(), 4
	if os.Getenv("INFERNET_LONG") != "" {
		kills = 50
	}
	var acked []string
	for range kills {
		acked = append(acked, killed(t, dir, 40+rand.IntN(400))...)
		again := start(t, func(c *Config) { c.Dir, c.MaxLimit = dir, 10_000 })
		c := dial(t, again)
		found := 0
		for ids := range slices.Chunk(acked, 2000) {
			found += len(c.query(nostr.Filter{IDs: ids}))
		}
		if found != len(acked) {
			t.Fatalf("%d of %d acknowledged events are left", found, len(acked))
		}
		c.ws.CloseNow()
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills, %d events answered OK, all there", kills, len(acked))
}

// killed runs a relay, publishes until there were some OKs, kills it, and gives the events that got theirs.
func killed(t *testing.T, dir string, after int) (acked []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	var dialled []*websocket.Conn
	for range 8 {
		ws, _, err := websocket.Dial(ctx, strings.TrimSpace(url), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer ws.CloseNow()
		dialled = append(dialled, ws)
	}
	for i, ws := range dialled {
		all.Go(func() {
			for n := 0; ; n++ {
				kind, tags := 1, nostr.Tags{}
				if n%5 == 4 { // and addressable ones
					kind, tags = 30078, nostr.Tags{{"d", fmt.Sprint(i, n, time.Now().UnixNano())}}
				}
				ev := sign(t, node, kind, time.Now(), fmt.Sprint(i, n, strings.Repeat("x", 500)), tags...)
				if ws.Write(ctx, websocket.MessageText, mustJSON("EVENT", ev)) != nil {
					return
				}
			}
		})
		all.Go(func() {
			for { // what was said before the kill counts
				_, body, err := ws.Read(ctx)
				if err != nil {
					return
				}
				if m, ok := nostr.ParseMessage(string(body)).(*nostr.OKEnvelope); ok && m.OK && m.Reason == "" {
					mu.Lock()
					acked = append(acked, m.EventID)
					if len(acked) == after {
						cmd.Process.Kill()
					}
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	cmd.Wait()
	return acked
}
