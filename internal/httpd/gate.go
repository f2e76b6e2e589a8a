package httpd

import (
	"net"
	"net/netip"
	"sync"
)

// gate bounds connections: all of them, and those of one address, so that one peer cannot take all. Who is too many is
// closed at once, before a byte is read. This machine's own are only counted: a proxy's are everybody's.
type gate struct {
	net.Listener
	most, peer int
	meters     *meters

	mu  sync.Mutex
	all int
	of  map[netip.Prefix]int
}

func newGate(l net.Listener, most, peer int, m *meters) *gate {
	return &gate{Listener: l, most: most, peer: peer, meters: m, of: map[netip.Prefix]int{}}
}

func (g *gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		tcp := conn.(*net.TCPConn)
		from := peerOf(conn.RemoteAddr())
		if !g.enter(from) {
			g.meters.turned.Inc()
			tcp.SetLinger(0)
			tcp.Close()
			continue
		}
		return &guest{TCPConn: tcp, leave: sync.OnceFunc(func() { g.leave(from) })}, nil
	}
}

func (g *gate) enter(from netip.Prefix) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all >= g.most || (g.of[from] >= g.peer && !from.Addr().IsLoopback()) {
		return false
	}
	g.all++
	g.of[from]++
	g.meters.conns.Inc()
	return true
}

func (g *gate) leave(from netip.Prefix) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all--
	if g.of[from]--; g.of[from] == 0 {
		delete(g.of, from)
	}
	g.meters.conns.Dec()
}

// peerOf is whom an address stands for: of IPv6 everybody has a /64.
func peerOf(addr net.Addr) netip.Prefix {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() && !ip.IsLoopback() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // bits fit
	return p
}

// guest is a connection that was let in.
type guest struct {
	*net.TCPConn // with all that the system offers for it
	leave        func()
}

func (c *guest) Close() error {
	c.leave()
	return c.TCPConn.Close()
}
