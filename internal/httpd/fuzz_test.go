package httpd

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// FuzzBody sends operations anything: what fits is carried out, everything else is refused with a problem that names what
// was wrong; nothing is a fault of the server, and nothing of the request's headers comes back as one.
func FuzzBody(f *testing.F) {
	for _, s := range []struct{ method, path, kind, body string }{
		{"POST", "/api/v1/tables/7/orders?tip=3", "application/json", `{"dish":"soup","hot":2,"sides":["bread"]}`}, {"POST", "/api/v1/tables/123456789/orders", "", `{"dish":""}`},
		{"POST", "/api/v1/tables/7/orders?tip=-1&x=y", "application/json; charset=latin-1", `{"dish":7}`}, {"POST", "/api/v1/tables/%2f/orders?tip=9999999999999999999999", "text/plain", "\xff"},
		{"POST", "/api/v1/tables/7/orders", "application/json", `{"dish":"soup","hot":1e99}`}, {"POST", "/api/v1/tables/7/orders", "application/cbor", "\xa1\x64dish\x64soup"},
		{"POST", "/api/v1/tables/7/orders", "application/json", strings.Repeat("[", 5000)}, {"POST", "/api/v1/tables/7/orders", "application/json", `{"dish":"a","dish":"b","$schema":1}`},
		{"GET", "/api/v1/orders/7/events?after=1", "", ""}, {"GET", "/api/v1/orders/a%0Ab/events", "", ""}, {"DELETE", "/api/v1/orders/7", "", ""}, {"PUT", "//..", "a/b", "x"}, {"GET", "/docs/../metrics", "", ""},
	} {
		f.Add(s.method, s.path, s.kind, []byte(s.body))
	}
	s, err := Open(Config{Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	kitchen(s)
	f.Fuzz(func(t *testing.T, method, path, kind string, body []byte) {
		at, err := url.ParseRequestURI(path)
		if err != nil || method == "" || method == "CONNECT" || at.Host != "" || strings.ContainsAny(string(body), "\x00") && len(body) > 1<<16 {
			return
		}
		if bytes.Contains(body, []byte("burnt")) || bytes.Contains(body, []byte("dropped")) {
			return // the kitchen's own faults
		}
		r := &http.Request{Method: method, URL: at, RequestURI: path, Host: "localhost", Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), RemoteAddr: "127.0.0.1:1", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r.WithContext(t.Context()))
		if w.Code == http.StatusInternalServerError {
			t.Fatalf("%s %s %q %q: %d %s", method, path, kind, body, w.Code, w.Body)
		}
		if w.Code == http.StatusCreated {
			var got struct {
				Dish  string
				Hot   int
				Sides []string
				Tip   int
				Table string
			}
			if err := json.Unmarshal(w.Body.Bytes(), &got); err == nil && (got.Dish == "" || got.Hot < 0 || got.Hot > 5 || len(got.Sides) > 3 || got.Tip < 0 || len([]rune(got.Table)) > 8) {
				t.Fatalf("%s %s %q %q passes: %s", method, path, kind, body, w.Body)
			}
		}
	})
}

// FuzzHost reads anything as a Host header: only names and addresses of this server pass, and the address that is signed
// for is whole.
func FuzzHost(f *testing.F) {
	for _, host := range []string{"", "localhost", "LOCALHOST:80", "127.0.0.1:1", "[::1]", "[::1]:443", "[::1%25lo]", "evil.example", "localhost.", "localhost:080:80", "a@localhost", "localhost/x", "[localhost]", "1.2.3.4:99999999"} {
		f.Add(host)
	}
	s, err := Open(Config{Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	f.Fuzz(func(t *testing.T, host string) {
		if s.names.check(host, "relay") != nil {
			return
		}
		name, ok := hostname(host)
		if !ok || strings.ContainsAny(name, "/@?#\\ ") {
			t.Fatalf("%q passes as %q", host, name)
		}
		if u := s.base(&http.Request{Host: host, URL: &url.URL{Path: "/"}}); u.Scheme != "http" || u.Host == "" {
			t.Fatalf("%q is asked as %v", host, u)
		}
	})
}
