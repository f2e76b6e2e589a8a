package httpd

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestNamesThatPointHere: a page whose name was pointed at this machine reaches nothing (DNS rebinding).
func TestNamesThatPointHere(t *testing.T) {
	s := open(t, func(c *Config) {
		c.URL, c.Hosts = "https://Market.example/relay", []string{"box.lan"}
	})
	s.Mount("GET /secret", Rules{Access: Anyone}, echo)
	s.Mount("GET /open", Rules{Access: Anyone, AnyHost: true}, echo)
	run(t, s)
	port := s.URL()[strings.LastIndex(s.URL(), ":"):]
	for host, ok := range map[string]bool{
		"127.0.0.1" + port: true, "127.0.0.1": true, "localhost": true, "LocalHost" + port: true, "[::1]" + port: true, "[::1]": true,
		"192.168.1.7" + port: true, "[fd00::7]:3000": true, "[::ffff:127.0.0.1]": true, "market.example": true, "MARKET.example:443": true, "box.lan:80": true,

		"evil.example": false, "evil.example" + port: false, "127.0.0.1.evil.example": false, "localhost.evil.example" + port: false,
		"evil-localhost": false, "sub.localhost": false, "localhost.": false, "localhost.localdomain": false, "market.example.evil.example": false,
		"sub.market.example": false, "market.example.": false, "7f000001.rbndr.us": false, "127-0-0-1.nip.io": false, "127.0.0.1.nip.io": false,
		"2130706433": false, "0x7f000001": false, "017700000001": false, "127.1": false, "0": false, "127.0.0.01": false, "::1": false,
		"[::1": false, "[::1]evil.example": false, "[evil.example]": false, "[127.0.0.1]": false, "[fe80::1%25lo]": false,
		"localhost:": false, "localhost:3000:80": false, "localhost:evil": false, ":3000": false, "": false, "box": false, "box.lan:99999999": false,
	} {
		for _, path := range []string{"/secret", "/openapi.json", "/docs", "/metrics", "/", "/nothing", "/open"} {
			code := askRaw(t, s, path, host)
			wanted := http.StatusMisdirectedRequest
			switch {
			case path == "/open", ok && path != "/nothing":
				wanted = http.StatusOK
			case ok:
				wanted = http.StatusNotFound
			}
			if code != wanted && code != http.StatusBadRequest { // what is no Host at all is refused before us
				t.Errorf("Host %q: %s gives %d, want %d", host, path, code, wanted)
			}
			if code == http.StatusBadRequest && ok {
				t.Errorf("Host %q: %s gives %d", host, path, code)
			}
		}
	}
}

// askRaw asks with a Host header that no client library would write.
func askRaw(t testing.TB, s *Server, path, host string) (code int) {
	t.Helper()
	conn, err := net.Dial("tcp", s.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestBadAddressesOfTheServerAreRefused(t *testing.T) {
	for _, c := range []Config{
		{URL: "market.example"}, {URL: "ftp://market.example"}, {URL: "https://"}, {URL: "https://user@market.example"}, {URL: "https://market.example/?x=1"},
		{Origins: []string{"app.example"}}, {Origins: []string{"https://app.example/"}}, {Origins: []string{"null"}}, {Origins: []string{"https://*.example/x"}},
		{Metrics: "everybody"}, {CertFile: "x"}, {KeyFile: "x"}, {CertFile: "x", KeyFile: "x", ACME: &ACME{}}, {ACME: &ACME{}},
		{CertFile: "none.pem", KeyFile: "none.pem"}, {ACME: &ACME{Names: []string{"x.example"}, Dir: t.TempDir(), CAFile: "none.pem"}},
	} {
		c.Listen = "127.0.0.1:0"
		if s, err := Open(c); err == nil {
			s.Close()
			t.Errorf("%+v is taken", c)
		}
	}
}
