package relay

import (
	"fmt"
	"net/http"
	"net/netip"
	"sync"
)

// seats counts connections, all and by the address that they come from.
type seats struct {
	mu    sync.Mutex
	taken int
	from  map[netip.Prefix]int
}

// full is why a connection is not taken: an HTTP status and what to say with it.
type full struct {
	code int
	text string
}

func (f *full) write(w http.ResponseWriter) {
	if f.code != http.StatusForbidden {
		w.Header().Set("Retry-After", "60")
	}
	http.Error(w, f.text, f.code)
}

// seat takes a place for a connection that comes from an address. leave gives it back, once.
func (r *Relay) seat(address string) (leave func(), no *full) {
	from := network(address)
	s, terms := &r.seats, r.terms()
	if why, blocked := r.rules.now.Load().blocks(addressIn(address)); blocked {
		return nil, &full{http.StatusForbidden, "this relay's operator takes no connections from " + addressIn(address).String() + because(why)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.taken >= terms.MaxConns:
		return nil, &full{http.StatusServiceUnavailable, fmt.Sprintf("this relay is full: it takes %d connections; try another one, or again in a minute", terms.MaxConns)}
	case from.IsValid() && s.from[from] >= terms.MaxConnsPerAddress:
		return nil, &full{http.StatusTooManyRequests, fmt.Sprintf("%d connections from %s are open, and no more are taken; close one first", terms.MaxConnsPerAddress, from)}
	}
	s.taken++
	if from.IsValid() {
		s.from[from]++
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.taken--
		if s.from[from]--; s.from[from] <= 0 {
			delete(s.from, from)
		}
	}, nil
}

// addressIn is the IP address of a connection; invalid if there is none.
func addressIn(address string) netip.Addr {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}

// network is whom an address is counted for: of IPv6, one customer has at least a /64. This machine's own addresses are
// not counted: a proxy in front of the relay has one.
func network(address string) netip.Prefix {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return netip.Prefix{}
	}
	ip := at.Addr().Unmap().WithZone("")
	if ip.IsLoopback() {
		return netip.Prefix{}
	}
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(ip, bits).Masked()
}
