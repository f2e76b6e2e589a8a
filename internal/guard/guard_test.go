package guard

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"
)

// canary is a server on both loopback addresses that counts who reaches it.
func canary(t *testing.T) (port int, hits *atomic.Int64) {
	t.Helper()
	hits = new(atomic.Int64)
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { hits.Add(1); io.WriteString(w, "secret") })
	four, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = four.Addr().(*net.TCPAddr).Port
	for _, l := range []net.Listener{four, six(port)} {
		if l == nil {
			continue
		}
		server := &http.Server{Handler: handler}
		done := make(chan struct{})
		go func() { server.Serve(l); close(done) }()
		t.Cleanup(func() { server.Close(); <-done })
	}
	return port, hits
}

func six(port int) net.Listener {
	l, err := net.Listen("tcp6", fmt.Sprintf("[::1]:%d", port))
	if err != nil {
		return nil // a machine without IPv6
	}
	return l
}

// spellings are ways to write an address that is not public. PORT is the canary's; here marks those that reach it through
// a client without a guard, on this resolver of the test.
var spellings = []struct {
	url  string
	here bool
}{
	{"http://127.0.0.1:PORT/", true},
	{"http://localhost:PORT/", true},
	{"http://LOCALHOST:PORT/", true},
	{"http://home.test.:PORT/", true},
	{"http://127.0.0.2:PORT/", false},
	{"http://user:password@127.0.0.1:PORT/", true},
	{"http://example.com@127.0.0.1:PORT/", true},
	{"http://127.0.0.1:PORT\u200b/", false},
	{"http://[::ffff:127.0.0.1]:PORT/", true},
	{"http://[::ffff:7f00:1]:PORT/", true},
	{"http://[::1]:PORT/", false}, // true where there is IPv6
	{"http://[0:0:0:0:0:0:0:1]:PORT/", false},
	{"http://[::]:PORT/", false},
	{"http://0.0.0.0:PORT/", true},
	{"http://0:PORT/", false},
	{"http://127.1:PORT/", false},
	{"http://2130706433:PORT/", false},
	{"http://0x7f000001:PORT/", false},
	{"http://0x7f.0.0.1:PORT/", false},
	{"http://0177.0.0.1:PORT/", false},
	{"http://%31%32%37.0.0.1:PORT/", false},
	{"http://１２７.0.0.1:PORT/", true},
	{"http://①②⑦.0.0.1:PORT/", true},
	{"http://[64:ff9b::7f00:1]:PORT/", false},
	{"http://[2002:7f00:1::]:PORT/", false},
	{"http://[2001:0:7f00:1::]:PORT/", false},
	{"http://[::127.0.0.1]:PORT/", false},
	{"http://169.254.169.254/latest/meta-data/", false},
	{"http://[fd00:ec2::254]/latest/meta-data/", false},
	{"http://10.0.0.1/", false},
	{"http://172.31.255.255/", false},
	{"http://192.168.1.1/", false},
	{"http://100.64.0.1/", false},
	{"http://[fe80::1%25lo]:PORT/", false},
	{"http://[fc00::1]/", false},
	{"http://255.255.255.255/", false},
	{"http://home.test:PORT/", true},    // a name that resolves to 127.0.0.1
	{"http://six.test:PORT/", false},    // to ::1
	{"http://meta.test/", false},        // to 169.254.169.254
	{"http:\\\\127.0.0.1:PORT/", false}, // no host at all
	{"file:///etc/passwd", false},
	{"gopher://127.0.0.1:PORT/", false},
}

// TestSpellingsOfPrivateAddressesAreBlocked: a client without a guard reaches the canary by many of them, a guarded one by
// none.
func TestSpellingsOfPrivateAddressesAreBlocked(t *testing.T) {
	port, hits := canary(t)
	names := resolver(t, map[string]string{"home.test.": "127.0.0.1", "six.test.": "::1", "meta.test.": "169.254.169.254"})
	g := New(Config{Resolver: names, Time: 5 * time.Second})
	defer g.Close()
	blocked := 0
	for _, s := range spellings {
		address := strings.ReplaceAll(s.url, "PORT", fmt.Sprint(port))
		_, err := g.Fetch(t.Context(), address, io.Discard)
		_, parse := g.Check(address)
		if !errors.Is(err, ErrBlocked) && (parse == nil || errors.Is(parse, ErrBlocked)) {
			t.Errorf("%s: %v", s.url, err)
			continue
		}
		blocked++
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("the guarded client reached this machine %d times", n)
	}
	naive := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{Resolver: names}).DialContext}}
	for _, s := range spellings {
		before := hits.Load()
		if !s.here {
			continue
		}
		if resp, err := naive.Get(strings.ReplaceAll(s.url, "PORT", fmt.Sprint(port))); err == nil {
			resp.Body.Close()
		}
		if hits.Load() == before {
			t.Errorf("%s does not reach this machine without a guard: it shows nothing", s.url)
		}
	}
	t.Logf("%d/%d blocked; without a guard %d of them reached this machine", blocked, len(spellings), hits.Load())
	if blocked < 30 || hits.Load() < 8 {
		t.Errorf("%d blocked, %d reached without a guard", blocked, hits.Load())
	}
}

func TestPublic(t *testing.T) {
	for _, s := range []string{"1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1"} {
		if !Public(netip.MustParseAddr(s)) {
			t.Errorf("%s is public", s)
		}
	}
	for _, s := range []string{"64:ff9b::a00:1", "2002:a00:1::1", "64:ff9b:1::1", "2001:db8::1", "ff02::1", "fe80::1", "3fff::1", "4000::1", "::2", "203.0.113.9", "198.19.0.1"} {
		if Public(netip.MustParseAddr(s)) {
			t.Errorf("%s is not public", s)
		}
	}
	if Public(netip.Addr{}) {
		t.Error("no address is public")
	}
}

// TestThisMachinesPublicAddressesAreBlocked has a machine with addresses of the internet: what listens on them is behind
// its firewall, or its router's, for everybody but itself.
func TestThisMachinesPublicAddressesAreBlocked(t *testing.T) {
	own := func() (all []net.Addr, err error) {
		for _, s := range []string{"127.0.0.1/8", "93.184.216.34/20", "2606:4700:0:1::5/64", "2606:4700:9::9/12", "fe80::1/64"} {
			ip, network, err := net.ParseCIDR(s)
			if err != nil {
				return nil, err
			}
			all = append(all, &net.IPNet{IP: ip, Mask: network.Mask})
		}
		return all, nil
	}
	names := resolver(t, map[string]string{"me.test.": "93.184.216.34", "printer.test.": "2606:4700:0:1::77"})
	g := New(Config{Own: own, Resolver: names, Time: 2 * time.Second})
	defer g.Close()
	for _, address := range []string{
		"http://93.184.216.34/", "http://[::ffff:93.184.216.34]/", "http://[64:ff9b::5db8:d822]/", "http://[2002:5db8:d822::1]/", "http://[2606:4700:0:1::5]/",
		"http://[2606:4700:0:1::77]/", "http://[2606:4700:9::9]/", "http://me.test/", "http://printer.test/",
	} {
		if _, err := g.Fetch(t.Context(), address, io.Discard); !errors.Is(err, ErrBlocked) {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"http://93.184.216.35/", "http://[2606:4700:0:2::77]/", "http://[2606:4700:9::8]/", "http://1.1.1.1/"} {
		if _, err := g.Check(address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestANameThatChangesItsMind passes when it is looked at, and resolves to this machine when it is dialled (DNS rebinding).
func TestANameThatChangesItsMind(t *testing.T) {
	port, hits := canary(t)
	g := New(Config{Resolver: resolver(t, map[string]string{"turn.test.": "127.0.0.1"}), Time: 2 * time.Second})
	defer g.Close()
	address := fmt.Sprintf("http://turn.test:%d/", port)
	if _, err := g.Check(address); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Fetch(t.Context(), address, io.Discard); !errors.Is(err, ErrBlocked) || hits.Load() != 0 {
		t.Errorf("%v, reached %d times", err, hits.Load())
	}
}

// open is a server that the operator trusts, and the guard that does.
func open(t *testing.T, c Config, handler http.HandlerFunc) (*Guard, string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c.Trusted = append(c.Trusted, server.Listener.Addr().String())
	g := New(c)
	t.Cleanup(g.Close)
	return g, server.URL
}

func TestFetch(t *testing.T) {
	g, at := open(t, Config{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, "hello")
	})
	var to strings.Builder
	got, err := g.Fetch(t.Context(), at+"/x", &to)
	if err != nil || to.String() != "hello" || got.Type != "text/plain" || got.Size != 5 {
		t.Fatalf("got %q, %+v, %v", &to, got, err)
	}
}

func TestRedirectsAreChecked(t *testing.T) {
	port, hits := canary(t)
	var at string
	g, at := open(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		to := map[string]string{
			"/home": fmt.Sprintf("http://127.0.0.1:%d/", port), "/name": fmt.Sprintf("http://localhost:%d/", port),
			"/loop": "/loop", "/file": "file:///etc/passwd", "/once": "/there",
		}[r.URL.Path]
		if to == "" {
			io.WriteString(w, "there")
			return
		}
		http.Redirect(w, r, to, http.StatusFound)
	})
	for _, path := range []string{"/home", "/name", "/file"} {
		if _, err := g.Fetch(t.Context(), at+path, io.Discard); !errors.Is(err, ErrBlocked) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := g.Fetch(t.Context(), at+"/loop", io.Discard); err == nil || !strings.Contains(err.Error(), "more than 3 redirects") {
		t.Errorf("loop: %v", err)
	}
	if got, err := g.Fetch(t.Context(), at+"/once", io.Discard); err != nil || !strings.HasSuffix(got.URL, "/there") {
		t.Errorf("once: %+v, %v", got, err)
	}
	if hits.Load() != 0 {
		t.Errorf("this machine was reached %d times", hits.Load())
	}
}

// TestRedirectFromHTTPSToHTTP has a server that gives its visitors away.
func TestRedirectFromHTTPSToHTTP(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	safe := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
	defer safe.Close()
	g := New(Config{Trusted: []string{safe.Listener.Addr().String(), plain.Listener.Addr().String()}})
	defer g.Close()
	g.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: safe.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	if _, err := g.Fetch(t.Context(), safe.URL, io.Discard); !errors.Is(err, ErrBlocked) {
		t.Errorf("got %v", err)
	}
}

// TestNoProxyTakesPart sets one: it would see what is fetched, and decide where it goes.
func TestNoProxyTakesPart(t *testing.T) {
	port, hits := canary(t)
	t.Setenv("HTTP_PROXY", fmt.Sprintf("http://127.0.0.1:%d", port))
	g := New(Config{Time: time.Second})
	defer g.Close()
	if _, err := g.Fetch(t.Context(), "http://example.invalid/", io.Discard); err == nil || hits.Load() != 0 {
		t.Errorf("the proxy was reached %d times, %v", hits.Load(), err)
	}
}

func TestSilentServersAreLeft(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, c := range []struct {
		name   string
		config Config
		serve  http.HandlerFunc
	}{
		{"no body", Config{Stall: 50 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}},
		{"no answer", Config{Time: 50 * time.Millisecond}, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		{"drop by drop", Config{Time: 200 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
			for tick := time.NewTicker(10 * time.Millisecond); ; {
				select {
				case <-r.Context().Done():
					tick.Stop()
					return
				case <-tick.C:
					w.Write([]byte("."))
					w.(http.Flusher).Flush()
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, at := open(t, c.config, c.serve)
			if _, err := g.Fetch(t.Context(), at, io.Discard); !errors.Is(err, ErrTooSlow) && !strings.Contains(fmt.Sprint(err), "timeout awaiting") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// resolver answers with one address for each name, from a DNS server of the test.
func resolver(t *testing.T, names map[string]string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
			at, err := netip.ParseAddr(names[strings.ToLower(q.Name.String())])
			head := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, Type: q.Type, TTL: 0}
			switch {
			case err != nil:
				m.RCode = dnsmessage.RCodeNameError
			case q.Type == dnsmessage.TypeA && at.Is4():
				m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AResource{A: at.As4()}}}
			case q.Type == dnsmessage.TypeAAAA && at.Is6():
				m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AAAAResource{AAAA: at.As16()}}}
			}
			if out, err := m.Pack(); err == nil {
				conn.WriteTo(out, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}
