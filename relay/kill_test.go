package relay

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nbd-wtf/go-nostr"
)

const childEnv = "INFERNET_TEST_RELAY"

// TestMain is also the relay that a test kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		r, err := Open(ctx, Config{Dir: dir, Listen: "127.0.0.1:0"})
		if err != nil {
			panic(err)
		}
		fmt.Println(r.URL())
		r.Run(ctx)
		return
	}
	os.Exit(m.Run())
}

// TestOKMeansOnTheDisk kills a relay with SIGKILL while events are published: every one that got its OK is there.
func TestOKMeansOnTheDisk(t *testing.T) {
	dir := t.TempDir()
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
	ws, _, err := websocket.Dial(ctx, strings.TrimSpace(url), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	const sent = 300
	go func() {
		for i := range sent {
			ws.Write(ctx, websocket.MessageText, mustJSON("EVENT", sign(t, node, 1, time.Now(), fmt.Sprint(i))))
		}
	}()
	var acked []string
	for len(acked) < 100 {
		_, body, err := ws.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if m, ok := nostr.ParseMessage(string(body)).(*nostr.OKEnvelope); ok && m.OK {
			acked = append(acked, m.EventID)
		}
	}
	cmd.Process.Kill()
	for { // what was said before the kill counts
		_, body, err := ws.Read(ctx)
		if err != nil {
			break
		}
		if m, ok := nostr.ParseMessage(string(body)).(*nostr.OKEnvelope); ok && m.OK {
			acked = append(acked, m.EventID)
		}
	}
	cmd.Wait()
	again := start(t, func(c *Config) { c.Dir = dir })
	if found := dial(t, again).query(nostr.Filter{IDs: acked}); len(found) != len(acked) {
		t.Errorf("%d of %d acknowledged events are left", len(found), len(acked))
	}
}

// TestFloodOfBadSignaturesSlowsOnlyItself floods one connection with forged events; another's publishes stay quick.
func TestFloodOfBadSignaturesSlowsOnlyItself(t *testing.T) {
	r := start(t, func(c *Config) { c.Rate, c.Burst = 200, 200 })
	flood, honest := dial(t, r), dial(t, r)
	forged := sign(t, node, 1, time.Now(), "x")
	forged.Sig = sign(t, node, 1, time.Now(), "y").Sig
	frame := mustJSON("EVENT", forged)
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for ; n < 5000; n++ {
			select {
			case <-stop:
				done <- n
				return
			default:
				flood.ws.Write(ctx, websocket.MessageText, frame)
			}
		}
		done <- n
	}()
	go func() {
		for {
			if _, _, err := flood.ws.Read(ctx); err != nil {
				return
			}
		}
	}()
	var slowest time.Duration
	for i := range 40 {
		began := time.Now()
		honest.take(sign(t, stranger, 1, time.Now(), fmt.Sprint(i)))
		slowest = max(slowest, time.Since(began))
	}
	close(stop)
	if n := <-done; n == 0 {
		t.Error("nothing was flooded")
	}
	if slowest > 2*time.Second {
		t.Errorf("an honest publish took %s", slowest)
	}
	t.Logf("slowest honest publish: %s", slowest)
}
