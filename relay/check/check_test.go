package check

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	eventbadger "github.com/fiatjaf/eventstore/badger"
	"github.com/fiatjaf/khatru"

	"infernet/relay"
)

// peerVar makes this test a relay: plain khatru over a simple store, as its own documentation sets it up.
const peerVar = "RELAY_CHECK_PEER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(peerVar); dir != "" {
		if err := servePeer(dir); err != nil {
			fmt.Fprintln(os.Stderr, "peer:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func servePeer(dir string) error {
	db := &eventbadger.BadgerBackend{Path: dir, MaxLimit: 1000}
	if err := db.Init(); err != nil {
		return err
	}
	r := khatru.NewRelay()
	r.Negentropy = true
	r.StoreEvent = append(r.StoreEvent, db.SaveEvent)
	r.QueryEvents = append(r.QueryEvents, db.QueryEvents)
	r.DeleteEvent = append(r.DeleteEvent, db.DeleteEvent)
	r.ReplaceEvent = append(r.ReplaceEvent, db.ReplaceEvent)
	r.CountEvents = append(r.CountEvents, db.CountEvents)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("ws://%s\n", l.Addr())
	return http.Serve(l, r)
}

// peer starts the peer, in a process of its own: it has data races.
func peer(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), peerVar+"="+t.TempDir(), "GORACE=halt_on_error=0 exitcode=0 log_path=/dev/null")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the peer says nothing: %v", err)
	}
	return strings.TrimSpace(line)
}

func ours(t *testing.T) string {
	t.Helper()
	r, err := relay.Open(context.Background(), relay.Config{Listen: "127.0.0.1:0", MaxLimit: 50})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return r.URL()
}

// TestOurRelayIsGreen runs the whole suite against our relay, and beside it against plain
// khatru. What that is known to do otherwise shows that the suite can fail.
func TestOurRelayIsGreen(t *testing.T) {
	ctx := t.Context()
	mine, err := Run(ctx, Config{URL: ours(t), Patience: time.Minute, Hostile: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := Run(ctx, Config{URL: peer(t), Patience: 5 * time.Second, Parallel: 8}, nil)
	if err != nil {
		t.Fatal(err)
	}
	failed := map[string]bool{}
	var table strings.Builder
	for i, r := range mine {
		fmt.Fprintf(&table, "%s  %-4s  %-4s  %s", r.NIP, r.State, theirs[i].State, r.Name)
		if theirs[i].State == Fail {
			failed[r.Name] = true
			fmt.Fprintf(&table, " (khatru: %s)", theirs[i].Why)
		}
		table.WriteString("\n")
		if r.State == Fail {
			t.Errorf("NIP-%s: %s: %s", r.NIP, r.Name, r.Why)
		}
		if r.State == Skip {
			t.Logf("skipped: NIP-%s: %s: %s", r.NIP, r.Name, r.Why)
		}
	}
	_, m := Passed(mine)
	_, n := Passed(theirs)
	t.Logf("NIP   ours  khatru  check\n%s%d checks: ours %d pass, %d fail, %d skip; khatru %d pass, %d fail, %d skip", &table, len(mine),
		m[Pass], m[Fail], m[Skip], n[Pass], n[Fail], n[Skip])
	for _, known := range []string{
		"what was deleted by id is not taken again", "the same id again takes the subscription's place",
		"what expires is served until then, and not after",
	} {
		if !failed[known] {
			t.Errorf("khatru passes %q: the suite finds less than is known", known)
		}
	}
}

func TestWhatIsNoRelay(t *testing.T) {
	for _, url := range []string{"", "relay.example", "https://relay.example", "ws://"} {
		if _, err := Run(t.Context(), Config{URL: url}, nil); err == nil || !strings.Contains(err.Error(), "no address of a relay") {
			t.Errorf("%q: %v", url, err)
		}
	}
	if _, err := Run(t.Context(), Config{URL: "ws://127.0.0.1:1"}, nil); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("nobody is there: %v", err)
	}
}
