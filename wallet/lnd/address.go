package lnd

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
)

type address struct {
	host     string
	macaroon string // hex
	tls      *tls.Config
	private  bool
}

// defaultPort is lnd's for REST.
const defaultPort = "8080"

// parseAddress reads a wallet's URL. Errors never repeat a secret: of what is no file only the name of the field is said.
func parseAddress(u *url.URL) (*address, error) {
	a := &address{host: u.Host, tls: &tls.Config{MinVersion: tls.VersionTLS12}}
	if u.Hostname() == "" {
		return nil, errors.New("lnd: the address is lnd://host:port?macaroon=FILE&cert=FILE")
	}
	if u.Port() == "" {
		a.host = net.JoinHostPort(u.Hostname(), defaultPort)
	}
	if u.User != nil || u.Path != "" && u.Path != "/" {
		return nil, errors.New("lnd: after host:port comes ?macaroon=FILE&cert=FILE, nothing else")
	}
	q := u.Query()
	for name := range q {
		if name != "macaroon" && name != "cert" && name != "private" {
			return nil, fmt.Errorf("lnd: the address has an unknown field %q; there are macaroon, cert and private", name)
		}
	}
	var err error
	if given := q.Get("private"); given != "" {
		if a.private, err = strconv.ParseBool(given); err != nil {
			return nil, errors.New("lnd: private is true or false")
		}
	}
	macaroon, err := contents(q.Get("macaroon"))
	if err != nil {
		return nil, fmt.Errorf("lnd: macaroon: %w; a provider's needs 'lncli bakemacaroon info:read invoices:read invoices:write'", err)
	}
	a.macaroon = hex.EncodeToString(macaroon)
	if q.Get("cert") == "" {
		return a, nil
	}
	raw, err := contents(q.Get("cert"))
	if err != nil {
		return nil, fmt.Errorf("lnd: cert: %w; it is tls.cert in lnd's folder", err)
	}
	return a, a.pin(raw, u.Hostname())
}

// pin trusts one certificate and no other. Under which name the node is reached does not matter then: if it is none of
// the certificate's, one of its own is asked for.
func (a *address) pin(raw []byte, host string) error {
	if block, _ := pem.Decode(raw); block != nil {
		raw = block.Bytes
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		return errors.New("lnd: cert: that is no certificate; it is tls.cert in lnd's folder")
	}
	a.tls.RootCAs = x509.NewCertPool()
	a.tls.RootCAs.AddCert(cert)
	if cert.VerifyHostname(host) != nil && len(cert.DNSNames) > 0 {
		a.tls.ServerName = cert.DNSNames[0]
	}
	return nil
}

// contents gives what a field names: a file, hex or base64.
func contents(given string) ([]byte, error) {
	if given == "" {
		return nil, errors.New("none is given")
	}
	if b, err := hex.DecodeString(given); err == nil {
		return b, nil
	}
	b, err := os.ReadFile(given)
	if err == nil {
		return b, nil
	}
	for _, form := range []*base64.Encoding{base64.RawURLEncoding, base64.URLEncoding, base64.StdEncoding} {
		if b, bad := form.DecodeString(given); bad == nil && len(b) > 60 { // a short word is a name of a file
			return b, nil
		}
	}
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("%s cannot be read: permission denied", given)
	}
	return nil, errors.New("there is no such file, and it is neither hex nor base64")
}
