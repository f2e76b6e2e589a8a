package httpd

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestPagesOfOtherOrigins is the whole matrix: who may call what, with and without asking first.
func TestPagesOfOtherOrigins(t *testing.T) {
	s := open(t, func(c *Config) {
		c.Origins, c.URL = []string{"https://app.example", "http://localhost:5173"}, "https://market.example"
	})
	s.Mount("GET /listed", Rules{Access: Anyone}, echo)
	s.Mount("POST /listed", Rules{Access: Anyone}, echo)
	s.Mount("DELETE /listed/{part}", Rules{Access: Anyone}, echo)
	s.Mount("/any", Rules{Access: Anyone, AnyOrigin: true}, echo)
	run(t, s)
	const none, listed, any = "", "echoed", "*"
	for _, c := range []struct {
		origin, path, method string
		code                 int // of the call
		allows               string
	}{
		{"https://app.example", "/listed", "GET", 200, listed},
		{"https://app.example", "/listed", "POST", 200, listed},
		{"https://app.example", "/listed/7", "DELETE", 200, listed},
		{"http://localhost:5173", "/listed", "GET", 200, listed},
		{s.URL(), "/listed", "POST", 200, none}, // served here: the browser does not ask
		{"", "/listed", "POST", 200, none},      // no browser
		{"https://evil.example", "/listed", "GET", 403, none},
		{"https://evil.example", "/listed", "POST", 403, none},
		{"https://evil.example", "/listed/7", "DELETE", 403, none},
		{"http://app.example", "/listed", "GET", 403, none},
		{"https://app.example:8443", "/listed", "GET", 403, none},
		{"https://app.example.evil.example", "/listed", "GET", 403, none},
		{"https://sub.app.example", "/listed", "GET", 403, none},
		{"http://localhost", "/listed", "GET", 403, none},
		{"http://127.0.0.1:1", "/listed", "POST", 403, none}, // another program of this machine
		{"https://market.example", "/listed", "GET", 403, none},
		{"null", "/listed", "POST", 403, none},
		{"https://app.example https://evil.example", "/listed", "GET", 403, none},
		{"https://evil.example", "/any", "GET", 200, any},
		{"null", "/any", "POST", 200, any},
		{"https://app.example", "/any", "PUT", 200, any},
	} {
		what := c.method + " " + c.path + " from " + c.origin
		resp, said := ask(t, s, c.method, c.path, "", func(r *http.Request) {
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
		})
		allows := map[string]string{none: "", listed: c.origin, any: "*"}[c.allows]
		got := resp.Header.Get("Access-Control-Allow-Origin")
		if c.origin == s.URL() {
			got = "" // saying it does no harm
		}
		if resp.StatusCode != c.code || got != allows {
			t.Errorf("%s: %d, allows %q: %s", what, resp.StatusCode, got, said)
		}
		if resp.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: credentials are allowed", what)
		}
		if c.path == "/listed" && !slices.Contains(resp.Header.Values("Vary"), "Origin") {
			t.Errorf("%s: a cache would mix up origins: Vary %q", what, resp.Header.Values("Vary"))
		}
		if c.origin == "" {
			continue
		}
		resp, said = ask(t, s, "OPTIONS", c.path, "", func(r *http.Request) {
			r.Header.Set("Origin", c.origin)
			r.Header.Set("Access-Control-Request-Method", c.method)
			r.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
			r.Header.Set("Access-Control-Request-Private-Network", "true")
		})
		h := resp.Header
		if c.origin == s.URL() {
			continue
		}
		if h.Get("Access-Control-Allow-Origin") != allows {
			t.Errorf("%s: asked first, it allows %q: %d %s", what, h.Get("Access-Control-Allow-Origin"), resp.StatusCode, said)
		}
		if ok := h.Get("Access-Control-Allow-Methods") == c.method && h.Get("Access-Control-Allow-Headers") == "authorization,content-type" &&
			h.Get("Access-Control-Allow-Private-Network") == "true" && resp.StatusCode == 204; ok != (allows != "") {
			t.Errorf("%s: asked first, it says %d %v", what, resp.StatusCode, h)
		}
	}
	for what, c := range map[string]struct{ path, method string }{
		"no such path": {"/nothing", "GET"}, "no such method": {"/listed", "PUT"}, "a method of nobody": {"/any", "TRACE"},
	} {
		resp, _ := ask(t, s, "OPTIONS", c.path, "", func(r *http.Request) {
			r.Header.Set("Origin", "https://app.example")
			r.Header.Set("Access-Control-Request-Method", c.method)
		})
		if resp.Header.Get("Access-Control-Allow-Methods") != "" {
			t.Errorf("%s is allowed: %v", what, resp.Header)
		}
	}
}

// TestEveryPageOfTheList: a star in the list is every page with a name, and no frame without one.
func TestEveryPageOfTheList(t *testing.T) {
	s := open(t, func(c *Config) { c.Origins = []string{"*"} })
	s.Mount("POST /x", Rules{Access: Anyone}, echo)
	run(t, s)
	for origin, code := range map[string]int{"https://any.example": 200, "null": 403} {
		resp, said := ask(t, s, "POST", "/x", "", func(r *http.Request) { r.Header.Set("Origin", origin) })
		want(t, origin, resp, said, code, "")
	}
}

// TestOriginBehindAProxy: the page's origin is the address that clients know.
func TestOriginBehindAProxy(t *testing.T) {
	s := open(t, func(c *Config) { c.URL = "wss://market.example" })
	s.Mount("POST /x", Rules{Access: Anyone}, echo)
	run(t, s)
	for _, c := range []struct {
		host, origin string
		code         int
	}{
		{"market.example", "https://market.example", 200},
		{"market.example:443", "https://market.example", 200},
		{"market.example", "http://market.example", 403},
		{"market.example", s.URL(), 403},
		{strings.TrimPrefix(s.URL(), "http://"), "https://market.example", 403},
	} {
		resp, said := ask(t, s, "POST", "/x", "", func(r *http.Request) {
			r.Host = c.host
			r.Header.Set("Origin", c.origin)
		})
		want(t, c.origin+" to "+c.host, resp, said, c.code, "")
	}
}
