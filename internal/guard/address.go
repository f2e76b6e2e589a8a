package guard

import (
	"net/netip"
	"strings"
)

// special are the addresses that are not the public internet's (IANA's registries of special-purpose addresses, RFC
// 6890), and those that carry an IPv4 address inside and are no way to reach it.
var special = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "3fff::/20", // Teredo and ORCHID are in the first
)

var (
	global = netip.MustParsePrefix("2000::/3")     // all of IPv6 that is routed
	nat64  = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052: the last four bytes are an IPv4 address
	sixTo4 = netip.MustParsePrefix("2002::/16")    // RFC 3056: bytes 2 to 6 are
)

func prefixes(all ...string) (out []netip.Prefix) {
	for _, s := range all {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// Public says whether an address is one of the public internet: not this machine, not its private networks, not a
// cloud's metadata, in whatever way it is written.
func Public(ip netip.Addr) bool {
	ip = ip.Unmap()
	if !ip.IsValid() || ip.Zone() != "" {
		return false
	}
	if ip = inner(ip); ip.Is6() && !global.Contains(ip) {
		return false
	}
	for _, p := range special {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}

// inner is the IPv4 address that one of IPv6 stands for, if it does.
func inner(ip netip.Addr) netip.Addr {
	ip = ip.Unmap()
	switch raw := ip.As16(); {
	case ip.Is6() && nat64.Contains(ip):
		return netip.AddrFrom4([4]byte(raw[12:]))
	case ip.Is6() && sixTo4.Contains(ip):
		return netip.AddrFrom4([4]byte(raw[2:6]))
	}
	return ip
}

// public says whether an address is public, and leads away from here. What this machine itself is called in the internet
// leads past its firewall; and the machines beside it have public addresses in IPv6, too, where only a router keeps strangers
// out. Machines beside it in IPv4 may be anybody's: a data centre has large networks.
func (g *Guard) public(ip netip.Addr) bool {
	if !Public(ip) {
		return false
	}
	ip = inner(ip)
	own, err := g.Own()
	if err != nil {
		return false
	}
	for _, addr := range own {
		p, err := netip.ParsePrefix(addr.String())
		if err != nil {
			continue
		}
		if at := p.Addr().Unmap(); ip == at || ip.Is6() && at.Is6() && Public(at) && p.Bits() >= 48 && p.Contains(ip) {
			return false
		}
	}
	return true
}

// endsInNumber says whether a host is what resolvers read as an IPv4 address in one of its old spellings: 2130706433,
// 0x7f.1, 017700000001 (WHATWG URL, "ends in a number").
func endsInNumber(host string) bool {
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	last := strings.ToLower(labels[len(labels)-1])
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}
