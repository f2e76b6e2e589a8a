package nip47

import (
	"errors"
	"net/url"
	"slices"
	"strings"
)

// URI is the address of a wallet connection. It holds a secret: never log it.
type URI struct {
	Wallet string // the wallet service's public key
	Relays []string
	Secret string // the client's secret key
}

// Scheme is how such an address begins.
const Scheme = "nostr+walletconnect"

// ParseURI reads nostr+walletconnect://<wallet>?relay=…&secret=…, with as many relays as there are. Errors do not repeat
// the secret.
func ParseURI(u *url.URL) (URI, error) {
	wallet := u.Host
	if wallet == "" {
		wallet = strings.Trim(u.Opaque, "/")
	}
	c := URI{Wallet: wallet, Relays: u.Query()["relay"], Secret: u.Query().Get("secret")}
	switch {
	case !isKey(c.Wallet):
		return c, errors.New("the wallet key, before the ?, is not 64 hex characters")
	case !isKey(c.Secret):
		return c, errors.New("the secret is not 64 hex characters")
	case len(c.Relays) == 0:
		return c, errors.New("no relay is named")
	}
	return c, nil
}

func (c URI) String() string {
	q := url.Values{"relay": c.Relays, "secret": {c.Secret}}
	return Scheme + "://" + c.Wallet + "?" + q.Encode()
}

func isKey(s string) bool {
	return len(s) == 64 && !slices.ContainsFunc([]byte(s), func(c byte) bool { return (c < '0' || c > '9') && (c < 'a' || c > 'f') })
}
