package blob

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// FuzzRequest sends a server any request, with a token that may be whole: the server lives and answers, and what it keeps
// has the hash under which it is kept.
func FuzzRequest(f *testing.F) {
	const body = "some bytes"
	sum := "6c2a6f9f86d7c7b8b27fca5c5ab1ff3b4f5ea8fb4d0a6dbd8e4c1a2dbb7d5a35"
	for _, s := range []struct{ method, path, headers, tags string }{
		{"PUT", "/upload", "X-SHA-256: " + sum, `[["t","upload"],["expiration","9999999999"],["x","SUM"]]`},
		{"PUT", "/upload", "Content-Type: text/html; charset=x\nX-Expiration: -1", `[["t","upload"],["expiration","9999999999"],["x","SUM"],["server","elsewhere"]]`},
		{"HEAD", "/upload", "X-SHA-256: SUM\nX-Content-Length: 68719476736\nX-Content-Type: a", `[["t","upload"],["expiration","9999999999"],["x","SUM"]]`},
		{"PATCH", "/SUM", "Upload-Length: 10\nUpload-Offset: 3\nUpload-Type: a/b", `[["t","upload"],["expiration","9999999999"],["x","SUM"]]`},
		{"PATCH", "/SUM", "Upload-Length: 9223372036854775807\nUpload-Offset: 9223372036854775807", `[["t","upload"],["expiration","9999999999"],["x","SUM"]]`},
		{"GET", "/SUM.png", "Range: bytes=3-\nIf-None-Match: *", `[]`}, {"GET", "/SUM", "Range: bytes=-0,0-0,1-1", `[]`}, {"DELETE", "/SUM", "", `[["t","delete"],["expiration","9999999999"],["x","SUM"]]`},
		{"GET", "/list/KEY?limit=-1&cursor=x&since=99999999999999999999", "", `[["t","list"],["expiration","9999999999"]]`},
		{"PUT", "/mirror", "", `[["t","upload"],["expiration","9999999999"],["x","SUM"]]`}, {"PUT", "/report", "", `[["x","SUM"]]`},
		{"OPTIONS", "//../%2e", "", `[[],["t"],["expiration",""]]`}, {"GET", "/", "Authorization: Nostr e30=", `[["t"]]`},
	} {
		f.Add(s.method, s.path, s.headers, s.tags, []byte(body))
	}
	s, err := Open(f.Context(), Config{Dir: f.TempDir(), MinFree: 1, MaxBlob: 1 << 16, Quota: 1 << 20, Total: 1 << 20, Stall: time.Second})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	keys := events.GenerateKeys()
	f.Fuzz(func(t *testing.T, method, path, headers, tags string, body []byte) {
		if strings.Contains(path, "mirror") && bytes.Contains(body, []byte("://")) {
			return // nothing is fetched here
		}
		named := strings.NewReplacer("SUM", sumOfBytes(body), "KEY", string(keys.PublicKey()))
		at, err := url.ParseRequestURI(named.Replace(path))
		if err != nil {
			return
		}
		r := &http.Request{Method: method, URL: at, Host: "localhost", Header: http.Header{}, Body: http.NoBody, ContentLength: int64(len(body)), RemoteAddr: "127.0.0.1:1"}
		if r = r.WithContext(t.Context()); len(body) > 0 {
			r.Body = readCloser{bytes.NewReader(body)}
		}
		for _, line := range strings.Split(named.Replace(headers), "\n") {
			name, value, _ := strings.Cut(line, ":")
			r.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
		}
		ev := &nostr.Event{Kind: kindToken, CreatedAt: nostr.Now()}
		if json.Unmarshal([]byte(named.Replace(tags)), &ev.Tags) == nil && r.Header.Get("Authorization") == "" {
			if keys.Sign(t.Context(), ev) == nil {
				r.Header.Set("Authorization", "Nostr "+base64.RawURLEncoding.EncodeToString([]byte(ev.String())))
			}
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		switch {
		case w.Code == http.StatusInternalServerError:
			t.Fatalf("%s %s, %q, %s: %d %s", method, path, headers, tags, w.Code, w.Body)
		case w.Code >= 300 && w.Code != http.StatusNotModified && w.Header().Get("X-Reason") == "" && w.Code != http.StatusRequestedRangeNotSatisfiable:
			t.Fatalf("%s %s: %d without a reason", method, path, w.Code)
		case w.Code == http.StatusCreated || method == "PUT" && strings.HasPrefix(at.Path, "/upload") && w.Code == http.StatusOK:
			var d Descriptor
			if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || d.SHA256 == "" || method == "PUT" && d.SHA256 != sumOfBytes(body) {
				t.Fatalf("%s %s keeps %s, %v", method, path, w.Body, err)
			}
		case w.Code == http.StatusOK && method == "GET" && !strings.HasPrefix(at.Path, "/list/"):
			if sum, ok := splitName(strings.TrimPrefix(at.Path, "/")); !ok || sumOfBytes(w.Body.Bytes()) != sum {
				t.Fatalf("%s gives other bytes", path)
			}
		}
	})
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

func sumOfBytes(body []byte) string {
	sum, _ := sumOf(Source{Data: bytes.NewReader(body), Size: int64(len(body))})
	return sum
}

// FuzzAnswer has a server answer anything to a client: it is understood or refused, and never a file that is not the one
// that was asked for.
func FuzzAnswer(f *testing.F) {
	f.Add(200, "", []byte("some bytes"), int64(0))
	f.Add(206, "Content-Range: bytes 0-3/4\nContent-Length: 4", []byte("some"), int64(4))
	f.Add(200, "Content-Type: application/json", []byte(`[{"url":"x","sha256":"y","size":-1,"uploaded":1e99}]`), int64(-1))
	f.Add(200, "", []byte(`[null]`), int64(1))
	f.Add(402, "X-Lightning: lnbcrt1\nX-Reason: \xff", []byte("no"), int64(1<<40))
	f.Add(302, "Location: http://127.0.0.1/", []byte{}, int64(3))
	f.Add(200, "Upload-Offset: 99999999999999999999\nContent-Encoding: gzip", []byte("\x1f\x8b"), int64(2))
	f.Fuzz(func(t *testing.T, status int, headers string, body []byte, size int64) {
		if status < 200 || status > 999 || status == 429 {
			return
		}
		answer := http.Header{}
		for _, line := range strings.Split(headers, "\n") {
			if name, value, ok := strings.Cut(line, ":"); ok {
				answer.Add(strings.TrimSpace(name), strings.TrimSpace(value))
			}
		}
		c := NewClient(ClientConfig{Signer: events.GenerateKeys(), Bytes: 1 << 16, Trusted: []string{"http://127.0.0.1:1"}})
		defer c.Close()
		c.http.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: answer, Body: readCloser{bytes.NewReader(body)}, ContentLength: int64(len(body)), Request: r}, nil
		})
		if _, err := c.List(t.Context(), "http://127.0.0.1:1"); err == nil && status != 200 && status/100 != 2 {
			t.Fatalf("%d is a list", status)
		}
		wanted := events.Blob{Sum: sumOfBytes([]byte("some bytes")), Size: max(size, 0), Servers: []string{"http://127.0.0.1:1"}}
		if status/100 != 2 || len(body) < int(min(wanted.Size, 1<<16)) || wanted.Size == 0 && !bytes.Equal(body, []byte("some bytes")) {
			return // it would be tried again, with pauses
		}
		var got bytes.Buffer
		if err := c.Get(t.Context(), wanted, &got); err == nil && sumOfBytes(got.Bytes()) != wanted.Sum {
			t.Fatalf("%q passes as the file", got.Bytes())
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
