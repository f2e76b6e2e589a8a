package blob

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"infernet/events"
)

// serveEnv makes the test binary a server of files in a folder: it prints its address, and ends with its stdin.
const serveEnv = "INFERNET_TEST_BLOBS"

func TestMain(m *testing.M) {
	dir := os.Getenv(serveEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	s, err := Open(context.Background(), Config{Dir: dir, MinFree: 1})
	if err != nil {
		panic(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(l)
	fmt.Println("http://" + l.Addr().String())
	io.Copy(io.Discard, os.Stdin)
	server.Close()
	s.Close()
	os.Exit(0)
}

// process is a server in a process of its own.
type process struct {
	url string
	pid int
	cmd *exec.Cmd
	in  io.Closer
}

func start(t testing.TB, dir string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveEnv+"="+dir, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{pid: cmd.Process.Pid, cmd: cmd, in: in}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	if _, err := fmt.Fscanln(out, &p.url); err != nil {
		t.Fatal(err)
	}
	return p
}

// peak is the most memory that the process has had, in KiB; with reset it is counted anew from now.
func (p *process) peak(t testing.TB, reset bool) (kib int64) {
	t.Helper()
	if reset {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.pid), []byte("5"), 0); err != nil {
			t.Skipf("needs Linux, to see the memory of a process: %v", err)
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib
}

// serve is a server in this process.
func serve(t testing.TB, change func(*Config)) (s *Server, url string) {
	t.Helper()
	c := Config{Dir: t.TempDir(), MinFree: 1}
	if change != nil {
		change(&c)
	}
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, server.URL
}

// client is a client with a key of its own.
func client(t testing.TB, servers ...string) *Client {
	t.Helper()
	c := NewClient(ClientConfig{Signer: events.GenerateKeys(), Trusted: servers})
	t.Cleanup(c.Close)
	return c
}

// big is a file of any size that is nowhere: its bytes follow from their place, so each part can be made anew.
type big struct {
	seed [8]byte
	size int64
}

func newBig(size int64) *big {
	b := &big{size: size}
	rand.Read(b.seed[:])
	return b
}

func (b *big) ReadAt(p []byte, off int64) (n int, err error) {
	if left := b.size - off; int64(len(p)) > left {
		p, err = p[:max(left, 0)], io.EOF
	}
	for n < len(p) {
		at := off + int64(n)
		block, in := uint64(at)>>12, int(at&4095)
		m := copy(p[n:], pattern[in:])
		for i := n; i < n+m && (at+int64(i-n))&4095 < 8; i++ { // each block of 4 KiB begins with its number
			k := (at + int64(i-n)) & 4095
			p[i] = byte(block>>(8*k)) ^ b.seed[k]
		}
		n += m
	}
	return n, err
}

var pattern = func() (p [4096]byte) { rand.Read(p[:]); return p }()

func (b *big) source() Source { return Source{Data: b, Size: b.size, Mime: "application/octet-stream"} }

// reader is the file from its start.
func (b *big) reader() io.Reader { return io.NewSectionReader(b, 0, b.size) }

// discard is for servers that are cut on purpose.
var discard = log.New(io.Discard, "", 0)
