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
	"go.uber.org/goleak"
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
	// khatru starts one goroutine for each relay and has no way to end it
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/fiatjaf/khatru.(*expirationManager).start"))
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
