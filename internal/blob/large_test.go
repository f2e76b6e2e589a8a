package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"infernet/events"
	"infernet/internal/guard"
)

// TestMemoryStaysFlat sends 1 GiB to a server in a process of its own, and reads it back: its peak memory may grow by 16
// MiB. Under the race detector, which needs memory of its own, it is 64 MiB.
func TestMemoryStaysFlat(t *testing.T) {
	file := newBig(1 << 30)
	if race {
		file.size = 64 << 20
	}
	p := start(t, t.TempDir())
	c := client(t, p.url)
	warm(t, c, p.url)
	before := p.peak(t, true)
	b, err := c.Put(t.Context(), []string{p.url}, file.source())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), b, io.Discard); err != nil {
		t.Fatal(err)
	}
	after := p.peak(t, false)
	t.Logf("%d MiB in and out: peak memory %d MiB before, %d MiB after", file.size>>20, before>>10, after>>10)
	if after-before > 16<<10 && !race {
		t.Errorf("peak memory grew by %d MiB", (after-before)>>10)
	}
}

// warm makes a server do what it does, once.
func warm(t testing.TB, c *Client, at string) {
	t.Helper()
	b, err := c.Put(context.Background(), []string{at}, newBig(4<<20).source())
	if err == nil {
		err = c.Get(context.Background(), b, io.Discard)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestWhatIsAnnouncedCostsNothing announces 64 GiB and sends ten bytes, which ends another server by one request: this one
// says no, or takes the ten bytes, and lives.
func TestWhatIsAnnouncedCostsNothing(t *testing.T) {
	p := start(t, t.TempDir())
	c := client(t, p.url)
	warm(t, c, p.url)
	before := p.peak(t, true)
	sum := sumOfText("0123456789")
	for _, size := range []string{"68719476736", "4294967296", "9223372036854775807", "99999999999999999999"} {
		said := raw(t, p.url, "PUT /upload HTTP/1.1\r\nHost: x\r\nAuthorization: "+auth(t, c.Signer, "upload", "", sum)+"\r\nContent-Length: "+size+"\r\n\r\n0123456789")
		t.Logf("%s bytes announced: %s", size, said)
		if size == "68719476736" && !strings.HasPrefix(said, "HTTP/1.1 413 ") {
			t.Errorf("64 GiB announced: %q", said)
		}
	}
	if grown := p.peak(t, false) - before; grown > 16<<10 {
		t.Errorf("peak memory grew by %d MiB", grown>>10)
	}
	warm(t, c, p.url)
}

// raw sends bytes, ends its side of the line, and gives the first line that comes back.
func raw(t *testing.T, server, request string) string {
	t.Helper()
	u, _ := url.Parse(server)
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(conn, request)
	conn.(*net.TCPConn).CloseWrite()
	said, _ := io.ReadAll(io.LimitReader(conn, 4096))
	line, _, _ := strings.Cut(string(said), "\r\n")
	return line
}

// TestHostileUploads sends 1,000 uploads, wrong in every way there is, eight at a time. The server lives, keeps none of
// them, and its memory stays.
func TestHostileUploads(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir)
	c := client(t, p.url)
	warm(t, c, p.url)
	before := p.peak(t, true)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	attack := func(i int, r *rand.Rand) {
		k := events.GenerateKeys()
		body := make([]byte, r.IntN(2000))
		for j := range body {
			body[j] = byte(r.Uint32())
		}
		sum := sumOfText("what is never sent")
		length := []string{fmt.Sprint(len(body)), "68719476736", "4294967295", "-1", "0", fmt.Sprint(len(body) / 2), fmt.Sprint(len(body) * 2), "1e9", ""}[r.IntN(9)]
		authorization := []string{auth(t, k, "upload", "", sum), auth(t, k, "upload", "127.0.0.1", sum, strings.Repeat("0", 64)), auth(t, k, "delete", "", sum),
			auth(t, k, "upload", "", "../../../etc/passwd"), "Nostr " + strings.Repeat("{", r.IntN(9000)), ""}[r.IntN(6)]
		path := []string{"/upload", "/upload", "/" + sum, "/mirror", "/report", "/" + sum + ".bin", "/../../etc/passwd", "/list/" + string(k.PublicKey()), "/%00"}[r.IntN(9)]
		method := []string{"PUT", "PUT", "PATCH", "HEAD", "DELETE", "GET", "POST"}[r.IntN(7)]
		head := method + " " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
		for name, value := range map[string]string{
			"Authorization": authorization, "Content-Length": length, "X-SHA-256": []string{sum, "", "../x", strings.Repeat("f", 64)}[r.IntN(4)],
			"Upload-Offset": []string{"", "0", "-5", "99999999999"}[r.IntN(4)], "Upload-Length": []string{"", "1000", "68719476736", "-1"}[r.IntN(4)],
			"Content-Type": []string{"", "text/html", "\x01", strings.Repeat("x/", 500)}[r.IntN(4)], "Range": []string{"", "bytes=0-0,1-1,2-2", "bytes=-99999999999"}[r.IntN(3)],
			"X-Content-Length": []string{"", "68719476736", "x"}[r.IntN(3)], "X-Lightning": []string{"", strings.Repeat("a", 64)}[r.IntN(2)],
			"X-Expiration": []string{"", "-1", "99999999999999"}[r.IntN(3)],
		} {
			if value != "" {
				head += name + ": " + value + "\r\n"
			}
		}
		if r.IntN(10) == 0 {
			head += "Transfer-Encoding: chunked\r\n"
		}
		u, _ := url.Parse(p.url)
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Errorf("attack %d: the server does not answer: %v", i, err)
			return
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(conn, head+"\r\n")
		conn.Write(body)
		if r.IntN(3) > 0 {
			conn.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, conn)
		}
	}
	var wait sync.WaitGroup
	var next atomic.Int64
	for worker := range 8 {
		wait.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(worker)))
			for i := next.Add(1); i <= 1000; i = next.Add(1) {
				attack(int(i), r)
			}
		})
	}
	wait.Wait()
	grown := (p.peak(t, false) - before) >> 10
	t.Logf("1,000 hostile uploads: alive, peak memory grew by %d MiB", grown)
	if grown > 32 && !race {
		t.Errorf("peak memory grew by %d MiB", grown)
	}
	warm(t, c, p.url)
	if all, err := c.List(t.Context(), p.url); err != nil || len(all) != 2 {
		t.Errorf("the honest client has %d files, %v", len(all), err)
	}
	p.in.Close()
	p.cmd.Wait()
	s, err := Open(t.Context(), Config{Dir: dir, MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if have := s.store.bytes(); have != 8<<20 {
		t.Errorf("%d bytes are kept, %d are honest", have, 8<<20)
	}
}

// cutter is a proxy that cuts connections after so many bytes of a request's or an answer's body.
func cutter(t *testing.T, to string, up, down int64) (at string, cuts *atomic.Int64) {
	t.Helper()
	cuts = new(atomic.Int64)
	u, _ := url.Parse(to)
	proxy := httputil.NewSingleHostReverseProxy(u)
	proxy.ErrorLog = nil
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	proxy.ModifyResponse = func(r *http.Response) error {
		if down > 0 && r.Request.Method == "GET" {
			r.Body = struct {
				io.Reader
				io.Closer
			}{&cut{r.Body, down, cuts}, r.Body}
		}
		return nil
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if up > 0 && r.ContentLength > 0 {
			r.Body = io.NopCloser(&cut{r.Body, up, cuts})
		}
		r.Host = u.Host
		proxy.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = discard
	server.Start()
	t.Cleanup(server.Close)
	return server.URL, cuts
}

type cut struct {
	io.Reader
	left int64
	cuts *atomic.Int64
}

func (c *cut) Read(p []byte) (int, error) {
	if c.left <= 0 {
		c.cuts.Add(1)
		return 0, errors.New("cut")
	}
	n, err := c.Reader.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// TestCutTransfersGoOn cuts the line every 3 MiB of an upload, and every 5 MiB of a download, of 16 MiB.
func TestCutTransfersGoOn(t *testing.T) {
	s, at := serve(t, nil)
	file := newBig(16 << 20)
	up, upCuts := cutter(t, at, 3<<20, 0)
	sender := client(t, up)
	b, err := sender.Put(t.Context(), []string{up}, file.source())
	if err != nil {
		t.Fatal(err)
	}
	down, downCuts := cutter(t, at, 0, 5<<20)
	b.Servers = []string{down}
	h := sha256.New()
	if err := client(t, down).Get(t.Context(), b, h); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d cuts up, %d down", upCuts.Load(), downCuts.Load())
	if upCuts.Load() < 4 || downCuts.Load() < 3 {
		t.Errorf("%d cuts up, %d down: it was not cut, or began anew", upCuts.Load(), downCuts.Load())
	}
	if s.parts.bytes() != 0 {
		t.Errorf("%d bytes of parts are left", s.parts.bytes())
	}
}

// TestUploadGoesOnAfterARestart cuts an upload, ends the server, and goes on with the next.
func TestUploadGoesOnAfterARestart(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir)
	file := newBig(8 << 20)
	src := file.source()
	sum, err := sumOf(src)
	if err != nil {
		t.Fatal(err)
	}
	k := events.GenerateKeys()
	half := make([]byte, 3<<20)
	file.ReadAt(half, 0)
	said := raw(t, p.url, fmt.Sprintf("PUT /upload HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n%s", auth(t, k, "upload", "", sum), src.Size, half))
	t.Logf("cut after 3 MiB of 8: %s", said)
	p.in.Close()
	p.cmd.Wait()

	p = start(t, dir)
	c := client(t, p.url)
	c.Signer = k
	if at, _, err := c.standing(t.Context(), p.url, src, sum); err != nil || at != 3<<20 {
		t.Errorf("it stands at %d, %v", at, err)
	}
	b, err := c.Put(t.Context(), []string{p.url}, src)
	if err != nil || b.Sum != sum {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := c.Get(t.Context(), b, &got); err != nil || got.Len() != 8<<20 {
		t.Errorf("%d bytes, %v", got.Len(), err)
	}
}

// TestPatch tries pieces as other clients may send them: overlapping, with a hole, behind the end.
func TestPatch(t *testing.T) {
	_, at := serve(t, nil)
	k := events.GenerateKeys()
	sum := sumOfText("0123456789")
	patch := func(offset, body string) *http.Response {
		return try{"PATCH", "/" + sum, body, map[string]string{
			"Authorization": auth(t, k, "upload", "", sum), "Upload-Offset": offset, "Upload-Length": "10", "Upload-Type": "text/plain"}}.do(t, at)
	}
	for _, c := range []struct {
		offset, body string
		want         int
		stands       string
	}{
		{"0", "0123", http.StatusNoContent, "4"},
		{"6", "6789", http.StatusConflict, "4"},
		{"2", "23456", http.StatusNoContent, "7"},
		{"7", "7890", http.StatusRequestedRangeNotSatisfiable, ""},
		{"x", "7", http.StatusBadRequest, ""},
		{"5", "56789", http.StatusCreated, ""},
		{"0", "0123456789", http.StatusOK, ""},
	} {
		if resp := patch(c.offset, c.body); resp.StatusCode != c.want || resp.Header.Get("Upload-Offset") != c.stands {
			t.Errorf("%s from %s: %s, stands at %q", c.body, c.offset, resp.Status, resp.Header.Get("Upload-Offset"))
		}
	}
}

// TestSlowUploadsEnd drips.
func TestSlowUploadsEnd(t *testing.T) {
	s, at := serve(t, func(c *Config) { c.Stall, c.MinRate = 100*time.Millisecond, 1<<30 })
	u, _ := url.Parse(at)
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PUT /upload HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Length: 1000\r\n\r\n", auth(t, events.GenerateKeys(), "upload", "", sumOfText("x")))
	ended := make(chan struct{})
	go func() { io.Copy(io.Discard, conn); close(ended) }()
	tick, late := time.NewTicker(20*time.Millisecond), time.After(20*time.Second)
	defer tick.Stop()
	for waiting := true; waiting; {
		select {
		case <-tick.C:
			conn.Write([]byte("."))
		case <-ended:
			waiting = false
		case <-late:
			t.Fatal("the server waits")
		}
	}
	s.parts.mu.Lock()
	defer s.parts.mu.Unlock()
	for _, p := range s.parts.all {
		if p.busy {
			t.Error("the upload is still busy")
		}
	}
}

// BenchmarkUpload is what a server takes, in a process of its own, beside what SHA-256 alone makes of as many bytes.
func BenchmarkUpload(b *testing.B) {
	const size = 1 << 30
	p := start(b, b.TempDir())
	c := NewClient(ClientConfig{Signer: events.GenerateKeys(), Trusted: []string{p.url}})
	defer c.Close()
	warm(b, c, p.url)
	b.SetBytes(size)
	var hashing, sending, reading time.Duration
	for b.Loop() {
		file := newBig(size)
		buf := make([]byte, 1<<20)
		began := time.Now()
		h := sha256.New()
		for range size >> 20 {
			h.Write(buf)
		}
		hashing += time.Since(began)
		src := file.source()
		sum, err := sumOf(src) // the client's own pass is not the server's
		if err != nil {
			b.Fatal(err)
		}
		began = time.Now()
		if err := c.send(b.Context(), p.url, src, sum, 0, ""); err != nil {
			b.Fatal(err)
		}
		sending += time.Since(began)
		resp, err := c.ask(b.Context(), "GET", p.url, "/"+sum, "", nil, nil)
		if err != nil {
			b.Fatal(err)
		}
		began = time.Now()
		io.Copy(io.Discard, resp.Body)
		reading += time.Since(began)
		resp.Body.Close()
		if err := c.Delete(b.Context(), p.url, sum); err != nil {
			b.Fatal(err)
		}
	}
	mb := float64(size) * float64(b.N) / 1e6
	b.ReportMetric(mb/hashing.Seconds(), "sha256-MB/s")
	b.ReportMetric(mb/sending.Seconds(), "up-MB/s")
	b.ReportMetric(mb/reading.Seconds(), "down-MB/s")
	b.ReportMetric(sending.Seconds()/hashing.Seconds(), "up/sha256")
}

// TestCrypt encrypts, and tries every way to damage what came out.
func TestCrypt(t *testing.T) {
	for _, size := range []int64{0, 1, 64<<10 - 1, 64 << 10, 64<<10 + 1, 200_000} {
		file := newBig(size)
		var closed bytes.Buffer
		key, err := Encrypt(&closed, file.reader())
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := PlainSize(int64(closed.Len()), key); err != nil || plain != size {
			t.Errorf("%d bytes in clear are said to be %d, %v", size, plain, err)
		}
		open := func(b []byte, key string) ([]byte, error) {
			var out bytes.Buffer
			w, err := decrypter(&out, key)
			if err == nil {
				if _, err = w.Write(b); err == nil {
					err = w.Close()
				}
			}
			return out.Bytes(), err
		}
		want, _ := io.ReadAll(file.reader())
		if got, err := open(closed.Bytes(), key); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: %d came back, %v", size, len(got), err)
		}
		if size == 0 {
			continue
		}
		again, err := Encrypt(io.Discard, file.reader())
		if err != nil || again == key {
			t.Errorf("the same key twice, %v", err)
		}
		const chunk = 16 + 64<<10 + 16
		damage := map[string]func(b []byte) []byte{
			"a bit":       func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
			"the end cut": func(b []byte) []byte { return b[:len(b)-1] },
			"another key": func(b []byte) []byte { key = again; return b },
			"a byte more": func(b []byte) []byte { return append(b, 0) },
			"itself more": func(b []byte) []byte { return append(b, b...) },
		}
		if size > 64<<10 {
			damage["cut at a piece"] = func(b []byte) []byte { return b[:chunk] }
			damage["a piece dropped"] = func(b []byte) []byte { return b[chunk:] }
		}
		if size == 200_000 {
			damage["pieces swapped"] = func(b []byte) []byte {
				return append(append(bytes.Clone(b[chunk:2*chunk]), b[:chunk]...), b[2*chunk:]...)
			}
		}
		for name, change := range damage {
			good := key
			if _, err := open(change(bytes.Clone(closed.Bytes())), key); err == nil {
				t.Errorf("%d bytes, %s: it opens", size, name)
			}
			key = good
		}
	}
}

// TestEncryptedFileThroughAServer: the server has nothing to read.
func TestEncryptedFileThroughAServer(t *testing.T) {
	s, at := serve(t, nil)
	c := client(t, at)
	secret := strings.Repeat("the canary sings ", 10_000)
	var closed bytes.Buffer
	key, err := Encrypt(&closed, strings.NewReader(secret))
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Put(t.Context(), []string{at}, Source{Data: bytes.NewReader(closed.Bytes()), Size: int64(closed.Len()), Mime: "text/plain", Key: key})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(s.store.path(b.Sum))
	if err != nil || bytes.Contains(kept, []byte("canary")) {
		t.Errorf("the server can read it, %v", err)
	}
	if all, err := c.List(t.Context(), at); err != nil || all[0].Type != unknownType {
		t.Errorf("the server knows what it is: %+v, %v", all, err)
	}
	back, err := events.ParseBlob(b.URI())
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := c.Get(t.Context(), back, &got); err != nil || got.String() != secret {
		t.Errorf("%d bytes, %v", got.Len(), err)
	}
	back.Size--
	if err := c.Get(t.Context(), back, io.Discard); !errors.Is(err, guard.ErrTooLarge) {
		t.Errorf("larger than it said: %v", err)
	}
}
