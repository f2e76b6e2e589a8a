package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"infernet/events"
	"infernet/internal/guard"
	"infernet/wallet"
)

// TestSlowReadersAreServed reads steadily, but 4 MiB in more than the time in which a line may be silent.
func TestSlowReadersAreServed(t *testing.T) {
	_, at := serve(t, func(c *Config) { c.Stall = 700 * time.Millisecond })
	b, err := client(t, at).Put(t.Context(), []string{at}, newBig(10<<20).source())
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(at)
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	fmt.Fprintf(conn, "GET /%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b.Sum)
	tick := time.NewTicker(80 * time.Millisecond)
	defer tick.Stop()
	var n int64
	for err == nil {
		<-tick.C
		var m int64
		m, err = io.CopyN(io.Discard, conn, 256<<10)
		n += m
	}
	if n < 10<<20 {
		t.Errorf("cut after %d bytes: %v", n, err)
	}
}

// TestMirrorsThatDripEnd mirrors from a server that is never silent, and gives a byte now and then.
func TestMirrorsThatDripEnd(t *testing.T) {
	drip := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-r.Context().Done():
				return
			case <-tick.C:
				w.Write([]byte("."))
				w.(http.Flusher).Flush()
			}
		}
	}))
	defer drip.Close()
	u, _ := url.Parse(drip.URL)
	_, at := serve(t, func(c *Config) {
		c.Stall, c.MinRate, c.Fetch = 200*time.Millisecond, 1<<30, guard.New(guard.Config{Trusted: []string{u.Host}, Time: 20 * time.Second})
	})
	sum := sumOfText("x")
	began := time.Now()
	resp := try{"PUT", "/mirror", fmt.Sprintf(`{"url":%q}`, drip.URL), map[string]string{"Authorization": auth(t, events.GenerateKeys(), "upload", "", sum)}}.do(t, at)
	if resp.StatusCode != http.StatusBadGateway || time.Since(began) > 15*time.Second {
		t.Errorf("%s after %s", resp.Status, time.Since(began))
	}
}

// mint is a wallet that makes invoices which nobody pays.
type mint struct{}

func (mint) Invoice(_ context.Context, ask wallet.InvoiceRequest) (*wallet.Invoice, error) {
	r := wallet.NewPreimage()
	return &wallet.Invoice{Bolt11: "lnbc-" + r.String(), Hash: r.Hash(), Amount: ask.Amount, Until: ask.Until}, nil
}

func (mint) Await(ctx context.Context, _ wallet.Hash) (wallet.Settlement, error) {
	<-ctx.Done()
	return wallet.Settlement{}, ctx.Err()
}

// TestOneKeyCannotTakeAllInvoices asks for as many as there may be. Another key still gets one.
func TestOneKeyCannotTakeAllInvoices(t *testing.T) {
	_, at := serve(t, func(c *Config) {
		c.Price, c.Wallet = func(int64) events.Msat { return events.Sat }, mint{}
	})
	ask := func(k events.Signer, sum string) *http.Response {
		return try{method: "HEAD", path: "/upload", header: map[string]string{
			"Authorization": auth(t, k, "upload", "", sum), "X-SHA-256": sum, "X-Content-Length": "1000"}}.do(t, at)
	}
	greedy, got := events.GenerateKeys(), map[int]int{}
	for i := range maxInvoices {
		got[ask(greedy, sumOfText(fmt.Sprint(i))).StatusCode]++
	}
	resp := ask(events.GenerateKeys(), sumOfText("honest"))
	if resp.StatusCode != http.StatusPaymentRequired || resp.Header.Get("X-Lightning") == "" {
		t.Errorf("another key: %s; the greedy one: %v", resp.Status, got)
	}
	if got[http.StatusPaymentRequired] == 0 || got[http.StatusTooManyRequests] == 0 {
		t.Errorf("the greedy one: %v", got)
	}
}

// TestPagesAfterACursorThatIsGone deletes the file that a page ended with: the next page must not look like the last.
func TestPagesAfterACursorThatIsGone(t *testing.T) {
	_, at := serve(t, nil)
	c := client(t, at)
	var sums []string
	for _, s := range []string{"a", "b", "c"} {
		b, err := c.Put(t.Context(), []string{at}, text(s))
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, b.Sum)
	}
	if err := c.Delete(t.Context(), at, sums[1]); err != nil {
		t.Fatal(err)
	}
	h := map[string]string{"Authorization": auth(t, c.Signer, "list", "")}
	for _, cursor := range []string{sums[1], sumOfText("never here")} {
		if resp := (try{method: "GET", path: "/list/" + string(c.Signer.PublicKey()) + "?cursor=" + cursor, header: h}).do(t, at); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%.8s: %s", cursor, resp.Status)
		}
	}
}

// TestAFileThatTheDiskLostIsTakenAgain removes a file behind the server's back.
func TestAFileThatTheDiskLostIsTakenAgain(t *testing.T) {
	s, at := serve(t, nil)
	c := client(t, at)
	b, err := c.Put(t.Context(), []string{at}, text("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(s.store.path(b.Sum)); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), b, io.Discard); err == nil {
		t.Error("it is got, and not there")
	}
	if _, err := c.Put(t.Context(), []string{at}, text("hello")); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := c.Get(t.Context(), b, &got); err != nil || got.String() != "hello" || s.store.bytes() != 5 {
		t.Errorf("%q, %v, %d bytes are kept", &got, err, s.store.bytes())
	}
}

// TestALiarIsNotTheLastServer asks a server that gives other bytes first, in the middle or from the start; an honest one
// is named after it.
func TestALiarIsNotTheLastServer(t *testing.T) {
	_, honest := serve(t, nil)
	c := client(t, honest)
	for name, clear := range map[string]bool{"clear": true, "encrypted": false} {
		t.Run(name, func(t *testing.T) {
			plain := bytes.Repeat([]byte("the truth "), 30_000)
			src, closed := Source{Data: bytes.NewReader(plain), Size: int64(len(plain))}, bytes.Buffer{}
			if !clear {
				key, err := Encrypt(&closed, bytes.NewReader(plain))
				if err != nil {
					t.Fatal(err)
				}
				src = Source{Data: bytes.NewReader(closed.Bytes()), Size: int64(closed.Len()), Key: key}
			}
			b, err := c.Put(t.Context(), []string{honest}, src)
			if err != nil {
				t.Fatal(err)
			}
			liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Write(bytes.Repeat([]byte("x"), int(b.Size)))
			}))
			defer liar.Close()
			b.Servers = []string{liar.URL, honest}
			to, err := os.Create(filepath.Join(t.TempDir(), "got"))
			if err != nil {
				t.Fatal(err)
			}
			defer to.Close()
			err = client(t, liar.URL, honest).Get(t.Context(), b, to)
			got, _ := os.ReadFile(to.Name())
			if err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			b.Servers = []string{liar.URL}
			if err := client(t, liar.URL).Get(t.Context(), b, to); err == nil {
				t.Error("the liar alone is believed")
			}
		})
	}
}

// TestServersThatAreSilentAreLeft uploads to, and asks, servers that take the line and say and read nothing.
func TestServersThatAreSilentAreLeft(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var wait sync.WaitGroup
	defer wait.Wait()
	defer l.Close()
	wait.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
		}
	})
	at := "http://" + l.Addr().String()
	c := NewClient(ClientConfig{Signer: events.GenerateKeys(), Trusted: []string{at}, Stall: 100 * time.Millisecond})
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	src := newBig(32 << 20).source()
	sum, _ := sumOf(src)
	for name, do := range map[string]func() error{
		"upload": func() error { return c.send(ctx, at, src, sum, 0, "") },
		"list":   func() error { _, err := c.List(ctx, at); return err },
		"delete": func() error { return c.Delete(ctx, at, sum) },
		"get":    func() error { return c.Get(ctx, events.Blob{Sum: sum, Servers: []string{at}}, io.Discard) },
	} {
		if err := do(); !errors.Is(err, guard.ErrTooSlow) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestUploadGoesOnAfterKill kills the server in the middle of an upload, and goes on with the next process.
func TestUploadGoesOnAfterKill(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir)
	file := newBig(8 << 20)
	src := file.source()
	sum, err := sumOf(src)
	if err != nil {
		t.Fatal(err)
	}
	k := events.GenerateKeys()
	u, _ := url.Parse(p.url)
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	half := make([]byte, 3<<20)
	file.ReadAt(half, 0)
	fmt.Fprintf(conn, "PUT /upload HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n%s", auth(t, k, "upload", "", sum), src.Size, half)
	part := filepath.Join(dir, "parts", sum+"-"+string(k.PublicKey()))
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		if info, err := os.Stat(part); err == nil && info.Size() == 3<<20 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not arrive")
		}
	}
	p.cmd.Process.Kill()
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
	if err := c.Get(t.Context(), b, io.Discard); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(part); err == nil {
		t.Error("the part is still there")
	}
}

// TestTwoResumesAtOnce has one go on with an upload while another does: one of them is told so, and the file is whole.
func TestTwoResumesAtOnce(t *testing.T) {
	s, at := serve(t, nil)
	k := events.GenerateKeys()
	sum := sumOfText("0123456789")
	head := map[string]string{"Authorization": auth(t, k, "upload", "", sum), "Upload-Length": "10", "Upload-Offset": "0"}
	u, _ := url.Parse(at)
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PATCH /%s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nUpload-Length: 10\r\nUpload-Offset: 0\r\nContent-Length: 10\r\n\r\n0123", sum, head["Authorization"])
	for deadline := time.Now().Add(20 * time.Second); s.parts.bytes() < 4; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not arrive")
		}
	}
	for _, r := range []try{{"PATCH", "/" + sum, "0123456789", head}, {"PUT", "/upload", "0123456789", head}} {
		if resp := r.do(t, at); resp.StatusCode != http.StatusConflict {
			t.Errorf("a second %s: %s", r.method, resp.Status)
		}
	}
	io.WriteString(conn, "456789")
	line := make([]byte, len("HTTP/1.1 201"))
	if _, err := io.ReadFull(conn, line); err != nil || string(line) != "HTTP/1.1 201" {
		t.Errorf("the first: %q, %v", line, err)
	}
}

// TestPartsCountAgainstTheQuota cuts an upload: what it announced is the key's, until it is given up.
func TestPartsCountAgainstTheQuota(t *testing.T) {
	now := time.Now()
	s, at := serve(t, func(c *Config) { c.Quota, c.Now = 1500, func() time.Time { return now } })
	k := events.GenerateKeys()
	put := func(size int, send string) string {
		sum := sumOfText(strings.Repeat("x", size))
		return raw(t, at, fmt.Sprintf("PUT /upload HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n%s", auth(t, k, "upload", "", sum), size, send))
	}
	if said := put(1000, "xxx"); !strings.Contains(said, "400") {
		t.Errorf("cut: %s", said)
	}
	if said := put(600, strings.Repeat("x", 600)); !strings.Contains(said, "429") {
		t.Errorf("beside a cut one: %s", said)
	}
	now = now.Add(16 * time.Minute)
	s.parts.sweep(now)
	if said := put(600, strings.Repeat("x", 600)); !strings.Contains(said, "201") {
		t.Errorf("once that is given up: %s", said)
	}
}

// TestPartsOfAnEarlierProcessCount leaves cut uploads behind, as a killed process does: they count against the key's quota
// and the server's room until somebody goes on with them, or they are given up.
func TestPartsOfAnEarlierProcessCount(t *testing.T) {
	dir, now, k := t.TempDir(), time.Now(), events.GenerateKeys()
	whole := strings.Repeat("x", 1000)
	if err := os.MkdirAll(filepath.Join(dir, "parts"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "parts", sumOfText(whole)+"-"+string(k.PublicKey())), []byte(whole[:900]), 0o600); err != nil {
		t.Fatal(err)
	}
	s, at := serve(t, func(c *Config) { c.Dir, c.Quota, c.Total, c.Now = dir, 1400, 1600, func() time.Time { return now } })
	put := func(k *events.Keys, text string) int {
		return try{"PUT", "/upload", text, map[string]string{"Authorization": auth(t, k, "upload", "", sumOfText(text))}}.do(t, at).StatusCode
	}
	if got := put(k, strings.Repeat("y", 600)); got != http.StatusTooManyRequests {
		t.Errorf("beside its part, the key has room for 600 of 500: %d", got)
	}
	if got := put(events.GenerateKeys(), strings.Repeat("y", 800)); got != http.StatusInsufficientStorage {
		t.Errorf("beside it, the server has room for 800 of 700: %d", got)
	}
	resp := try{"PATCH", "/" + sumOfText(whole), whole[900:], map[string]string{
		"Authorization": auth(t, k, "upload", "", sumOfText(whole)), "Upload-Offset": "900", "Upload-Length": "1000"}}.do(t, at)
	if resp.StatusCode != http.StatusCreated || s.parts.bytes() != 0 || len(s.parts.left) != 0 {
		t.Errorf("gone on with: %s, %d bytes of parts", resp.Status, s.parts.bytes())
	}
	s.parts.left["given up"], s.parts.arrived = 5, 5
	if err := os.WriteFile(filepath.Join(dir, "parts", "given up"), []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s.parts.sweep(now.Add(time.Hour)); s.parts.bytes() != 0 {
		t.Errorf("given up: %d bytes of parts", s.parts.bytes())
	}
}

// TestAFullDisk fills a small disk with two uploads at once that fit alone: who is too late is told so, nothing half stays,
// and there is room again.
func TestAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=6m"); err != nil {
		t.Skipf("needs to mount a small disk: %v", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	s, at := serve(t, func(c *Config) { c.Dir = dir })
	c := client(t, at)
	var wait sync.WaitGroup
	failed := make([]error, 2)
	for i := range failed {
		wait.Go(func() {
			src := newBig(4 << 20).source()
			sum, _ := sumOf(src)
			failed[i] = c.send(t.Context(), at, src, sum, 0, "")
		})
	}
	wait.Wait()
	if failed[0] == nil && failed[1] == nil {
		t.Error("8 MiB fit on 6")
	}
	for _, err := range failed {
		var no *StatusError
		if err != nil && (!errors.As(err, &no) || no.Status != http.StatusInsufficientStorage) {
			t.Errorf("too late: %v", err)
		}
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "parts")); len(left) > 0 || s.parts.bytes() != 0 {
		t.Errorf("%d parts are left, of %d bytes", len(left), s.parts.bytes())
	}
	all, err := c.List(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		if err := c.Delete(t.Context(), at, d.SHA256); err != nil {
			t.Error(err)
		}
	}
	if _, err := c.Put(t.Context(), []string{at}, newBig(4<<20).source()); err != nil {
		t.Errorf("there is room again: %v", err)
	}
}

// TestHeadersOfBUD06 asks before an upload, with a length that is missing, and one that is none.
func TestHeadersOfBUD06(t *testing.T) {
	_, at := serve(t, nil)
	sum := sumOfText("x")
	for length, want := range map[string]int{"": 411, "x": 400, "-1": 400, "5": 200, "99999999999999999999": 400, "68719476736": 413} {
		h := map[string]string{"Authorization": auth(t, events.GenerateKeys(), "upload", "", sum), "X-SHA-256": sum}
		if length != "" {
			h["X-Content-Length"] = length
		}
		if resp := (try{method: "HEAD", path: "/upload", header: h}).do(t, at); resp.StatusCode != want || want >= 400 && resp.Header.Get("X-Reason") == "" {
			t.Errorf("%q: %s, %q", length, resp.Status, resp.Header.Get("X-Reason"))
		}
	}
}

// TestRanges asks for parts of a file in every form (RFC 9110, 14.1).
func TestRanges(t *testing.T) {
	_, at := serve(t, nil)
	b, err := client(t, at).Put(t.Context(), []string{at}, text("0123456789"))
	if err != nil {
		t.Fatal(err)
	}
	get := func(header map[string]string) (*http.Response, string) {
		resp := try{method: "GET", path: "/" + b.Sum, header: header}.do(t, at)
		body, _ := io.ReadAll(resp.Body)
		return resp, string(body)
	}
	for _, c := range []struct {
		asked string
		code  int
		body  string
		said  string
	}{
		{"bytes=0-0", 206, "0", "bytes 0-0/10"}, {"bytes=-3", 206, "789", "bytes 7-9/10"}, {"bytes=-99", 206, "0123456789", "bytes 0-9/10"},
		{"bytes=7-", 206, "789", "bytes 7-9/10"}, {"bytes=8-99", 206, "89", "bytes 8-9/10"}, {"bytes=10-", 416, "", "bytes */10"},
		{"bytes=5-2", 416, "", ""}, {"bytes=x-y", 416, "", ""}, {"bytes=-0", 416, "", "bytes */10"}, {"lines=1-2", 416, "", ""},
		{"bytes=0-9,0-9,0-9,0-9", 200, "0123456789", ""},
	} {
		resp, body := get(map[string]string{"Range": c.asked})
		if resp.StatusCode != c.code || c.code < 400 && body != c.body || c.said != "" && resp.Header.Get("Content-Range") != c.said {
			t.Errorf("%s: %s %q %q", c.asked, resp.Status, body, resp.Header.Get("Content-Range"))
		}
	}
	if resp, body := get(map[string]string{"Range": "bytes=0-1,8-9"}); resp.StatusCode != 206 ||
		!strings.HasPrefix(resp.Header.Get("Content-Type"), "multipart/byteranges") || !strings.Contains(body, "bytes 8-9/10") {
		t.Errorf("two ranges: %s %q", resp.Status, body)
	}
	if resp, body := get(map[string]string{"Range": "bytes=0-1", "If-Range": `"` + b.Sum + `"`}); resp.StatusCode != 206 || body != "01" {
		t.Errorf("of this file: %s %q", resp.Status, body)
	}
	if resp, body := get(map[string]string{"Range": "bytes=0-1", "If-Range": `"another"`}); resp.StatusCode != 200 || len(body) != 10 {
		t.Errorf("of another file: %s %q", resp.Status, body)
	}
	if resp, _ := get(map[string]string{"If-None-Match": `"` + b.Sum + `"`}); resp.StatusCode != http.StatusNotModified {
		t.Errorf("known already: %s", resp.Status)
	}
}

// TestSomeKeysUploadForFree has a price for all but one key.
func TestSomeKeysUploadForFree(t *testing.T) {
	k := events.GenerateKeys()
	_, at := serve(t, func(c *Config) {
		c.Price, c.Wallet, c.Free = func(int64) events.Msat { return events.Sat }, mint{}, func(key events.PubKey) bool { return key == k.PublicKey() }
	})
	for signer, want := range map[*events.Keys]int{k: http.StatusCreated, events.GenerateKeys(): http.StatusPaymentRequired} {
		sum := sumOfText(string(signer.PublicKey()))
		resp := try{"PUT", "/upload", string(signer.PublicKey()), map[string]string{"Authorization": auth(t, signer, "upload", "", sum)}}.do(t, at)
		if resp.StatusCode != want {
			t.Errorf("%s, want %d", resp.Status, want)
		}
	}
}

// TestOneAddressCannotTakeAllUploads holds uploads from one address, each with a key of its own, as many as it may have.
func TestOneAddressCannotTakeAllUploads(t *testing.T) {
	s, _ := serve(t, func(c *Config) { c.PerPeer = 2 })
	upload := func(from, text string, body io.Reader) *httptest.ResponseRecorder {
		r := httptest.NewRequest("PUT", "/upload", body)
		r.ContentLength, r.RemoteAddr = int64(len(text)), from
		r.Header.Set("Authorization", auth(t, events.GenerateKeys(), "upload", "", sumOfText(text)))
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w
	}
	hold := func(from string) (end func()) {
		slow, feed := io.Pipe()
		var wait sync.WaitGroup
		wait.Go(func() { upload(from, "never whole", slow) })
		if _, err := feed.Write(nil); err != nil { // it reads
			t.Fatal(err)
		}
		return func() { feed.CloseWithError(errors.New("cut")); wait.Wait() }
	}
	for _, c := range []struct {
		held  []string
		asked string
		want  int
	}{
		{[]string{"203.0.113.7:1", "203.0.113.7:2"}, "203.0.113.7:3", http.StatusTooManyRequests},
		{[]string{"203.0.113.7:1", "203.0.113.7:2"}, "203.0.113.8:3", http.StatusCreated},
		{[]string{"[2001:db8:1:2::1]:1", "[2001:db8:1:2::2]:1"}, "[2001:db8:1:2::3]:1", http.StatusTooManyRequests},
		{[]string{"[2001:db8:1:2::1]:1", "[2001:db8:1:2::2]:1"}, "[2001:db8:1:3::3]:1", http.StatusCreated},
		{[]string{"127.0.0.1:1", "127.0.0.1:2", "[::1]:2"}, "127.0.0.1:3", http.StatusCreated},
	} {
		var ends []func()
		for _, from := range c.held {
			ends = append(ends, hold(from))
		}
		if got := upload(c.asked, c.asked, strings.NewReader(c.asked)); got.Code != c.want {
			t.Errorf("%s beside %v: %d %s, want %d", c.asked, c.held, got.Code, got.Body, c.want)
		}
		for _, end := range ends {
			end()
		}
	}
}

// TestAFileThatGoesWhileItIsWanted has its only owner let a file go between the moments when another key's upload finds it
// and would own it: nobody is told that a file is kept whose bytes are gone.
func TestAFileThatGoesWhileItIsWanted(t *testing.T) {
	s, at := serve(t, nil)
	first := client(t, at)
	b, err := first.Put(t.Context(), []string{at}, text("hello"))
	if err != nil {
		t.Fatal(err)
	}
	found, err := s.store.find(b.Sum, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Delete(t.Context(), at, b.Sum); err != nil {
		t.Fatal(err)
	}
	late := &arrival{s: s, who: &holder{key: events.GenerateKeys().PublicKey(), sums: []string{b.Sum}}, sum: b.Sum}
	r, w := httptest.NewRequest("PUT", "/upload", nil), httptest.NewRecorder()
	var no *refusal
	if err := late.own(w, r, found); !errors.As(err, &no) || no.status != http.StatusConflict {
		t.Errorf("told %d, %v", w.Code, err)
	}
	if s.store.bytes() != 0 {
		t.Errorf("%d bytes are counted", s.store.bytes())
	}
}

// TestAFileThatIsBannedWhileItArrives is reported by a moderator between the last look and the end of its upload.
func TestAFileThatIsBannedWhileItArrives(t *testing.T) {
	s, at := serve(t, nil)
	sum, key := sumOfText("bad"), events.GenerateKeys().PublicKey()
	if err := s.store.ban([]string{sum}, "report", time.Now()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "part")
	if err := os.WriteFile(path, []byte("bad"), 0o600); err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	if err := s.store.add(path, &file{sum: sum, size: 3, kind: unknownType, at: now, expires: now + 60}, key, ""); err == nil {
		t.Error("it is kept")
	}
	if resp := (try{method: "GET", path: "/" + sum}).do(t, at); resp.StatusCode != http.StatusNotFound || s.store.bytes() != 0 {
		t.Errorf("it is served: %s", resp.Status)
	}
	if s.store.lies(sum) {
		t.Error("its bytes lie there")
	}
}
