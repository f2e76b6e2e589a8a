package events

import (
	"strconv"

	"github.com/nbd-wtf/go-nostr"
)

// Cancel is the customer's word that a job is not wanted any more (kind 5, NIP-09).
type Cancel struct {
	Head
	Job    ID
	Kind   int    // the request's kind
	Node   PubKey // the engaged node, so that its inbox sees it; "" if nobody is
	Reason string
	Others []ID // a foreign deletion may name more events
}

// About is the job's id.
func (m *Cancel) About() ID { return m.Job }

func (m *Cancel) Event() *nostr.Event {
	w := write(KindCancel, m.Head)
	w.text("e", string(m.Job))
	for _, id := range m.Others {
		w.tag("e", string(id))
	}
	if m.Kind != 0 {
		w.tag("k", strconv.Itoa(m.Kind))
	}
	w.text("p", string(m.Node))
	w.ev.Content = m.Reason
	return w.end(m.Head, false)
}

// parseCancel reads any NIP-09 deletion: the first event it names counts as the job.
func parseCancel(r *reader) (Message, error) {
	m := &Cancel{Head: r.head(), Reason: r.ev.Content}
	for i, id := range r.firsts("e") {
		if i == 0 {
			m.Job = ID(r.hex("e", id))
			continue
		}
		m.Others = append(m.Others, ID(r.hex("e", id)))
	}
	if kinds := r.kinds(); len(kinds) > 0 {
		m.Kind = kinds[0]
	}
	if ps := r.firsts("p"); len(ps) > 0 {
		m.Node = PubKey(r.hex("p", ps[0]))
	}
	return m, r.err
}

// Review is what a customer thought of a node's work (31117). It counts only if its author wrote the job and the node
// has a result for it.
type Review struct {
	Head
	Job      ID // also its `d`
	Node     PubKey
	Rating   int64 // 1 to 5
	Role     string
	JobKind  int
	Receipt  ID     // proof of payment: the node's receipt…
	Invoice  ID     // …or its signed invoice,
	Preimage string // with the preimage
	Text     string
}

// About is the job's id.
func (m *Review) About() ID { return m.Job }

func (m *Review) Event() *nostr.Event {
	w := write(KindReview, m.Head)
	w.tag("d", string(m.Job))
	w.tag("e", string(m.Job))
	w.tag("p", string(m.Node))
	w.tag("rating", strconv.FormatInt(m.Rating, 10))
	w.text("role", m.Role)
	if m.JobKind != 0 {
		w.tag("kind", strconv.Itoa(m.JobKind))
		w.tag("k", strconv.Itoa(m.JobKind))
	}
	switch {
	case m.Receipt != "":
		w.tag("paid", string(m.Receipt))
	case m.Invoice != "":
		w.tag("paid", string(m.Invoice), m.Preimage)
	}
	w.tag("alt", "Review of a compute job")
	w.ev.Content = m.Text
	return w.end(m.Head, false)
}

func parseReview(r *reader) (Message, error) {
	m := &Review{
		Head: r.head(), Job: r.needID("e"), Node: r.needKey("p"), Rating: r.needNumber("rating"), Role: r.text("role"),
		JobKind: int(r.number("k")), Text: r.ev.Content,
	}
	if r.needText("d") != string(m.Job) {
		r.fail("tag %q is not the job", "d")
	}
	if m.Rating < 1 || m.Rating > 5 {
		r.fail("rating %d is not 1 to 5", m.Rating)
	}
	switch paid := r.one("paid"); len(paid) {
	case 0:
	case 1:
		m.Receipt = ID(r.hex("paid", paid[0]))
	default:
		m.Invoice, m.Preimage = ID(r.hex("paid", paid[0])), r.hex("paid", paid[1])
	}
	return m, r.err
}

// Reputation is somebody's assertion about a node (NIP-85: 30382 about a key, 30384 about an address).
type Reputation struct {
	Head
	Kind    int
	Subject string // a key, or an announcement's address
	Rank    int64  // 0 to 100
}

func (m *Reputation) Event() *nostr.Event {
	w := write(m.Kind, m.Head)
	w.tag("d", m.Subject)
	w.tag("rank", strconv.FormatInt(m.Rank, 10))
	return w.end(m.Head, false)
}

func parseReputation(r *reader) (Message, error) {
	m := &Reputation{Head: r.head(), Kind: r.ev.Kind, Subject: r.needText("d"), Rank: r.number("rank")}
	if m.Rank > 100 {
		r.fail("rank %d is above 100", m.Rank)
	}
	return m, r.err
}
