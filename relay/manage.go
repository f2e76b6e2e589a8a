package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/nbd-wtf/go-nostr"

	"infernet/relay/eventlog"
)

// What an operator decides while the relay runs, over HTTP (NIP-86) or by command. A decision counts for what comes from
// then on, is on the disk before it is answered, and outlives a restart.

// ErrMethod says that there is no such method.
var ErrMethod = errors.New("this relay has no such method")

// params are a method's, read as they are asked for.
type params []json.RawMessage

func (p params) text(i int) (s string) {
	if i < len(p) {
		json.Unmarshal(p[i], &s)
	}
	return s
}

// hex64 is a key or an id.
func (p params) hex64(what string) (string, error) {
	if s := p.text(0); isHex64(s) {
		return s, nil
	}
	return "", fmt.Errorf("the first parameter is no %s of 64 lower-case hex characters", what)
}

func (p params) kind() (kind int, err error) {
	if len(p) == 0 || json.Unmarshal(p[0], &kind) != nil || kind < 0 || kind > 65535 {
		return 0, errors.New("the first parameter is no kind, 0 to 65535")
	}
	return kind, nil
}

// why is the second parameter, the reason, in a length that people read.
func (p params) why() string { return cut(p.text(1), 500) }

// method is one of NIP-86.
type method func(r *Relay, p params) (any, error)

// methods are those that there are.
var methods = map[string]method{
	"banpubkey":          onKey(func(d *decided, key, why string) { d.BannedKeys[key] = why; delete(d.AllowedKeys, key) }),
	"unbanpubkey":        onKey(func(d *decided, key, _ string) { delete(d.BannedKeys, key) }),
	"allowpubkey":        onKey(func(d *decided, key, why string) { d.AllowedKeys[key] = why; delete(d.BannedKeys, key) }),
	"unallowpubkey":      onKey(func(d *decided, key, _ string) { delete(d.AllowedKeys, key) }),
	"listbannedpubkeys":  lists("pubkey", func(d *decided) map[string]string { return d.BannedKeys }),
	"listallowedpubkeys": lists("pubkey", func(d *decided) map[string]string { return d.AllowedKeys }),

	"banevent":          (*Relay).banEvent,
	"unbanevent":        onEvent(func(d *decided, id, _ string) { delete(d.BannedEvents, id) }),
	"allowevent":        onEvent(func(d *decided, id, why string) { d.AllowedEvents[id] = why; delete(d.BannedEvents, id) }),
	"unallowevent":      onEvent(func(d *decided, id, _ string) { delete(d.AllowedEvents, id) }),
	"listbannedevents":  lists("id", func(d *decided) map[string]string { return d.BannedEvents }),
	"listallowedevents": lists("id", func(d *decided) map[string]string { return d.AllowedEvents }),

	"listeventsneedingmoderation": (*Relay).reported,

	"allowkind":           onKind(true),
	"disallowkind":        onKind(false),
	"listallowedkinds":    kindsThat(true),
	"listdisallowedkinds": kindsThat(false),

	"blockip":        (*Relay).blockIP,
	"unblockip":      (*Relay).unblockIP,
	"listblockedips": lists("ip", func(d *decided) map[string]string { return d.BlockedIPs }),

	"changerelayname":        renames(func(d *decided, to string) { d.Name = to }),
	"changerelaydescription": renames(func(d *decided, to string) { d.Description = to }),
	"changerelayicon":        renames(func(d *decided, to string) { d.Icon = to }),
}

// Manage does what a method of NIP-86 says, and gives its result. Errors wrap ErrMethod, or say what is wrong.
func (r *Relay) Manage(_ context.Context, name string, with []json.RawMessage) (any, error) {
	if name == "supportedmethods" {
		return slices.Sorted(maps.Keys(methods)), nil
	}
	do := methods[name]
	if do == nil {
		return nil, fmt.Errorf("%w as %q; supportedmethods lists them", ErrMethod, cut(name, 80))
	}
	result, err := do(r, with)
	if err == nil && result == true {
		r.Log.Info("the operator has decided", "method", name, "params", fmt.Sprintf("%s", with))
	}
	return result, err
}

func onKey(change func(d *decided, key, why string)) method {
	return func(r *Relay, p params) (any, error) {
		key, err := p.hex64("key")
		if err != nil {
			return nil, err
		}
		return true, r.rules.change(func(d *decided) error { change(d, key, p.why()); return nil })
	}
}

func onEvent(change func(d *decided, id, why string)) method {
	return func(r *Relay, p params) (any, error) {
		id, err := p.hex64("event id")
		if err != nil {
			return nil, err
		}
		return true, r.rules.change(func(d *decided) error { change(d, id, p.why()); return nil })
	}
}

func onKind(allowed bool) method {
	return func(r *Relay, p params) (any, error) {
		kind, err := p.kind()
		if err != nil {
			return nil, err
		}
		return true, r.rules.change(func(d *decided) error { d.Kinds[kind] = allowed; return nil })
	}
}

// kindsThat lists what was decided about kinds; of a relay that takes a market's only, the kinds that it takes besides.
func kindsThat(allowed bool) method {
	return func(r *Relay, _ params) (any, error) {
		kinds := []int{}
		d, terms := r.rules.now.Load(), r.terms()
		for kind, is := range d.Kinds {
			if is == allowed {
				kinds = append(kinds, kind)
			}
		}
		if allowed && terms.MarketOnly {
			for _, kind := range append(slices.Clone(marketKinds), terms.Kinds...) {
				if terms.takes(d, kind) {
					kinds = append(kinds, kind)
				}
			}
		}
		slices.Sort(kinds)
		return slices.Compact(kinds), nil
	}
}

func lists(field string, of func(*decided) map[string]string) method {
	return func(r *Relay, _ params) (any, error) {
		all := []map[string]string{}
		m := of(r.rules.now.Load())
		for _, name := range slices.Sorted(maps.Keys(m)) {
			entry := map[string]string{field: name}
			if m[name] != "" {
				entry["reason"] = m[name]
			}
			all = append(all, entry)
		}
		return all, nil
	}
}

func renames(change func(d *decided, to string)) method {
	return func(r *Relay, p params) (any, error) {
		to := p.text(0)
		if len(p) == 0 || len(to) > 2000 {
			return nil, errors.New("the first parameter is no text of up to 2000 bytes")
		}
		return true, r.rules.change(func(d *decided) error { change(d, to); return nil })
	}
}

// banEvent keeps an event away, and takes it off the store if it is there.
func (r *Relay) banEvent(p params) (any, error) {
	id, err := p.hex64("event id")
	if err != nil {
		return nil, err
	}
	if err := r.rules.change(func(d *decided) error { d.BannedEvents[id] = p.why(); delete(d.AllowedEvents, id); return nil }); err != nil {
		return nil, err
	}
	raw, _ := rawID(id)
	if _, _, there := r.store.log.Find(raw); !there {
		return true, nil
	}
	_, err = r.store.log.Do(eventlog.Write{Check: func(t *eventlog.Turn) error {
		if at, _, there := t.Find(raw); there {
			t.Kill(at)
		}
		return nil
	}})
	return true, err
}

// reported lists events that somebody has reported (NIP-56) and the operator has not decided about.
func (r *Relay) reported(params) (any, error) {
	d := r.rules.now.Load()
	all, seen := []map[string]string{}, map[string]bool{}
	for _, h := range r.store.query(context.Background(), nostr.Filters{{Kinds: []int{nostr.KindReporting}}}, 1000, r.visible, nil) {
		report := r.store.event(h)
		if report == nil {
			continue
		}
		tag := report.Tags.Find("e")
		if tag == nil || !isHex64(tag[1]) || seen[tag[1]] || !r.store.has(tag[1]) {
			continue
		}
		_, banned := d.BannedEvents[tag[1]]
		_, allowed := d.AllowedEvents[tag[1]]
		if seen[tag[1]] = true; banned || allowed {
			continue
		}
		why := ""
		if len(tag) > 2 {
			why = tag[2]
		}
		if report.Content != "" {
			why += because(report.Content)
		}
		all = append(all, map[string]string{"id": tag[1], "reason": cut(why, 500)})
	}
	return all, nil
}

// blockIP keeps an address or a network out, and ends what is connected from there.
func (r *Relay) blockIP(p params) (any, error) {
	network, err := parseNetwork(p.text(0))
	if err != nil {
		return nil, err
	}
	if err := r.rules.change(func(d *decided) error { d.BlockedIPs[nameOf(network)] = p.why(); return nil }); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.sessions {
		if network.Contains(s.from) {
			s.end()
		}
	}
	return true, nil
}

func (r *Relay) unblockIP(p params) (any, error) {
	network, err := parseNetwork(p.text(0))
	if err != nil {
		return nil, err
	}
	return true, r.rules.change(func(d *decided) error { delete(d.BlockedIPs, nameOf(network)); return nil })
}

// nameOf is how a network is written: one address without its length.
func nameOf(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// visible says whether an event is shown while bans hold: those of a banned key come back when it is let in again.
func (r *Relay) visible(ev *nostr.Event) bool {
	_, banned := r.rules.now.Load().BannedKeys[ev.PubKey]
	return !banned
}
