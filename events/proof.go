package events

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip44"
)

// Proof is what a customer can show of one job, for anybody to judge offline: a receipt, or the claim that a sealed result
// was not what its node signed. It shows no secret key and nothing of other jobs.
type Proof struct {
	Type    string       `json:"type"`              // ProofType
	Event   *nostr.Event `json:"event"`             // the result, as the node signed it
	Receipt *nostr.Event `json:"receipt,omitempty"` // as the node signed it
	// Conversation opens what travelled between the job's key and the node (NIP-44 v2), 32 bytes in hex.
	Conversation string `json:"conversation_key,omitempty"`
	Sealed       []byte `json:"sealed,omitempty"`   // S of a sealed result; the event's content if missing and Conversation opens it
	Preimage     string `json:"preimage,omitempty"` // r of a sealed result, 32 bytes in hex
}

// ProofType names the format of a Proof.
const ProofType = "infernet/proof/1"

// Verdict is what a Proof shows.
type Verdict string

// Verdicts. Only the last two are a node's fault.
const (
	Receipted Verdict = "receipt"    // the node signed that it was paid for this result
	Honest    Verdict = "honest"     // S opens under r to the text whose hash the node signed
	Garbage   Verdict = "garbage"    // r, for which the node sold S, does not open it
	OtherText Verdict = "other text" // S opens under r, to another text than the node signed
)

// Fraud says whether the verdict convicts the node.
func (v Verdict) Fraud() bool { return v == Garbage || v == OtherText }

// Finding is a judged Proof.
type Finding struct {
	Verdict  Verdict
	Job      ID
	Node     PubKey
	Customer PubKey
	Result   ID
	Amount   Msat     // what the receipt says was received, else what the sealed result cost
	Receipt  *Receipt // nil if none is shown
	Text     string   // the result's, where the proof opens it
}

// ErrUnproven is wrapped by Judge's errors: what is shown proves nothing, for or against the node.
var ErrUnproven = errors.New("proves nothing")

// Judge says what a proof shows. It asks nobody. Whoever shows it is not trusted: every part must be bound to the result by
// the node's signature.
func (p *Proof) Judge() (*Finding, error) {
	f, err := p.judge()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnproven, err)
	}
	return f, nil
}

func (p *Proof) judge() (*Finding, error) {
	if p.Type != ProofType {
		return nil, fmt.Errorf("type %s is not %s", quote(p.Type), ProofType)
	}
	if p.Event == nil {
		return nil, errors.New("there is no result event")
	}
	reader, err := p.reader()
	if err != nil {
		return nil, err
	}
	m, err := p.open(p.Event, reader)
	if err != nil {
		return nil, fmt.Errorf("result: %w", err)
	}
	result, ok := m.(*Result)
	if !ok {
		return nil, fmt.Errorf("event %s is no result", p.Event.ID)
	}
	f := &Finding{Job: result.Job, Node: result.Author, Customer: result.To, Result: result.ID}
	if p.Receipt != nil {
		if err := p.receipt(f, reader); err != nil {
			return nil, err
		}
	}
	switch {
	case result.Sealed != nil:
		return f, p.sealed(f, result)
	case f.Receipt == nil:
		return nil, errors.New("there is no receipt, and the result is not a sealed one")
	case !result.Closed:
		if result.X != "" && result.X != ContentHash(result.Content) {
			return nil, errors.New("the result's hash is not its text's")
		}
		f.Text = result.Content
	}
	return f, nil
}

// receipt checks that the receipt is the node's, and for this result.
func (p *Proof) receipt(f *Finding, reader *conversation) error {
	if reader == nil {
		return errors.New("the receipt is encrypted, and there is no conversation_key")
	}
	m, err := p.open(p.Receipt, reader)
	if err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	receipt, ok := m.(*Receipt)
	if !ok {
		return errors.New("the receipt stays closed, or is none: the conversation_key is another's")
	}
	switch {
	case receipt.Author != f.Node:
		return fmt.Errorf("the receipt is of node %s, the result of %s", receipt.Author, f.Node)
	case receipt.Job != f.Job || receipt.Result != f.Result:
		return errors.New("the receipt is for another result")
	case receipt.To != f.Customer:
		return errors.New("the receipt is for another customer")
	}
	f.Receipt, f.Amount, f.Verdict = receipt, receipt.Amount, Receipted
	return nil
}

// sealed checks that S and r are those that the node signed; only then what opens, or does not, is the node's word.
func (p *Proof) sealed(f *Finding, m *Result) error {
	sealed := p.Sealed
	if sealed == nil && !m.Closed {
		var err error
		if sealed, err = base64.StdEncoding.DecodeString(m.Content); err != nil {
			return errors.New("the result's content is no base64")
		}
	}
	if sealed == nil {
		return errors.New("there are neither the sealed bytes nor a conversation_key that opens them")
	}
	if SealedSum(sealed) != m.Sealed.Sum {
		return errors.New("these sealed bytes are not those that the node signed")
	}
	r, err := hex.DecodeString(p.Preimage)
	if err != nil || len(r) != 32 {
		return errors.New("the preimage is missing or not 32 bytes in hex")
	}
	if hash := sha256.Sum256(r); hex.EncodeToString(hash[:]) != m.Sealed.PaymentHash {
		return errors.New("this preimage is not that of the payment hash that the node signed")
	}
	if m.Amount != nil && f.Receipt == nil {
		f.Amount = *m.Amount
	}
	text, err := Unseal(SealedFor{Job: m.Job, Node: m.Author, Customer: m.To}, [32]byte(r), sealed, m.X)
	switch {
	case err == nil:
		f.Verdict, f.Text = Honest, string(text)
	case errors.Is(err, errOtherText):
		f.Verdict = OtherText
	case errors.Is(err, ErrFraud):
		f.Verdict = Garbage
	default:
		return err
	}
	return nil
}

// open verifies an event and reads it, as far as it can be opened.
func (p *Proof) open(ev *nostr.Event, reader *conversation) (Message, error) {
	if err := Verify(ev); err != nil {
		return nil, err
	}
	if reader == nil {
		return Parse(ev)
	}
	reader.customer = ""
	if to := ev.Tags.Find("p"); to != nil {
		reader.customer = PubKey(to[1])
	}
	return Open(context.Background(), ev, reader)
}

// reader opens what the conversation key opens; nil without one.
func (p *Proof) reader() (*conversation, error) {
	if p.Conversation == "" {
		return nil, nil
	}
	key, err := hex.DecodeString(p.Conversation)
	if err != nil || len(key) != 32 {
		return nil, errors.New("the conversation_key is not 32 bytes in hex")
	}
	return &conversation{key: [32]byte(key)}, nil
}

// conversation is a Signer that can only read one conversation.
type conversation struct {
	key      [32]byte
	customer PubKey
}

func (c *conversation) PublicKey() PubKey { return c.customer }

func (c *conversation) Decrypt(_ context.Context, _ PubKey, cipher string) (string, error) {
	return nip44.Decrypt(cipher, c.key)
}

func (c *conversation) Sign(context.Context, *nostr.Event) error {
	return errors.New("a conversation key cannot sign")
}

func (c *conversation) Encrypt(context.Context, PubKey, string) (string, error) {
	return "", errors.New("a conversation key of a proof only reads")
}
