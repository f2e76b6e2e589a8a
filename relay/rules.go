package relay

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// rulesName is the file in a relay's folder that holds what its operator has decided while it ran.
const rulesName = "rules.json"

// decided are the operator's decisions: who and what is kept out, who is known. Reasons are for people, and may be "".
type decided struct {
	BannedKeys    map[string]string `json:"banned_keys,omitempty"`    // hex; why
	AllowedKeys   map[string]string `json:"allowed_keys,omitempty"`   // hex; why
	BannedEvents  map[string]string `json:"banned_events,omitempty"`  // id; why
	AllowedEvents map[string]string `json:"allowed_events,omitempty"` // id; why: reports of it are answered
	Kinds         map[int]bool      `json:"kinds,omitempty"`          // allowed or not, whatever the settings say
	BlockedIPs    map[string]string `json:"blocked_ips,omitempty"`    // address or network; why
	Name          string            `json:"name,omitempty"`           // instead of the settings'
	Description   string            `json:"description,omitempty"`
	Icon          string            `json:"icon,omitempty"`

	networks []netip.Prefix // of BlockedIPs
}

// rules hold the decisions. What is decided counts at once, and is on the disk before it is said to be.
type rules struct {
	path string // "" keeps them in memory
	now  atomic.Pointer[decided]
	mu   sync.Mutex // one change at a time
}

func openRules(dir string) (*rules, error) {
	r := &rules{}
	r.now.Store(&decided{})
	if dir == "" {
		return r, nil
	}
	r.path = filepath.Join(dir, rulesName)
	body, err := os.ReadFile(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	var d decided
	if err := json.Unmarshal(body, &d); err != nil {
		return nil, fmt.Errorf("%s: %w; mend it, or move it away: then nobody is banned", r.path, err)
	}
	if err := d.ready(); err != nil {
		return nil, fmt.Errorf("%s: %w", r.path, err)
	}
	r.now.Store(&d)
	return r, nil
}

// ready reads what is looked at often.
func (d *decided) ready() error {
	d.networks = nil
	for text := range d.BlockedIPs {
		p, err := parseNetwork(text)
		if err != nil {
			return err
		}
		d.networks = append(d.networks, p)
	}
	return nil
}

// parseNetwork reads an address or a network, as one of IPv4 where it is one.
func parseNetwork(text string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Masked(), nil
	}
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q is no IP address and no network such as 192.0.2.0/24", text)
	}
	ip = ip.Unmap()
	return netip.PrefixFrom(ip, ip.BitLen()), nil
}

// change decides something. The file is written first.
func (r *rules) change(how func(*decided) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.now.Load().clone()
	if err := how(next); err != nil {
		return err
	}
	if err := next.ready(); err != nil {
		return err
	}
	if r.path != "" {
		body, err := json.MarshalIndent(next, "", "  ")
		if err != nil {
			return err
		}
		if err := replaceFile(r.path, append(body, '\n')); err != nil {
			return err
		}
	}
	r.now.Store(next)
	return nil
}

func (d *decided) clone() *decided {
	c := *d
	c.BannedKeys, c.AllowedKeys, c.BannedEvents = copied(d.BannedKeys), copied(d.AllowedKeys), copied(d.BannedEvents)
	c.AllowedEvents, c.Kinds, c.BlockedIPs = copied(d.AllowedEvents), copied(d.Kinds), copied(d.BlockedIPs)
	return &c
}

func copied[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return maps.Clone(m)
}

// blocks says whether an address is kept out, and why.
func (d *decided) blocks(ip netip.Addr) (why string, blocked bool) {
	for _, p := range d.networks {
		if p.Contains(ip) {
			for text, why := range d.BlockedIPs {
				if q, err := parseNetwork(text); err == nil && q == p {
					return why, true
				}
			}
			return "", true
		}
	}
	return "", false
}

// replaceFile writes a file whole or not at all, and comes back once it survives a loss of power.
func replaceFile(path string, body []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part") // for its owner only
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(body)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return errors.Join(os.Rename(f.Name(), path), syncFolder(filepath.Dir(path)))
}

// kept are the files that a backup holds beside the log.
func (r *Relay) kept() map[string][]byte {
	body, err := json.MarshalIndent(r.rules.now.Load(), "", "  ")
	if err != nil {
		return nil
	}
	return map[string][]byte{rulesName: append(body, '\n')}
}
