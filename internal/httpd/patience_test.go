package httpd

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func mustParse(t testing.TB, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// brief are time-outs so short that a test can outlive all of them.
func brief(c *Config) {
	c.HeaderIn, c.BodyIn, c.WriteIn, c.IdleIn = 150*time.Millisecond, 150*time.Millisecond, 150*time.Millisecond, 150*time.Millisecond
}

// longer outlives every time-out of brief, several times.
const longer = 700 * time.Millisecond

// dialRaw gives a connection whose reads end after a while: what hangs fails.
func dialRaw(t testing.TB, s *Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

// TestSlowHeadersAreCut: who sends a header byte by byte holds no connection (slowloris), nor who sends nothing.
func TestSlowHeadersAreCut(t *testing.T) {
	s := open(t, brief)
	s.Mount("/x", Rules{Access: Anyone}, echo)
	run(t, s)
	for name, says := range map[string]string{"nothing": "", "half a line": "GET /x HT", "half a header": "GET /x HTTP/1.1\r\nHost: localhost\r\nX-"} {
		conn := dialRaw(t, s)
		io.WriteString(conn, says)
		stop := make(chan struct{})
		dripped := make(chan struct{})
		go func() { // and goes on, a byte at a time
			defer close(dripped)
			for strings.Contains(says, "X-") {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
					if _, err := io.WriteString(conn, "a"); err != nil {
						return
					}
				}
			}
		}()
		said, err := io.ReadAll(conn)
		close(stop)
		<-dripped
		if err, ok := err.(net.Error); ok && err.Timeout() || strings.Contains(string(said), "200 OK") {
			t.Errorf("%s: %q, %v", name, said, err)
		}
	}
	resp, said := ask(t, s, "GET", "/x", "", func(r *http.Request) { r.Header.Set("X-Large", strings.Repeat("x", 40<<10)) })
	want(t, "a large header", resp, said, http.StatusRequestHeaderFieldsTooLarge, "")
}

// TestSlowBodiesAreCut: a body has to come at some rate; one that does may take longer than every time-out.
func TestSlowBodiesAreCut(t *testing.T) {
	s := open(t, func(c *Config) { c.BodyIn, c.BodyRate = 500*time.Millisecond, 500 })
	read := make(chan error, 1)
	s.Mount("/x", Rules{Access: Anyone}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		read <- err
	}))
	s.Mount("/unread", Rules{Access: Anyone}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	run(t, s)
	send := func(path string, n, each int) net.Conn {
		conn := dialRaw(t, s)
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", path, n)
		for ; n > 0 && each > 0; n -= each {
			if _, err := conn.Write(make([]byte, min(n, each))); err != nil {
				break
			}
			time.Sleep(50 * time.Millisecond) // this is the rate
		}
		return conn
	}
	send("/x", 1000, 1)
	if err := <-read; err == nil || !os.IsTimeout(err) {
		t.Errorf("a body of 20 bytes a second ends with %v", err)
	}
	conn := send("/unread", 1000, 0)
	if said, err := io.ReadAll(conn); os.IsTimeout(err) {
		t.Errorf("a body that nobody reads, and that does not come, holds its connection: %q", said)
	}
	send("/x", 3000, 100) // longer than BodyIn, well above the rate
	if err := <-read; err != nil {
		t.Errorf("a slow body that is fast enough: %v", err)
	}
	resp, said := ask(t, s, "POST", "/x", strings.Repeat("x", 2<<20), nil)
	want(t, "a large body", resp, said, 200, "") // the handler's to refuse: it hears of it
	if err := <-read; err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("a large body: %v", err)
	}
}

// TestAnswersThatNobodyReadsAreCut, and those that are read slowly are not.
func TestAnswersThatNobodyReadsAreCut(t *testing.T) {
	file := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(file, make([]byte, 64<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, func(c *Config) { c.WriteIn = 600 * time.Millisecond }) // a window opens again once half of it was read
	wrote := make(chan error, 1)
	s.Mount("/bytes", Rules{Access: Anyone}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := w.Write(make([]byte, 64<<20))
		wrote <- err
	}))
	s.Mount("/file", Rules{Access: Anyone}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(file)
		if err == nil {
			_, err = w.(io.ReaderFrom).ReadFrom(f)
			f.Close()
		}
		wrote <- err
	}))
	s.Mount("/events", Rules{Access: Anyone}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		for err == nil {
			w.Write(make([]byte, 100<<10))
			err = http.NewResponseController(w).Flush()
		}
		wrote <- err
	}))
	run(t, s)
	for _, path := range []string{"/bytes", "/file", "/events"} {
		fmt.Fprintf(dialRaw(t, s), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path)
		if err := <-wrote; err == nil || !os.IsTimeout(err) {
			t.Errorf("%s: who reads nothing ends with %v", path, err)
		}
	}
	for _, path := range []string{"/bytes", "/file"} {
		resp, err := http.Get(s.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		n, began := int64(0), time.Now()
		for time.Since(began) < 2*s.WriteIn { // slowly at first
			m, err := io.CopyN(io.Discard, resp.Body, 512<<10)
			if n += m; err != nil {
				t.Fatalf("%s: %d bytes: %v", path, n, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
		m, err := io.Copy(io.Discard, resp.Body)
		if n += m; err != nil || n != 64<<20 {
			t.Errorf("%s: %d bytes came, %v", path, n, err)
		}
		resp.Body.Close()
		if err := <-wrote; err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestStreamsOutliveEveryTimeOut: server-sent events and a WebSocket that are silent for longer than every time-out, over
// HTTP/1.1 and HTTP/2, after a body.
func TestStreamsOutliveEveryTimeOut(t *testing.T) {
	type said struct{ Word string }
	serve := func(t *testing.T, change func(*Config)) *Server {
		s := open(t, func(c *Config) { brief(c); change(c) })
		Stream(s, Operation{Method: "POST", Path: "/events", ID: "events", Rules: Rules{Access: Anyone}}, map[string]any{"word": said{}},
			func(ctx context.Context, _ *struct{ RawBody []byte }, to *Events) error {
				for i, word := range []string{"one", "two", "three"} {
					if err := to.Send(fmt.Sprint(i), "word", said{word}); err != nil {
						return err
					}
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-time.After(longer):
					}
				}
				return nil
			})
		s.Mount("/ws", Rules{Access: Anyone}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ws, err := websocket.Accept(w, r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer ws.CloseNow()
			kind, body, err := ws.Read(r.Context())
			if err != nil {
				t.Error(err)
				return
			}
			time.Sleep(longer)
			if err := ws.Write(r.Context(), kind, body); err != nil {
				t.Error(err)
			}
		}))
		run(t, s)
		return s
	}
	stream := func(t *testing.T, s *Server, client *http.Client, proto string) {
		resp, err := client.Post(s.URL()+"/events", "application/octet-stream", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.Proto != proto {
			t.Errorf("it speaks %s, not %s", resp.Proto, proto)
		}
		var got []string
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if lines.Text() != "" {
				got = append(got, lines.Text())
			}
		}
		if want := `id: 0|event: word|data: {"Word":"one"}|id: 1|event: word|data: {"Word":"two"}|id: 2|event: word|data: {"Word":"three"}`; strings.Join(got, "|") != want {
			t.Errorf("the stream said %q", got)
		}
	}
	t.Run("HTTP/1.1", func(t *testing.T) {
		t.Parallel()
		s := serve(t, func(*Config) {})
		stream(t, s, http.DefaultClient, "HTTP/1.1")
	})
	t.Run("HTTP/2", func(t *testing.T) {
		t.Parallel()
		certFile, keyFile, client := certificate(t, "127.0.0.1")
		s := serve(t, func(c *Config) { c.CertFile, c.KeyFile = certFile, keyFile })
		stream(t, s, client, "HTTP/2.0")
	})
	t.Run("WebSocket", func(t *testing.T) {
		t.Parallel()
		s := serve(t, func(*Config) {})
		ws, _, err := websocket.Dial(ctx, s.URL()+"/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer ws.CloseNow()
		time.Sleep(longer)
		if err := ws.Write(ctx, websocket.MessageText, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := ws.Read(ctx); err != nil {
			t.Errorf("the WebSocket ended: %v", err)
		}
	})
}

// TestTheEndIsTold: a stream hears that the server ends, a request under way comes to its end, and what hangs is cut.
func TestTheEndIsTold(t *testing.T) {
	s := open(t, func(c *Config) { c.Goodbye = 500 * time.Millisecond })
	began, streams := make(chan struct{}, 3), make(chan struct{})
	Stream(s, Operation{Method: "GET", Path: "/events", ID: "events", Rules: Rules{Access: Anyone}}, map[string]any{"word": ""},
		func(ctx context.Context, _ *struct{}, to *Events) error {
			began <- struct{}{}
			<-ctx.Done()
			close(streams)
			return nil
		})
	s.Mount("/slow", Rules{Access: Anyone}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		<-streams
		io.WriteString(w, "whole")
	}))
	s.Mount("/hangs", Rules{Access: Anyone}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		<-r.Context().Done()
	}))
	stop := run(t, s)
	slow, hangs := make(chan string, 1), make(chan error, 1)
	go func() { _, said := ask(t, s, "GET", "/slow", "", nil); slow <- said }()
	go func() {
		resp, err := http.Get(s.URL() + "/hangs")
		if err == nil {
			resp.Body.Close()
		}
		hangs <- err
	}()
	events := make(chan struct{})
	go func() { defer close(events); ask(t, s, "GET", "/events", "", nil) }()
	for range 3 {
		<-began
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	<-events
	if said := <-slow; said != "whole" {
		t.Errorf("the request under way got %q", said)
	}
	if err := <-hangs; err == nil {
		t.Error("what hangs was not cut")
	}
}
