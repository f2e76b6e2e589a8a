package events

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/nbd-wtf/go-nostr"
)

// Result is the whole result of a job (request kind + 1000). Chunks were a preview; this decides.
type Result struct {
	Head
	Kind      int // request kind + 1000
	Job       ID
	To        PubKey  // the customer
	Request   string  // the request's event as JSON, where it is clear and fits
	Inputs    []Input // only where the request is clear
	Status    string  // success, or "" from plain providers
	Model     string
	Usage     Usage
	Amount    *Msat  // what is owed; nil if nothing is said
	Bolt11    string // while unpaid
	Content   string
	Files     []Blob `json:",omitempty"` // `imeta`: what is signed of its files; of encrypted ones Split finds the keys
	X         string // plain: SHA-256 of Content; sealed: see Sealed
	Sealed    *SealedTags
	Encrypted bool
	Closed    bool // Content is still encrypted
}

// SealedTags are what a node signs about a sealed result.
type SealedTags struct {
	Sum         string // SHA-256 of the sealed bytes S
	PaymentHash string // SHA-256 of the preimage that opens it
}

// ContentHash is the `x` of a plain result: SHA-256 of its content, hex.
func ContentHash(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// About is the job's id.
func (m *Result) About() ID { return m.Job }

func (m *Result) Event() *nostr.Event {
	w := write(m.Kind, m.Head)
	w.text("request", m.Request)
	w.tag("e", string(m.Job))
	w.text("p", string(m.To))
	for _, in := range m.Inputs {
		w.input(in)
	}
	w.text("status", m.Status)
	w.text("model", m.Model)
	if m.Usage.In != 0 || m.Usage.Out != 0 {
		w.tag("usage", Msat(m.Usage.In).String(), Msat(m.Usage.Out).String())
	}
	w.number("time", m.Usage.Ms)
	if m.Amount != nil {
		w.amount(*m.Amount, m.Bolt11)
	}
	if m.Sealed != nil {
		w.tag("sealed", "1", m.Sealed.Sum)
		w.tag("payment_hash", m.Sealed.PaymentHash)
	}
	w.text("x", m.X)
	for _, b := range m.Files {
		w.imeta(b)
	}
	if m.Encrypted {
		w.tag("alt", "Encrypted result")
	} else if k, ok := Kinds[m.Kind-1000]; ok {
		w.tag("alt", "Result: "+k.Alt)
	}
	w.ev.Content = m.Content
	return w.end(m.Head, m.Encrypted)
}

func parseResult(r *reader) (Message, error) {
	m := &Result{
		Head: r.head(), Kind: r.ev.Kind, Job: r.needID("e"), To: r.key("p"), Request: r.text("request"),
		Model: r.text("model"), Content: r.ev.Content, X: r.text("x"), Encrypted: r.has("encrypted"),
	}
	m.Status, _ = r.status()
	for _, values := range r.all("i") {
		m.Inputs = append(m.Inputs, r.input(values))
	}
	if usage := r.one("usage"); usage != nil {
		if len(usage) != 2 {
			r.fail("tag %q wants units in and units out", "usage")
		} else {
			m.Usage.In, m.Usage.Out = r.parse("usage", usage[0]), r.parse("usage", usage[1])
		}
	}
	m.Usage.Ms = r.number("time")
	m.Files = r.imetas()
	if r.has("amount") {
		amount, bolt11 := r.amount(true)
		m.Amount, m.Bolt11 = &amount, bolt11
	}
	if sealed := r.one("sealed"); sealed != nil {
		if len(sealed) != 2 || sealed[0] != "1" {
			r.fail("tag %q wants version 1 and a SHA-256", "sealed")
		} else {
			m.Sealed = &SealedTags{Sum: r.hex("sealed", sealed[1]), PaymentHash: r.hex("payment_hash", r.needText("payment_hash"))}
			r.hex("x", r.needText("x"))
		}
		if !m.Encrypted || m.Bolt11 == "" {
			r.fail("a sealed result is encrypted and carries a bolt11")
		}
	}
	if m.To == "" && m.Status != "" {
		r.needKey("p")
	}
	r.checkRequest(m)
	return m, r.err
}

// checkRequest refuses a result whose `request` is another job's: plain clients believe it.
func (r *reader) checkRequest(m *Result) {
	if m.Request == "" {
		return
	}
	var req struct {
		ID string `json:"id"`
	}
	if err := exact([]byte(m.Request), &req); err != nil {
		m.Request = "" // some providers write other languages' notations; the e tag decides
		return
	}
	if req.ID != string(m.Job) {
		r.fail("tag %q is event %s, but the job is %s", "request", quote(req.ID), m.Job)
	}
}

// Chunk is the next piece of a streamed result (21999, never stored).
type Chunk struct {
	Head
	Job       ID
	To        PubKey // the customer
	Seq       int64  // from 0, dense
	Delta     string
	Fin       bool   // the last one; its Delta is empty
	X         string // with Fin: SHA-256 of all deltas together
	Encrypted bool
}

// MaxChunk is how many bytes one chunk carries at most.
const MaxChunk = 4096

// About is the job's id.
func (m *Chunk) About() ID { return m.Job }

func (m *Chunk) Event() *nostr.Event {
	w := write(KindChunk, m.Head)
	w.tag("e", string(m.Job))
	w.tag("p", string(m.To))
	w.tag("status", statusPartial)
	w.tag("seq", Msat(m.Seq).String())
	if m.Fin {
		w.tag("fin", Msat(m.Seq).String())
		w.text("x", m.X)
	}
	w.ev.Content = m.Delta
	return w.end(m.Head, m.Encrypted)
}

func parseChunk(r *reader) (Message, error) {
	if status, _ := r.status(); status != statusPartial {
		return parseFeedback(r) // read as an unstored 7000
	}
	m := &Chunk{
		Head: r.head(), Job: r.needID("e"), To: r.needKey("p"), Seq: r.needNumber("seq"), Delta: r.ev.Content,
		Fin: r.has("fin"), X: r.text("x"), Encrypted: r.has("encrypted"),
	}
	if m.Fin && r.number("fin") != m.Seq {
		r.fail("tag %q is not the chunk's seq", "fin")
	}
	if !m.Fin {
		m.X = "" // the hash of everything comes with the last
	}
	if len(m.Delta) > MaxChunk {
		r.fail("chunk of %d bytes, at most %d", len(m.Delta), MaxChunk)
	}
	return m, r.err
}
