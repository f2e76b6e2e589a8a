package httpd

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"
	"go.uber.org/goleak"

	"infernet/nips/nip98"
)

func TestMain(m *testing.M) {
	// certmagic keeps one goroutine for each authority, and has no way to end it
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"))
}

var ctx = context.Background()

const secret = "71a8c14c1407c113601079c4302dab36460f0ccd0ad506f1f2dc73b5100e4f3c"

// open opens a server for a test; it is not run yet, so that things can be mounted.
func open(t testing.TB, change func(*Config)) *Server {
	t.Helper()
	c := Config{Listen: "127.0.0.1:0", Log: slog.New(slog.NewTextHandler(testLog{t}, nil))}
	if change != nil {
		change(&c)
	}
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

type testLog struct{ t testing.TB }

func (l testLog) Write(line []byte) (int, error) {
	l.t.Helper()
	l.t.Logf("%s", line)
	return len(line), nil
}

// run runs a server until the test ends.
func run(t testing.TB, s *Server) (stop func() error) {
	t.Helper()
	runCtx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- s.Run(runCtx) }()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return stop
}

// echo says who calls and what came.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	who := CallerOf(r.Context())
	json.NewEncoder(w).Encode(map[string]any{"pubkey": who.PubKey, "key": who.Key, "body": string(body), "part": r.PathValue("part")})
})

// ask sends a request; change changes it before.
func ask(t testing.TB, s *Server, method, path, body string, change func(*http.Request)) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, s.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(said)
}

// signed puts a signature into a request.
func signed(t testing.TB, of nip98.Request, at time.Time) func(*http.Request) {
	t.Helper()
	of.Salt = rand.Text()
	header := nip98.Header(sign(t, of.Event(at)))
	return func(r *http.Request) { r.Header.Set("Authorization", header) }
}

func sign(t testing.TB, ev *nostr.Event) *nostr.Event {
	t.Helper()
	if err := ev.Sign(secret); err != nil {
		t.Fatal(err)
	}
	return ev
}

func want(t testing.TB, what string, resp *http.Response, said string, code int, says string) {
	t.Helper()
	if resp.StatusCode != code || !strings.Contains(said, says) {
		t.Errorf("%s: %d %s, want %d and %q", what, resp.StatusCode, said, code, says)
	}
}
