// Package zpay32 holds our invoices against lnd's own reader and writer, zpay32. It is a module of its own: nothing else of
// this project needs lnd.
package zpay32

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/btcutil/bech32"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/lightningnetwork/lnd/lnwire"
	"github.com/lightningnetwork/lnd/zpay32"

	"infernet/events"
	"infernet/wallet/bolt11"
)

var networks = map[string]*chaincfg.Params{
	bolt11.Mainnet: &chaincfg.MainNetParams, bolt11.Testnet: &chaincfg.TestNet3Params, bolt11.Signet: &chaincfg.SigNetParams,
	bolt11.Regtest: &chaincfg.RegressionNetParams, bolt11.Simnet: &chaincfg.SimNetParams,
}

var (
	secret         = [32]byte{31: 7}
	key, publicKey = btcec.PrivKeyFromBytes(secret[:])
	signer         = zpay32.MessageSigner{SignCompact: func(msg []byte) ([]byte, error) {
		return ecdsa.SignCompact(key, chainhash.HashB(msg), true), nil
	}}
)

// rounds is how many random invoices a test looks at.
func rounds(few int) int {
	if os.Getenv("INFERNET_LONG") != "" {
		return few * 50
	}
	return few
}

func random(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// theirs reads an invoice as lnd does. lnd is told the network that it expects.
func theirs(text string) (*zpay32.Invoice, error) {
	hrp, _, _ := strings.Cut(strings.ToLower(text), "1")
	for _, name := range []string{bolt11.Regtest, bolt11.Signet, bolt11.Mainnet, bolt11.Testnet, bolt11.Simnet} {
		if strings.HasPrefix(hrp, "ln"+name) {
			return zpay32.Decode(text, networks[name], zpay32.WithErrorOnUnknownFeatureBit())
		}
	}
	return nil, errors.New("no such network")
}

// same holds what one reads of an invoice against what the other does.
func same(our *bolt11.Invoice, their *zpay32.Invoice) error {
	var wrong []string
	differ := func(what string, a, b any) {
		if fmt.Sprint(a) != fmt.Sprint(b) {
			wrong = append(wrong, fmt.Sprintf("%s: %v here, %v there", what, a, b))
		}
	}
	differ("network", networks[our.Network].Name, their.Net.Name)
	amount := lnwire.MilliSatoshi(0)
	if their.MilliSat != nil {
		amount = *their.MilliSat
	}
	differ("amount", uint64(our.Amount), uint64(amount))
	differ("time", our.Timestamp.Unix(), their.Timestamp.Unix())
	differ("payment hash", [32]byte(our.PaymentHash), *their.PaymentHash)
	differ("payment secret", *our.PaymentSecret, their.PaymentAddr.UnwrapOr([32]byte{}))
	description, hash := "", [32]byte{}
	if their.Description != nil {
		description = *their.Description
	}
	if their.DescriptionHash != nil {
		hash = *their.DescriptionHash
	}
	differ("description", our.Description, description)
	if our.DescriptionHash != nil {
		differ("description hash", *our.DescriptionHash, hash)
	} else {
		differ("description hash", nil, map[bool]any{true: nil, false: hash}[their.DescriptionHash == nil])
	}
	differ("expiry", our.Expiry, their.Expiry())
	if our.MinFinalCLTV != bolt11.DefaultMinCLTV || their.MinFinalCLTVExpiry() != zpay32.DefaultAssumedFinalCLTVDelta {
		differ("min_final_cltv", our.MinFinalCLTV, their.MinFinalCLTVExpiry()) // without c it is 18 by BOLT 11, and lnd takes more
	}
	differ("payee", our.Payee[:], their.Destination.SerializeCompressed())
	differ("metadata", our.Metadata, their.Metadata)
	var bits []int
	for i := range len(our.Features) * 8 {
		if our.Features[len(our.Features)-1-i/8]>>(i%8)&1 == 1 {
			bits = append(bits, i)
		}
	}
	var known []int
	for bit := range their.Features.Features() {
		known = append(known, int(bit))
	}
	slices.Sort(known)
	differ("features", bits, known)
	differ("routes", len(our.Routes), len(their.RouteHints))
	for i := range min(len(our.Routes), len(their.RouteHints)) {
		differ("hops", len(our.Routes[i]), len(their.RouteHints[i]))
		for k := range min(len(our.Routes[i]), len(their.RouteHints[i])) {
			a, b := our.Routes[i][k], their.RouteHints[i][k]
			differ("hop", []any{a.Node[:], a.Channel, a.BaseMsat, a.PerMillion, a.ExpiryDelta},
				[]any{b.NodeID.SerializeCompressed(), b.ChannelID, b.FeeBaseMSat, b.FeeProportionalMillionths, b.CLTVExpiryDelta})
		}
	}
	if their.FallbackAddr != nil { // lnd keeps one
		if len(our.Fallbacks) == 0 {
			wrong = append(wrong, "no fallback here")
		} else if program := their.FallbackAddr.ScriptAddress(); !slices.ContainsFunc(our.Fallbacks, func(f bolt11.Fallback) bool { return bytes.Equal(f.Program, program) }) {
			differ("fallback", our.Fallbacks, program)
		}
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// ours is a random invoice as we write it.
func ours(rnd *rand.Rand) *bolt11.Invoice {
	v := &bolt11.Invoice{
		Network: []string{bolt11.Regtest, bolt11.Mainnet, bolt11.Testnet, bolt11.Signet, bolt11.Simnet}[rnd.IntN(5)],
		Amount:  events.Msat(rnd.Int64N(int64(events.MaxMsat) >> rnd.IntN(53))), Timestamp: time.Unix(rnd.Int64N(1<<34), 0),
		Description: strings.Repeat("ü", rnd.IntN(300)), Expiry: time.Duration(1+rnd.IntN(1<<20)) * time.Second, MinFinalCLTV: uint64(1 + rnd.IntN(500)),
		Metadata: bytesOf(rnd, rnd.IntN(100)), PaymentSecret: new([32]byte),
	}
	copy(v.PaymentHash[:], bytesOf(rnd, 32))
	copy(v.PaymentSecret[:], bytesOf(rnd, 32))
	if rnd.IntN(3) == 0 {
		hash := sha256.Sum256([]byte(v.Description))
		v.Description, v.DescriptionHash = "", &hash
	}
	return v
}

func bytesOf(rnd *rand.Rand, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(rnd.Uint32())
	}
	return out
}

// written is a random invoice as lnd writes it, with every field that it knows.
func written(t testing.TB, rnd *rand.Rand) string {
	t.Helper()
	var hash, secret [32]byte
	copy(hash[:], bytesOf(rnd, 32))
	copy(secret[:], bytesOf(rnd, 32))
	net := networks[[]string{bolt11.Regtest, bolt11.Mainnet, bolt11.Testnet, bolt11.Signet, bolt11.Simnet}[rnd.IntN(5)]]
	features := lnwire.NewRawFeatureVector(lnwire.TLVOnionPayloadRequired, lnwire.PaymentAddrRequired)
	for _, bit := range []lnwire.FeatureBit{lnwire.MPPOptional, lnwire.MPPRequired, lnwire.AMPOptional, 25, 49, 101, 133} {
		if rnd.IntN(4) == 0 {
			features.Set(bit)
		}
	}
	options := []func(*zpay32.Invoice){zpay32.PaymentAddr(secret), zpay32.Features(lnwire.NewFeatureVector(features, lnwire.Features))}
	maybe := func(option func(*zpay32.Invoice)) {
		if rnd.IntN(2) == 0 {
			options = append(options, option)
		}
	}
	if rnd.IntN(3) == 0 {
		options = append(options, zpay32.DescriptionHash(hash))
	} else {
		options = append(options, zpay32.Description(strings.Repeat("é ", rnd.IntN(150))))
	}
	maybe(zpay32.Amount(lnwire.MilliSatoshi(1 + rnd.Int64N(int64(events.MaxMsat)>>rnd.IntN(50)))))
	maybe(zpay32.Expiry(time.Duration(rnd.IntN(1<<30)) * time.Second))
	maybe(zpay32.CLTVExpiry(uint64(rnd.IntN(3000))))
	maybe(zpay32.Metadata(bytesOf(rnd, 1+rnd.IntN(200))))
	maybe(zpay32.Destination(publicKey))
	for range rnd.IntN(4) {
		var hops []zpay32.HopHint
		for range 1 + rnd.IntN(4) {
			_, node := btcec.PrivKeyFromBytes(bytesOf(rnd, 32))
			hops = append(hops, zpay32.HopHint{NodeID: node, ChannelID: rnd.Uint64(), FeeBaseMSat: rnd.Uint32(), FeeProportionalMillionths: rnd.Uint32(), CLTVExpiryDelta: uint16(rnd.Uint32())})
		}
		options = append(options, zpay32.RouteHint(hops))
	}
	var addr btcutil.Address
	var err error
	switch rnd.IntN(6) {
	case 0:
		addr, err = btcutil.NewAddressPubKeyHash(hash[:20], net)
	case 1:
		addr, err = btcutil.NewAddressScriptHashFromHash(hash[:20], net)
	case 2:
		addr, err = btcutil.NewAddressWitnessPubKeyHash(hash[:20], net)
	case 3:
		addr, err = btcutil.NewAddressWitnessScriptHash(hash[:], net)
	case 4:
		addr, err = btcutil.NewAddressTaproot(hash[:], net)
	}
	if err != nil {
		t.Fatal(err)
	}
	if addr != nil {
		options = append(options, zpay32.FallbackAddr(addr))
	}
	v, err := zpay32.NewInvoice(net, hash, time.Unix(rnd.Int64N(1<<34), 0), options...)
	if err != nil {
		t.Fatal(err)
	}
	text, err := v.Encode(signer)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestWhatWeWriteIsReadThere: and written there, it reads here as it was.
func TestWhatWeWriteIsReadThere(t *testing.T) {
	rnd := random(t)
	for range rounds(2000) {
		text, err := ours(rnd).Encode(secret)
		if err != nil {
			t.Fatal(err)
		}
		our, err := bolt11.Decode(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		their, err := theirs(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if err := same(our, their); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		their.Destination = nil // not a field of ours
		again, err := their.Encode(signer)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		back, err := bolt11.Decode(again)
		if err != nil {
			t.Fatalf("%s is written there as %s: %v", text, again, err)
		}
		if err := same(back, must(theirs(text))); err != nil {
			t.Fatalf("%s is written there as %s: %v", text, again, err)
		}
	}
}

func must(v *zpay32.Invoice, err error) *zpay32.Invoice {
	if err != nil {
		panic(err)
	}
	return v
}

// TestWhatTheyWriteIsReadHere, with routes, features, fallbacks, metadata and a payee in a field.
func TestWhatTheyWriteIsReadHere(t *testing.T) {
	rnd := random(t)
	skipped := 0
	defer func() { t.Logf("%d are meant to be refused", skipped) }()
	for range rounds(2000) {
		text := written(t, rnd)
		our, err := bolt11.Decode(text)
		if err != nil {
			if _, meant := excused(text, err); meant {
				skipped++
				continue
			}
			t.Fatalf("%s: %v", text, err)
		}
		if err := same(our, must(theirs(text))); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

// exceptions are where one refuses what the other reads, and why that is meant.
var exceptions = []struct {
	words string // of our refusal
	why   string
}{
	{"no payment secret", "BOLT 11 wants s; lnd's node refuses to pay without, its reader does not"},
	{"it demands feature", "lnd's node knows more features than any payer of ours needs; what we do not know, we must not pay"},
	{"the expiry is too long", "lnd lets the duration overflow; nothing that is longer than 136 years is meant"},
	{"number of more than 60 bits", "lnd reads 65 bits into 64"},
	{"more than there is", "2^53-1 msat is the most that our amounts hold, 90,071 BTC"},
	{": no number", "BOLT 11: an amount is a number without leading zeros; lnd reads those, and a sign"},
	{"no valid recovery id", "lnd does not look at it where a field names the payee"},
	{"the signature is not canonical", "BOLT 11: a high S is refused where a field names the payee"},
	{"fallback address", "lnd looks at the first fallback that it knows only, here all are"},
}

// blinded is why lnd may refuse what we read: its field b.
const blinded = "b, blinded paths, is read by lnd only; by BOLT 11 who does not know a field skips it"

// excused says whether a difference is meant.
func excused(text string, here error) (why string, ok bool) {
	if here == nil {
		return blinded, slices.ContainsFunc(fieldsOf(text), func(field []byte) bool { return field[0] == 20 })
	}
	for _, e := range exceptions {
		if strings.Contains(here.Error(), e.words) {
			return e.why, true
		}
	}
	return "", false
}

func fieldsOf(text string) [][]byte {
	_, data, err := bech32.DecodeNoLimit(text)
	if err != nil || len(data) < 7+signatureWords {
		return nil
	}
	return split(data[7 : len(data)-signatureWords])
}

// agree asks both for the same invoice.
func agree(text string) (read bool, why string, err error) {
	our, here := bolt11.Decode(text)
	their, there := theirs(text)
	switch {
	case here == nil && there == nil:
		return true, "", same(our, their)
	case here != nil && there != nil:
		return false, "", nil
	}
	if why, ok := excused(text, here); ok {
		return false, why, nil
	}
	return false, "", fmt.Errorf("here %v, there %v", here, there)
}

// signed makes an invoice of words, as a node would sign them.
func signed(hrp string, body []byte) string {
	padded, err := bech32.ConvertBits(body, 5, 8, true)
	if err != nil {
		return ""
	}
	compact := ecdsa.SignCompact(key, chainhash.HashB(append([]byte(hrp), padded...)), true)
	signature, err := bech32.ConvertBits(append(compact[1:], compact[0]-27-4), 8, 5, true)
	if err != nil {
		return ""
	}
	text, err := bech32.Encode(hrp, append(slices.Clone(body), signature...))
	if err != nil {
		return ""
	}
	return text
}

// TestWhatOneRefusesTheOtherRefuses spoils invoices in every way that keeps them signed, and some that do not.
func TestWhatOneRefusesTheOtherRefuses(t *testing.T) {
	rnd := random(t)
	var read, refused int
	excuses := map[string]int{}
	for range rounds(5000) {
		text := ""
		if rnd.IntN(2) == 0 {
			text = written(t, rnd)
		} else {
			var err error
			if text, err = ours(rnd).Encode(secret); err != nil {
				t.Fatal(err)
			}
		}
		spoilt := spoil(rnd, text)
		ok, why, err := agree(spoilt)
		switch {
		case err != nil:
			t.Errorf("%v: %s", err, spoilt)
		case why != "":
			excuses[why]++
		case ok:
			read++
		default:
			refused++
		}
	}
	t.Logf("both read %d, both refuse %d", read, refused)
	for why, n := range excuses {
		t.Logf("%5d differ: %s", n, why)
	}
	if read < 100 || refused < 100 {
		t.Error("too few of one sort: the test tests nothing")
	}
}

const signatureWords = 104

// spoil changes an invoice.
func spoil(rnd *rand.Rand, text string) string {
	if rnd.IntN(10) == 0 { // unsigned
		b := []byte(text)
		switch i := rnd.IntN(len(b)); rnd.IntN(4) {
		case 0:
			b[i] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"[rnd.IntN(32)]
		case 1:
			b = slices.Delete(b, i, i+1)
		case 2:
			return strings.ToUpper(text)
		case 3:
			b[i] = strings.ToUpper(text)[i]
		}
		return string(b)
	}
	hrp, data, err := bech32.DecodeNoLimit(text)
	if err != nil {
		panic(err)
	}
	body := slices.Clone(data[:len(data)-signatureWords])
	fields := split(body[7:])
	switch rnd.IntN(10) {
	case 0: // any word
		body[rnd.IntN(len(body))] = byte(rnd.IntN(32))
		return signed(hrp, body)
	case 1: // cut
		return signed(hrp, body[:rnd.IntN(len(body)+1)])
	case 2: // without a field
		i := rnd.IntN(len(fields))
		fields = slices.Delete(fields, i, i+1)
	case 3: // a field twice, perhaps another behind it
		fields = append(fields, slices.Clone(fields[rnd.IntN(len(fields))]))
		rnd.Shuffle(len(fields), func(i, k int) { fields[i], fields[k] = fields[k], fields[i] })
	case 4: // a field of another length
		i := rnd.IntN(len(fields))
		data := slices.Concat(fields[i][3:], words(rnd, rnd.IntN(4)))
		fields[i] = field(fields[i][0], data[:max(0, len(data)-rnd.IntN(4))])
	case 5: // a field of another kind
		fields[rnd.IntN(len(fields))][0] = byte(rnd.IntN(32))
	case 6: // any field
		fields = append(fields, field(byte(rnd.IntN(32)), words(rnd, rnd.IntN(120))))
	case 7: // another amount
		hrp = strings.TrimRight(hrp, "0123456789munp") + fmt.Sprintf([]string{"%d", "0%d", "%dm", "%du", "%dn", "%dp", "%d0p", "-%d", "%dx", "+%d"}[rnd.IntN(10)], rnd.Uint64()>>rnd.IntN(64))
	case 8: // the last word of a field: what fills it up
		i := rnd.IntN(len(fields))
		if n := len(fields[i]); n > 3 {
			fields[i][n-1] ^= 1 << rnd.IntN(5)
		}
	case 9: // numbers
		fields = append([][]byte{field([]byte{6, 24}[rnd.IntN(2)], words(rnd, rnd.IntN(15)))}, fields...)
	}
	return signed(hrp, slices.Concat(body[:7], slices.Concat(fields...)))
}

func words(rnd *rand.Rand, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(rnd.IntN(32))
	}
	return out
}

func field(kind byte, data []byte) []byte {

	n := len(data)
	return slices.Concat([]byte{kind, byte(n >> 5), byte(n & 31)}, data)
}

// split takes whole fields apart.
func split(body []byte) (fields [][]byte) {
	for len(body) >= 3 {
		n := min(3+int(body[1])<<5+int(body[2]), len(body))
		fields, body = append(fields, slices.Clone(body[:n])), body[n:]
	}
	return fields
}

// FuzzAgree puts a checksum and a signature to anything: both read it, to the same, or both refuse it.
func FuzzAgree(f *testing.F) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		hrp, data, err := bech32.DecodeNoLimit(written(f, rnd))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(hrp, data[:len(data)-signatureWords])
	}
	f.Fuzz(func(t *testing.T, hrp string, body []byte) {
		for i := range body {
			body[i] &= 31
		}
		if text := signed(strings.ToLower(hrp), body); text != "" {
			if _, _, err := agree(text); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		}
	})
}
