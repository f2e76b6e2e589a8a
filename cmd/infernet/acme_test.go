package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/miekg/dns"
	"github.com/rogpeppe/go-internal/testscript"
)

// authority runs a certificate authority that proves names at a port of this machine, whatever they are, and points the
// settings of a relay at it: authority NAME, which sets NAME to the address to listen on. Programs of the script trust what
// it signs.
func authority(ts *testscript.TestScript, neg bool, args []string) {
	var program string
	err := errors.New("it is nowhere in PATH")
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) { // the script's
		if at, found := exec.LookPath(filepath.Join(dir, "pebble")); found == nil {
			program, err = at, nil
		}
	}
	if neg || len(args) != 1 || err != nil {
		ts.Fatalf("usage: authority NAME, where scripts/get-pebble.sh has put pebble (%v)", err)
	}
	ports := freePorts(ts, 3)
	writeCertificate(ts, false, []string{"authority.pem", "authority.key"})
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": ports[0], "managementListenAddress": ports[1], "certificate": ts.MkAbs("authority.pem"), "privateKey": ts.MkAbs("authority.key"),
		"httpPort": 1, "tlsPort": port(ts, ports[2]),
	}})
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("authority.json"), config, 0o600))
	cmd := exec.Command(program, "-config", ts.MkAbs("authority.json"), "-dnsserver", nameserver(ts))
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=20")
	ts.Check(cmd.Start())
	ts.Defer(func() { cmd.Process.Kill(); cmd.Wait() })
	own := x509.NewCertPool()
	own.AppendCertsFromPEM([]byte(ts.ReadFile("authority.pem")))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: own}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var issued []byte
	for deadline := time.Now().Add(20 * time.Second); len(issued) == 0; time.Sleep(10 * time.Millisecond) {
		if resp, err := client.Get("https://" + ports[1] + "/roots/0"); err == nil { // what its certificates lead to
			issued, err = io.ReadAll(resp.Body)
			resp.Body.Close()
			ts.Check(err)
		}
		if time.Now().After(deadline) {
			ts.Fatalf("pebble does not answer")
		}
	}
	roots := filepath.Join(ts.MkAbs("."), "issued.pem")
	ts.Check(os.WriteFile(roots, bytes.TrimSpace(issued), 0o600))
	ts.Setenv("SSL_CERT_FILE", roots)
	ts.Setenv("INFERNET_RELAY_ACME_CA", "https://"+ports[0]+"/dir")
	ts.Setenv("INFERNET_RELAY_ACME_ROOT", ts.MkAbs("authority.pem"))
	ts.Setenv(args[0], ports[2])
}

func port(ts *testscript.TestScript, address string) int {
	_, text, err := net.SplitHostPort(address)
	ts.Check(err)
	n, err := strconv.Atoi(text)
	ts.Check(err)
	return n
}

func freePorts(ts *testscript.TestScript, n int) (all []string) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		defer l.Close()
		all = append(all, l.Addr().String())
	}
	return all
}

// nameserver answers every name with this machine, and gives the address where it does.
func nameserver(ts *testscript.TestScript) string {
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	ts.Check(err)
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
	ts.Defer(func() { packets.Close(); <-done })
	return packets.LocalAddr().String()
}
