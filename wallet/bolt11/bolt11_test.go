package bolt11

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/btcutil/bech32"

	"infernet/events"
	"infernet/wallet"
)

type vector struct {
	Name, Invoice, Description, Network, Metadata string
	Amount                                        events.Msat
	Expiry                                        int64
	Hashed, Hops, Feature                         int
	Fallback                                      *byte `json:"fallback_version"`
}

// The examples of BOLT 11 are all signed by this key, for these items.
const (
	examplePayee = "03e7156ae33b0a208d0744199163177e909e80176e55d97a2f221ede0f934dd9ad"
	exampleItems = "One piece of chocolate cake, one icecream cone, one pickle, one slice of swiss cheese, one slice of salami, one lollypop, one piece of cherry pie, one sausage, one cupcake, and one slice of watermelon"
)

func examples(t testing.TB) (good, bad []vector) {
	t.Helper()
	body, err := os.ReadFile("testdata/bolt11.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Good, Bad []vector }
	if err := json.Unmarshal(body, &all); err != nil {
		t.Fatal(err)
	}
	return all.Good, all.Bad
}

func TestExamplesOfBOLT11(t *testing.T) {
	good, bad := examples(t)
	if len(good) != 16 || len(bad) != 10 {
		t.Fatalf("%d good and %d bad examples", len(good), len(bad))
	}
	for _, c := range good {
		t.Run(c.Name, func(t *testing.T) {
			v, err := Decode(c.Invoice)
			if err != nil {
				t.Fatal(err)
			}
			if c.Network == "" {
				c.Network = Mainnet
			}
			if c.Expiry == 0 {
				c.Expiry = 3600
			}
			if v.Network != c.Network || v.Amount != c.Amount || v.Description != c.Description || v.Expiry != time.Duration(c.Expiry)*time.Second {
				t.Errorf("reads %+v", v)
			}
			payee := hex.EncodeToString(v.Payee[:])
			if payee != examplePayee && c.Name != "high-S, recovered" || c.Name == "high-S, recovered" && payee == examplePayee {
				t.Errorf("payee %s", payee)
			}
			if c.Hashed > 0 && !v.Describes(exampleItems) {
				t.Errorf("description hash %x", v.DescriptionHash)
			}
			if c.Hops > 0 && (len(v.Routes) != 1 || len(v.Routes[0]) != c.Hops || v.Routes[0][1].BaseMsat != 2 || v.Routes[0][1].PerMillion != 30 || v.Routes[0][1].ExpiryDelta != 4) {
				t.Errorf("routes %+v", v.Routes)
			}
			if c.Fallback != nil && (len(v.Fallbacks) != 1 || v.Fallbacks[0].Version != *c.Fallback) {
				t.Errorf("fallbacks %+v", v.Fallbacks)
			}
			if c.Feature > 0 && (len(v.Features) != c.Feature/8+1 || v.Features[0]>>(c.Feature%8)&1 == 0) {
				t.Errorf("features %x", v.Features)
			}
			if c.Metadata != hex.EncodeToString(v.Metadata) {
				t.Errorf("metadata %x", v.Metadata)
			}
		})
	}
	for _, c := range bad {
		if v, err := Decode(c.Invoice); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: reads %+v, %v", c.Name, v, err)
		} else {
			t.Logf("%s: %v", c.Name, err)
		}
	}
}

func TestAmounts(t *testing.T) {
	for s, want := range map[string]events.Msat{
		"": 0, "1": 100_000_000_000, "1m": 100_000_000, "1u": 100_000, "1n": 100, "10p": 1, "9678785340p": 967_878_534, "2500u": 250_000_000,
	} {
		if got, err := parseAmount(s); err != nil || got != want {
			t.Errorf("%q reads %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"1p", "15p", "0", "01m", "m", "-1", "1x", "1.5m", "99999999999999999999", "9999999999", " 1m"} {
		if got, err := parseAmount(s); err == nil {
			t.Errorf("%q reads %d", s, got)
		}
	}
}

func TestWhatIsWrittenReadsBack(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	key := [32]byte{31: 7}
	_, public := btcec.PrivKeyFromBytes(key[:])
	for range 500 {
		secret := [32]byte{byte(rnd.Uint32()), 1}
		v := &Invoice{
			Network: []string{Regtest, Mainnet, Testnet, Signet, Simnet}[rnd.IntN(5)], Amount: events.Msat(rnd.Int64N(int64(events.MaxMsat) >> rnd.IntN(53))),
			Timestamp: time.Unix(rnd.Int64N(1<<34), 0), PaymentHash: wallet.NewPreimage().Hash(), PaymentSecret: &secret,
			Description: strings.Repeat("ü", rnd.IntN(300)), Expiry: time.Duration(1+rnd.IntN(1<<20)) * time.Second, MinFinalCLTV: uint64(1 + rnd.IntN(500)),
			Features: []byte{0x41, 0x00},
		}
		if rnd.IntN(3) == 0 {
			hash := sha256.Sum256([]byte(v.Description))
			v.Description, v.DescriptionHash = "", &hash
		}
		copy(v.Payee[:], public.SerializeCompressed())
		text, err := v.Encode(key)
		if err != nil {
			t.Fatalf("%+v: %v", v, err)
		}
		for _, s := range []string{text, strings.ToUpper(text), "lightning:" + text} {
			got, err := Decode(s)
			if err != nil {
				t.Fatalf("%s: %v", s, err)
			}
			if !reflect.DeepEqual(got, v) {
				t.Fatalf("reads\n%+v\nwant\n%+v", got, v)
			}
		}
	}
}

func TestOneChangedCharacterIsNoticed(t *testing.T) {
	good, _ := examples(t)
	text := good[1].Invoice
	for i := len("lnbc2500u1"); i < len(text); i++ {
		changed := []byte(text)
		if changed[i] = 'q'; text[i] == 'q' {
			changed[i] = 'p'
		}
		if _, err := Decode(string(changed)); err == nil {
			t.Fatalf("changed at %d and still read", i)
		}
	}
}

func TestWhatCannotBeReadBackIsNotWritten(t *testing.T) {
	good := func() *Invoice {
		return &Invoice{Network: Regtest, Amount: 1000, Timestamp: time.Unix(1_700_000_000, 0), PaymentSecret: &[32]byte{1}, Description: "x", Expiry: time.Hour}
	}
	if _, err := good().Encode([32]byte{31: 7}); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Invoice){
		"a description too long for its field": func(v *Invoice) { v.Description = strings.Repeat("x", maxField+1) },
		"a description that is no UTF-8":       func(v *Invoice) { v.Description = "\xff" },
		"a negative amount":                    func(v *Invoice) { v.Amount = -1 },
		"more money than there is":             func(v *Invoice) { v.Amount = events.MaxMsat + 1 },
		"no payment secret":                    func(v *Invoice) { v.PaymentSecret = nil },
		"a time before 1970":                   func(v *Invoice) { v.Timestamp = time.Unix(-1, 0) },
		"a time that its field cannot hold":    func(v *Invoice) { v.Timestamp = time.Unix(1<<35, 0) },
		"a negative expiry":                    func(v *Invoice) { v.Expiry = -time.Second },
		"metadata too long for its field":      func(v *Invoice) { v.Metadata = make([]byte, 640) },
		"no such network":                      func(v *Invoice) { v.Network = "xy" },
	} {
		v := good()
		spoil(v)
		if text, err := v.Encode([32]byte{31: 7}); err == nil {
			_, reads := Decode(text)
			t.Errorf("%s was written; reading it back: %v", name, reads)
		}
	}
}

func TestTheShortestAmountIsWritten(t *testing.T) {
	for want, m := range map[string]events.Msat{
		"": 0, "10p": 1, "9990p": 999, "10n": 1000, "1u": 100_000, "15u": 1_500_000, "2500u": 250_000_000, "20m": 2_000_000_000, "1": 100_000_000_000,
	} {
		if got := formatAmount(m); got != want {
			t.Errorf("%d msat is written %q, not %q", m, got, want)
		}
		if back, err := parseAmount(want); err != nil || back != m {
			t.Errorf("%q reads %d, %v", want, back, err)
		}
	}
}

// FuzzDecode reads anything: no panic; what reads has a payee, and says the same when it is written by another node.
func FuzzDecode(f *testing.F) {
	good, bad := examples(f)
	for _, v := range append(good, bad...) {
		f.Add(v.Invoice)
	}
	f.Fuzz(readable)
}

// FuzzFields puts a checksum and a signature to anything, so that it reaches the fields.
func FuzzFields(f *testing.F) {
	good, bad := examples(f)
	for _, v := range append(good, bad...) {
		if hrp, data, err := bech32.DecodeNoLimit(v.Invoice); err == nil && len(data) > signatureWords {
			f.Add(hrp, data[:len(data)-signatureWords])
		}
	}
	key, _ := btcec.PrivKeyFromBytes([]byte{9})
	f.Fuzz(func(t *testing.T, hrp string, body []byte) {
		for i := range body {
			body[i] &= 31
		}
		hrp = strings.ToLower(hrp)
		compact := ecdsa.SignCompact(key, signed(hrp, body), true)
		text, err := bech32.Encode(hrp, append(body, wordsOf(append(compact[1:], compact[0]-27-4))...))
		if err != nil {
			return
		}
		readable(t, text)
	})
}

// readable says that Decode reads s, or that it is malformed; what it reads says the same when another node writes it.
func readable(t *testing.T, s string) {
	v, err := Decode(s)
	if err != nil {
		if !errors.Is(err, ErrMalformed) {
			t.Fatalf("%q: %v is not ErrMalformed", s, err)
		}
		return
	}
	if _, err := btcec.ParsePubKey(v.Payee[:]); err != nil || v.Amount < 0 || v.Amount > events.MaxMsat || v.Expires().Before(v.Timestamp) {
		t.Fatalf("%q reads %+v, %v", s, v, err)
	}
	key := [32]byte{31: 7}
	_, public := btcec.PrivKeyFromBytes(key[:])
	text, err := v.Encode(key)
	if err != nil {
		t.Fatalf("%+v cannot be written: %v", v, err)
	}
	got, err := Decode(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	want := *v
	copy(want.Payee[:], public.SerializeCompressed())
	want.NamesPayee, want.Features, want.Fallbacks, want.Routes = false, []byte{0x41, 0x00}, nil, nil // not written, or as we write them
	if want.Expiry == 0 {
		want.Expiry = DefaultExpiry
	}
	if want.MinFinalCLTV == 0 {
		want.MinFinalCLTV = DefaultMinCLTV
	}
	if len(want.Metadata) == 0 {
		want.Metadata, got.Metadata = nil, nil
	}
	if !reflect.DeepEqual(got, &want) {
		t.Fatalf("%q reads\n%+v\nand written again\n%+v", s, &want, got)
	}
}
