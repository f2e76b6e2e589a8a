package httpd

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// pebble gives the certificate authority to test with, or skips.
func pebble(t *testing.T) string {
	t.Helper()
	cache := os.Getenv("INFERNET_CACHE")
	if cache == "" {
		home, err := os.UserCacheDir()
		if err != nil {
			t.Skip(err)
		}
		cache = filepath.Join(home, "infernet")
	}
	program := filepath.Join(cache, "pebble", "pebble")
	if _, err := os.Stat(program); err != nil {
		t.Skipf("needs pebble; run scripts/get-pebble.sh (%v)", err)
	}
	return program
}

// nameserver answers every name with this machine, and gives the address where it does.
func nameserver(t *testing.T) string {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: packets, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, ask *dns.Msg) {
		answer := new(dns.Msg)
		answer.SetReply(ask)
		for _, q := range ask.Question {
			if q.Qtype == dns.TypeA {
				answer.Answer = append(answer.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: q.Qclass, Ttl: 1}, A: net.IPv4(127, 0, 0, 1)})
			}
		}
		w.WriteMsg(answer)
	})}
	done := make(chan struct{})
	go func() { defer close(done); server.ActivateAndServe() }()
	t.Cleanup(func() { packets.Close(); <-done })
	return packets.LocalAddr().String()
}

// authority runs pebble, which proves names at tlsPort; it gives the directory's address, the root of its own server and
// what ends it.
func authority(t *testing.T, tlsPort int) (directory, rootFile string, client *http.Client) {
	t.Helper()
	program, dir := pebble(t), t.TempDir()
	rootFile, key := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key")
	client = trusting(t, writeCertificate(t, rootFile, key, "localhost", "127.0.0.1"), false)
	listen := make([]string, 2)
	for i := range listen {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listen[i] = l.Addr().String()
		l.Close()
	}
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen[0], "managementListenAddress": listen[1], "certificate": rootFile, "privateKey": key, "httpPort": 1, "tlsPort": tlsPort,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-config", filepath.Join(dir, "config.json"), "-dnsserver", nameserver(t))
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=20")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("pebble said:\n%s", &said)
		}
	})
	directory = "https://" + listen[0] + "/dir"
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		resp, err := client.Get(directory)
		if err == nil {
			resp.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("pebble does not answer: %v", err)
		}
	}
	resp, err := client.Get("https://" + listen[1] + "/roots/0") // what its certificates lead to
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	issued, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	pool := client.Transport.(*http.Transport).TLSClientConfig.RootCAs
	if !pool.AppendCertsFromPEM(issued) {
		t.Fatalf("pebble's root is %s", issued)
	}
	return directory, rootFile, client
}

// lines is a log that a test can wait for.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{}
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default:
	}
	return l.text.Write(line)
}

func (l *lines) await(t *testing.T, part string) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	for {
		l.mu.Lock()
		said := l.text.String()
		l.mu.Unlock()
		if strings.Contains(said, part) {
			return
		}
		select {
		case <-l.more:
		case <-deadline:
			t.Fatalf("the log never said %q: %s", part, said)
		}
	}
}

// TestCertificateIsFetched from a real authority, which proves the name over TLS at this very listener (TLS-ALPN-01), and
// kept: the next start asks for none.
func TestCertificateIsFetched(t *testing.T) {
	pebble(t)
	dir := t.TempDir()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := free.Addr().(*net.TCPAddr)
	free.Close()
	directory, rootFile, client := authority(t, at.Port)
	const name = "relay.infernet.test"
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, at.String())
	}
	var serials []string
	for _, start := range []string{"first", "second"} {
		log := &lines{more: make(chan struct{}, 1)}
		s := open(t, func(c *Config) {
			c.Listen = at.String()
			c.ACME = &ACME{Names: []string{name}, Email: "operator@infernet.test", CA: directory, CAFile: rootFile, Dir: dir}
			c.Log = slog.New(slog.NewTextHandler(log, nil))
		})
		if want := fmt.Sprintf("https://%s:%d", name, at.Port); s.URL() != want {
			t.Errorf("it is at %s, want %s", s.URL(), want)
		}
		stop := run(t, s)
		if start == "first" {
			log.await(t, "fetched a certificate")
		}
		var state *tls.ConnectionState
		for deadline := time.Now().Add(20 * time.Second); state == nil; time.Sleep(10 * time.Millisecond) {
			resp, err := client.Get(s.URL() + "/healthz")
			switch {
			case err == nil:
				state = resp.TLS
				resp.Body.Close()
			case time.Now().After(deadline):
				t.Fatalf("the %s start: %v", start, err)
			}
		}
		if resp, err := client.Get(s.URL() + "/openapi.json"); err != nil || resp.StatusCode != 200 { // the name is one of the server's
			t.Errorf("by its name: %v", err)
		} else {
			resp.Body.Close()
		}
		serials = append(serials, state.PeerCertificates[0].SerialNumber.String())
		client.CloseIdleConnections()
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
	if serials[0] != serials[1] {
		t.Errorf("the second start has another certificate: %s", serials)
	}
}
