package sync

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/relay"
)

var author = events.GenerateKeys()

func start(t *testing.T, change func(*relay.Config)) string {
	t.Helper()
	c := relay.Config{Listen: "127.0.0.1:0", Rate: 1e6, Burst: 1 << 20}
	if change != nil {
		change(&c)
	}
	r, err := relay.Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return r.URL()
}

func note(t testing.TB, i int, tags ...nostr.Tag) *nostr.Event {
	ev := &nostr.Event{Kind: 1, CreatedAt: nostr.Timestamp(time.Now().Unix() - int64(i/3) - 10), Content: fmt.Sprint("note ", i), Tags: tags}
	if err := author.Sign(context.Background(), ev); err != nil {
		t.Fatal(err)
	}
	return ev
}

// fill publishes events to a relay.
func fill(t *testing.T, url string, all []*nostr.Event) {
	t.Helper()
	c, err := dial(t.Context(), url, &Config{Patience: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for len(all) > 0 {
		var part []found
		for _, ev := range all[:min(500, len(all))] {
			id, _ := hex.DecodeString(ev.ID)
			part = append(part, found{[32]byte(id), []byte(ev.String())})
		}
		took, err := c.publish(t.Context(), part)
		if err != nil {
			t.Fatal(err)
		}
		for _, reason := range took {
			if reason != "" {
				t.Fatal(reason)
			}
		}
		all = all[len(part):]
	}
}

// differ counts what the two differ in.
func differ(t *testing.T, a, b string) int {
	t.Helper()
	p, err := Run(t.Context(), Config{Ours: a, Theirs: b, Patience: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return p.Missing
}

// proxy stands in front of a relay, and cuts every connection after so many bytes.
func proxy(t *testing.T, url string, after int64) (string, *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	cuts := &atomic.Int64{}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", strings.TrimPrefix(url, "ws://"))
			if err != nil {
				in.Close()
				continue
			}
			var left atomic.Int64
			left.Store(after)
			pipe := func(to, from net.Conn) {
				defer to.Close()
				defer from.Close()
				buf := make([]byte, 4096)
				for {
					n, err := from.Read(buf)
					if n > 0 {
						if left.Add(-int64(n)) < 0 {
							cuts.Add(1)
							return
						}
						if _, err := to.Write(buf[:n]); err != nil {
							return
						}
					}
					if err != nil {
						return
					}
				}
			}
			go pipe(out, in)
			go pipe(in, out)
		}
	}()
	return "ws://" + l.Addr().String(), cuts
}

// TestSyncBothWaysAfterCuts: two relays with much in common and much that is not; the line is cut again and again, and what
// was carried over is not carried over again. 10,000 events each with INFERNET_LONG, 2,500 without.
func TestSyncBothWaysAfterCuts(t *testing.T) {
	n := 2500
	if os.Getenv("INFERNET_LONG") != "" {
		n = 10_000
	}
	ours, theirs := start(t, nil), start(t, nil)
	var all []*nostr.Event
	for i := range n + n/5 {
		all = append(all, note(t, i))
	}
	fill(t, ours, all[:n])
	fill(t, theirs, all[n/5:])
	cutting, cuts := proxy(t, theirs, 40_000+int64(n)*20)
	last := Progress{}
	p, err := Run(t.Context(), Config{Ours: ours, Theirs: cutting, Up: true, Down: true, Patience: time.Minute, Tell: func(p Progress) {
		if p.Down < last.Down || p.Up < last.Up {
			t.Errorf("from %+v back to %+v", last, p)
		}
		last = p
	}})
	if err != nil {
		t.Fatalf("%+v, %v", p, err)
	}
	// of what was under way when the line was cut, no OK came
	if p.Down != n/5 || p.Up > n/5 || p.Up == 0 || p.Gone != 0 || len(p.Refused) != 0 {
		t.Errorf("%+v, want %d each way", p, n/5)
	}
	if cuts.Load() == 0 {
		t.Error("the line was never cut")
	}
	if left := differ(t, ours, theirs); left != 0 {
		t.Errorf("they differ in %d", left)
	}
	t.Logf("%d events each, %d differ each way, %d cuts: %+v", n, n/5, cuts.Load(), p)
}

func TestSyncOneWayAndOfAFilter(t *testing.T) {
	ours, theirs := start(t, nil), start(t, nil)
	var mine, yours []*nostr.Event
	for i := range 60 {
		mine, yours = append(mine, note(t, i, nostr.Tag{"t", "mine"})), append(yours, note(t, i, nostr.Tag{"t", fmt.Sprint(i % 2)}))
	}
	fill(t, ours, mine)
	fill(t, theirs, yours)
	p, err := Run(t.Context(), Config{Ours: ours, Theirs: theirs, Down: true, Filter: nostr.Filter{Tags: nostr.TagMap{"t": {"1"}}}})
	if err != nil || p.Down != 30 || p.Up != 0 || p.Missing != 0 {
		t.Errorf("down, of a filter: %+v, %v", p, err)
	}
	if p, err = Run(t.Context(), Config{Ours: ours, Theirs: theirs, Down: true}); err != nil || p.Down != 30 || p.Missing != 60 {
		t.Errorf("down: %+v, %v", p, err)
	}
	if p, err = Run(t.Context(), Config{Ours: ours, Theirs: theirs, Up: true}); err != nil || p.Up != 60 || p.Missing != 0 {
		t.Errorf("up: %+v, %v", p, err)
	}
}

// TestSyncTellsWhatWasRefused: what a relay does not take is counted by its reason, and does not keep the rest.
func TestSyncTellsWhatWasRefused(t *testing.T) {
	ours, theirs := start(t, nil), start(t, func(c *relay.Config) { c.Now = func() time.Time { return time.Now().Add(-time.Hour) } })
	fill(t, ours, []*nostr.Event{note(t, 1), note(t, 2), note(t, 3*7200)})
	p, err := Run(t.Context(), Config{Ours: ours, Theirs: theirs, Up: true, Down: true})
	if err != nil || p.Up != 1 || len(p.Refused) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	for reason, n := range p.Refused {
		if n != 2 || !strings.HasPrefix(reason, "invalid: created_at") {
			t.Errorf("%d refused: %s", n, reason)
		}
	}
}

// TestSyncOfTooMuchGoesInParts: a relay that compares only so many events at once is asked about parts of time.
func TestSyncOfTooMuchGoesInParts(t *testing.T) {
	ours, theirs := start(t, nil), start(t, nil)
	var all []*nostr.Event
	for i := range 300 {
		all = append(all, note(t, 3*3600*i))
	}
	fill(t, theirs, all)
	var refused atomic.Int64
	small := narrow(t, theirs, 40*24*3600, &refused)
	p, err := Run(t.Context(), Config{Ours: ours, Theirs: small, Down: true})
	if err != nil || p.Down != 300 {
		t.Errorf("%+v, %v", p, err)
	}
	if refused.Load() == 0 {
		t.Error("it refused nothing")
	}
}

// narrow is a relay that compares no more than so many seconds at once.
func narrow(t *testing.T, url string, most int64, refused *atomic.Int64) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		in, err := websocket.Accept(w, req, nil)
		if err != nil {
			return
		}
		defer in.CloseNow()
		out, _, err := websocket.Dial(req.Context(), url, nil)
		if err != nil {
			return
		}
		defer out.CloseNow()
		in.SetReadLimit(1 << 20)
		out.SetReadLimit(1 << 20)
		go func() {
			defer in.CloseNow()
			for {
				kind, body, err := out.Read(req.Context())
				if err != nil || in.Write(req.Context(), kind, body) != nil {
					return
				}
			}
		}()
		for {
			kind, body, err := in.Read(req.Context())
			if err != nil {
				return
			}
			var since, until int64
			if i := strings.Index(string(body), `"since":`); strings.HasPrefix(string(body), `["NEG-OPEN"`) {
				if i >= 0 {
					fmt.Sscanf(string(body)[i:], `"since":%d,"until":%d`, &since, &until)
				}
				if i < 0 || until-since > most {
					refused.Add(1)
					id := strings.Split(string(body), `"`)[3]
					in.Write(req.Context(), kind, []byte(`["NEG-ERR","`+id+`","blocked: this query is too big"]`))
					continue
				}
			}
			if out.Write(req.Context(), kind, body) != nil {
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	return "ws" + strings.TrimPrefix(server.URL, "http")
}

func TestSyncWithWhatDoesNotSpeakIt(t *testing.T) {
	mute := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		ws, err := websocket.Accept(w, req, nil)
		if err != nil {
			return
		}
		defer ws.CloseNow()
		for {
			_, body, err := ws.Read(req.Context())
			if err != nil {
				return
			}
			if strings.HasPrefix(string(body), `["NEG`) {
				ws.Write(req.Context(), websocket.MessageText, []byte(`["NOTICE","invalid: not a message that this relay reads: NEG-OPEN"]`))
			}
		}
	}))
	defer mute.Close()
	_, err := Run(t.Context(), Config{Ours: start(t, nil), Theirs: "ws" + strings.TrimPrefix(mute.URL, "http"), Up: true, Patience: time.Minute})
	if !errors.Is(err, ErrNoSync) {
		t.Errorf("%v", err)
	}
	_, err = Run(t.Context(), Config{Ours: start(t, nil), Theirs: "ws://127.0.0.1:1", Up: true, Tries: 1})
	var broken *brokenError
	if !errors.As(err, &broken) || broken.url != "ws://127.0.0.1:1" {
		t.Errorf("nobody is there: %v", err)
	}
}
