package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/nbd-wtf/go-nostr"
)

// FuzzParse reads any JSON event: no panic, and what is read once is read the same again from its own event.
func FuzzParse(f *testing.F) {
	for _, s := range samples() {
		ev, err := Sign(ctx, s.Message, s.Signer)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(ev.String()))
		f.Add([]byte(s.Event().String()))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var ev nostr.Event
		if json.Unmarshal(body, &ev) != nil {
			return
		}
		Open(ctx, &ev, customer)
		m, err := Parse(&ev)
		if err != nil || isClosed(m) {
			return
		}
		again, err := Parse(m.Event())
		if err != nil {
			t.Fatalf("reads, but not its own event: %v\n%s\n%s", err, body, m.Event())
		}
		a, _ := json.Marshal(m)
		b, _ := json.Marshal(again)
		if string(a) != string(b) {
			t.Fatalf("reads as\n%s\nand then as\n%s", a, b)
		}
	})
}

// FuzzOpen reads anything as the inside of an encrypted event of each sort: no panic, and nothing inside changes what
// stands outside.
func FuzzOpen(f *testing.F) {
	for _, s := range samples() {
		ev := s.Event()
		body, err := json.Marshal(ev.Tags)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(ev.Kind, string(body))
	}
	f.Add(KindText, `[["i",null]]`)
	f.Add(KindFeedback, `[["e"],["p","x"],["content"]]`)
	f.Fuzz(func(t *testing.T, kind int, inside string) {
		if inside == "" || len(inside) > MaxEncrypted || !IsMarket(kind) {
			return
		}
		cipher, err := node.Encrypt(ctx, customer.PublicKey(), inside)
		if err != nil {
			t.Skip(err)
		}
		ev := nostr.Event{Kind: kind, PubKey: string(node.PublicKey()), Content: cipher, Tags: nostr.Tags{
			{"e", string(jobID)}, {"p", string(customer.PublicKey())}, {"encrypted"},
		}}
		m, err := Open(ctx, &ev, customer)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if m.Signed().Author != node.PublicKey() {
			t.Fatalf("signed by %s", m.Signed().Author)
		}
		if about, ok := m.(About); ok && kind != KindCancel && (kind == KindFeedback || kind == KindChunk || isResult(kind)) && about.About() != jobID {
			t.Fatalf("about %q", about.About())
		}
		if req, ok := m.(*Request); ok && (len(req.To) != 1 || req.To[0] != customer.PublicKey()) {
			t.Fatalf("to %v", req.To)
		}
	})
}

// FuzzCost holds the price arithmetic against big integers.
func FuzzCost(f *testing.F) {
	f.Add(int64(1000), int64(20), int64(60), int64(1), int64(10), int64(500), int64(1234), 100)
	f.Add(int64(0), int64(MaxMsat), int64(MaxMsat), int64(0), int64(1)<<52, int64(1)<<52, int64(0), 150)
	f.Fuzz(func(t *testing.T, base, in, out, ms, uIn, uOut, uMs int64, percent int) {
		got, err := Price{Msat(base), Msat(in), Msat(out), Msat(ms)}.Cost(Usage{uIn, uOut, uMs}, percent)
		for _, n := range []int64{base, in, out, ms, uIn, uOut, uMs, int64(percent)} {
			if n < 0 {
				if err == nil && uIn|uOut|uMs|base|in|out|ms|int64(percent) < 0 {
					t.Fatalf("a negative part costs %d", got)
				}
				return
			}
		}
		sum := big.NewInt(base)
		for _, part := range [][2]int64{{in, uIn}, {out, uOut}, {ms, uMs}} {
			sum.Add(sum, ceil(new(big.Int).Mul(big.NewInt(part[0]), big.NewInt(part[1])), 1000))
		}
		tooMuch := sum.Cmp(big.NewInt(int64(MaxMsat))) > 0
		total := ceil(new(big.Int).Mul(sum, big.NewInt(int64(percent))), 100)
		tooMuch = tooMuch || total.Cmp(big.NewInt(int64(MaxMsat))) > 0
		if tooMuch != (err != nil) || err == nil && total.Int64() != int64(got) {
			t.Fatalf("costs %d, %v; big integers say %s", got, err, total)
		}
	})
}

func ceil(n *big.Int, by int64) *big.Int {
	q, r := new(big.Int).QuoRem(n, big.NewInt(by), new(big.Int))
	if r.Sign() > 0 {
		q.Add(q, big.NewInt(1))
	}
	return q
}

// FuzzProof judges whatever somebody shows: it proves something, or nothing, and is the same when it is written again.
func FuzzProof(f *testing.F) {
	body, err := os.ReadFile("testdata/vectors/proofs.json")
	if err != nil {
		f.Fatal(err)
	}
	var vectors []struct{ Proof json.RawMessage }
	if err := json.Unmarshal(body, &vectors); err != nil {
		f.Fatal(err)
	}
	for _, v := range vectors {
		f.Add([]byte(v.Proof))
	}
	f.Add([]byte(`{"type":"infernet/proof/1","event":{"tags":[null]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var proof Proof
		if json.Unmarshal(body, &proof) != nil {
			return
		}
		found, err := proof.Judge()
		if (err == nil) != (found != nil) || err != nil && !errors.Is(err, ErrUnproven) {
			t.Fatalf("%s: %+v, %v", body, found, err)
		}
		if err != nil {
			return
		}
		written, err := json.Marshal(proof)
		if err != nil {
			t.Fatal(err)
		}
		var back Proof
		if err := json.Unmarshal(written, &back); err != nil {
			t.Fatal(err)
		}
		if again, err := back.Judge(); err != nil || again.Verdict != found.Verdict || again.Node != found.Node || again.Amount != found.Amount {
			t.Fatalf("%s is %+v, and written again %+v, %v", body, found, again, err)
		}
	})
}

// FuzzAddresses reads anything as each form of address and number that stands in an event's values: what reads is written
// the same again, and no relay that is not to be dialled passes.
func FuzzAddresses(f *testing.F) {
	sum := strings.Repeat("ab", 32)
	for _, s := range []string{
		"", "0", "9007199254740991", "9007199254740992", "01", "-1", "1024x768", "1x", "x1", "0x0", "data:audio/ogg;base64,AAAA", "data:;base64,", "data:a/b;base64,A\n==",
		"blossom:" + sum + ".bin?m=audio/ogg&sz=7&xs=files.example#dare2:" + strings.Repeat("A", 42) + "A", "blossom:" + sum + ".", "blossom:" + sum + ".bin?xs=https://u@h&xs=h/p",
		"wss://relay.example", "ws://127.0.0.1:7777/x", "ws://[::1%25lo]:1", "ws://localhost.example", "wss://u:p@h", "ws://0x7f.1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if m, err := ParseMsat(s); err == nil && m.String() != s {
			t.Fatalf("%q reads %d", s, m)
		}
		if w, h, err := ParseSize(s); err == nil && (w < 1 || h < 1) {
			t.Fatalf("%q reads %d, %d", s, w, h)
		}
		if kind, body, err := ParseDataURL(s); err == nil {
			again, same, err := ParseDataURL(DataURL(kind, body))
			if err != nil || again != kind || !bytes.Equal(same, body) {
				t.Fatalf("%q reads %q, and then %q, %v", s, kind, again, err)
			}
		}
		if b, err := ParseBlob(s); err == nil {
			again, err := ParseBlob(b.URI())
			if len(b.URI()) <= 4096 && (err != nil || !reflect.DeepEqual(again, b)) {
				t.Fatalf("%q reads %+v, and then %+v, %v", s, b, again, err)
			}
		}
		if CheckRelay(s) == nil {
			u, err := url.Parse(s)
			ip, _ := netip.ParseAddr(u.Hostname())
			if err != nil || u.Scheme != "wss" && (u.Scheme != "ws" || u.Hostname() != "localhost" && !ip.IsLoopback()) {
				t.Fatalf("%q passes as a relay's address", s)
			}
		}
	})
}
