package httpd

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
)

func TestTooManyConnectionsAreTurnedAway(t *testing.T) {
	s := open(t, func(c *Config) { c.MaxConns = 3 })
	run(t, s)
	var open []net.Conn
	for range 3 {
		conn := dialRaw(t, s)
		io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	if conn, err := net.Dial("tcp", s.listener.Addr().String()); err == nil { // it may be closed before it is known to be open
		io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if n, err := conn.Read(make([]byte, 1)); err == nil || n > 0 {
			t.Error("a fourth connection is answered")
		}
		conn.Close()
	}
	open[0].Close()
	for { // until the server has seen it
		resp, err := http.Get(s.URL() + "/healthz")
		if err == nil {
			resp.Body.Close()
			return
		}
	}
}

func TestOneAddressCannotTakeAll(t *testing.T) {
	g := newGate(nil, 100, 2, newMeters())
	from := func(ip string) netip.Prefix { return peerOf(&net.TCPAddr{IP: net.ParseIP(ip)}) }
	for _, c := range []struct {
		ip string
		ok bool
	}{
		{"203.0.113.1", true}, {"203.0.113.1", true}, {"203.0.113.1", false}, {"::ffff:203.0.113.1", false}, {"203.0.113.2", true},
		{"2001:db8::1", true}, {"2001:db8::2", true}, {"2001:db8::3", false}, {"2001:db8:0:1::1", true},
		{"127.0.0.1", true}, {"127.0.0.1", true}, {"127.0.0.1", true}, {"::1", true}, {"::1", true}, {"::1", true},
	} {
		if g.enter(from(c.ip)) != c.ok {
			t.Errorf("%s: want %v", c.ip, c.ok)
		}
	}
	g.leave(from("203.0.113.1"))
	if !g.enter(from("203.0.113.1")) || g.enter(from("203.0.113.1")) {
		t.Error("who has left makes no room, or too much")
	}
}
