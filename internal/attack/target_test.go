package attack

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/blob"
	"infernet/internal/httpd"
	"infernet/relay"
)

var ctx = context.Background()

// targetEnv names the folder of the relay that this process is to be.
const targetEnv = "INFERNET_TEST_TARGET"

func TestMain(m *testing.M) {
	if dir := os.Getenv(targetEnv); dir != "" {
		if err := beTarget(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// beTarget is the relay with its files, as infernet relay has them, until stdin ends.
func beTarget(dir string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	files, err := blob.Open(ctx, blob.Config{Dir: filepath.Join(dir, "files"), Total: 64 << 20, Quota: 16 << 20, MaxBlob: 16 << 20, MinFree: 1})
	if err != nil {
		return err
	}
	door, err := httpd.Open(httpd.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	r, err := relay.Open(ctx, relay.Config{
		Dir: filepath.Join(dir, "relay"), Door: door, Files: files, KeyRate: 1000, AddressRate: 4000, Work: 20, WorkFrom: 100,
	})
	if err != nil {
		return err
	}
	fmt.Println(r.URL())
	go func() { io.Copy(io.Discard, os.Stdin); cancel() }()
	if err := r.Run(ctx); err != nil {
		return err
	}
	return files.Close()
}

// target is that relay, seen from here.
type target struct {
	t   *testing.T
	url string
	cmd *exec.Cmd
}

func newTarget(t *testing.T) *target {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), targetEnv+"="+t.TempDir())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	end := func() { once.Do(func() { in.Close(); cmd.Wait() }) }
	t.Cleanup(end)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return &target{t, strings.TrimSpace(line), cmd}
}

func (x *target) http() string { return "http" + strings.TrimPrefix(x.url, "ws") }

// memory is what the target holds in memory, in bytes; 0 where the system does not say.
func (x *target) memory() int64 {
	body, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", x.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	pages, err := strconv.ParseInt(strings.Fields(string(body))[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// watched is the most that the target holds in memory while something is done, beyond what it had.
func (x *target) watched(do func()) (grown int64) {
	before := x.memory()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			grown = max(grown, x.memory()-before)
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	do()
	close(stop)
	<-done
	return grown
}

// bounded fails the test if the target's memory has grown by more than is allowed. The race detector takes several times as much.
func (x *target) bounded(grown, most int64) {
	x.t.Helper()
	if !raced && grown > most {
		x.t.Errorf("memory has grown by %d MiB, allowed are %d", grown>>20, most>>20)
	}
}

// alive publishes one honest event: the target must take it.
func (x *target) alive() {
	x.t.Helper()
	c := x.dial()
	if ok, why := c.publish(signed(events.GenerateKeys(), 1, "still here")); !ok {
		x.t.Errorf("an honest event is refused: %s", why)
	}
}

// client is a connection that sees every message.
type client struct {
	t  testing.TB
	ws *websocket.Conn
}

func (x *target) dial() *client {
	x.t.Helper()
	ws, _, err := websocket.Dial(ctx, x.url, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	ws.SetReadLimit(1 << 20)
	x.t.Cleanup(func() { ws.CloseNow() })
	return &client{x.t, ws}
}

func (c *client) write(body []byte) error { return c.ws.Write(ctx, websocket.MessageText, body) }

// publish gives the relay's answer; what else comes is passed over.
func (c *client) publish(ev *nostr.Event) (ok bool, reason string) {
	if err := c.write(message("EVENT", ev)); err != nil {
		return false, err.Error()
	}
	bounded, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		_, body, err := c.ws.Read(bounded)
		if err != nil {
			return false, err.Error()
		}
		if m, is := nostr.ParseMessage(string(body)).(*nostr.OKEnvelope); is && m.EventID == ev.ID {
			return m.OK, m.Reason
		}
	}
}

func message(parts ...any) []byte {
	body, err := json.Marshal(parts)
	if err != nil {
		panic(err)
	}
	return body
}

func signed(k *events.Keys, kind int, content string, tags ...nostr.Tag) *nostr.Event {
	ev := &nostr.Event{Kind: kind, CreatedAt: nostr.Now(), Content: content, Tags: tags}
	if err := k.Sign(ctx, ev); err != nil {
		panic(err)
	}
	return ev
}

// many makes events on all cores.
func many(n int, one func(i int) *nostr.Event) []*nostr.Event {
	all := make([]*nostr.Event, n)
	var making sync.WaitGroup
	for core := range runtime.GOMAXPROCS(0) {
		making.Go(func() {
			for i := core; i < n; i += runtime.GOMAXPROCS(0) {
				all[i] = one(i)
			}
		})
	}
	making.Wait()
	return all
}

// long says whether more of everything is wanted.
func long() bool { return os.Getenv("INFERNET_LONG") != "" }

// more is the first number, or the second in the long form.
func more(short, most int) int {
	if long() {
		return most
	}
	return short
}

// quantile of durations, 0 to 1.
func quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	all = slices.Clone(all)
	slices.Sort(all)
	return all[min(len(all)-1, int(q*float64(len(all))))].Round(10 * time.Microsecond)
}

// figure prints what a row of the table has shown.
func figure(t *testing.T, row int, format string, args ...any) {
	t.Helper()
	t.Logf("row %d: %s", row, fmt.Sprintf(format, args...))
}
