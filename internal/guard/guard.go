// Package guard fetches what a stranger named: inputs by url, mirrors, webhooks, relays of hints.
//
// It promises that no such name reaches this machine or its private networks. The address is checked when it is dialled,
// after names were resolved, and again for each redirect; no proxy and no credentials take part. What is fetched is
// bounded: time, bytes, what compressed bytes become, pixels of pictures. Begin with New and Fetch.
package guard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// Errors of what is not fetched. They are final: trying again gives the same.
var (
	ErrBlocked  = errors.New("not a public address")
	ErrTooLarge = errors.New("larger than allowed")
	ErrBomb     = fmt.Errorf("%w: it grows too much when it is unpacked", ErrTooLarge)
)

// ErrTooSlow says that nothing came for too long.
var ErrTooSlow = errors.New("too slow")

// Config bounds what is fetched. Every field may be left out.
type Config struct {
	Bytes     int64         // most bytes of one body, unpacked; 64 MiB if unset
	Time      time.Duration // most time that one fetch takes; 30 s if unset
	Stall     time.Duration // longest time in which nothing comes; 10 s if unset
	Redirects int           // most redirects; 3 if unset, none if below 0
	Ratio     int64         // most bytes that one compressed byte becomes; 100 if unset
	Pixels    int64         // most pixels of a picture; 64 Mi if unset

	// Trusted are host:port pairs that may be reached although they are not public: what the operator named himself, never
	// a stranger.
	Trusted []string
	// Resolver looks names up; the system's if unset.
	Resolver *net.Resolver
	// Own gives the addresses of this machine, with their networks; those of its interfaces if unset.
	Own func() ([]net.Addr, error)
}

// Guard fetches. Its methods may be called at the same time.
type Guard struct {
	Config
	trusted map[string]bool
	client  *http.Client
}

// New makes a guard.
func New(c Config) *Guard {
	set(&c.Bytes, 64<<20)
	set(&c.Time, 30*time.Second)
	set(&c.Stall, 10*time.Second)
	set(&c.Redirects, 3)
	set(&c.Ratio, 100)
	set(&c.Pixels, 64<<20)
	if c.Own == nil {
		c.Own = net.InterfaceAddrs
	}
	g := &Guard{Config: c, trusted: map[string]bool{}}
	for _, hostport := range c.Trusted {
		g.trusted[strings.ToLower(hostport)] = true
	}
	g.client = &http.Client{
		CheckRedirect: g.redirect,
		Transport: &http.Transport{
			Proxy: nil, DialContext: g.dial, DisableCompression: true, // unpacking is bounded here
			TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: c.Time, MaxResponseHeaderBytes: 64 << 10,
			ExpectContinueTimeout: 2 * time.Second, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second,
		},
	}
	return g
}

func set[T comparable](field *T, standard T) {
	var zero T
	if *field == zero {
		*field = standard
	}
}

// Client is a guarded HTTP client, for what Fetch does not do: webhooks, uploads, WebSockets. It bounds neither the time
// of a body nor its bytes.
func (g *Guard) Client() *http.Client { return g.client }

// Close closes connections that wait for more.
func (g *Guard) Close() { g.client.CloseIdleConnections() }

// dial connects to an address that is public, or trusted. The check is the dialer's Control: it sees each address that a
// name was resolved to, so a name that resolves to another address the next time gains nothing.
func (g *Guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second, Resolver: g.Resolver}
	if !g.trusted[strings.ToLower(address)] {
		d.Control = func(_, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil || !g.public(at.Addr()) {
				return fmt.Errorf("%s: %w", address, ErrBlocked)
			}
			return nil
		}
	}
	return d.DialContext(ctx, network, address)
}

func (g *Guard) redirect(req *http.Request, via []*http.Request) error {
	if len(via) > max(g.Redirects, 0) {
		return fmt.Errorf("more than %d redirects", max(g.Redirects, 0))
	}
	if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return fmt.Errorf("%w: redirected from https to %s", ErrBlocked, req.URL.Scheme)
	}
	return g.check(req.URL)
}

// Check says what is wrong with an address, before anything is looked up: only http and https (ws and wss for relays),
// no user in it, no other way to write numbers than 1.2.3.4 and [1::2].
func (g *Guard) Check(raw string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return nil, fmt.Errorf("%.200q is no address", raw)
	}
	return u, g.check(u)
}

func (g *Guard) check(u *url.URL) error {
	port := map[string]string{"http": "80", "ws": "80", "https": "443", "wss": "443"}[u.Scheme]
	host := u.Hostname()
	switch {
	case port == "":
		return fmt.Errorf("%w: %q is neither http nor https", ErrBlocked, u.Scheme)
	case host == "":
		return fmt.Errorf("%w: it names no host", ErrBlocked)
	case u.User != nil:
		return fmt.Errorf("%w: a user stands in it", ErrBlocked)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	if g.trusted[strings.ToLower(net.JoinHostPort(host, port))] {
		return nil
	}
	for _, c := range []byte(host) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`%\/@#?<>|^`, c) >= 0 {
			return fmt.Errorf("%w: the host %.100q has a character that no host has", ErrBlocked, host)
		}
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err == nil && !g.public(ip):
		return fmt.Errorf("%s: %w", host, ErrBlocked)
	case err != nil && endsInNumber(host):
		return fmt.Errorf("%w: %.100q is a number, but no IP address as it is written", ErrBlocked, host)
	}
	return nil
}
