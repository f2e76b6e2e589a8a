package bolt11

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/btcutil/bech32"
)

const (
	timestampWords = 7
	signatureWords = 104
	hashWords      = 52
	keyWords       = 53
	maxLength      = 7089 // characters that the largest QR code holds
	maxExpiry      = 1 << 32 * time.Second
)

// Field types: their letters in bech32's alphabet.
const (
	fieldPaymentHash = 1  // p
	fieldRoute       = 3  // r
	fieldFeatures    = 5  // 9
	fieldExpiry      = 6  // x
	fieldFallback    = 9  // f
	fieldDescription = 13 // d
	fieldSecret      = 16 // s
	fieldPayee       = 19 // n
	fieldHash        = 23 // h
	fieldMinCLTV     = 24 // c
	fieldMetadata    = 27 // m
)

// Decode reads an invoice, in lower or upper case, with or without "lightning:" before it. Errors wrap ErrMalformed.
func Decode(s string) (*Invoice, error) {
	v, err := decode(s)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return v, nil
}

func decode(s string) (*Invoice, error) {
	s = strings.TrimSpace(s)
	if len(s) > 10 && strings.EqualFold(s[:10], "lightning:") {
		s = s[10:]
	}
	if len(s) > maxLength {
		return nil, fmt.Errorf("%d characters", len(s))
	}
	hrp, data, err := bech32.DecodeNoLimit(s)
	if err != nil {
		return nil, err
	}
	v := &Invoice{Expiry: DefaultExpiry, MinFinalCLTV: DefaultMinCLTV}
	if v.Network, v.Amount, err = splitPrefix(hrp); err != nil {
		return nil, err
	}
	if len(data) < timestampWords+signatureWords {
		return nil, errors.New("too short")
	}
	body, signature := words(data[:len(data)-signatureWords]), words(data[len(data)-signatureWords:])
	at, err := body[:timestampWords].number()
	if err != nil {
		return nil, err
	}
	v.Timestamp = time.Unix(int64(at), 0)
	seen, err := v.fields(body[timestampWords:])
	if err != nil {
		return nil, err
	}
	if !seen[fieldPaymentHash] {
		return nil, errors.New("no payment hash")
	}
	if !seen[fieldSecret] {
		return nil, errors.New("no payment secret")
	}
	if !seen[fieldDescription] && !seen[fieldHash] {
		return nil, errors.New("no description")
	}
	if seen[fieldDescription] && seen[fieldHash] {
		return nil, errors.New("a description and a description hash")
	}
	if err := v.checkFeatures(); err != nil {
		return nil, err
	}
	return v, v.verify(hrp, body, signature.bytes())
}

// fields reads the tagged fields. What is unknown, or of another length than it should be, is skipped as BOLT 11 says.
func (v *Invoice) fields(w words) (seen map[byte]bool, err error) {
	seen = map[byte]bool{}
	for len(w) > 0 {
		if len(w) < 3 {
			return nil, errors.New("a field is cut")
		}
		kind, size := w[0], int(w[1])<<5|int(w[2])
		if w = w[3:]; size > len(w) {
			return nil, errors.New("a field is cut")
		}
		data := w[:size]
		w = w[size:]
		if seen[kind] && kind != fieldFallback && kind != fieldRoute {
			continue // the first one counts
		}
		used, err := v.field(kind, data)
		if err != nil {
			return nil, err
		}
		seen[kind] = seen[kind] || used
	}
	return seen, nil
}

func (v *Invoice) field(kind byte, data words) (used bool, err error) {
	switch kind {
	case fieldPaymentHash:
		return fixed(data, hashWords, v.PaymentHash[:])
	case fieldSecret:
		v.PaymentSecret = new([32]byte)
		if used, err = fixed(data, hashWords, v.PaymentSecret[:]); !used {
			v.PaymentSecret = nil
		}
		return used, err
	case fieldHash:
		v.DescriptionHash = new([32]byte)
		if used, err = fixed(data, hashWords, v.DescriptionHash[:]); !used {
			v.DescriptionHash = nil
		}
		return used, err
	case fieldPayee:
		v.NamesPayee, err = fixed(data, keyWords, v.Payee[:])
		return v.NamesPayee, err
	case fieldDescription:
		text, err := data.whole()
		if err != nil {
			return false, err
		}
		if !utf8.Valid(text) {
			return false, errors.New("the description is no UTF-8")
		}
		v.Description = string(text)
		return true, nil
	case fieldExpiry:
		n, err := data.number()
		if err != nil || n > uint64(maxExpiry/time.Second) {
			return false, errors.New("the expiry is too long")
		}
		v.Expiry = time.Duration(n) * time.Second
		return true, nil
	case fieldMinCLTV:
		v.MinFinalCLTV, err = data.number()
		return err == nil, err
	case fieldFeatures:
		v.Features = featureBytes(data)
	case fieldMetadata:
		v.Metadata, err = data.whole()
		return err == nil, err
	case fieldFallback:
		f, err := fallback(data)
		if err != nil {
			return false, err
		}
		v.Fallbacks = append(v.Fallbacks, f)
	case fieldRoute:
		route, err := hops(data)
		if err != nil {
			return false, err
		}
		v.Routes = append(v.Routes, route)
	}
	return true, nil
}

func fixed(data words, size int, to []byte) (used bool, err error) {
	if len(data) != size {
		return false, nil
	}
	body, err := data.whole()
	copy(to, body)
	return err == nil, err
}

// featureBytes packs a number of groups, right-aligned, into bytes.
func featureBytes(data words) []byte {
	size := (len(data)*5 + 7) / 8
	out := make([]byte, size)
	bit := len(data)*5 - 1
	for _, five := range data {
		for k := 4; k >= 0; k-- {
			if five>>k&1 == 1 {
				out[size-1-bit/8] |= 1 << (bit % 8)
			}
			bit--
		}
	}
	return bytes.TrimLeft(out, "\x00")
}

// Feature bits that a payer must understand and does (BOLT 9): var_onion_optin, payment_secret, basic_mpp,
// option_payment_metadata and option_route_blinding.
var knownFeatures = map[int]bool{8: true, 14: true, 16: true, 24: true, 48: true}

// checkFeatures refuses an invoice that demands what nobody here knows: an even bit.
func (v *Invoice) checkFeatures() error {
	for i, b := range v.Features {
		for k := range 8 {
			bit := (len(v.Features)-1-i)*8 + k
			if b>>k&1 == 1 && bit%2 == 0 && !knownFeatures[bit] {
				return fmt.Errorf("it demands feature %d, which is unknown here", bit)
			}
		}
	}
	return nil
}

// fallbackSizes are how many bytes an address of each version has: segwit 0 and 1, a key's hash, a script's.
var fallbackSizes = map[byte][]int{0: {20, 32}, 1: {32}, 17: {20}, 18: {20}}

// fallback reads an address on the chain. One of an unknown version is kept as it is.
func fallback(data words) (f Fallback, err error) {
	if len(data) < 2 {
		return f, errors.New("an empty fallback address")
	}
	f = Fallback{data[0], data[1:].bytes()}
	if sizes, known := fallbackSizes[f.Version]; known {
		if f.Program, err = data[1:].whole(); err != nil {
			return f, fmt.Errorf("fallback address: %w", err)
		}
		if !slices.Contains(sizes, len(f.Program)) {
			return f, fmt.Errorf("a fallback address of version %d with %d bytes", f.Version, len(f.Program))
		}
	}
	return f, nil
}

// hopSize is how many bytes one step of a route has.
const hopSize = 51

// hops reads a route: whole steps, over nodes that there can be.
func hops(field words) (route []Hop, err error) {
	data, err := field.whole()
	if err != nil {
		return nil, err
	}
	if len(data) == 0 || len(data)%hopSize != 0 {
		return nil, fmt.Errorf("a route of %d bytes, %d for each step are wanted", len(data), hopSize)
	}
	for ; len(data) > 0; data = data[hopSize:] {
		if _, err := btcec.ParsePubKey(data[:33]); err != nil {
			return nil, fmt.Errorf("a route over no node: %w", err)
		}
		route = append(route, Hop{
			Node: [33]byte(data[:33]), Channel: binary.BigEndian.Uint64(data[33:]), BaseMsat: binary.BigEndian.Uint32(data[41:]),
			PerMillion: binary.BigEndian.Uint32(data[45:]), ExpiryDelta: binary.BigEndian.Uint16(data[49:]),
		})
	}
	return route, nil
}

// signed is what the signature covers.
func signed(hrp string, body words) []byte {
	sum := sha256.Sum256(append([]byte(hrp), body.padded()...))
	return sum[:]
}

// verify checks the signature, and learns the payee from it where no field names one.
func (v *Invoice) verify(hrp string, body words, signature []byte) error {
	if len(signature) != 65 || signature[64] > 3 {
		return errors.New("the signature has no valid recovery id")
	}
	digest := signed(hrp, body)
	if v.NamesPayee {
		key, err := btcec.ParsePubKey(v.Payee[:])
		if err != nil {
			return fmt.Errorf("payee: %w", err)
		}
		var r, s btcec.ModNScalar
		if r.SetByteSlice(signature[:32]) || s.SetByteSlice(signature[32:64]) || r.IsZero() || s.IsZero() {
			return errors.New("the signature is out of range")
		}
		if s.IsOverHalfOrder() {
			return errors.New("the signature is not canonical")
		}
		if !ecdsa.NewSignature(&r, &s).Verify(digest, key) {
			return errors.New("the signature is not the payee's")
		}
		return nil
	}
	compact := append([]byte{27 + 4 + signature[64]}, signature[:64]...)
	key, _, err := ecdsa.RecoverCompact(compact, digest)
	if err != nil {
		return fmt.Errorf("the signature is of no key: %w", err)
	}
	copy(v.Payee[:], key.SerializeCompressed())
	return nil
}
