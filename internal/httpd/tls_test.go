package httpd

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// certificate makes a certificate and its key, and a client that trusts it.
func certificate(t testing.TB, names ...string) (certFile, keyFile string, client *http.Client) {
	t.Helper()
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	root := writeCertificate(t, certFile, keyFile, names...)
	return certFile, keyFile, trusting(t, root, true)
}

func trusting(t testing.TB, root *x509.Certificate, h2 bool) *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(root)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: h2}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func writeCertificate(t testing.TB, certFile, keyFile string, names ...string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: names[0]}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			cert.IPAddresses = append(cert.IPAddresses, ip)
		} else {
			cert.DNSNames = append(cert.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// TestOwnCertificate: it is read again when its files change; what is wrong is not taken, and the one before goes on.
func TestOwnCertificate(t *testing.T) {
	certFile, keyFile, client := certificate(t, "127.0.0.1", "market.example")
	s := open(t, func(c *Config) { c.CertFile, c.KeyFile = certFile, keyFile })
	s.Mount("/x", Rules{Access: Anyone}, echo)
	run(t, s)
	at := "https://" + s.listener.Addr().String()
	get := func(client *http.Client, host string) (int, error) {
		client.CloseIdleConnections()
		req, err := http.NewRequestWithContext(ctx, "GET", at+"/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := client.Do(req)
		if err != nil {
			return 0, err
		}
		resp.Body.Close()
		return resp.StatusCode, nil
	}
	if code, err := get(client, ""); code != 200 || err != nil {
		t.Errorf("its own certificate: %d, %v", code, err)
	}
	if code, err := get(client, "market.example"); code != 200 || err != nil {
		t.Errorf("by the certificate's name: %d, %v", code, err)
	}
	if want := "https://market.example:"; s.URL()[:len(want)] != want {
		t.Errorf("it is at %s", s.URL())
	}
	if err := os.WriteFile(certFile, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, err := get(client, ""); code != 200 || err != nil {
		t.Errorf("while the file is half written: %d, %v", code, err)
	}
	fresh := trusting(t, writeCertificate(t, certFile, keyFile, "127.0.0.1"), true)
	future := time.Now().Add(time.Minute) // a file system may tell time in seconds
	if err := os.Chtimes(certFile, future, future); err != nil {
		t.Fatal(err)
	}
	if code, err := get(fresh, ""); code != 200 || err != nil {
		t.Errorf("the new certificate: %d, %v", code, err)
	}
	if _, err := get(client, ""); err == nil {
		t.Error("the old certificate goes on")
	}
	old := fresh.Transport.(*http.Transport).Clone()
	old.TLSClientConfig.MaxVersion = tls.VersionTLS11
	if _, err := get(&http.Client{Transport: old}, ""); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
}
