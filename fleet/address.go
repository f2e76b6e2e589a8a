package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip19"

	"infernet/events"
)

// Address is what an owner needs to register a node.
type Address struct {
	Node   events.PubKey
	Relays []string
	Code   string // the one-time code; "" if it is not in there
}

// String is the address as a node shows it, also as a QR code: infernet:npub1…?relay=wss://…&code=….
func (a Address) String() string {
	npub, err := nip19.EncodePublicKey(string(a.Node))
	if err != nil {
		npub = string(a.Node)
	}
	q := url.Values{}
	for _, relay := range a.Relays {
		q.Add("relay", relay)
	}
	if a.Code != "" {
		q.Set("code", a.Code)
	}
	if len(q) == 0 {
		return "infernet:" + npub
	}
	return "infernet:" + npub + "?" + q.Encode()
}

// IdentityPath is where a node's HTTP door says who it is.
const IdentityPath = "/api/v1/node"

// Find reads what somebody typed, pasted or scanned: an npub or a key in hex, nprofile, infernet:…, or the IP address or
// name of the node's machine, which is asked who it is.
func Find(ctx context.Context, c *http.Client, text string) (Address, error) {
	text = strings.TrimSpace(text)
	if rest, ok := strings.CutPrefix(text, "infernet:"); ok {
		name, query, _ := strings.Cut(strings.TrimPrefix(rest, "//"), "?")
		q, err := url.ParseQuery(query)
		if err != nil {
			return Address{}, fmt.Errorf("address of a node: %w", err)
		}
		a, err := key(name)
		a.Relays, a.Code = append(a.Relays, q["relay"]...), q.Get("code")
		return a, err
	}
	if a, err := key(text); err == nil {
		return a, nil
	} else if strings.HasPrefix(text, "npub1") || strings.HasPrefix(text, "nprofile1") {
		return Address{}, err
	}
	return ask(ctx, c, text)
}

func key(text string) (Address, error) {
	switch {
	case nostr.IsValidPublicKey(text):
		return Address{Node: events.PubKey(text)}, nil
	case strings.HasPrefix(text, "npub1"), strings.HasPrefix(text, "nprofile1"):
		_, value, err := nip19.Decode(text)
		if err != nil {
			return Address{}, fmt.Errorf("%.20s…: %w", text, err)
		}
		switch v := value.(type) {
		case string:
			return Address{Node: events.PubKey(v)}, nil
		case nostr.ProfilePointer:
			return Address{Node: events.PubKey(v.PublicKey), Relays: v.Relays}, nil
		}
	}
	return Address{}, fmt.Errorf("%.40q is no key of 64 hex characters, nor npub", text)
}

// ask asks a machine which node it is: over https, and http where that is not spoken.
func ask(ctx context.Context, c *http.Client, text string) (Address, error) {
	bases := []string{text}
	if !strings.Contains(text, "://") {
		if _, _, err := net.SplitHostPort(text); err != nil {
			text = net.JoinHostPort(strings.Trim(text, "[]"), "3000") // where nodes are by default
		}
		bases = []string{"https://" + text, "http://" + text}
	}
	var last error
	for _, base := range bases {
		u, err := url.Parse(base)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return Address{}, fmt.Errorf("%.80q is no key, no address of a node, and no machine's name", text)
		}
		who, err := identify(ctx, c, u.Scheme+"://"+u.Host)
		if err != nil {
			last = err
			continue
		}
		a := Address{Node: who.Node}
		for _, relay := range who.Relays {
			a.Relays = append(a.Relays, reachable(relay, u.Hostname()))
		}
		return a, nil
	}
	var silent *url.Error
	if errors.As(last, &silent) {
		last = fmt.Errorf("no node answers at %s: %w; its key, or the address that it shows (infernet provide owner), needs no way to it", text, silent.Err)
	}
	return Address{}, last
}

func identify(ctx context.Context, c *http.Client, base string) (who Identity, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+IdentityPath, nil)
	if err != nil {
		return who, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return who, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return who, fmt.Errorf("%s is no node: %s", base, resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&who); err != nil {
		return who, fmt.Errorf("%s is no node: %w", base, err)
	}
	if !nostr.IsValidPublicKey(string(who.Node)) {
		return who, fmt.Errorf("%s is no node: it names no key", base)
	}
	return who, nil
}

// reachable is a relay as others reach it: one that the node knows by this machine's own name is at the name that the node was
// asked by.
func reachable(relay, host string) string {
	u, err := url.Parse(relay)
	if err != nil {
		return relay
	}
	ip := net.ParseIP(u.Hostname())
	if u.Hostname() != "localhost" && !ip.IsLoopback() && !ip.IsUnspecified() {
		return relay
	}
	u.Host = net.JoinHostPort(host, u.Port())
	if u.Port() == "" {
		u.Host = host
	}
	return u.String()
}
