// Package bolt11 reads and writes Lightning invoices (BOLT 11).
//
// Decode is strict: it checks the checksum, the signature and every field it knows, and never panics. Encode writes what
// Decode reads back. Begin with Invoice.
package bolt11

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"infernet/events"
	"infernet/wallet"
)

// Networks, as they stand after "ln".
const (
	Mainnet = "bc"
	Testnet = "tb"
	Signet  = "tbs"
	Regtest = "bcrt" // also play money
	Simnet  = "sb"
)

var networks = []string{Regtest, Signet, Mainnet, Testnet, Simnet} // a longer one before its beginning

// Defaults of BOLT 11.
const (
	DefaultExpiry  = time.Hour
	DefaultMinCLTV = 18
)

// ErrMalformed is wrapped by every error of Decode.
var ErrMalformed = errors.New("malformed invoice")

// Named gives the network of invoices that a wallet means by a name.
var Named = map[string]string{"mainnet": Mainnet, "testnet": Testnet, "signet": Signet, "regtest": Regtest, "simnet": Simnet}

// Invoice is what a bolt11 invoice says.
type Invoice struct {
	Network         string
	Amount          events.Msat // 0: the payer decides
	Timestamp       time.Time
	PaymentHash     wallet.Hash
	PaymentSecret   *[32]byte
	Description     string
	DescriptionHash *[32]byte
	Expiry          time.Duration
	MinFinalCLTV    uint64
	Payee           [33]byte // the node's public key, compressed; from the signature where no field names it
	NamesPayee      bool     // the invoice has a field for it
	Features        []byte   // big-endian bits
	Metadata        []byte
	Fallbacks       []Fallback
	Routes          [][]Hop
}

// Fallback is an on-chain address to pay to otherwise, as it stands in the invoice.
type Fallback struct {
	Version byte
	Program []byte
}

// Hop is one step of a route hint.
type Hop struct {
	Node        [33]byte
	Channel     uint64
	BaseMsat    uint32
	PerMillion  uint32
	ExpiryDelta uint16
}

// Expires is when the invoice can be paid no more.
func (v *Invoice) Expires() time.Time { return v.Timestamp.Add(v.Expiry) }

// Expired says whether the invoice can be paid no more at now.
func (v *Invoice) Expired(now time.Time) bool { return !now.Before(v.Expires()) }

// Describes says whether the invoice was made for text: it is its description, or the description hash is its SHA-256.
func (v *Invoice) Describes(text string) bool {
	if v.DescriptionHash != nil {
		return *v.DescriptionHash == sha256.Sum256([]byte(text))
	}
	return v.Description == text
}

// units is how many millisatoshi one unit of each multiplier is; pico is a tenth of one.
var units = map[byte]uint64{'m': 100_000_000, 'u': 100_000, 'n': 100}

const msatPerBitcoin = 100_000_000_000

// parseAmount reads the amount of the human-readable part.
func parseAmount(s string) (events.Msat, error) {
	if s == "" {
		return 0, nil
	}
	digits, unit := s, uint64(msatPerBitcoin)
	pico := false
	switch last := s[len(s)-1]; {
	case last == 'p':
		digits, pico = s[:len(s)-1], true
	case units[last] != 0:
		digits, unit = s[:len(s)-1], units[last]
	case last < '0' || last > '9':
		return 0, fmt.Errorf("amount %q: unknown multiplier", s)
	}
	if digits == "" || digits[0] == '0' || len(digits) > 18 {
		return 0, fmt.Errorf("amount %q: no number", s)
	}
	var n uint64
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("amount %q: no number", s)
		}
		n = n*10 + uint64(c-'0')
	}
	if pico {
		if n%10 != 0 {
			return 0, fmt.Errorf("amount %q: less than a millisatoshi", s)
		}
		n, unit = n/10, 1
	}
	if n > uint64(events.MaxMsat)/unit {
		return 0, fmt.Errorf("amount %q: more than there is", s)
	}
	return events.Msat(n * unit), nil
}

// formatAmount writes the shortest form of an amount.
func formatAmount(m events.Msat) string {
	n := uint64(m)
	switch {
	case n == 0:
		return ""
	case n%msatPerBitcoin == 0:
		return fmt.Sprint(n / msatPerBitcoin)
	}
	for _, unit := range []byte("mun") {
		if n%units[unit] == 0 {
			return fmt.Sprintf("%d%c", n/units[unit], unit)
		}
	}
	return fmt.Sprintf("%dp", n*10)
}

// splitPrefix reads the human-readable part: ln, network, amount.
func splitPrefix(hrp string) (network string, amount events.Msat, err error) {
	rest, ok := strings.CutPrefix(hrp, "ln")
	if !ok {
		return "", 0, fmt.Errorf("it begins with %q, not with ln", hrp[:min(len(hrp), 4)])
	}
	for _, known := range networks {
		if after, ok := strings.CutPrefix(rest, known); ok {
			amount, err = parseAmount(after)
			return known, amount, err
		}
	}
	return "", 0, fmt.Errorf("%q is no known network", hrp)
}
