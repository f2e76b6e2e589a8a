package bolt11

import (
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/btcutil/bech32"

	"infernet/events"
)

// maxField is how many bytes a field holds.
const maxField = 639

// Encode writes the invoice, signed by a node's secret key (32 bytes). Routes and fallbacks are not written.
func (v *Invoice) Encode(secret [32]byte) (string, error) {
	if err := v.writable(); err != nil {
		return "", err
	}
	body := wordsOfFixed(uint64(v.Timestamp.Unix()), timestampWords)
	add := func(kind byte, data words) {
		body = append(body, kind, byte(len(data)>>5), byte(len(data)&31))
		body = append(body, data...)
	}
	add(fieldSecret, wordsOf(v.PaymentSecret[:]))
	add(fieldPaymentHash, wordsOf(v.PaymentHash[:]))
	if v.DescriptionHash != nil {
		add(fieldHash, wordsOf(v.DescriptionHash[:]))
	} else {
		add(fieldDescription, wordsOf([]byte(v.Description)))
	}
	if v.Expiry != 0 && v.Expiry != DefaultExpiry {
		add(fieldExpiry, wordsOfNumber(uint64(v.Expiry/time.Second)))
	}
	if v.MinFinalCLTV != 0 && v.MinFinalCLTV != DefaultMinCLTV {
		add(fieldMinCLTV, wordsOfNumber(v.MinFinalCLTV))
	}
	if len(v.Metadata) > 0 {
		add(fieldMetadata, wordsOf(v.Metadata))
	}
	add(fieldFeatures, featureWords(8, 14)) // var_onion_optin and payment_secret
	hrp := "ln" + v.Network + formatAmount(v.Amount)
	key, _ := btcec.PrivKeyFromBytes(secret[:])
	compact := ecdsa.SignCompact(key, signed(hrp, body), true)
	signature := append(compact[1:], compact[0]-27-4)
	return bech32.Encode(hrp, append(body, wordsOf(signature)...))
}

// writable says why an invoice cannot be written so that Decode reads it back.
func (v *Invoice) writable() error {
	switch at := v.Timestamp.Unix(); {
	case !slices.Contains(networks, v.Network):
		return fmt.Errorf("%q is no known network", v.Network)
	case v.Amount < 0 || v.Amount > events.MaxMsat:
		return fmt.Errorf("amount of %d msat, at most %d", v.Amount, events.MaxMsat)
	case v.PaymentSecret == nil:
		return errors.New("no payment secret")
	case len(v.Description) > maxField:
		return fmt.Errorf("description of %d bytes, at most %d", len(v.Description), maxField)
	case !utf8.ValidString(v.Description):
		return errors.New("the description is no UTF-8")
	case len(v.Metadata) > maxField:
		return fmt.Errorf("metadata of %d bytes, at most %d", len(v.Metadata), maxField)
	case at < 0 || at >= 1<<(5*timestampWords):
		return fmt.Errorf("the time %d does not fit its field", at)
	case v.Expiry < 0 || v.Expiry > maxExpiry:
		return fmt.Errorf("expiry of %s, at most %s", v.Expiry, maxExpiry)
	}
	return nil
}

// featureWords sets feature bits, in as few groups as they need.
func featureWords(bits ...int) words {
	size := 0
	for _, bit := range bits {
		size = max(size, bit/5+1)
	}
	out := make(words, size)
	for _, bit := range bits {
		out[size-1-bit/5] |= 1 << (bit % 5)
	}
	return out
}
