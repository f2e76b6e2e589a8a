package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// writeCertificate writes a certificate for this machine and its key, which every program of the script trusts from then
// on: certificate CERT KEY.
func writeCertificate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: certificate CERT KEY")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	ts.Check(err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600))
	ts.Setenv("SSL_CERT_FILE", ts.MkAbs(args[0]))
}

// get asks for an address and shows the status and the body: get URL [HEADER=VALUE…]. The address may begin with ws.
func get(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: [!] get URL [HEADER=VALUE…]")
	}
	send(ts, neg, http.MethodGet, args, nil)
}

// post sends a file to an address and shows the status and the answer: post URL FILE [HEADER=VALUE…].
func post(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: [!] post URL FILE [HEADER=VALUE…]")
	}
	send(ts, neg, http.MethodPost, slices.Delete(slices.Clone(args), 1, 2), strings.NewReader(ts.ReadFile(args[1])))
}

func send(ts *testscript.TestScript, neg bool, method string, args []string, body io.Reader) {
	roots := x509.NewCertPool()
	if file := ts.Getenv("SSL_CERT_FILE"); file != "" {
		roots.AppendCertsFromPEM([]byte(ts.ReadFile(file)))
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	url := args[0]
	if strings.HasPrefix(url, "ws") {
		url = "http" + strings.TrimPrefix(url, "ws")
	}
	req, err := http.NewRequest(method, url, body)
	ts.Check(err)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, header := range args[1:] {
		name, value, _ := strings.Cut(header, "=")
		if req.Header.Set(name, value); name == "Host" {
			req.Host = value
		}
	}
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		ts.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	ts.Check(err)
	io.WriteString(ts.Stdout(), strconv.Itoa(resp.StatusCode)+"\n"+string(said))
	if neg == (resp.StatusCode < 400) {
		ts.Fatalf("%s %s: %s", method, url, resp.Status)
	}
}
