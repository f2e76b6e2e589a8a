package httpd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"go.uber.org/zap"
)

// ACME says for which names a certificate is fetched, and from whom (RFC 8555). The authority proves the names over TLS
// on port 443 (TLS-ALPN-01, RFC 8737): that has to lead to this listener. Who sets it agrees to the authority's terms.
type ACME struct {
	Names  []string
	Email  string // for the authority, may be left out
	CA     string // its directory's address; Let's Encrypt if unset
	CAFile string // PEM file of the root that the authority's own server has, if no system knows it
	Dir    string // where certificates and the account are kept
}

// certificates is where a server's certificate comes from.
type certificates struct {
	certFile, keyFile string
	log               *slog.Logger

	mu    sync.Mutex
	read  [2]time.Time // the files' times when they were read
	own   *tls.Certificate
	leafs []string // names in it

	acme  *ACME
	magic *certmagic.Config
	cache *certmagic.Cache
}

// newCertificates reads what the config names; nil if there is to be no TLS.
func newCertificates(c Config, at *net.TCPAddr) (*certificates, error) {
	t := &certificates{certFile: c.CertFile, keyFile: c.KeyFile, acme: c.ACME, log: c.Log}
	switch {
	case c.CertFile == "" && c.KeyFile == "" && c.ACME == nil:
		return nil, nil
	case c.ACME != nil && (c.CertFile != "" || c.KeyFile != ""):
		return nil, errors.New("TLS: an own certificate and one that is fetched are set; leave one out")
	case c.ACME != nil:
		return t, t.prepare(c, at)
	case c.CertFile == "" || c.KeyFile == "":
		return nil, errors.New("TLS: a certificate needs its key; set --tls-cert and --tls-key")
	}
	if err := t.load(); err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return t, nil
}

// load reads the own certificate if its files have changed. What is half written or wrong is not taken: the one before
// goes on.
func (t *certificates) load() error {
	var now [2]time.Time
	for i, path := range []string{t.certFile, t.keyFile} {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		now[i] = info.ModTime()
	}
	if now == t.read {
		return nil
	}
	t.read = now // one try for each change
	own, err := tls.LoadX509KeyPair(t.certFile, t.keyFile)
	if err != nil {
		return fmt.Errorf("read %s and %s: %w", t.certFile, t.keyFile, err)
	}
	t.own, t.leafs = &own, nil
	t.leafs = append(t.leafs, own.Leaf.DNSNames...)
	if time.Now().After(own.Leaf.NotAfter) {
		t.log.Error("the certificate has expired", "file", t.certFile, "at", own.Leaf.NotAfter)
	}
	return nil
}

func (t *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.load(); err != nil {
		t.log.Error("the certificate stays as it was", "err", err)
	}
	return t.own, nil
}

// prepare makes ready to fetch; nothing is asked yet.
func (t *certificates) prepare(c Config, at *net.TCPAddr) error {
	if len(c.ACME.Names) == 0 || c.ACME.Dir == "" {
		return errors.New("ACME: no name or no folder is set")
	}
	roots, err := rootsOf(c.ACME.CAFile)
	if err != nil {
		return err
	}
	quiet := zap.NewNop() // what people should know comes as events
	t.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return t.magic, nil },
		Logger:           quiet,
	})
	t.magic = certmagic.New(t.cache, certmagic.Config{
		Storage: &certmagic.FileStorage{Path: c.ACME.Dir}, Logger: quiet, OnEvent: t.tell,
		DefaultServerName: c.ACME.Names[0], // who asks for no name
	})
	t.magic.Issuers = []certmagic.Issuer{certmagic.NewACMEIssuer(t.magic, certmagic.ACMEIssuer{
		CA: first(c.ACME.CA, certmagic.LetsEncryptProductionCA), TestCA: c.ACME.CA, Email: c.ACME.Email, Agreed: true, TrustedRoots: roots, Logger: quiet,
		DisableHTTPChallenge: true, ListenHost: at.IP.String(), AltTLSALPNPort: at.Port, // this listener answers it
	})}
	return nil
}

func rootsOf(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("ACME: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(body) {
		return nil, fmt.Errorf("ACME: %s holds no certificate", path)
	}
	return roots, nil
}

// tell says how fetching goes.
func (t *certificates) tell(_ context.Context, event string, data map[string]any) error {
	switch event {
	case "cert_obtained":
		t.log.Info("fetched a certificate", "name", data["identifier"], "renewal", data["renewal"])
	case "cert_failed":
		t.log.Error("no certificate; it is tried again", "name", data["identifier"], "err", data["error"])
	}
	return nil
}

func (t *certificates) config() *tls.Config {
	if t.acme == nil {
		return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: t.get}
	}
	config := t.magic.TLSConfig()
	config.NextProtos = []string{"h2", "http/1.1", acmez.ACMETLS1Protocol}
	return config
}

// fetch begins to fetch and renew, until ctx ends; the listener has to answer by now.
func (t *certificates) fetch(ctx context.Context) error {
	if t.acme == nil {
		return nil
	}
	return t.magic.ManageAsync(ctx, t.acme.Names)
}

func (t *certificates) close() {
	if t.cache != nil {
		t.cache.Stop()
	}
}

// names are the names that the certificate is for, without those that stand for many.
func (t *certificates) names() (names []string) {
	if t == nil {
		return nil
	}
	all := t.leafs
	if t.acme != nil {
		all = t.acme.Names
	}
	for _, name := range all {
		if !strings.HasPrefix(name, "*") {
			names = append(names, name)
		}
	}
	return names
}

func (t *certificates) name() string {
	if names := t.names(); len(names) > 0 {
		return names[0]
	}
	return ""
}
