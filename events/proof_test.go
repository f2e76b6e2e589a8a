package events

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nbd-wtf/go-nostr"
)

// proofVector is a proof and what it shows.
type proofVector struct {
	Name    string  `json:"name"`
	Proof   *Proof  `json:"proof"`
	Verdict Verdict `json:"verdict,omitempty"` // missing: it proves nothing, and Why says why
	Text    string  `json:"text,omitempty"`
	Amount  Msat    `json:"amount,omitempty"`
	Why     string  `json:"why,omitempty"` // words of our reason
}

// sale is what a node sells under the preimage 07×32, whatever it is worth.
func sale(t *testing.T, text string, spoil func(s *Result, sealed []byte) []byte) (*nostr.Event, []byte, string) {
	t.Helper()
	r := [32]byte(bytes.Repeat([]byte{7}, 32))
	hash := sha256.Sum256(r[:])
	sealed, x, err := seal(SealedFor{jobID, node.PublicKey(), customer.PublicKey()}, r, []byte(text), [32]byte{9}, [12]byte{3})
	if err != nil {
		t.Fatal(err)
	}
	m := &Result{
		Head: Head{At: 1_800_000_000, Expires: 1_800_604_800}, Kind: 6050, Job: jobID, To: customer.PublicKey(), Status: "success", Encrypted: true,
		Amount: msat(42_000), Bolt11: "lnbcrt420n1x", X: x, Sealed: &SealedTags{PaymentHash: hex.EncodeToString(hash[:])},
	}
	if spoil != nil {
		sealed = spoil(m, sealed)
	}
	m.Sealed.Sum, m.Content = SealedSum(sealed), base64.StdEncoding.EncodeToString(sealed)
	return sign(t, m, node), sealed, hex.EncodeToString(r[:])
}

func sign(t *testing.T, m Message, s *Keys) *nostr.Event {
	t.Helper()
	ev, err := Sign(ctx, m, s)
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

func proofs(t *testing.T) []proofVector {
	key, err := customer.Conversation(node.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	open := hex.EncodeToString(key[:])
	head := Head{At: 1_800_000_001, Expires: 1_802_592_001}
	receipt := func(result *nostr.Event, by *Keys) *nostr.Event {
		return sign(t, &Receipt{Head: head, Job: jobID, To: customer.PublicKey(), Result: ID(result.ID), Amount: 42_000}, by)
	}
	plain := sign(t, samples()["result"].Message, node)
	closed := sign(t, samples()["result_encrypted"].Message, node)
	good, s, r := sale(t, "The capital of France is Paris.", nil)
	garbage, g, _ := sale(t, "Paris", func(_ *Result, sealed []byte) []byte { sealed[len(sealed)-1] ^= 1; return sealed })
	short, cut, _ := sale(t, "Paris", func(_ *Result, sealed []byte) []byte { return sealed[:20] })
	lied, l, _ := sale(t, "pay for nothing", func(m *Result, sealed []byte) []byte { m.X = ContentHash("Paris"); return sealed })
	forged := *good
	forged.Tags = slices.Clone(forged.Tags)
	for i, tag := range forged.Tags {
		if tag[0] == "x" {
			forged.Tags[i] = nostr.Tag{"x", ContentHash("Paris")}
		}
	}
	claim := func(ev *nostr.Event, sealed []byte, r string) *Proof {
		return &Proof{Type: ProofType, Event: ev, Sealed: sealed, Preimage: r}
	}
	wrong := strings.Repeat("08", 32)
	return []proofVector{
		{Name: "an honest sale", Proof: claim(good, s, r), Verdict: Honest, Text: "The capital of France is Paris.", Amount: 42_000},
		{Name: "an honest sale, S read out of the event, with its receipt", Verdict: Honest, Text: "The capital of France is Paris.", Amount: 42_000,
			Proof: &Proof{Type: ProofType, Event: good, Receipt: receipt(good, node), Conversation: open, Preimage: r}},
		{Name: "a node that sold garbage", Proof: claim(garbage, g, r), Verdict: Garbage, Amount: 42_000},
		{Name: "a node that sold too few bytes to be anything", Proof: claim(short, cut, r), Verdict: Garbage, Amount: 42_000},
		{Name: "a node that sold another text than it signed", Proof: claim(lied, l, r), Verdict: OtherText, Amount: 42_000},
		{Name: "a customer with bytes of its own", Proof: claim(good, g, r), Why: "not those that the node signed"},
		{Name: "a customer with a preimage of its own", Proof: claim(good, s, wrong), Why: "not that of the payment hash"},
		{Name: "a customer without the preimage: it never paid", Proof: claim(good, s, ""), Why: "preimage is missing"},
		{Name: "a customer that changed the event", Proof: claim(&forged, s, r), Why: "id is not"},
		{Name: "a customer that signed the result itself", Proof: claim(sign(t, &Result{
			Head: head, Kind: 6050, Job: jobID, To: customer.PublicKey(), Encrypted: true, Amount: msat(1), Bolt11: "lnbc1", Content: "c2VhbGVk", X: ContentHash("x"),
			Sealed: &SealedTags{Sum: SealedSum(s), PaymentHash: ContentHash("h")},
		}, customer), s, r), Why: "not that of the payment hash"},
		{Name: "a receipt of a clear result", Verdict: Receipted, Text: "l-a-n-t-e-r-n", Amount: 42_000,
			Proof: &Proof{Type: ProofType, Event: plain, Receipt: receipt(plain, node), Conversation: open}},
		{Name: "a receipt of an encrypted result", Verdict: Receipted, Text: "l-a-n", Amount: 42_000,
			Proof: &Proof{Type: ProofType, Event: closed, Receipt: receipt(closed, node), Conversation: open}},
		{Name: "a receipt without the key that opens it", Proof: &Proof{Type: ProofType, Event: plain, Receipt: receipt(plain, node)}, Why: "no conversation_key"},
		{Name: "a receipt of another result", Proof: &Proof{Type: ProofType, Event: plain, Receipt: receipt(closed, node), Conversation: open}, Why: "another result"},
		{Name: "a receipt that the customer wrote", Proof: &Proof{Type: ProofType, Event: closed, Conversation: open,
			Receipt: sign(t, &Receipt{Head: head, Job: jobID, To: node.PublicKey(), Result: ID(closed.ID), Amount: 1}, customer)}, Why: "the receipt is of node"},
		{Name: "a result alone", Proof: &Proof{Type: ProofType, Event: plain}, Why: "no receipt"},
		{Name: "an offer as a result", Proof: &Proof{Type: ProofType, Event: sign(t, samples()["offer_open"].Message, node)}, Why: "is no result"},
		{Name: "another format", Proof: &Proof{Type: "receipt"}, Why: "is not infernet/proof/1"},
	}
}

// TestVectorsOfProofs judges what honest and lying parties show.
func TestVectorsOfProofs(t *testing.T) {
	vs := vectors(t, "proofs", func(old []proofVector) []proofVector {
		fresh := proofs(t)
		for i, v := range fresh { // signatures and nonces are random: a proof that still shows the same stays
			at := slices.IndexFunc(old, func(o proofVector) bool { return o.Name == v.Name })
			if at < 0 {
				continue
			}
			was := old[at].Proof
			same := old[at]
			same.Proof = v.Proof
			if string(raw(t, same)) == string(raw(t, v)) && (was.Event == nil) == (v.Proof.Event == nil) && (was.Receipt == nil) == (v.Proof.Receipt == nil) &&
				was.Type == v.Proof.Type && bytes.Equal(was.Sealed, v.Proof.Sealed) && was.Preimage == v.Proof.Preimage && was.Conversation == v.Proof.Conversation &&
				(was.Event == nil || was.Event.Kind == v.Proof.Event.Kind && string(raw(t, was.Event.Tags)) == string(raw(t, v.Proof.Event.Tags))) {
				fresh[i].Proof = was
			}
		}
		return fresh
	})
	for _, v := range vs {
		t.Run(v.Name, func(t *testing.T) {
			f, err := v.Proof.Judge()
			if v.Verdict == "" {
				if !errors.Is(err, ErrUnproven) || !strings.Contains(err.Error(), v.Why) {
					t.Errorf("%+v, %v; want it to say %q", f, err, v.Why)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if f.Verdict != v.Verdict || f.Text != v.Text || f.Amount != v.Amount || f.Node != node.PublicKey() || f.Customer != customer.PublicKey() || f.Job != jobID {
				t.Errorf("%+v, want %s %q %d", f, v.Verdict, v.Text, v.Amount)
			}
			if f.Verdict.Fraud() != (v.Verdict == Garbage || v.Verdict == OtherText) {
				t.Errorf("fraud: %v", f.Verdict.Fraud())
			}
		})
	}
}

// TestNoProofSurvivesAChange changes every byte of what is shown, one at a time: the node is never convicted by it.
func TestNoProofSurvivesAChange(t *testing.T) {
	for _, v := range proofs(t) {
		if v.Verdict == "" || v.Proof.Sealed == nil {
			continue
		}
		body := raw(t, v.Proof)
		for i := range body {
			changed := bytes.Clone(body)
			changed[i] ^= 1
			var p Proof
			if json.Unmarshal(changed, &p) != nil {
				continue
			}
			f, err := p.Judge()
			if err == nil && f.Verdict != v.Verdict {
				t.Errorf("%s: byte %d makes it %s", v.Name, i, f.Verdict)
			}
		}
	}
}
