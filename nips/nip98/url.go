package nip98

import (
	"errors"
	"net"
	"net/url"
	"strings"
)

// canonical writes a URL as both sides may be expected to: scheme and host in lower case, no port that goes without
// saying, a path. What comes after the host is compared letter by letter. A WebSocket is asked for over HTTP.
func canonical(raw string) (string, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return "", errors.New("cannot be read")
	case u.User != nil:
		return "", errors.New("holds a user or a password")
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return "", errors.New("holds a fragment")
	case u.Hostname() == "" || u.Opaque != "":
		return "", errors.New("is not absolute")
	}
	scheme, port := strings.ToLower(u.Scheme), ""
	switch scheme {
	case "http", "ws":
		scheme, port = "http", "80"
	case "https", "wss":
		scheme, port = "https", "443"
	default:
		return "", errors.New("is neither http nor https")
	}
	host := strings.ToLower(u.Hostname())
	if u.Port() != "" && u.Port() != port {
		host = net.JoinHostPort(host, u.Port())
	} else if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	if u.ForceQuery || u.RawQuery != "" {
		path += "?" + u.RawQuery
	}
	return scheme + "://" + host + path, nil
}

// cut shortens what a stranger wrote, for an error.
func cut(s string) string {
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}
