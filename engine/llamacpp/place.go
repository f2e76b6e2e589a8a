package llamacpp

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"infernet/engine/internal/completions"
)

// place is where a llama-server listens, as it and its client need to know.
type place struct {
	args   []string
	config completions.Config
	socket string // path of the unix socket; empty on TCP
}

// maxSocket is the longest path of a unix socket that every system takes, in bytes.
const maxSocket = 100

// placeFor picks a unix socket in dir, which only this user can enter, or a port of 127.0.0.1.
func placeFor(o options, dir string) (place, error) {
	socket := filepath.Join(dir, "llama.sock")
	if o.port < 0 && runtime.GOOS != "windows" && len(socket) <= maxSocket {
		return place{
			args:   []string{"--host", socket},
			config: completions.Config{Base: &url.URL{Scheme: "http", Host: "llama-server", Path: "/v1"}, Socket: socket},
			socket: socket,
		}, nil
	}
	port := o.port
	if port <= 0 {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return place{}, fmt.Errorf("find a free port for llama-server: %w", err)
		}
		port = free.Addr().(*net.TCPAddr).Port
		free.Close()
	} else if taken, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err != nil {
		return place{}, fmt.Errorf("port %d for llama-server: %w; leave port= out of the engine's address", port, err)
	} else {
		taken.Close()
	}
	return place{
		args:   []string{"--host", "127.0.0.1", "--port", strconv.Itoa(port)},
		config: completions.Config{Base: &url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Path: "/v1"}},
	}, nil
}

// clear removes what a dead server left where the next one listens.
func (p place) clear() {
	if p.socket != "" {
		os.Remove(p.socket)
	}
}
