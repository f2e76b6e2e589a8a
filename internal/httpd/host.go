package httpd

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// names are what clients may call this server by. A page can have its own name point to this machine (DNS rebinding) and
// then read what is served here as its own: but the browser still says that name in Host.
type names map[string]bool

func newNames(hosts []string, public *url.URL, t *certificates) names {
	n := names{"localhost": true}
	for _, host := range hosts {
		n[strings.ToLower(host)] = true
	}
	if public != nil {
		n[strings.ToLower(public.Hostname())] = true
	}
	for _, name := range t.names() {
		n[strings.ToLower(name)] = true
	}
	return n
}

// check holds a Host header against the names. An address needs no name, so none was pointed here.
func (n names) check(host, settings string) *Refusal {
	name, ok := hostname(host)
	if ok {
		if _, err := netip.ParseAddr(name); err == nil || n[name] {
			return nil
		}
	}
	return refusal(http.StatusMisdirectedRequest, "%.100q is no name of this server; its operator can add it to the setting %s.hosts", host, settings)
}

// hostname takes the name out of a Host header: a name or an address, in brackets if it is one of IPv6, perhaps with a port.
func hostname(host string) (name string, ok bool) {
	name = strings.ToLower(host)
	inner, bracketed := strings.CutPrefix(name, "[")
	if bracketed {
		inner, port, closed := strings.Cut(inner, "]")
		addr, err := netip.ParseAddr(inner)
		return inner, closed && err == nil && addr.Is6() && addr.Zone() == "" && (port == "" || isPort(port))
	}
	if i := strings.IndexByte(name, ':'); i >= 0 {
		if !isPort(name[i:]) {
			return "", false
		}
		name = name[:i]
	}
	return name, name != ""
}

// isPort says whether s is a colon and a port.
func isPort(s string) bool {
	return len(s) > 1 && len(s) <= 6 && s[0] == ':' && strings.Trim(s[1:], "0123456789") == ""
}

// parsePublic reads the address that clients know.
func parsePublic(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("the server's address %q is no https://…, http://…, wss://… or ws://…", raw)
	}
	switch strings.ToLower(u.Scheme) {
	case "http", "ws":
		u.Scheme = "http"
	case "https", "wss":
		u.Scheme = "https"
	default:
		return nil, fmt.Errorf("the server's address %q is no https://…, http://…, wss://… or ws://…", raw)
	}
	u.Host = strings.ToLower(u.Host)
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	return u, nil
}

// base is where a client has found this server: scheme, host and, behind a proxy, the path before ours. Headers of proxies
// are not asked: everybody can write them.
func (s *Server) base(r *http.Request) *url.URL {
	if s.public != nil && sameHost(r.Host, s.public) {
		return s.public
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return &url.URL{Scheme: scheme, Host: strings.ToLower(r.Host)}
}

// sameHost says whether a Host header is a URL's, with a port that goes without saying or not.
func sameHost(host string, u *url.URL) bool {
	return withPort(strings.ToLower(host), u.Scheme) == withPort(u.Host, u.Scheme)
}

func withPort(host, scheme string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	port := "80"
	if scheme == "https" {
		port = "443"
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}
